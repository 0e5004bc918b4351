"""Checkpoints of an estimator's fit: its description, and the attributes that go with its course."""

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy

from retroprop.backends import Backend, host_backend
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.architecture import Architecture
from retroprop.estimators.moving import CURVES
from retroprop.estimators.samples import Samples, Stream
from retroprop.estimators.stopping import Bests
from retroprop.estimators.validation import Validation
from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.training import description
from retroprop.training.beginning import ANEW, Beginning
from retroprop.training.continuation import Continuation, StoredContinuation, Work, unpacked
from retroprop.training.course import Course
from retroprop.training.job import Job
from retroprop.training.packing import KINDS, NOT_OURS
from retroprop.training.saver import Saver

MAY_DIFFER = ("max_iter", "verbose", "progress", "checkpoint", "predict_batch_size", "device", "parallel")
"""The parameters of an estimator that a fit may go on with other values of."""
OWN_KINDS = {**KINDS, Bests.__name__: Bests}


class EstimatorCall:
    """A fit, as its checkpoints describe it.

    Attributes
    ----------
    keeps_order : bool
        True: as in scikit-learn, the order of an epoch is a permutation of the one before.
    """

    keeps_order = True

    def __init__(
        self, estimator: Any, architecture: Architecture, source: Samples | Stream, validation: Validation | None
    ) -> None:
        self.estimator, self.architecture, self.source, self.validation = estimator, architecture, source, validation

    def description(self) -> dict[str, Any]:
        """Return the parameters of the estimator, its network, and hashes of its data; a stream has none."""
        e, source, backend = self.estimator, self.source, self.source.backend
        options = {name: value for name, value in e.get_params(deep=False).items() if name not in MAY_DIFFER}
        found = {name: description.described(value) for name, value in options.items()}
        found |= {"estimator": type(e).__name__, "classes": description.described(getattr(e, "classes_", None))}
        found |= description.of_network(self.architecture, backend, source.dtype)
        if isinstance(source, Samples):
            found |= _fingerprints(backend, "", source)
        if self.validation is not None:
            found |= _fingerprints(backend, "validation ", self.validation.samples)
            found["validation rows"] = description.fingerprint(host_backend(), self.validation.rows)
        return found


def _fingerprints(backend: Backend, before: str, samples: Samples) -> dict[str, Any]:
    x, y, weight = samples.data
    if samples.sparse:
        backend = host_backend()
        parts = (description.fingerprint(backend, part) for part in (x.data, x.indices, x.indptr))
        inputs: Any = [list(x.shape), *parts]
    else:
        inputs = description.fingerprint(backend, x)
    others = {"y": y, "sample_weight": weight}
    return {f"{before}x": inputs} | {f"{before}{n}": description.fingerprint(backend, a) for n, a in others.items()}


def _checked(course: Course, fresh: Bests) -> Bests:
    """Return the best figures of a course as numbers; raise ValueError unless they are such as `fresh` ones become."""
    found: Bests = course.stopping
    loss, score = (None if one is None else numpy.float64(float(one)) for one in (found.loss, found.score))
    best, last = found.parameters, course.last
    least, of_best = found.validation
    if (loss is None, score is None) != (fresh.loss is None, fresh.score is None):
        raise ValueError("its best figures are not those of this fit")
    if best is not None and (best.shape, best.dtype) != (last.shape, last.dtype):  # type: ignore[union-attr]
        raise ValueError("its best weights are not those of this fit")
    return Bests(loss, score, int(found.waited), best, float(found.least), (float(least), float(of_best)))


class Keeper:
    """The checkpoints of one fit of an estimator.

    Parameters
    ----------
    saver : Saver
        The folder.
    call : EstimatorCall
        The fit.
    job : Job or None
        The ranks that share it; they go on from where rank 0 does.
    """

    def __init__(self, saver: Saver, call: EstimatorCall, job: Job | None = None) -> None:
        self.saver, self.call = saver, call
        self.work = Work(0.0, compiled=False)
        stored = saver.found(call)
        stored = stored if job is None else job.from_first(stored)
        try:
            self.begins_at = ANEW if stored is None else Beginning(stored, work=stored.work)
        except NOT_OURS as error:
            raise CheckpointError(f"a checkpoint does not describe a fit: {error}") from error

    @property
    def point(self) -> StoredContinuation | None:
        """The point to go on from."""
        found = self.begins_at.continuation
        return found if isinstance(found, StoredContinuation) else None

    def bound(self, step: CapturedStep, work: float) -> None:
        """Note the estimated elements and the form of the step; raise CheckpointError for another than at its point."""
        self.begins_at.check(step)
        self.work = Work(work, step.compiled)

    def take(self, course: Course) -> Course:
        """Give the estimator the attributes of a point; return the course with its best figures as numbers.

        Raises
        ------
        CheckpointError
            If they are not those of that course.
        """
        e = self.call.estimator
        assert self.point is not None
        try:
            fitted = unpacked(self.point, "fitted", OWN_KINDS)
            curves = {name: None if fitted[name] is None else fitted[name].tolist() for name in CURVES}
            if any(one is not None and len(one) not in (0, course.epoch) for one in curves.values()):
                raise ValueError("its curves are not of its epochs")
            if len(curves["loss_curve_"] or ()) != course.epoch:
                raise ValueError("its curves are not of its epochs")
            bests = _checked(course, Bests.of(e, inf))
            e.t_ = int(fitted["t_"])
        except NOT_OURS as error:
            raise CheckpointError(f"a fit cannot go on from there: {error}") from error
        e.loss_curve_ = list(map(numpy.float64, curves.pop("loss_curve_") or ()))
        vars(e).update(curves)
        e.n_iter_ = course.epoch
        if e.loss_curve_:
            e.loss_ = e.loss_curve_[-1]
        bests.write_to(e)
        return course._replace(stopping=bests)

    def write(self, course: Course) -> None:
        """Write a checkpoint of the course, and of the attributes that the estimator has now."""
        e = self.call.estimator
        curves = {name: vars(e).get(name) for name in CURVES}
        fitted: Mapping[str, Any] = {
            name: None if curve is None else numpy.asarray(curve, "float64") for name, curve in curves.items()
        }
        point = Continuation(course, self.call.source.backend, self.call, self.work)
        self.saver.write(point, {"fitted": {**fitted, "t_": int(e.t_)}})
