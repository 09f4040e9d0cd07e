"""`cnncli verify-resume`: prove that a training can be interrupted."""

from pathlib import Path

import click

from cnncli.api.specs import data_setting
from cnncli.cli import tell_warnings
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import Integer, example, json_option, threads_option
from cnncli.cli.proofs import check_resume
from cnncli.spec.spec import load


@click.command("verify-resume", epilog=example("cnncli verify-resume mnist.yaml --times 3 --set fit.epochs=2"))
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a value of the spec. Repeatable.")
@click.option("--data", metavar="SOURCE", help="Dataset to train on.")
@click.option("--times", type=Integer(1), default=5, show_default=True, help="Number of interrupted trainings.")
@threads_option
@offline_option
@json_option
def command(
    *,
    spec: Path,
    overrides: tuple[str, ...],
    data: str | None,
    times: int,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Prove that SPEC resumes to the same bits.

    Trains it without interruption, then several times interrupted after a random batch (drawn with the spec's seed)
    and resumed, and compares weights, the optimizer's state, the metrics of all epochs and of the test. No run is
    left. Exits with 1 if anything differs.
    """
    loaded = load(spec, [*overrides, *([] if data is None else [data_setting(data)])])
    tell_warnings(loaded.warnings)
    check_resume(loaded, times, threads, offline=offline, as_json=as_json)
