"""The algorithm, one page a file: parameters, operations, forward, backward, gradient check."""
