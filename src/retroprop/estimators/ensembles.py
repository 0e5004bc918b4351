"""The base class of both ensembles: members that are trained together, and the statistics of their outputs."""

from abc import ABC, abstractmethod
from copy import copy
from numbers import Integral
from typing import Any, ClassVar

import numpy
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import _num_samples, check_is_fitted

from retroprop.backends import Backend, host_backend
from retroprop.estimators.argument_types import RandomState
from retroprop.estimators.arrays import backend_holding, to_host
from retroprop.estimators.base import BaseMLP
from retroprop.estimators.common_device import common_backend
from retroprop.estimators.divided_ensemble import agree, train_divided
from retroprop.estimators.group_checkpoint import opened_for_group
from retroprop.estimators.prepared_fit import PreparedFit, collected
from retroprop.estimators.ranks import generator_of
from retroprop.estimators.together import Ending, train_together
from retroprop.estimators.validating import validating
from retroprop.functions.types import Array
from retroprop.network import Network
from retroprop.training import share
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.job import Job
from retroprop.training.parallel import Parallel
from retroprop.training.signals import Signals

LARGEST_SEED = 2**31 - 1


class BaseEnsemble(MetaEstimatorMixin, BaseEstimator, ABC):
    """The fit of the members and their outputs; use `MLPEnsembleClassifier` or `MLPEnsembleRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "bootstrap": ["boolean"],
        "folds": ["boolean"],
        "random_state": ["random_state"],
        "parallel": [HasMethods(["open"]), None],
    }
    estimators_: list[Any]

    def __init__(
        self,
        estimator: BaseMLP | None = None,
        n_members: int = 10,
        *,
        bootstrap: bool = False,
        folds: bool = False,
        random_state: RandomState = None,
        parallel: Parallel | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.bootstrap = bootstrap
        self.folds = folds
        self.random_state = random_state
        self.parallel = parallel

    @abstractmethod
    def _template(self) -> BaseMLP:
        """Return the estimator of which the members are copies."""

    @abstractmethod
    def _splitter(self, y: Any) -> Any:
        """Return scikit-learn's class that divides such targets into folds."""

    def _validate_params(self) -> None:
        with validating(self):
            super()._validate_params()

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit the members together, on the data that the `fit` of one takes, but no iterator of batches."""
        with share.opened(self.parallel, host_backend(), deterministic=False, checkpoints=False) as job:
            return self._fitted(X, y, sample_weight, job)

    def _fitted(self, X: Any, y: Any, sample_weight: Any, job: Job | None) -> Any:
        with share.preparing(job):
            template = self._checked(y)
            rng = generator_of(job, check_random_state(self.random_state))
            members = [clone(template).set_params(progress=False, checkpoint=None) for _ in range(self.n_members)]
            for member in members:
                member.set_params(random_state=int(rng.randint(LARGEST_SEED)))
                member._validate_params()
            held_out = numpy.zeros((len(members), _num_samples(y)), dtype=bool)
            with collected(members) as fits:
                self._prepare(members, (X, y, sample_weight), rng, held_out)
            if job is not None:
                agree(job, self._description(), fits)
        errors = self._trained(fits, template.checkpoint) if job is None else train_divided(job, fits)
        for i, error in enumerate(errors, start=1):  # of Ctrl-C each member has warned, and keeps its present weights
            if isinstance(error, Exception):
                raise _of_member(error, f"member {i} of {len(members)}")
        self.estimators_ = members
        self.__dict__.pop("out_of_fold_", None)  # of a fit before
        if self.bootstrap or self.folds:
            self._set_out_of_fold(X, held_out)
        return self

    def _trained(self, fits: list[PreparedFit], rule: Checkpoint | None) -> list[Ending]:
        """Train the members in this process; return their ends."""
        with opened_for_group(rule, self._description) as checkpoint, Signals() as signals:
            names = [str(i) for i in range(len(fits))]
            errors = train_together(fits, stops=lambda: signals.reason, checkpoint=checkpoint, names=names)
            signals.answered = signals.reason == "interrupted"
        return errors

    def _checked(self, y: Any) -> BaseMLP:
        """Return the estimator of which the members are copies; raise ValueError for options that do not agree."""
        if self.bootstrap and self.folds:
            raise ValueError("bootstrap=True and folds=True are two ways to choose the rows of a member: choose one.")
        if self.folds and self.n_members < 2:
            raise ValueError("folds=True needs n_members of 2 or above: a member for each fold.")
        template = self._template()
        if template.parallel is not None:
            raise ValueError(
                "parallel of the estimator must be None: pass it to the ensemble, which divides the members."
            )
        if self.parallel is not None:
            for name, given in (
                ("shard=True", self.parallel.shard),
                ("checkpoint of the estimator", template.checkpoint is not None),
                ("solver='lbfgs' of the estimator", template.solver == "lbfgs"),
            ):
                if given:
                    raise ValueError(f"{name} does not go with parallel of an ensemble, which divides the members.")
        if template.checkpoint is not None and template.solver == "lbfgs":
            raise ValueError("checkpoint of an ensemble needs a stochastic solver of its estimator, not 'lbfgs'.")
        if template.checkpoint is not None and self.random_state is None:
            raise ValueError(
                "checkpoint of the estimator needs a random_state of the ensemble, to draw the members again."
            )
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        return template

    def _description(self) -> dict[str, Any]:
        """Return the parameters by which the members differ, for a checkpoint."""
        own = {name: getattr(self, name) for name in ("n_members", "bootstrap", "folds")}
        return {"ensemble": type(self).__name__} | own

    def _prepare(self, members: list[Any], given: tuple[Any, Any, Any], rng: Any, held_out: Array) -> None:
        """Prepare the fit of each member on its rows, and mark in `held_out` (n_members, n) those it does not see."""
        X, y, sample_weight = given
        n = held_out.shape[1]
        if self.folds:
            splitter = self._splitter(y)(self.n_members, shuffle=True, random_state=rng)
            for i, (rows, others) in enumerate(splitter.split(numpy.empty((n, 1)), to_host(y))):
                held_out[i, others] = True
                members[i]._fit(X, y, sample_weight, rows=rows)
            return
        for i, member in enumerate(members):
            weight = sample_weight
            if self.bootstrap:
                # n rows drawn with replacement, as their counts: all members have one array and all classes.
                counts = numpy.bincount(rng.randint(n, size=n), minlength=n)
                held_out[i] = counts == 0
                weight = counts if weight is None else counts * numpy.asarray(to_host(weight, "sample_weight"))
            member._fit(X, y, weight)

    def _set_out_of_fold(self, X: Any, held_out: Array) -> None:
        """Set the mean output of each row over the members that have not seen it; NaN where all have."""
        on_device, backend = self._member_outputs(X, "fit")
        outputs = backend.to_numpy(on_device)
        counts = held_out.sum(axis=0)
        with numpy.errstate(invalid="ignore"):
            mean = (held_out[:, :, None] * outputs).sum(axis=0) / counts[:, None]
        self.out_of_fold_ = self._as_predicted(backend.asarray(mean.astype(outputs.dtype)), backend)

    @abstractmethod
    def _as_predicted(self, outputs: Array, backend: Backend) -> Any:
        """Return outputs in the form of the probabilities, or of the predicted values."""

    def _member_outputs(self, X: Any, method: str) -> tuple[Array, Backend]:
        """Return the outputs (n_members, n, n_outputs) of X, on its device, and its backend."""
        check_is_fitted(self)
        common_backend(self, self.estimators_[0]._backend(), backend_holding(X, "X") or host_backend(), method)
        outputs, backends = zip(*(member._outputs(X, method) for member in self.estimators_), strict=True)
        with backends[0].active():
            return backends[0].xp.stack(outputs), backends[0]

    @property
    def n_features_in_(self) -> int:
        """The number of features."""
        return int(self.estimators_[0].n_features_in_)

    @property
    def feature_names_in_(self) -> Array:
        """The names of the features, where the training data had names."""
        return self.estimators_[0].feature_names_in_

    @property
    def device(self) -> Any:
        """The parameter `device` of the members."""
        return self._template().device

    @property
    def networks_(self) -> list[Network]:
        """The fitted networks of the members, as retroprop's own."""
        check_is_fitted(self)
        return [member.network_ for member in self.estimators_]

    def to(self, backend: Any) -> Any:
        """Return a copy of this fitted ensemble that lives on another backend ("numpy", "torch:cuda:0", ...)."""
        check_is_fitted(self)
        moved = copy(self)
        moved.estimators_ = [member.to(backend) for member in self.estimators_]
        return moved

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, with all arrays on the host, so that it loads without the device."""
        state: dict[str, Any] = {**super().__getstate__()}
        found = state.get("out_of_fold_")
        if found is not None:
            state["out_of_fold_"] = list(map(to_host, found)) if isinstance(found, list) else to_host(found)
        return state

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: those of the members."""
        tags = super().__sklearn_tags__()
        own = get_tags(self._template())
        tags.input_tags, tags.array_api_support = own.input_tags, own.array_api_support
        tags.target_tags.multi_output = own.target_tags.multi_output
        return tags


def _of_member(error: Exception, name: str) -> Exception:
    """Return the error with the name of the member that it ended: in its message, or as a note where it has none."""
    if error.args and isinstance(error.args[0], str):
        error.args = (f"{name}: {error.args[0]}", *error.args[1:])
    else:
        error.add_note(f"It is the error of {name} of the ensemble.")
    return error


def statistics(backend: Backend, several: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation over the first axis."""
    with backend.active():
        return backend.xp.mean(several, axis=0), backend.xp.std(several, axis=0)
