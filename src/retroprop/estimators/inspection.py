"""Inspection of a fitted network: the activations of its layers, and gradients with respect to the inputs."""

from typing import Any

import numpy
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from retroprop.core.backward import backward
from retroprop.core.forward import forward
from retroprop.estimators import arrays
from retroprop.estimators.samples import Samples
from retroprop.functions.outputs import ProjectedOutput
from retroprop.functions.types import Array


class Inspection:
    """The inspection methods of both estimators; all return arrays on the device of X."""

    def activations(self, X: Any) -> list[Array]:
        """Return the activations of all layers, the input's first: a list of arrays (n_samples, n_neurons).

        Parameters
        ----------
        X : array (n_samples, n_features)
            One observation per row.
        """
        check_is_fitted(self)
        here = self._on_one_device(X, "activations")  # type: ignore[attr-defined]
        with here.backend.active():
            trace = forward(here.backend.operations(), here.architecture, here.parameters, here.rows(None))
            return [here.to_input_device(a) for a in trace.a]

    def input_gradient(self, X: Any, y: Any = None, *, output: int | None = None) -> Array:
        """Return the gradient with respect to the inputs, (n_samples, n_features): of the loss, or of an output.

        Parameters
        ----------
        X : array (n_samples, n_features)
            One observation per row.
        y : array, optional
            If given, each row is the gradient of the loss of its observation, without penalties.
        output : int, optional
            Otherwise, the column of the outputs that is differentiated (of the probabilities, for a classifier: that of
            `classes_[1]` if there are two classes); may be omitted if there is one.

        Raises
        ------
        ValueError, TypeError
            If both or neither of them are given; if y has another number of rows.
        """
        check_is_fitted(self)
        n_outputs: int = self.n_outputs_  # type: ignore[attr-defined]
        if output is None and y is None and n_outputs == 1:
            output = 0
        if (output is None) == (y is None):
            raise ValueError(f"input_gradient needs either y or output, a column of the {n_outputs} outputs.")
        here = self._on_one_device(X, "input_gradient")  # type: ignore[attr-defined]
        architecture = here.architecture._replace(l2=0.0, l1=0.0)
        if y is None:
            if isinstance(output, bool) or not hasattr(output, "__index__"):
                raise TypeError(f"output must be a whole number, not {output!r}.")
            if output not in range(n_outputs):
                raise ValueError(f"output must be in [0, {n_outputs}), not {output!r}.")
            targets = [[float(k == output) for k in range(n_outputs)]] * here.n
            architecture = architecture._replace(output=ProjectedOutput(*architecture.output[:2]))
        else:
            encoded = self._encoded(arrays.to_host(y), role="validation")  # type: ignore[attr-defined]
            targets = self._check_outputs(encoded, "gradient").y  # type: ignore[attr-defined]
            check_consistent_length(here.x, targets)
        with here.backend.active():
            operations, x = here.backend.operations(), here.rows(None)
            data = Samples(here.backend, here.dtype, x, numpy.asarray(targets), None).data
            trace = forward(operations, architecture, here.parameters, x)
            found = backward(operations, architecture, here.parameters, trace, data.y, wrt_input=True)
            # J is a mean, in which each observation has the factor 1/n.
            gradient: Array = found.x
            return here.to_input_device(gradient * float(here.n))
