"""The classes of a classifier from one fit to the next, and their weights."""

from typing import Any

import numpy
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_y, column_or_1d

from retroprop.estimators import arrays
from retroprop.estimators.base import BaseMLP
from retroprop.estimators.class_weights import balanced, checked, weights
from retroprop.estimators.targets import LabelColumns, Labels, Targets, are_columns
from retroprop.functions.types import Array


class Classes(BaseMLP):
    """The state of a classifier's classes: those of the first fit, which every later fit must have."""

    class_weight: Any
    stratify: Any
    warm_start: bool
    classes_: Any
    _balanced: list[dict[Any, float]]
    _coding: Labels | LabelColumns

    def _encoded(self, y: Any, *, role: str) -> Targets:
        begins = not hasattr(self, "classes_") or (role == "fit" and not self.warm_start)
        needs_all = self.warm_start and role in ("fit", "partial_fit")
        targets = None if begins or needs_all else self._coding.known(y)
        if targets is None:
            targets = self._checked(y, role=role, begins=begins, needs_all=needs_all)
        keeps = self.stratify if isinstance(self.stratify, bool) else targets.n_outputs == 1
        return targets if keeps else targets._replace(stratify=None)

    def _checked(self, y: Any, *, role: str, begins: bool, needs_all: bool) -> Targets:
        """Return the targets of any y, after scikit-learn's checks; `needs_all`: it must have the classes of before."""
        several = is_multioutput(y) if begins else isinstance(self._coding, LabelColumns)
        if not several:
            y = _check_y(y, multi_output=True, estimator=self)
            if y.ndim == 2 and y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
        if role == "validation":
            self._refuse_new(self._coding.unknown(y))
        elif begins:
            self._coding = LabelColumns(numpy.asarray(y).T) if several else Labels(y)
            self.classes_ = self._coding.classes
        elif needs_all:
            found, _, differ = self._coding.unknown(y)
            if differ:
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {found}"
                )
        else:
            self._refuse_new(self._coding.unknown(y))
        return self._coding.known(y) or self._coding.targets(y)

    def _set_classes(self, classes: Any, y: Any, *, reset: bool) -> None:
        """Set the classes of all batches, of which y is the first."""
        self._refuse_balanced("an iterator of batches")
        if reset and classes is None:
            raise ValueError(
                "fit needs classes= where X is an iterator of batches: all the classes, as the first partial_fit does."
            )
        if classes is None:
            return
        if are_columns(classes):
            coding: Labels | LabelColumns = LabelColumns(classes)
        elif is_indicator(y := arrays.to_host(y)):
            coding = Labels(y)
            if len(coding.classes) != len(classes):
                raise ValueError(f"classes has {len(classes)} labels, and y has {len(coding.classes)} columns of them.")
        else:
            coding = Labels(arrays.to_host(classes))
        if reset:
            self._coding, self.classes_ = coding, coding.classes
        elif len(coding.classes) != len(self.classes_) or not all(
            map(numpy.array_equal, coding.classes, self.classes_)
        ):
            raise ValueError(f"classes must be those of the fit before, {self.classes_}, not {classes}.")

    def _refuse_balanced(self, where: str) -> None:
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight='balanced' is not supported for {where}, which sees y batch by batch: pass the "
                "weights that compute_class_weight('balanced', classes=..., y=...) gives, as a dict."
            )

    def _refuse_new(self, unknown: tuple[Any, bool, bool]) -> None:
        found, is_new, _ = unknown
        if is_new:
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
            )

    def _weights(self, weight: Array | None, y: Any, *, begins: bool = False) -> Array | None:
        if self.class_weight is None:
            return weight
        columns = numpy.asarray(arrays.to_host(y))
        columns = columns.reshape(len(columns), -1).T
        if begins and isinstance(self.class_weight, str):
            self._balanced = [balanced(column) for column in columns]
        if isinstance(self.class_weight, str):
            of_classes = self._balanced
        else:
            of_classes = checked(self.class_weight, self._coding.columns(len(columns)))
        found = numpy.prod([weights(*pair) for pair in zip(columns, of_classes, strict=True)], axis=0)
        return self._sample_weights(found if weight is None else weight * found, len(found), some=begins)

    def _weighs_classes(self) -> bool:
        given: Any = self._balanced if isinstance(self.class_weight, str) else self.class_weight or {}
        return any(weight != 1.0 for one in ([given] if isinstance(given, dict) else given) for weight in one.values())


def is_indicator(y: Any) -> bool:
    """Return whether y is a multilabel indicator."""
    return bool(type_of_target(y).startswith("multilabel"))


def is_multioutput(y: Any) -> bool:
    """Return whether y has several columns of classes, not the zeros and ones of a multilabel indicator."""
    if hasattr(y, "shape"):
        two_axes = len(y.shape) == 2 and y.shape[1] > 1
    else:
        two_axes = isinstance(y, (list, tuple)) and len(y) > 0 and isinstance(y[0], (list, tuple))
    return two_axes and type_of_target(y) == "multiclass-multioutput"
