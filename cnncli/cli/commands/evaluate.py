"""`cnncli evaluate`: metrics, confusion matrix and misclassified samples of a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cnncli.api.model import Dtype, Model
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import Integer, data_option, dtype_option, example, json_option, junit_option, threads_option
from cnncli.cli.target import find_target, tta_option, weights_option
from cnncli.errors import CnncliError, UsageError, reason
from cnncli.report.tables.expectations import Report
from cnncli.report.terminal.figures import figures_line
from cnncli.report.terminal.output import echo_lines, emit
from cnncli.report.terminal.progress import Status
from cnncli.system import atomic
from cnncli.training.metrics.expectations import Expectation

if TYPE_CHECKING:
    from cnncli.training.metrics.class_scores import Normalization
    from cnncli.training.metrics.evaluation_record import Evaluation

TOP, MANY = 5, 20
"""With more than MANY classes, the share of samples whose class is among the TOP most probable is reported, too."""


@click.command("evaluate", epilog=example("cnncli evaluate runs/mnist/latest --expect 'accuracy >= 0.95'"))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@weights_option
@data_option("Dataset to evaluate on: a built-in name, a folder of images or a file.")
@click.option("--top-k", type=Integer(1), help=f"Report top-N accuracy. Default: {TOP} with more than {MANY} classes.")
@click.option(
    "--normalize",
    type=click.Choice(["true", "predicted", "all"]),
    help="Confusion matrix as shares of each true class (row), each predicted class (column) or all.",
)
@click.option("--all-classes", is_flag=True, help=f"Show every class. Default: the {MANY} with the lowest F1.")
@click.option(
    *("--expect", "conditions"),
    metavar="CONDITION",
    multiple=True,
    help="Condition to meet, such as 'test_accuracy >= 0.9'. Repeatable.",
)
@click.option(
    "--plots", metavar="FOLDER", type=click.Path(path_type=Path), help="Write pictures of it into this folder."
)
@junit_option
@tta_option
@threads_option
@dtype_option
@offline_option
@json_option
def command(
    *,
    model: Path | None,
    weights: str | None,
    data: str | None,
    top_k: int | None,
    normalize: Literal["true", "predicted", "all"] | None,
    all_classes: bool,
    conditions: tuple[str, ...],
    plots: Path | None,
    junit: Path | None,
    tta: str | None,
    threads: int | None,
    dtype: Dtype | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Evaluate MODEL: a run, a model file or a spec (its newest run). Default: the newest run."""
    with Report("evaluate", str(model or "the newest run"), junit) as report:
        report.expectations = [Expectation.parse(text) for text in conditions]
        target = find_target(model, weights)
        loaded = Model(target, threads=threads, dtype=dtype)
        with Status() as status:
            seen = [] if tta is None else loaded.views(tta)
            evaluation = loaded.evaluate(data, tta=tta, offline=offline, on_event=status)
        top_k = _top_k(evaluation, top_k)
        if normalize and evaluation.confusion is None:
            raise UsageError("--normalize needs a confusion matrix, which this model does not have")
        listing = _listing(evaluation, target.run)
        if as_json:
            document = evaluation.document(top_k=top_k, normalize=normalize)
            emit({**document, "model": str(target.file), **({"views": len(seen)} if seen else {})})
        else:
            from cnncli.report.tables.decision import comparison
            from cnncli.report.tables.evaluation import print_evaluation

            about = f"{evaluation.samples:,} samples{f' of {data}' if data else ''}"
            about += f", weights of epoch {loaded.epoch}" if weights else ""
            about += f", mean of {len(seen)} views" if seen else ""
            echo_lines([f"{evaluation.split}  {figures_line(evaluation.figures)}  ({about})"])
            if evaluation.decided is not None:
                echo_lines([f"calibrated  {comparison(*evaluation.decided)}"])
            print_evaluation(evaluation, top_k=top_k, normalize=normalize, all_classes=all_classes)
            if evaluation.judged:
                place = f": {listing}" if listing else ""
                echo_lines([f"misclassified  {len(evaluation.mistakes):,} of {evaluation.samples:,}{place}"])
            elif listing is not None:
                echo_lines([f"residuals      {listing}, the greatest error first"])
        if listing is not None:  # after the metrics, so that they are printed even if writing fails
            _write(evaluation, listing)
        if plots is not None:
            echo_lines([f"plots          {_draw(evaluation, plots, normalize)}"], err=as_json)
        report.what = evaluation.split
        report.conclude(evaluation.named_figures(top_k))


def _top_k(evaluation: "Evaluation", asked: int | None) -> int | None:
    """The k of top-k accuracy; None where it is not reported. Raises UsageError for one that tells nothing."""
    ranked = evaluation.confusion is not None and evaluation.scores is not None
    classes = len(evaluation.classes)
    if asked is None:
        return TOP if ranked and classes > MANY else None
    if not ranked:
        raise UsageError("--top-k needs a model that gives each sample one of several classes")
    if asked >= classes:
        raise UsageError(f"--top-k must be less than the number of classes, {classes}; received {asked}")
    return asked


def _draw(evaluation: "Evaluation", folder: Path, normalize: "Normalization | None") -> str:
    """Write the pictures that there are; what to say of it."""
    from cnncli.api.plots import PlotOptions, drawn, evaluation_plots

    made = {name: make() for name, make in evaluation_plots(evaluation, PlotOptions(normalize=normalize)).items()}
    figures = {name: figure for name, figure in made.items() if figure is not None}
    if not figures:
        return "none: there are pictures of classes only"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CnncliError(f"{folder}: can't be made: {reason(error)}") from None
    for name, figure in figures.items():
        drawn(name, [figure]).save(folder / f"{name}.svg")
    return f"{folder}: {', '.join(f'{name}.svg' for name in figures)}"


def _listing(evaluation: "Evaluation", run: Path | None) -> Path | None:
    """The table of single samples in a run, if there is something to tell."""
    if run is None:
        return None
    if evaluation.residuals is not None:
        return run / "residuals.csv"
    return run / "misclassified.csv" if evaluation.judged else None


def _write(evaluation: "Evaluation", listing: Path) -> None:
    from cnncli.training.metrics.mistakes import misclassified_csv

    residuals = evaluation.residuals
    text = misclassified_csv(evaluation.mistakes) if residuals is None else residuals.csv()
    atomic.write(listing, text.encode())
