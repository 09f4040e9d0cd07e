"""`cnncli evaluate`: metrics, confusion matrix and misclassified samples of a trained model."""

from pathlib import Path

import click

from cnncli.api.model import Model
from cnncli.api.targets import Target
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import Integer, example
from cnncli.cli.target import find_target, weights_option
from cnncli.report.tables.expectations import Report
from cnncli.report.terminal.figures import figures_line
from cnncli.report.terminal.output import echo_lines, emit
from cnncli.report.terminal.progress import Status
from cnncli.system import atomic
from cnncli.training.metrics.expectations import Expectation


@click.command("evaluate", epilog=example("cnncli evaluate runs/mnist/latest --expect 'accuracy >= 0.95'"))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@weights_option
@click.option("--data", metavar="SOURCE", help="Dataset to evaluate on: a built-in name, a folder of images or a file.")
@click.option(
    *("--expect", "conditions"),
    metavar="CONDITION",
    multiple=True,
    help="Condition to meet, such as 'test_accuracy >= 0.9'. Repeatable.",
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("--threads", type=Integer(1), help="Number of threads. Default: the available CPUs.")
@offline_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    model: Path | None,
    weights: str | None,
    data: str | None,
    conditions: tuple[str, ...],
    junit: Path | None,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Evaluate MODEL: a run, a model file or a spec (its newest run). Default: the newest run."""
    with Report("evaluate", str(model or "the newest run"), junit) as report:
        report.expectations = [Expectation.parse(text) for text in conditions]
        target = find_target(model, weights)
        _measure(target, data, report, last=bool(weights), threads=threads, offline=offline, as_json=as_json)


def _measure(
    target: Target, data: str | None, report: Report, *, last: bool, threads: int | None, offline: bool, as_json: bool
) -> None:
    """Evaluate, print the metrics and check expectations."""
    model = Model(target, threads=threads)
    with Status() as status:
        evaluation = model.evaluate(data, offline=offline, on_event=status)
    from cnncli.report.tables.evaluation import print_evaluation
    from cnncli.training.metrics.mistakes import misclassified_csv

    listing = target.run / "misclassified.csv" if target.run and evaluation.judged else None
    if as_json:
        emit({**evaluation.document(), "model": str(target.file)})
    else:
        about = f"{evaluation.samples:,} samples{f' of {data}' if data else ''}"
        about += f", weights of epoch {model.epoch}" if last else ""
        echo_lines([f"{evaluation.split}  {figures_line(evaluation.figures)}  ({about})"])
        print_evaluation(evaluation)
        if evaluation.judged:
            place = f": {listing}" if listing else ""
            echo_lines([f"misclassified  {len(evaluation.mistakes):,} of {evaluation.samples:,}{place}"])
    if listing is not None:  # after the metrics, so that they are printed even if writing fails
        atomic.write(listing, misclassified_csv(evaluation.mistakes).encode())
    report.what = evaluation.split
    report.conclude(evaluation.named_figures())
