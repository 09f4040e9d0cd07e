"""Pictures of specs, runs and models."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from cnncli.api.runs import Run
from cnncli.api.targets import find_model, find_spec
from cnncli.api.training import PathLike, warnings_only
from cnncli.errors import CnncliError, UsageError
from cnncli.hints import suggestion
from cnncli.report.diagram.diagram import Diagram, DiagramOptions
from cnncli.training.events import OnEvent
from cnncli.training.runs import past_runs

if TYPE_CHECKING:
    from cnncli.api.model import Model
    from cnncli.report.pictures.drawing import Drawing
    from cnncli.report.pictures.figures import Figure
    from cnncli.training.explanation import Explanation
    from cnncli.training.metrics.class_scores import Normalization
    from cnncli.training.metrics.evaluation_record import Evaluation

What = Literal[
    "model",
    "curves",
    "schedule",
    "augment",
    "filters",
    "confusion",
    "mistakes",
    "calibration",
    "roc",
    "precision-recall",
]
"""What can be plotted."""
WHATS: Sequence[What] = get_args(What)
COLUMNS = 2
"""Charts side by side."""
GAP = 24.0


@dataclass(frozen=True)
class PlotOptions:
    """Options of plots; each concerns only some of them.

    `diagram`: of "model". `log`: a logarithmic loss, of "curves". `normalize`: of "confusion". `classes`: of "roc" and
    "precision-recall". `layer`: of "filters". `images`, `draws`: numbers of images and of their augmented versions, of
    "augment". `data`, `weights`, `threads`, `offline`: of what needs a model or data.
    """

    diagram: DiagramOptions = field(default_factory=DiagramOptions)
    log: bool = False
    normalize: "Normalization | None" = None
    classes: Sequence[str] = ()
    layer: str | None = None
    images: int = 8
    draws: int = 4
    data: str | None = None
    weights: str | None = None
    threads: int | None = None
    offline: bool | None = None


@dataclass(frozen=True)
class Plot:
    """A picture. `figures`: the data in it; empty for the diagram of a model. Shown as SVG in a notebook."""

    name: str
    drawing: "Drawing"
    figures: "Sequence[Figure]" = ()

    def svg(self) -> str:
        """The picture as SVG, light and dark."""
        from cnncli.report.pictures.svg import svg

        return svg(self.drawing)

    def save(self, path: Path | str, *, dpi: int | None = None) -> None:
        """Write the picture, as SVG or PNG by the suffix. dpi: resolution of PNG; default: 192.

        Raises UsageError for another suffix, CnncliError if the file can't be written.
        """
        from cnncli.report.pictures.save import DPI, save

        save(self.drawing, Path(path), dpi=dpi or DPI)

    def _repr_svg_(self) -> str:
        return self.svg()


Plotter = Callable[[Sequence[Path], PlotOptions, OnEvent], Plot]


def plot(targets: "PathLike | Run | Sequence[PathLike | Run]", what: What = "model", **options: Any) -> Plot:
    """Plot a spec, a run or a model; for "curves" also several runs.

    what: "model" (the layers), "curves" (loss and metrics over the epochs), "schedule" (learning rate), "augment"
    (training images as the network sees them), "filters" (of a convolution), or of an evaluation: "confusion",
    "mistakes", "calibration", "roc", "precision-recall". options: fields of PlotOptions and DiagramOptions, such as
    `normalize="true"` or `show_shapes=True`.

    Raises UsageError if there is no such target, or nothing to plot of it.
    """
    given = [targets] if isinstance(targets, str | os.PathLike | Run) else targets
    listed = [target.path if isinstance(target, Run) else Path(target) for target in given]
    of_diagram = {name: options.pop(name) for name in [*options] if name in DiagramOptions.__dataclass_fields__}
    return plotted(listed, what, PlotOptions(diagram=DiagramOptions(**of_diagram), **options), warnings_only)


def plot_explanations(explanations: "Sequence[Explanation] | Explanation") -> Plot:
    """Plot explanations by one model and the same methods (`Model.explain`) on a sheet, as `cnncli explain`.

    Raises UsageError if there are none.
    """
    from cnncli.report.plots.explanation import explanation_sheet
    from cnncli.training.explanation import Explanation

    listed = [explanations] if isinstance(explanations, Explanation) else list(explanations)
    if not listed:
        raise UsageError("plot_explanations needs at least one explanation; received none")
    return drawn("explain", [explanation_sheet(listed)])


def plotted(listed: Sequence[Path], what: What, options: PlotOptions, on_event: OnEvent) -> Plot:
    """As `plot`; downloads, decoding and warnings are reported to `on_event`."""
    if what not in PLOTS:
        raise UsageError(f"what must be one of {', '.join(WHATS)}; received {what!r}{suggestion(what, WHATS)}")
    if len(listed) != 1 and what != "curves":
        raise UsageError(f"'{what}' is plotted of one model; received {len(listed)}")
    return PLOTS[what](listed, options, on_event)


def diagram(target: Path, options: DiagramOptions) -> Diagram:
    """The layers of a spec's, a run's or a model file's network as a diagram."""
    from cnncli.report.diagram.from_model import diagram_of

    return diagram_of(find_spec(target), options)


def evaluation_plots(evaluation: "Evaluation", options: PlotOptions) -> "dict[str, Callable[[], Figure | None]]":
    """What can be plotted of an evaluation, by its name in `What`."""
    from cnncli.report.plots import confusion, images, overlays, thresholds

    return {
        "confusion": lambda: confusion.confusion(evaluation, options.normalize),
        "mistakes": lambda: images.mistakes(evaluation) or overlays.overlays(evaluation),
        "calibration": lambda: thresholds.reliability(evaluation),
        "roc": lambda: thresholds.roc(evaluation, options.classes),
        "precision-recall": lambda: thresholds.precision_recall(evaluation, options.classes),
    }


def drawn(name: str, figures: "Sequence[Figure]", columns: int = COLUMNS, gap: float = GAP) -> Plot:
    """Figures in rows of `columns` as one picture, so many pixels apart."""
    from cnncli.report.pictures.draw import draw
    from cnncli.report.pictures.drawing import beside

    return Plot(name, beside([draw(figure) for figure in figures], columns, gap), figures)


def _model(targets: Sequence[Path], options: PlotOptions, on_event: OnEvent) -> Plot:
    from cnncli.report.diagram.drawing import draw_diagram

    found = diagram(targets[0], options.diagram)
    return Plot(found.title, draw_diagram(found))


def _curves(targets: Sequence[Path], options: PlotOptions, on_event: OnEvent) -> Plot:
    from cnncli.report.plots.curves import History, curves

    runs = [run_of(target) for target in targets]
    histories = [History(_short(run), past_runs.history(run), past_runs.best_epoch(run), _ended(run)) for run in runs]
    charts = curves(histories, log=options.log)
    if not charts:
        raise CnncliError(f"{runs[0]}: no epoch has been completed yet: there is nothing to plot")
    return drawn(past_runs.name_of(runs[0]), charts)


def _schedule(targets: Sequence[Path], options: PlotOptions, on_event: OnEvent) -> Plot:
    from cnncli.datasets.describe import describe
    from cnncli.report.plots.schedule import schedule

    spec = find_spec(targets[0])
    base = spec.path.parent if spec.path else Path()
    images = describe(spec.data, base, spec.model.input_shape, spec.seed).samples.get("train", 0)
    return drawn(spec.name, [schedule(spec, max(1, images))])


def _augment(targets: Sequence[Path], options: PlotOptions, on_event: OnEvent) -> Plot:
    from cnncli.api.data import augmented_images
    from cnncli.report.plots.augmented import augmented

    spec = find_spec(targets[0])
    rows = augmented_images(spec, on_event, images=options.images, draws=options.draws, offline=options.offline)
    return drawn(spec.name, [augmented(rows)])


def _filters(targets: Sequence[Path], options: PlotOptions, on_event: OnEvent) -> Plot:
    from cnncli.report.plots.filters import filters

    model = _loaded(targets[0], options)
    weights = model.weights()
    layers = [name.removesuffix("/kernel") for name, weight in weights.items() if weight.ndim == 4]
    layers = [name for name in layers if f"{name}/kernel" in weights]
    if not layers:
        raise UsageError(f"{model.path}: the model has no convolution, so no filters")
    if options.layer is not None and options.layer not in layers:
        near = suggestion(options.layer, layers) or f"; there are {', '.join(layers)}"
        raise UsageError(f"'{options.layer}' is no convolution{near}")
    return drawn(model.spec.name, [filters(weights, options.layer or layers[0])])


def _of_evaluation(what: str) -> Plotter:
    def make(targets: Sequence[Path], options: PlotOptions, on_event: OnEvent) -> Plot:
        model = _loaded(targets[0], options)
        evaluation = model.evaluate(options.data, offline=options.offline, on_event=on_event)
        figure = evaluation_plots(evaluation, options)[what]()
        if figure is None:
            raise CnncliError(f"{model.path}: {NOTHING[what]}")
        return drawn(model.spec.name, [figure])

    return make


NOTHING = {
    "confusion": "a confusion matrix needs one class for each image or pixel, which this model does not predict",
    "mistakes": "there are no misclassified images",
    "calibration": "calibration needs classes with probabilities, which this model does not predict",
    "roc": "a ROC curve needs classes, with images that are of them and images that are not",
    "precision-recall": "a curve of precision and recall needs classes, with images of them and images that are not",
}
"""Why there is no such picture."""
PLOTS: dict[str, Plotter] = {
    "model": _model,
    "curves": _curves,
    "schedule": _schedule,
    "augment": _augment,
    "filters": _filters,
    **{what: _of_evaluation(what) for what in NOTHING},
}


def run_of(target: Path) -> Path:
    """The run of a target: a run, a file in one, or a spec (its newest run). Raises UsageError if there is none."""
    if target.is_dir() and (target / past_runs.METRICS).is_file():
        return target
    found = find_model(target).run
    if found is None:
        raise UsageError(
            f"'{target}' is a model file outside its run: the figures of its epochs are in metrics.jsonl there"
        )
    return found


def _loaded(target: Path, options: PlotOptions) -> "Model":
    from cnncli.api.model import Model

    return Model(find_model(target, options.weights), threads=options.threads)


def _ended(run: Path) -> str:
    """Why a run ended early; empty for one that finished, or that left no word."""
    result = past_runs.result(run)
    return "" if result.get("state", "finished") == "finished" else f"{result['state']}: {result.get('reason', '')}"


def _short(run: Path) -> str:
    """A run by its name and time."""
    resolved = run.resolve()
    return f"{past_runs.name_of(resolved)} {resolved.name}" if resolved.parent.name != resolved.name else resolved.name
