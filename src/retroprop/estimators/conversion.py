"""Conversion from and to scikit-learn's own MLP, with all parameters and fitted attributes."""

from copy import deepcopy
from typing import Any

import numpy
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from retroprop.estimators import arrays, parameters
from retroprop.estimators.sklearn_names import THEIRS, fitted_activation
from retroprop.estimators.targets import Labels

FITTED = ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "feature_names_in_", "loss_",
          "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_", "classes_",
          "_no_improvement_count")  # fmt: skip


def _of_sklearn(name: str) -> Any:
    """Return scikit-learn's estimator of that name, which is loaded at the first conversion."""
    from sklearn import neural_network

    return getattr(neural_network, name)


class Conversion:
    """The conversion methods of both estimators."""

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator that predicts the same, and continues training from here.

        A further `partial_fit` there begins with new moments, and without the options that scikit-learn lacks, such as
        dropout. A fitted estimator whose solver or schedule scikit-learn lacks continues with "adam" there, at the
        constant `learning_rate_init`: it predicts the same. The activation and the loss are those of the fit, whatever
        was set since.

        Raises
        ------
        ValueError
            If scikit-learn has no such network: another activation, loss or output, several columns of classes; or,
            not fitted, no such solver or schedule.
        """
        theirs = _of_sklearn(type(self).__name__)
        ours = self.get_params(deep=False)  # type: ignore[attr-defined]
        options = {name: ours[name] for name in theirs().get_params()}
        if hasattr(self, "predict_proba"):
            accepted: tuple[str, ...] = ("log_loss",)
        else:
            accepted = ("squared_error", "poisson") if "loss" in options else ("squared_error",)  # before 1.7
            if hasattr(self, "coefs_"):  # a loss that was set since may need another output
                ours["loss"] = self._form.output.loss.name  # type: ignore[attr-defined]
                options |= {"loss": ours["loss"]} if "loss" in options else {}
        if hasattr(self, "coefs_"):
            # scikit-learn's `predict` takes the parameter, which may have been set since the fit.
            ours["activation"] = options["activation"] = fitted_activation(self, ours["activation"])
            for name, instead in (("solver", "adam"), ("learning_rate", "constant")):
                if not isinstance(ours[name], str) or ours[name] not in THEIRS[name]:
                    ours[name] = options[name] = instead
        for name, known in (*THEIRS.items(), ("loss", accepted)):
            if not isinstance(ours[name], str) or ours[name] not in known:
                raise ValueError(f"scikit-learn has no {name}={ours[name]!r}: it has {', '.join(known)}.")
        if numpy.ndim(ours["alpha"]) > 0:
            raise ValueError(f"scikit-learn has one alpha for all layers, not alpha={ours['alpha']!r}.")
        found = theirs(**options)
        if not hasattr(self, "coefs_"):
            return found
        found.__dict__.update({name: deepcopy(getattr(self, name)) for name in FITTED if hasattr(self, name)})
        found.coefs_ = [numpy.ascontiguousarray(arrays.to_host(coef)) for coef in self.coefs_]
        found.intercepts_ = [numpy.array(arrays.to_host(intercept)) for intercept in self.intercepts_]  # type: ignore[attr-defined]
        found._best_coefs = [coef.copy() for coef in found.coefs_]
        found._best_intercepts = [intercept.copy() for intercept in found.intercepts_]
        found._random_state = check_random_state(found.random_state)
        coding = getattr(self, "_coding", None)
        if not isinstance(coding, (Labels, type(None))):
            raise ValueError("scikit-learn has no classifier for several columns of classes.")
        if coding is not None:
            found._label_binarizer = deepcopy(coding.binarizer)
        return found

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Any:
        """Return this class's estimator with the parameters and the fitted attributes of scikit-learn's.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Fitted or not.

        Raises
        ------
        TypeError
            If it is another.
        """
        theirs = _of_sklearn(cls.__name__)
        if not isinstance(estimator, theirs):
            raise TypeError(f"{cls.__name__}.from_sklearn takes scikit-learn's {cls.__name__}, not {estimator!r}.")
        found: Any = cls(**estimator.get_params(deep=False))
        if not hasattr(estimator, "coefs_"):
            return found
        check_is_fitted(estimator)
        found.__dict__.update({name: deepcopy(getattr(estimator, name)) for name in FITTED if hasattr(estimator, name)})
        found.coefs_, found.intercepts_ = deepcopy((estimator.coefs_, estimator.intercepts_))
        found._best = found._parameters()
        found.validation_loss_curve_ = [] if found.__dict__.get("validation_scores_") is not None else None
        if hasattr(estimator, "_label_binarizer"):
            found._coding = Labels.of(deepcopy(estimator._label_binarizer))
        output = found._output_activation(), found._loss()
        found._form = parameters.without_training(parameters.architecture_of(found, found._layer_sizes(), *output))
        return found
