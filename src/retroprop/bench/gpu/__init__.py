"""A training step on one GPU: ours and others', of equal precision, in turns, beside the bare products and the CPU."""
