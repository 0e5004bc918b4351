"""Models that travel: ONNX, torch, Keras, scikit-learn, and a network within the autodiff of torch and JAX.

The libraries are imported when a function that needs one is called.
"""

from retroprop.interop.errors import ExportError
from retroprop.interop.jax_autodiff import JaxFunction, jax_function
from retroprop.interop.keras_weights import from_keras, to_keras
from retroprop.interop.onnx_export import save_onnx
from retroprop.interop.onnx_import import load_onnx
from retroprop.interop.sklearn_estimators import from_sklearn, to_sklearn
from retroprop.interop.torch_autodiff import torch_function
from retroprop.interop.torch_files import from_torch, save_torch
from retroprop.interop.torch_layers import to_torch

__all__ = [
    "ExportError",
    "JaxFunction",
    "from_keras",
    "from_sklearn",
    "from_torch",
    "jax_function",
    "load_onnx",
    "save_onnx",
    "save_torch",
    "to_keras",
    "to_sklearn",
    "to_torch",
    "torch_function",
]
