"""The GPU check: the tests marked gpu, and a training step beside its bare products, PyTorch, JAX and the processor."""
