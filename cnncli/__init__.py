"""cnncli trains convolutional networks from one YAML file, on the CPU.

    import cnncli

    run = cnncli.train("configs/mnist.yaml", {"fit.epochs": 3})
    model = cnncli.load(run)
    model.predict("digits/").labels

Importing it loads neither NumPy nor Numba; they are loaded on first use.
"""

from cnncli.version import __version__ as __version__

TYPE_CHECKING = False  # avoids importing `typing` before `__main__` has set up signals
if TYPE_CHECKING:
    from cnncli.api.export import export as export
    from cnncli.api.importing import ImportedModel as ImportedModel
    from cnncli.api.importing import import_model as import_model
    from cnncli.api.model import Model as Model
    from cnncli.api.model import load as load
    from cnncli.api.plots import Plot as Plot
    from cnncli.api.plots import plot as plot
    from cnncli.api.plots import plot_explanations as plot_explanations
    from cnncli.api.predictions import Predictions as Predictions
    from cnncli.api.report import write_report as write_report
    from cnncli.api.runs import Run as Run
    from cnncli.api.search import Study as Study
    from cnncli.api.search import tune as tune
    from cnncli.api.specs import check as check
    from cnncli.api.summary import Summary as Summary
    from cnncli.api.training import forecast as forecast
    from cnncli.api.training import resume as resume
    from cnncli.api.training import train as train
    from cnncli.api.trials import Trials as Trials
    from cnncli.api.trials import trials as trials
    from cnncli.training import events as events

_PLACES = {
    **dict.fromkeys(("Model", "load"), "cnncli.api.model"),
    **dict.fromkeys(("ImportedModel", "import_model"), "cnncli.api.importing"),
    **dict.fromkeys(("forecast", "resume", "train"), "cnncli.api.training"),
    **dict.fromkeys(("Trials", "trials"), "cnncli.api.trials"),
    **dict.fromkeys(("Study", "tune"), "cnncli.api.search"),
    **dict.fromkeys(("Plot", "plot", "plot_explanations"), "cnncli.api.plots"),
    "export": "cnncli.api.export",
    "Predictions": "cnncli.api.predictions",
    "Run": "cnncli.api.runs",
    "Summary": "cnncli.api.summary",
    "write_report": "cnncli.api.report",
    "check": "cnncli.api.specs",
}
"""Public names and their modules. Public modules: `cnncli.errors`, `cnncli.events`."""
__all__ = [
    "ImportedModel",
    "Model",
    "Plot",
    "Predictions",
    "Run",
    "Study",
    "Summary",
    "Trials",
    "check",
    "events",
    "export",
    "forecast",
    "import_model",
    "load",
    "plot",
    "plot_explanations",
    "resume",
    "train",
    "trials",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "events":
        return import_module("cnncli.training.events")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
