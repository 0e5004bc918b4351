"""Coding of y for the network: values unchanged, labels as rows or indices, and decoding of outputs into labels."""

from typing import Any, NamedTuple

import numpy
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import unique_labels

from retroprop.backends import Backend, host_backend
from retroprop.functions.activations import GroupedSoftmax
from retroprop.functions.losses import BinaryCrossEntropy, CrossEntropy, GroupedCrossEntropy, Loss
from retroprop.functions.types import Array


class Targets(NamedTuple):
    """y in the form that the fit uses.

    Attributes
    ----------
    y : array (n, n_outputs) or integer array (n,)
        Target rows, or class indices, on the host.
    n_outputs : int
        The size of the output layer.
    out_activation : str
        Its activation, under scikit-learn's name.
    scored : array
        y in the form that the validation score compares.
    stratify : array or None
        The classes whose proportions a validation split preserves, as scikit-learn's split takes them.
    """

    y: Array
    n_outputs: int
    out_activation: str
    scored: Array
    stratify: Array | None = None


class Labels:
    """One column of labels, or a multilabel indicator.

    Parameters
    ----------
    y : array (n,) or indicator (n, n_labels)
        All labels.
    """

    def __init__(self, y: Any) -> None:
        self._take(LabelBinarizer().fit(y))

    @classmethod
    def of(cls, binarizer: Any) -> "Labels":
        """Return the coding of a fitted `LabelBinarizer`."""
        found = cls.__new__(cls)
        found._take(binarizer)
        return found

    def _take(self, binarizer: Any) -> None:
        self.binarizer, self.classes = binarizer, binarizer.classes_
        self.out_activation = "softmax" if binarizer.y_type_ == "multiclass" else "logistic"

    def unknown(self, y: Any) -> tuple[Any, bool, bool]:
        """Return the labels of y, whether one of them is unknown, and whether they differ from the known set."""
        found = unique_labels(y)
        return found, len(numpy.setdiff1d(found, self.classes, assume_unique=True)) > 0, {*found} != {*self.classes}

    def targets(self, y: Any) -> Targets:
        """Return labels in the form that the fit uses."""
        # Boolean, as scikit-learn passes it to its split, whose error message names the dtype.
        columns = self.binarizer.transform(y).astype(bool)
        softmax = self.out_activation == "softmax"
        return self._coded(columns.argmax(axis=1) if softmax else columns, columns.shape[1])

    def known(self, y: Any) -> Targets | None:
        """Return the targets of an array that certainly holds known labels, None of any other y.

        scikit-learn finds the same by ten checks, which take longer than the training on a small batch.
        """
        classes: Any = self.classes
        if type(y) is not numpy.ndarray or y.ndim != 1 or y.dtype != classes.dtype or y.dtype.kind not in "iuU":
            return None
        if self.binarizer.y_type_ not in ("binary", "multiclass") or len(classes) < 2:
            return None
        indices = numpy.searchsorted(classes, y)
        # Where a batch has many classes for its rows, some versions of scikit-learn warn.
        if (
            2 * numpy.count_nonzero(numpy.bincount(indices)) >= len(y)
            or (classes.take(indices, mode="clip") != y).any()
        ):
            return None
        softmax = self.out_activation == "softmax"
        return self._coded(indices if softmax else indices[:, None] == 1, len(classes) if softmax else 1)

    def _coded(self, indices: Array, n_outputs: int) -> Targets:
        """Return the targets of class indices (n,), for a softmax, or of booleans (n, n_outputs)."""
        learnt = indices if self.out_activation == "softmax" else indices.astype("float64")
        return Targets(learnt, n_outputs, self.out_activation, indices, indices)

    def output_activation(self) -> str:
        """Return the activation that gives probabilities."""
        return "softmax" if self.out_activation == "softmax" else "sigmoid"

    def loss(self) -> Loss:
        """Return the log-loss."""
        return CrossEntropy() if self.out_activation == "softmax" else BinaryCrossEntropy()

    def right(self, outputs: Array, scored: Array) -> Array:
        """Return for each row of outputs, on the host, whether all its labels are right."""
        if self.out_activation == "softmax":
            return outputs.argmax(axis=1) == scored
        return ((outputs > 0.5) == scored).all(axis=1)

    def labels(self, a: Array, backend: Backend) -> Array:
        """Return the labels of outputs, on their device if its library can hold them."""
        if backend == host_backend():
            return self.binarizer.inverse_transform(a.ravel() if a.shape[1] == 1 else a)
        if self.out_activation == "softmax":
            return taken(self.classes, backend.xp.argmax(a, axis=1), backend)
        chosen = backend.asarray(a > 0.5, "int32")
        return chosen if a.shape[1] > 1 else taken(self.classes, chosen[:, 0], backend)

    def probabilities(self, a: Array, backend: Backend) -> Any:
        """Return a probability for each class."""
        return backend.xp.concat([1.0 - a, a], axis=1) if a.shape[1] == 1 else a


class LabelColumns:
    """Several columns of labels, each with its own classes and softmax.

    Parameters
    ----------
    columns : sequence of array
        All labels of each column.
    """

    out_activation = "softmax"

    def __init__(self, columns: Any) -> None:
        self.classes = [numpy.unique(column) for column in columns]
        # A column of one class has a second neuron, which never becomes the larger output.
        self.sizes = tuple(max(2, len(classes)) for classes in self.classes)

    def known(self, y: Any) -> None:
        """Return None: the columns of each y are checked."""

    def unknown(self, y: Any) -> tuple[Any, bool, bool]:
        """Return the labels of y, whether one of them is unknown, and whether they differ from the known set."""
        columns = numpy.asarray(y).T
        if len(columns) != len(self.classes):
            raise ValueError(f"y has {len(columns)} columns, and there are classes for {len(self.classes)}.")
        found = [numpy.unique(column) for column in columns]
        pairs = list(zip(found, self.classes, strict=True))
        return found, any(len(numpy.setdiff1d(*pair)) for pair in pairs), any({*f} != {*c} for f, c in pairs)

    def targets(self, y: Any) -> Targets:
        """Return labels in the form that the fit uses: the one-hot rows of the columns side by side."""
        columns = numpy.asarray(y).T
        indices = [numpy.searchsorted(classes, column) for classes, column in zip(self.classes, columns, strict=True)]
        rows = [numpy.eye(size)[index] for size, index in zip(self.sizes, indices, strict=True)]
        together = numpy.stack(indices, axis=1)
        return Targets(numpy.concatenate(rows, axis=1), sum(self.sizes), "softmax", together, together)

    def output_activation(self) -> GroupedSoftmax:
        """Return the activation that gives probabilities: a softmax per column."""
        return GroupedSoftmax(self.sizes)

    def loss(self) -> Loss:
        """Return the log-losses of the columns, added up."""
        return GroupedCrossEntropy(self.sizes)

    def right(self, outputs: Array, scored: Array) -> Array:
        """Return for each row of outputs, on the host, whether its labels are right in all columns."""
        chosen = [part.argmax(axis=1) for part in self._parts(outputs)]
        return (numpy.stack(chosen, axis=1) == scored).all(axis=1)

    def labels(self, a: Array, backend: Backend) -> Array:
        """Return the labels (n, n_columns) of outputs."""
        xp = backend.xp
        columns = [
            taken(classes, xp.argmax(part[:, : len(classes)], axis=1), backend)
            for classes, part in zip(self.classes, self._parts(a), strict=True)
        ]
        return (numpy if isinstance(columns[0], numpy.ndarray) else xp).stack(columns, axis=1)

    def probabilities(self, a: Array, backend: Backend) -> Any:
        """Return for each column a probability for each of its classes."""
        return [part[:, : len(classes)] for classes, part in zip(self.classes, self._parts(a), strict=True)]

    def _parts(self, a: Array) -> list[Array]:
        ends = numpy.cumsum(self.sizes).tolist()
        return [a[:, end - size : end] for size, end in zip(self.sizes, ends, strict=True)]


def are_columns(classes: Any) -> bool:
    """Return whether these are the classes of several columns: a sequence of one-dimensional arrays."""
    return isinstance(classes, (list, tuple)) and len(classes) > 0 and all(numpy.ndim(one) == 1 for one in classes)


def taken(classes: Array, which: Array, backend: Backend) -> Array:
    """Return the classes at these indices: on the backend if they are numbers, else (text) on the host."""
    if classes.dtype.kind in "OUS":
        return classes[backend.to_numpy(which)]
    return backend.xp.take(backend.asarray(classes), which, axis=0)
