"""Running an ONNX file with onnxruntime, as its users do."""

import numpy as np


def outputs(content, **feeds):
    """Return the outputs of a model by name; `content` is a file's, or its path."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return dict(zip([out.name for out in session.get_outputs()], session.run(None, feeds), strict=True))


def relative(actual, expected):
    """Return the largest difference over the largest number."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    return float(np.abs(actual - expected).max() / (np.abs(expected).max() or 1.0))
