"""scikit-learn's names of activations, losses, solvers and learning rates."""

from typing import Any

from retroprop.functions import activations

SKLEARN_NAMES = {"activation": {"logistic": "sigmoid"}, "loss": {"log_loss": "cross_entropy"}}
"""Its spellings of entries of our tables."""

THEIRS = {
    "activation": ("identity", "logistic", "tanh", "relu"),
    "solver": ("lbfgs", "sgd", "adam"),
    "learning_rate": ("constant", "invscaling", "adaptive"),
}
"""All that it has."""


def ours(kind: str, name: Any) -> Any:
    """Return our spelling of a name of scikit-learn's; anything else is returned as it is."""
    return SKLEARN_NAMES[kind].get(name, name) if isinstance(name, str) else name


def fitted_activation(estimator: Any, given: Any) -> Any:
    """Return the name of the hidden activation that a network was fitted with, scikit-learn's where it has one.

    Of several activations it is the list of their names; without hidden layers any of scikit-learn's will do.
    """
    hidden = estimator._form.hidden
    if not hidden:
        return given if given in THEIRS["activation"] else "identity"
    for name in THEIRS["activation"]:
        if {*map(type, hidden)} == {type(activations.get(ours("activation", name)))}:
            return name
    found = [f.name for f in hidden]
    return found if len({*found}) > 1 else found[0]
