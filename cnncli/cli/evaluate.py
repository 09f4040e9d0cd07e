"""`cnncli evaluate`: how good a trained model is, and at what it fails."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnncli.cli.downloads import obtain, offline_option
from cnncli.cli.model_target import Target, find_model, resolved_spec
from cnncli.cli.options import Integer, example
from cnncli.datasets.describe import describe, find
from cnncli.datasets.rescale import rescale_for
from cnncli.datasets.section import FOLDER_KEYS, DataSection
from cnncli.errors import CnncliError
from cnncli.report.output import echo, emit
from cnncli.report.progress import figures_line
from cnncli.report.reading import decoding, tell_skipped
from cnncli.report.verdict import Report
from cnncli.spec.spec import Spec, parse
from cnncli.training import threads as cpus
from cnncli.training.expectations import Expectation

if TYPE_CHECKING:
    from cnncli.report.evaluation import Evaluation
    from cnncli.training.checkpoint import ModelFile


@click.command("evaluate", epilog=example("cnncli evaluate runs/mnist/latest --expect 'accuracy >= 0.95'"))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help="Evaluate on this dataset: a known name, a folder of images or a file.")
@click.option("--expect", "conditions", metavar="CONDITION", multiple=True, help="Like 'test_accuracy>=0.9'.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("--threads", type=Integer(1), help="Default: the CPUs this process may use.")
@offline_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    *,
    model: Path | None,
    data: str | None,
    conditions: tuple[str, ...],
    junit: Path | None,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Evaluate MODEL: a run, a model file or a spec (its newest run); left out, the newest run."""
    with Report("evaluate", str(model or "the newest run"), junit) as report:
        report.expectations = [Expectation.parse(text) for text in conditions]
        _measure(model, data, report, threads=threads, offline=offline, as_json=as_json)


def _measure(
    model: Path | None, data: str | None, report: Report, *, threads: int | None, offline: bool, as_json: bool
) -> None:
    """Evaluate, print the figures and judge them."""
    target = find_model(model)
    cpus.settle(threads)
    from cnncli.report.evaluation import misclassified_csv, print_evaluation
    from cnncli.training import checkpoint

    file = checkpoint.load(target.file)
    evaluation = _evaluate(file, target, data, offline=offline)
    listing = target.run / "misclassified.csv" if target.run and evaluation.judged else None
    if as_json:
        emit({**evaluation.document(), "model": str(target.file)})
    else:
        about = f"{evaluation.samples:,} samples{f' of {data}' if data else ''}"
        echo(f"{evaluation.split}  {figures_line(evaluation.figures)}  ({about})")
        print_evaluation(evaluation)
        if evaluation.judged:
            place = f": {listing}" if listing else ""
            echo(f"misclassified  {len(evaluation.mistakes):,} of {evaluation.samples:,}{place}")
    if listing is not None:  # after the figures: these are worth having where nothing can be written
        checkpoint.write(listing, misclassified_csv(evaluation.mistakes).encode())
    report.what = evaluation.split
    report.conclude(evaluation.named_figures())


def _evaluate(file: "ModelFile", target: Target, data: str | None, *, offline: bool) -> "Evaluation":
    from cnncli.datasets.batches import Feed
    from cnncli.datasets.load import load
    from cnncli.graph.network import Network
    from cnncli.report.evaluation import examine

    spec = _spec(file, target, data)
    obtain(spec.data, offline=offline)
    dataset = load(spec.data, Path(), seed=spec.seed, told=decoding(), input_shape=spec.model.input_shape)
    tell_skipped(dataset.skipped)
    names = json.loads(file.metadata.get("class_names", "[]"))
    if dataset.named and names != list(dataset.classes):
        raise CnncliError(
            f"{dataset.source}: the classes must be those that the model was trained on, {', '.join(names)}; "
            f"received {', '.join(dataset.classes)}"
        )
    split = "test" if dataset.test is not None else "validation"
    rows = dataset.splits.get(split)
    if rows is None:
        raise CnncliError(f"{dataset.source}: there is nothing to evaluate on: it has no test and no validation images")
    network = Network(spec.model, spec.compile.loss, batch_size=spec.fit.batch_size)
    network.load(file.weights)
    rescale = rescale_for(spec.model, spec.data.rescale)
    feed = Feed(rows, rescale, spec.compile.loss, network.inputs, network.targets)
    return examine(network, feed, spec.compile.metrics, split, names)


def _spec(file: "ModelFile", target: Target, data: str | None) -> Spec:
    """The spec in a model file, with the data replaced by `data`."""
    resolved = resolved_spec(file, target.file)
    if data is not None:
        section = _section(resolved, data)
        source = describe(section, Path.cwd(), tuple(resolved["model"]["input_shape"])).source
        resolved["data"] = section.replace(dataset=source).plain()
    return parse(json.dumps(resolved, ensure_ascii=False), str(target.file), check_data=False)


def _section(resolved: dict[str, Any], data: str) -> DataSection:
    """The model's `data` section for other data, all of which are taken; images of a folder are made the model's."""
    known = {key: value for key, value in resolved["data"].items() if key not in FOLDER_KEYS}
    shape = resolved["model"]["input_shape"]
    if Path(data).is_dir() and len(shape) == 3 and find(data, Path.cwd()).kind == "folder":
        known |= {key: resolved["data"][key] for key in FOLDER_KEYS if key != "test_split" and key in resolved["data"]}
        known |= {"image_size": shape[:2], "color_mode": "grayscale" if shape[2] == 1 else "rgb"}
    return DataSection(**{**known, "dataset": data, "validation_split": 0.0})
