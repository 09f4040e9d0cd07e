"""Verdicts of proofs: `cnncli verify-resume` and `train --deterministic-check`."""

from typing import TYPE_CHECKING

from cnncli.api.training import Surroundings
from cnncli.api.verification import proof_document, verify_resume, verify_threads
from cnncli.cli import tell_warnings
from cnncli.errors import CnncliError
from cnncli.hints import joined
from cnncli.report.terminal.output import echo, echo_json
from cnncli.report.terminal.progress import Status
from cnncli.spec.spec import Spec
from cnncli.training.distributed.launch import refuse_launcher
from cnncli.training.resources.threads import MOST, available

if TYPE_CHECKING:
    from cnncli.training.loop.verification import Proof, Trial

MORE = 3
"""Threads for each CPU that a proof also tries: they divide the work in ways that one for each does not."""


def check_resume(spec: Spec, times: int, threads: int | None, *, offline: bool, as_json: bool) -> None:
    """Prove that a training resumes to the same bits. Raises CnncliError if it does not."""
    with Status() as status:
        proof = verify_resume(spec, Surroundings(threads, offline, status), times)
    if as_json:
        echo_json(proof_document(spec, proof))
    else:
        echo(f"straight: {_batches(proof.batches)}, seed {spec.seed}, {proof.digest}")
        for trial in proof.trials:
            echo(f"{_place(trial)}, resumed: {_verdict(trial)}")
    count = len(proof.trials)
    times_said = f"{count} interruption{'s' * (count != 1)}"
    _conclude(proof, f"{spec.name} resumes to the same bits: {times_said} after random batches", as_json=as_json)


def check_threads(spec: Spec, threads: int | None, *, offline: bool, as_json: bool) -> None:
    """Prove that a training gives the same bits with one thread and with several. Raises CnncliError if it does not."""
    refuse_launcher("--deterministic-check proves that the threads of one process give the same bits")
    tell_warnings(spec.warnings)
    count = max(2, available())
    several = [count, min(MORE * count, MOST)] if threads is None else [threads]
    with Status() as status:
        proof = verify_threads(spec, Surroundings(offline=offline, on_event=status), several)
    if as_json:
        echo_json(proof_document(spec, proof))
    else:
        echo(f"1 thread: {_batches(proof.batches)}, {proof.digest}")
        for trial in proof.trials:
            echo(f"{trial.threads} threads: {_verdict(trial)}")
    numbers = joined([str(number) for number in (1, *several)])
    _conclude(proof, f"{spec.name} gives the same bits with {numbers} threads", as_json=as_json)


def _conclude(proof: "Proof", holds: str, *, as_json: bool) -> None:
    if proof.holds:
        if not as_json:
            echo(f"proved: {holds}")
        return
    trial = next(trial for trial in proof.trials if trial.differs)
    how = f"with {trial.threads} threads instead of 1" if trial.threads else _place(trial)
    raise CnncliError(
        f"the training gave other bits {how}: {', '.join(trial.differs)} differ{'s' * (len(trial.differs) == 1)}"
    )


def _batches(count: int) -> str:
    return f"{count:,} batch{'es' * (count != 1)}"


def _place(trial: "Trial") -> str:
    place = trial.place
    assert place is not None
    return f"interrupted after batch {place.batches:,} (epoch {place.epoch}, batch {place.batch})"


def _verdict(trial: "Trial") -> str:
    return f"other bits in {', '.join(trial.differs)}" if trial.differs else "same bits"
