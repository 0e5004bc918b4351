"""Estimators to and from scikit-learn's own, by the methods that they have."""

from typing import Any

from retroprop.interop.errors import needed


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's estimator that predicts the same as ours; see `MLPClassifier.to_sklearn`.

    Raises
    ------
    TypeError
        If `estimator` is neither an `MLPClassifier` nor an `MLPRegressor` of retroprop.
    ValueError
        If scikit-learn has no such network; the message says in what it differs.
    """
    ours = needed("retroprop.estimators", by="rp.interop.to_sklearn")
    if not isinstance(estimator, (ours.MLPClassifier, ours.MLPRegressor)):
        raise TypeError(f"to_sklearn takes an MLPClassifier or MLPRegressor of retroprop, not {estimator!r}.")
    return estimator.to_sklearn()


def from_sklearn(estimator: Any) -> Any:
    """Return our estimator with the parameters and fitted attributes of scikit-learn's; its `network_` is a Network.

    Raises
    ------
    TypeError
        If `estimator` is neither an `MLPClassifier` nor an `MLPRegressor` of scikit-learn.
    """
    ours = needed("retroprop.estimators", by="rp.interop.from_sklearn")
    theirs = needed("sklearn.neural_network", by="rp.interop.from_sklearn")
    for name in ("MLPClassifier", "MLPRegressor"):
        if isinstance(estimator, getattr(theirs, name)):
            return getattr(ours, name).from_sklearn(estimator)
    raise TypeError(f"from_sklearn takes an MLPClassifier or MLPRegressor of scikit-learn, not {estimator!r}.")
