"""`cnncli calibrate`: fit how a trained model's probabilities become answers."""

from pathlib import Path

import click

from cnncli.api.model import Model
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import data_option, example, json_option, output_option, threads_option
from cnncli.cli.target import find_target, tta_option, weights_option
from cnncli.errors import UsageError
from cnncli.hints import MODEL_ENDING
from cnncli.report.terminal.output import echo_lines, emit
from cnncli.report.terminal.progress import Status


@click.command("calibrate", epilog=example("cnncli calibrate runs/mnist/latest --unknown precision=0.99"))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@weights_option
@data_option("Dataset to fit on. Default: the validation images.")
@click.option(
    "--thresholds",
    metavar="WANT",
    help="Fit a threshold for each class: precision=0.95 or recall=0.9.",
)
@click.option("--unknown", metavar="WANT", help='Answer "unknown" where less is certain: precision=0.99.')
@click.option(
    "--costs",
    metavar="FILE.csv",
    type=click.Path(path_type=Path),
    help="Choose the answers of least expected cost: rows of true classes, columns of answers.",
)
@tta_option
@click.option("--reset", is_flag=True, help="Remove all decisions from the model file.")
@output_option("Write a new model file instead of changing the given one.")
@threads_option
@offline_option
@json_option
def command(
    *,
    model: Path | None,
    weights: str | None,
    data: str | None,
    thresholds: str | None,
    unknown: str | None,
    costs: Path | None,
    tta: str | None,
    reset: bool,
    output: Path | None,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Fit how the probabilities of MODEL become answers, on its validation images: a temperature that makes them as
    sure as they are right and, if asked, thresholds, an "unknown" answer or a cost table.

    They are kept in the model file: `predict` obeys them, `evaluate` compares without and with them. MODEL is a run, a
    model file or a spec (its newest run). Default: the newest run.
    """
    if reset and any(option is not None for option in (data, thresholds, unknown, costs, tta)):
        raise UsageError("--reset removes all decisions: it takes no option that fits some")
    if output is not None and output.suffix != MODEL_ENDING:
        raise UsageError(f"--output must be a file ending in {MODEL_ENDING}; received {output}")
    opened = Model(find_target(model, weights), threads=threads)
    if reset:
        opened.reset()
        path = opened.save(output)
        emit({"model": str(path), "decision": None}) if as_json else echo_lines([f"reset  {path}"])
        return
    with Status() as status:
        decision = opened.calibrate(
            data, thresholds=thresholds, unknown=unknown, costs=costs, tta=tta, offline=offline, on_event=status
        )
    from cnncli.report.tables.decision import print_decision

    path = opened.save(output)
    names = opened.reader(raw=True).classes
    if as_json:
        emit({"model": str(path), "classes": list(names), "decision": decision.document()})
    else:
        print_decision(decision, names)
        echo_lines([f"saved  {path}"])
