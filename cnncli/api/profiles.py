"""Profiles of trainings."""

from time import perf_counter
from typing import TYPE_CHECKING

from cnncli.api.training import Surroundings, begun, fitting
from cnncli.spec.spec import Spec
from cnncli.system.temporary import temporary_folder
from cnncli.training.events import Progress

if TYPE_CHECKING:
    from cnncli.report.tables.profile import ProfileReport


def profile_spec(spec: Spec, around: Surroundings, *, steps: int | None = None) -> "ProfileReport":
    """Train one epoch of a spec, or its first `steps` batches, and measure where the time goes; no run is left.

    Raises what `train_spec` raises.
    """
    tell, start = around.on_event, perf_counter()
    with temporary_folder() as folder, begun(spec, around) as (_, full, dataset, threads, _):
        from cnncli.report.tables.profile import ProfileReport
        from cnncli.training.loop.plan import RunOptions
        from cnncli.training.loop.profile import one_epoch, profile
        from cnncli.training.loop.session import ready

        plan, loaded = one_epoch(full, steps), perf_counter()
        tell(Progress("compiling kernels …"))
        network = ready(plan, dataset, RunOptions(fitting=fitting(spec, None, None)), threads, tell)
        before = {"start and data": loaded - start, "kernels": perf_counter() - loaded}
        tell(Progress("training …"))
        found = profile(plan, dataset, network, folder)
        tell(Progress(""))
        return ProfileReport(spec.name, threads, found, before)
