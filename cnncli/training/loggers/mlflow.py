"""MLflow, without its package: through a server's REST interface, or to a folder."""

from collections.abc import Callable
from typing import Annotated, Any

from cnncli.layers.declarations.field_types import Kind, Maybe, Schema
from cnncli.training.loggers.logger import LOGGERS, Log, Logger
from cnncli.training.loggers.mlflow_address import RULE, address
from cnncli.training.loggers.update_freq import UpdateFreq


class TrackingUri(Kind):
    """Where MLflow stores runs."""

    rule = RULE
    sample = "http://localhost:5000"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or address(value) is None:
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


@LOGGERS.register
class MLflow(Logger):
    """A run of MLflow: hyperparameters, metrics of each epoch, counted from 0, and as artifacts the spec, the final
    weights and the curves. User name, password and token are those of MLflow's environment variables.
    """

    tracking_uri: Annotated[str | None, Maybe(TrackingUri())] = None
    """By default MLFLOW_TRACKING_URI, or else the folder mlruns."""
    experiment: str | None = None
    """By default MLFLOW_EXPERIMENT_NAME, or else the name of the spec."""
    run_name: str | None = None
    """By default the name of the run directory."""
    update_freq: Annotated[str | int, UpdateFreq()] = "epoch"
    log_model: bool = True
    """Whether the final weights are an artifact."""

    def log(self, warn: Callable[[str], None]) -> Log:
        from cnncli.training.loggers.mlflow_run import Tracked

        return Tracked(warn, **self.settings())
