"""Many networks trained in one call."""
