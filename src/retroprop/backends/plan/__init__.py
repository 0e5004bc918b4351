"""Order, fusion and places in memory of a recorded step."""
