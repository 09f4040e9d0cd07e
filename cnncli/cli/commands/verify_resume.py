"""`cnncli verify-resume`: prove that a training can be interrupted."""

import click

from cnncli.cli.options import Integer, example, json_option
from cnncli.cli.proofs import check_resume
from cnncli.cli.training_spec import TrainingSpec, training_spec


@click.command("verify-resume", epilog=example("cnncli verify-resume mnist.yaml --times 3 --set fit.epochs=2"))
@training_spec
@click.option("--times", type=Integer(1), default=5, show_default=True, help="Number of interrupted trainings.")
@json_option
def command(
    *,
    given: TrainingSpec,
    times: int,
    as_json: bool,
) -> None:
    """Prove that SPEC resumes to the same bits.

    Trains it without interruption, then several times interrupted after a random batch (drawn with the spec's seed)
    and resumed, and compares weights, the optimizer's state, the metrics of all epochs and of the test. No run is
    left. Exits with 1 if anything differs.
    """
    check_resume(given.load(), times, given.threads, offline=given.offline, as_json=as_json)
