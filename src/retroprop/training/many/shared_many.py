"""`fit_many` of several processes, each of which trains some of the networks."""

from collections.abc import Callable
from dataclasses import replace

from retroprop.backends import host_backend
from retroprop.training import share
from retroprop.training.history import History
from retroprop.training.many.agreement import agree
from retroprop.training.many.assignment import assigned
from retroprop.training.many.exchanged import received, sent
from retroprop.training.many.grouping import arranged
from retroprop.training.many.parts import BUDGET, bytes_of, cut
from retroprop.training.many.running import report, run, run_some
from retroprop.training.many.separate_signals import SeparateSignals
from retroprop.training.parallel import Parallel, Separate, checked
from retroprop.training.preparation import Preparation


def run_shared(parallel: Parallel, prepare: Callable[[], list[Preparation]], *, checkpoints: bool) -> list[History]:
    """Run the trainings that `prepare` returns on every rank, each on one of them; all end with all results.

    Raises
    ------
    TypeError, ValueError
        Of `prepare` on any rank; for calls that differ, by the field; for an engine of other work.
    """
    engine = checked(parallel)
    assert engine is not None
    with share.opened(engine, host_backend(), deterministic=False, checkpoints=checkpoints) as job:
        with share.preparing(job):
            if engine.shard:
                raise ValueError(
                    "parallel of fit_many does not go with shard=True: each network is trained by one rank, which "
                    "needs all rows of it."
                )
            trainings = prepare()
            if job is None:
                return run(trainings)
            ranks = job.ranks
            if not isinstance(ranks, Separate):
                raise ValueError(
                    f"parallel of fit_many must be rp.scale.MPI(), or have its tell, heard and meet, not {engine!r}."
                )
            if job.rank:
                trainings = [replace(one, progress=False) for one in trainings]
            arrangement = arranged(trainings)
            agree(job, trainings, arrangement)
            ranks_of = assigned(arrangement, job.size)
        own = {number for number, rank in enumerate(ranks_of) if rank == job.rank}
        if job.rank == 0:
            report(arrangement)
        signals = SeparateSignals(ranks, job.signals.own)
        histories = run_some(arrangement, own, len(trainings), signals)
        # The ranks that have ended wait for the others, without a processor.
        ranks.meet(signals.look)
        for part in cut(range(len(trainings)), list(map(bytes_of, trainings)), BUDGET):
            every = ranks.agree({number: sent(trainings[number], histories[number]) for number in own & set(part)})
            for number in set(part) - own:
                histories[number] = received(trainings[number], every[ranks_of[number]][number])
    return histories
