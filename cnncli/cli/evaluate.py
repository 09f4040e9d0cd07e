"""`cnncli evaluate`: how good a trained model is, and at what it fails."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnncli.cli.downloads import obtain, offline_option
from cnncli.cli.model_target import find_model, network_of, weights_option
from cnncli.cli.target import carried_spec
from cnncli.datasets.describe import describe, find
from cnncli.datasets.rescale import rescale_for
from cnncli.datasets.section import FOLDER_KEYS, DataSection
from cnncli.errors import CnncliError
from cnncli.report.output import echo, emit
from cnncli.report.progress import figures_line
from cnncli.report.reading import decoding, tell_skipped
from cnncli.spec.spec import Spec
from cnncli.training import threads as cpus
from cnncli.training.expectations import Expectation

if TYPE_CHECKING:
    from cnncli.report.evaluation import Evaluation
    from cnncli.training.checkpoint import ModelFile


@click.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@weights_option
@click.option("--data", metavar="SOURCE", help="Evaluate on this dataset: a known name, a folder of images or a file.")
@click.option("--expect", "conditions", metavar="CONDITION", multiple=True, help="Like 'test_accuracy>=0.9'.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("--threads", type=click.IntRange(1), help="Default: the CPUs this process may use.")
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
    expectations = [Expectation.parse(text) for text in conditions]
    target = find_model(model, weights)
    cpus.settle(threads)
    from cnncli.report.evaluation import misclassified_csv, print_evaluation
    from cnncli.report.verdict import conclude
    from cnncli.training import checkpoint

    file = checkpoint.load(target.file)
    evaluation = _evaluate(file, data, offline=offline)
    listing = target.run / "misclassified.csv" if target.run and evaluation.judged else None
    if as_json:
        emit({**evaluation.document(), "model": str(target.file)})
    else:
        about = f"{evaluation.samples:,} samples{f' of {data}' if data else ''}"
        about += f", weights of epoch {file.about.epoch}" if weights else ""
        echo(f"{evaluation.split}  {figures_line(evaluation.figures)}  ({about})")
        print_evaluation(evaluation)
        if evaluation.judged:
            place = f": {listing}" if listing else ""
            echo(f"misclassified  {len(evaluation.mistakes):,} of {evaluation.samples:,}{place}")
    if listing is not None:  # after the figures: these are worth having where nothing can be written
        checkpoint.write(listing, misclassified_csv(evaluation.mistakes).encode())
    conclude("evaluate", evaluation.split, expectations, evaluation.named_figures(), junit)


def _evaluate(file: "ModelFile", data: str | None, *, offline: bool) -> "Evaluation":
    from cnncli.datasets.batches import Feed
    from cnncli.datasets.load import load
    from cnncli.report.evaluation import examine

    spec = _spec(file, data)
    obtain(spec.data, offline=offline)
    dataset = load(spec.data, Path(), seed=spec.seed, told=decoding(), input_shape=spec.model.input_shape)
    tell_skipped(dataset.skipped)
    names = file.about.class_names
    if dataset.named and names != list(dataset.classes):
        raise CnncliError(
            f"{dataset.source}: the classes must be those that the model was trained on, {', '.join(names)}; "
            f"received {', '.join(dataset.classes)}"
        )
    split = "test" if dataset.test is not None else "validation"
    rows = dataset.splits.get(split)
    if rows is None:
        raise CnncliError(f"{dataset.source}: there is nothing to evaluate on: it has no test and no validation images")
    network = network_of(spec, file)
    rescale = rescale_for(spec.model, spec.data.rescale)
    feed = Feed(rows, rescale, spec.compile.loss, network.inputs, network.targets)
    return examine(network, feed, spec.compile.metrics, split, names)


def _spec(file: "ModelFile", data: str | None) -> Spec:
    """The spec in a model file, with the data replaced by `data`."""
    spec = carried_spec(file.about, training=False)
    if data is None:
        return spec
    section = _section(spec, data)
    source = describe(section, Path.cwd(), spec.model.input_shape).source
    return replace(spec, data=section.replace(dataset=source))


def _section(spec: Spec, data: str) -> DataSection:
    """The model's `data` section for other data, all of which are taken; images of a folder are made the model's."""
    plain, shape = spec.data.plain(), list(spec.model.input_shape)
    known = {key: value for key, value in plain.items() if key not in FOLDER_KEYS}
    if Path(data).is_dir() and len(shape) == 3 and find(data, Path.cwd()).kind == "folder":
        known |= {key: plain[key] for key in FOLDER_KEYS if key != "test_split" and key in plain}
        known |= {"image_size": shape[:2], "color_mode": "grayscale" if shape[2] == 1 else "rgb"}
    return DataSection(**{**known, "dataset": data, "validation_split": 0.0})
