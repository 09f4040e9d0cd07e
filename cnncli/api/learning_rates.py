"""The range test of a spec's learning rate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnncli.api.training import Surroundings, begun, fitting
from cnncli.spec.spec import Spec
from cnncli.training.events import Progress
from cnncli.training.optimizers.schedules import Schedule

if TYPE_CHECKING:
    from cnncli.report.pictures.figures import LineChart
    from cnncli.training.loop.range_test import Range, RangeTest


@dataclass(frozen=True)
class LearningRates:
    """A range test of a spec, and what it suggests."""

    spec: Spec
    test: "RangeTest"

    @property
    def setting(self) -> str:
        """The change of the spec to the suggestion, as `--set` takes it: the rate, or the highest of its schedule."""
        key, value = self.spec.compile.optimizer.with_highest(self.test.suggestion)
        return f"compile.optimizer.{key}={value:g}" if isinstance(value, float) else f"compile.optimizer.{key}={value}"

    @property
    def schedule(self) -> str:
        """The kind of the schedule that the test replaced; empty if there is none."""
        rate = self.spec.compile.optimizer.learning_rate
        return type(rate).__name__ if isinstance(rate, Schedule) else ""

    def chart(self) -> "LineChart":
        """The loss over the rates."""
        from cnncli.report.plots.learning_rates import loss_over_rates

        return loss_over_rates(self.spec.name, type(self.spec.compile.optimizer).__name__, self.test)

    def document(self) -> dict[str, Any]:
        """What `lr-find --json` prints."""
        test = self.test
        return {
            "name": self.spec.name,
            "optimizer": type(self.spec.compile.optimizer).__name__,
            "suggestion": test.suggestion,
            "set": self.setting,
            "least_loss_at": test.rates[test.lowest],
            "steepest_at": test.rates[test.steepest],
            "diverged": test.diverged,
            "still_falling": test.still_falling,
            "rates": list(test.rates),
            "losses": list(test.losses),
            "smoothed": list(test.smoothed),
        }


def find_learning_rate(spec: Spec, around: Surroundings, tested: "Range") -> LearningRates:
    """Train with growing rates, from the weights that a training starts from; nothing is written.

    Raises CnncliError if the loss does not fall at any rate, and what `train_spec` raises before the first batch.
    """
    with begun(spec, around) as (_, plan, dataset, threads, _):
        from cnncli.training.loop.plan import RunOptions
        from cnncli.training.loop.range_test import range_test
        from cnncli.training.loop.session import ready

        tell = around.on_event
        tell(Progress("compiling kernels …"))
        network = ready(plan, dataset, RunOptions(fitting=fitting(spec, None, None)), threads, tell)
        found = range_test(
            *(plan, dataset, network, tested), lambda number: tell(Progress(f"update {number + 1}/{tested.updates} …"))
        )
        tell(Progress(""))
        return LearningRates(spec, found)
