"""Models that travel: ONNX, torch, Keras, scikit-learn, and a network within the autodiff of torch and JAX.

The libraries are imported when a function that needs one is called.
"""

from retroprop.interop.errors import ExportError
from retroprop.interop.jax_autodiff import JaxFunction, jax_function
from retroprop.interop.onnx_export import save_onnx
from retroprop.interop.onnx_import import load_onnx
from retroprop.interop.torch_autodiff import torch_function

__all__ = ["ExportError", "JaxFunction", "jax_function", "load_onnx", "save_onnx", "torch_function"]
