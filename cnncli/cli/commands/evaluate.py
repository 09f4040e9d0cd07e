"""`cnncli evaluate`: how good a trained model is, and at what it fails."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from cnncli.cli.data_option import refuse_moved
from cnncli.cli.downloads import obtain, offline_option
from cnncli.cli.model_target import Target, find_model, network_of, weights_option
from cnncli.cli.options import Integer, example
from cnncli.cli.target import carried_spec
from cnncli.datasets.describe import describe, find
from cnncli.datasets.rescale import rescale_for
from cnncli.datasets.section import FOLDER_KEYS, DataSection
from cnncli.datasets.sources.find import names_splits
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError
from cnncli.graph.model import lower
from cnncli.report.tables.expectations import Report
from cnncli.report.terminal.figures import figures_line
from cnncli.report.terminal.output import echo_lines, emit
from cnncli.report.terminal.reading_notice import decoding, tell_skipped
from cnncli.spec.spec import Spec
from cnncli.system import atomic
from cnncli.training.metrics.expectations import Expectation
from cnncli.training.resources import threads as cpus
from cnncli.training.runs.past_runs import data_digest

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset
    from cnncli.report.tables.evaluation import Evaluation
    from cnncli.training.runs.checkpoint import ModelFile

DIVIDING = ("validation_split", "stratified", "folds", "fold")
"""What of the model's `data` does not count for other data."""


@click.command("evaluate", epilog=example("cnncli evaluate runs/mnist/latest --expect 'accuracy >= 0.95'"))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@weights_option
@click.option("--data", metavar="SOURCE", help="Evaluate on this dataset: a known name, a folder of images or a file.")
@click.option("--expect", "conditions", metavar="CONDITION", multiple=True, help="Like 'test_accuracy>=0.9'.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("--threads", type=Integer(1), help="Default: the CPUs this process may use.")
@offline_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
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
    """Evaluate MODEL: a run, a model file or a spec (its newest run); left out, the newest run."""
    with Report("evaluate", str(model or "the newest run"), junit) as report:
        report.expectations = [Expectation.parse(text) for text in conditions]
        target = find_model(model, weights)
        _measure(target, data, report, last=bool(weights), threads=threads, offline=offline, as_json=as_json)


def _measure(
    target: Target, data: str | None, report: Report, *, last: bool, threads: int | None, offline: bool, as_json: bool
) -> None:
    """Evaluate, print the figures and judge them."""
    cpus.settle(threads)
    from cnncli.report.tables.evaluation import misclassified_csv, print_evaluation
    from cnncli.training.runs import checkpoint

    file = checkpoint.load(target.file)
    evaluation = _evaluate(file, target, data, offline=offline)
    listing = target.run / "misclassified.csv" if target.run and evaluation.judged else None
    if as_json:
        emit({**evaluation.document(), "model": str(target.file)})
    else:
        about = f"{evaluation.samples:,} samples{f' of {data}' if data else ''}"
        about += f", weights of epoch {file.about.epoch}" if last else ""
        echo_lines([f"{evaluation.split}  {figures_line(evaluation.figures)}  ({about})"])
        print_evaluation(evaluation)
        if evaluation.judged:
            place = f": {listing}" if listing else ""
            echo_lines([f"misclassified  {len(evaluation.mistakes):,} of {evaluation.samples:,}{place}"])
    if listing is not None:  # after the figures: these are worth having where nothing can be written
        atomic.write(listing, misclassified_csv(evaluation.mistakes).encode())
    report.what = evaluation.split
    report.conclude(evaluation.named_figures())


def _evaluate(file: "ModelFile", target: Target, data: str | None, *, offline: bool) -> "Evaluation":
    from cnncli.datasets.batches import Feed
    from cnncli.report.tables.evaluation import examine

    names = file.about.class_names
    spec, dataset = _own(file, target, offline) if data is None else _other(file, target, data, names, offline)
    tell_skipped(dataset.skipped)
    _check_classes(dataset.source, dataset.classes, names)
    split = "test" if dataset.test is not None else "validation"
    rows = dataset.splits.get(split)
    if rows is None:
        raise CnncliError(f"{dataset.source}: there is nothing to evaluate on: it has no test and no validation images")
    network = network_of(spec, file)
    rescale = rescale_for(spec.model, spec.data.rescale)
    feed = Feed(rows, rescale, spec.compile.loss, network.inputs, network.targets)
    return examine(network, feed, spec.compile.metrics, split, names)


def _own(file: "ModelFile", target: Target, offline: bool) -> "tuple[Spec, Dataset]":
    """The spec in a model file, and the data that it was trained on."""
    spec = carried_spec(file.about, training=False)
    refuse_moved(spec.data, f"cnncli evaluate {quote(str(target.run or target.file))}")
    return spec, _read(spec, offline)


def _other(file: "ModelFile", target: Target, data: str, names: Sequence[str], offline: bool) -> "tuple[Spec, Dataset]":
    """The spec with other data, and these. All images of a folder or a table that names no splits are test images; but
    where they are those that the run was trained on, they are divided as they were then.
    """
    spec = carried_spec(file.about, training=False)
    shape = spec.model.input_shape
    section = _section(spec, data)
    found = describe(section, Path.cwd(), shape)
    if found.input_shape != shape:
        raise CnncliError(f"{data}: images must have the model's shape {shape}; received {found.input_shape}")
    if section.targets == "labels":
        _check_classes(data, found.names, names)
    other = replace(spec, data=section.replace(dataset=found.source))
    dataset = _read(other, offline)
    if target.run and dataset.digest == data_digest(target.run):
        own = replace(spec, data=spec.data.replace(dataset=found.source))
        return own, _read(own, offline)
    if isinstance(found.source, str) and not names_splits(find(found.source, Path())):
        dataset = replace(dataset, train=None, test=dataset.train)
    return other, dataset


def _read(spec: Spec, offline: bool) -> "Dataset":
    from cnncli.datasets.load import load

    obtain(spec.data, offline=offline)
    outputs = lower(spec.model).output.shape[-1]
    shape = spec.model.input_shape
    return load(spec.data, Path(), seed=spec.seed, progress=decoding(), input_shape=shape, outputs=outputs)


def _check_classes(source: str, classes: Sequence[str], names: Sequence[str]) -> None:
    """Raise CnncliError for classes that have names, and others than those that the model was trained on."""
    named = any(name != str(number) for number, name in enumerate(classes))
    if named and list(map(composed, names)) != list(map(composed, classes)):
        raise CnncliError(
            f"{source}: the classes must be those that the model was trained on, {', '.join(names)}; "
            f"received {', '.join(classes)}"
        )


def _section(spec: Spec, data: str) -> DataSection:
    """The model's `data` section for other data, all of which are taken; images of a folder are made the model's."""
    plain, shape = spec.data.plain(), list(spec.model.input_shape)
    known = {key: value for key, value in plain.items() if key not in (*FOLDER_KEYS, *DIVIDING)}
    if Path(data).is_dir() and len(shape) == 3 and find(data, Path.cwd()).kind == "folder":
        known |= {key: plain[key] for key in FOLDER_KEYS if key != "test_split" and key in plain}
        known |= {"image_size": shape[:2], "color_mode": "grayscale" if shape[2] == 1 else "rgb"}
    return DataSection(**{**known, "dataset": data})
