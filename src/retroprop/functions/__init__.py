"""Tables of tiny pure functions: activations, losses, initializers, schedules, metrics."""
