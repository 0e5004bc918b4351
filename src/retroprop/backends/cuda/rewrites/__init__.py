"""Changes to a recording or a plan for a GPU."""
