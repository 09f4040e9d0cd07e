"""Generates the API page from docstrings: `python -m cnncli.api.page > docs/api.md`."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from types import FunctionType

import cnncli
from cnncli import errors
from cnncli.api.plots import PlotOptions
from cnncli.graph.matching import Matched
from cnncli.report.diagram.diagram import DiagramOptions
from cnncli.training import events
from cnncli.training.decisions.decision import Decision, Fitted
from cnncli.training.explanation import Explanation
from cnncli.training.metrics.calibration import Calibration, ReliabilityBin
from cnncli.training.metrics.class_scores import ClassRow, ConfusedPair
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.mistakes import Mistake
from cnncli.training.metrics.threshold_curves import BestThreshold, PrecisionRecall, Roc
from cnncli.training.metrics.thresholds import Threshold
from cnncli.training.search.trials import TrialFacts

HEAD = """\
# Python API

What the commands do, for notebooks, servers and scripts. `import cnncli` is light: NumPy and Numba are loaded by the
first call that computes. All of it is typed (`py.typed`).

```python
import cnncli

run = cnncli.train("configs/smoke.yaml", {"fit.epochs": 2})
print(run.path, run.test)

model = cnncli.load(run)
found = model.predict("data/samples")
print(found.labels, found.probabilities.shape)

why = model.explain("data/samples/3.png", methods=["gradcam", "saliency"])
print(why.classes[why.predicted], why.gradcam.keys(), why.saliency.max())
cnncli.plot_explanations(why).save("explained.svg")

result = model.evaluate()
print(result.figures["accuracy"], result.confusion[3, 5], len(result.mistakes))
print(model.summary())

cnncli.plot(run, "curves").save("curves.svg")

for problem in cnncli.check({"model": {"layers": ["Flaten"]}}):
    print(problem)
```

In a notebook, interrupting the cell ends a training as Ctrl-C does: everything is saved, `InterruptedRun` is raised,
and `cnncli.resume(path)` goes on. Warnings are printed on standard error unless `on_event` is given. Errors are the
same as on the command line.

<!-- Made from docstrings by `python -m cnncli.api.page > docs/api.md`. -->
"""
FUNCTIONS = (
    *("train", "resume", "trials", "tune", "forecast", "load", "check", "plot", "plot_explanations", "write_report"),
    "export",
    "import_model",
)
RESULTS = (
    *(
        cnncli.Run,
        cnncli.Trials,
        cnncli.Study,
        TrialFacts,
        cnncli.Model,
        cnncli.Predictions,
        Explanation,
        cnncli.Summary,
        cnncli.Plot,
    ),
    *(Evaluation, ClassRow, Mistake, ConfusedPair, Roc, PrecisionRecall, BestThreshold, Calibration, ReliabilityBin),
    *(Decision, Threshold, Fitted, PlotOptions, DiagramOptions, cnncli.ImportedModel),
)
READERS = (
    *(events.Notice, events.Progress, events.Download, events.TrialBegins, events.Begun),
    *(events.WeightsLoaded, Matched, events.RunBegins, events.Inside, events.WrongImage, events.PhaseBegins),
    *(events.BatchDone, events.EpochDone),
    *(events.Stopped, events.Ended),
)
WIDEST = 90
"""Maximum length of a signature on one line."""
INNER = (
    *("network", "network_of", "read", "examine", "hold_out", "reader", "kind", "meaning", "views", "output_shape"),
    *("form", "doubts", "stream", "rescale", "target", "file"),
)
"""Internal members of Model, used by commands; not part of the stable API."""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD, "## Functions\n", *(_function(getattr(cnncli, name), "cnncli.") for name in FUNCTIONS)]
    parts += ["## Results\n", *map(_class, RESULTS)]
    parts += [
        "## Events\n",
        "`on_event` is called with each of these (`cnncli.events`), in the order in which they happen.\n",
    ]
    parts += map(_class, READERS)
    parts += ["## Errors\n", "In `cnncli.errors`; `exit_code` is that of the command line.\n", *_errors()]
    return "\n".join(parts)


def _function(function: FunctionType, prefix: str = "") -> str:
    name = f"{prefix}{function.__name__}"
    return f"### `{name}`\n\n```python\n{name}{_signature(function)}\n```\n\n{_text(function)}\n"


def _signature(function: FunctionType, *, wide: bool = False) -> str:
    """The parameters; one per line if there are many, unless `wide`."""
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    shown = list(map(_parameter, parameters))
    first = next((number for number, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY), None)
    if first is not None:
        shown.insert(first, "*")
    result = _annotation(signature.return_annotation)
    flat = f"({', '.join(shown)}) -> {result}"
    if wide or len(flat) < WIDEST:
        return flat
    return "(\n" + "".join(f"    {part},\n" for part in shown) + f") -> {result}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    shown = f"{stars}{parameter.name}: {_annotation(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return shown
    return f"{shown} = {getattr(parameter.default, '__name__', repr(parameter.default))}"


def _annotation(kind: object) -> str:
    """An annotation as source text: without modules, and without quotes except those of literals."""
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    text = re.sub(r"\b[a-z]\w*(?:\.\w+)*\.(\w+)", r"\1", text)
    text = re.sub(r"Callable\[\[Notice[^]]*\], None\]", "Callable[[Event], None]", text)
    return re.sub(r"(Literal\[[^]]*\])|\'", lambda found: found[1] or "", text)


def _class(cls: type) -> str:
    lines = [f"### `{cls.__name__}`", "", _text(cls), ""]
    if is_dataclass(cls):
        lines += [f"- `{name}`: `{_annotation(kind)}`" for name, kind in cls.__annotations__.items()]
    for name, member in list(vars(cls).items()):
        if name.startswith("_") or name in INNER or name in getattr(cls, "__annotations__", {}):
            continue
        getter = getattr(member, "fget", None) or getattr(member, "func", None)
        if getter is not None:
            lines.append(f"- `{name}`: {_line(getter)}")
        elif inspect.isfunction(member):
            lines.append(f"- `{name}{_signature(member, wide=True)}`: {_line(member)}")
    return "\n".join(lines) + "\n"


def _text(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def _line(thing: object) -> str:
    """A docstring joined into one line."""
    return " ".join(_text(thing).split())


def _errors() -> Iterator[str]:
    for cls in vars(errors).values():
        if inspect.isclass(cls) and issubclass(cls, errors.CnncliError):
            code = getattr(cls, "exit_code", 1)
            yield f"- `{cls.__name__}` ({code}): {_line(cls)}"
    yield ""


if __name__ == "__main__":
    print(page())
