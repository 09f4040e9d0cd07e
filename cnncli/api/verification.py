"""Proofs that a training of a spec gives the same bits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnncli.api.training import Surroundings, begun, fitting
from cnncli.spec.spec import Spec
from cnncli.system.temporary import temporary_folder
from cnncli.training.events import BatchDone, Event, Progress

if TYPE_CHECKING:
    from cnncli.training.loop.verification import Proof, Trainings


def verify_resume(spec: Spec, around: Surroundings, times: int) -> "Proof":
    """Train a spec without interruption, and `times` times interrupted and resumed; no run is left.

    Raises what `train_spec` raises.
    """
    with _trainings(spec, around) as (trainings, threads):
        from cnncli.training.loop.verification import verify_resume

        return verify_resume(trainings, threads, times)


def verify_threads(spec: Spec, around: Surroundings, several: Sequence[int]) -> "Proof":
    """Train a spec with one thread and with each of `several` numbers of them; no run is left.

    Raises what `train_spec` raises. `threads` of `around` is not read.
    """
    with _trainings(spec, replace(around, threads=max(several))) as (trainings, _):
        from cnncli.training.loop.verification import verify_threads

        return verify_threads(trainings, several)


def proof_document(spec: Spec, proof: "Proof") -> dict[str, Any]:
    """A proof as JSON."""
    trials = [
        {
            **({} if trial.place is None else {"interrupted_after": trial.place._asdict()}),
            **({} if trial.threads is None else {"threads": [1, trial.threads]}),
            "equal": not trial.differs,
            "differs": list(trial.differs),
        }
        for trial in proof.trials
    ]
    about = {"name": spec.name, "seed": spec.seed, "batches": proof.batches, "weights_digest": proof.digest}
    return {**about, "equal": proof.holds, "trials": trials}


@contextmanager
def _trainings(spec: Spec, around: Surroundings) -> "Iterator[tuple[Trainings, int]]":
    """Trainings of a spec into a temporary directory, and their number of threads."""
    tell = around.on_event

    def report(event: Event) -> None:
        if isinstance(event, BatchDone):
            tell(Progress(f"epoch {event.epoch}, batch {event.batch}/{event.batches} …"))

    with temporary_folder() as folder, begun(spec, around) as (_, plan, dataset, threads, _):
        from cnncli.training.loop.plan import RunOptions
        from cnncli.training.loop.verification import Trainings

        start = RunOptions(fitting=fitting(spec, None, None), listed=False)
        yield Trainings(plan, dataset, start, folder, report), threads
        tell(Progress(""))
