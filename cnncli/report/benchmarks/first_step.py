"""`cnncli train ARGUMENTS`, ended when its first batch is done: a program of its own, to take the time of."""

import os
import runpy
import sys
from typing import Any

from cnncli.report.terminal import progress


class Stopper(progress.Follower):
    """Follows a training as far as its first batch.

    The event is known by its name: its module would load NumPy before `train` has settled the number of threads.
    """

    def __call__(self, event: Any) -> None:
        """End the process at once after the first batch."""
        super().__call__(event)
        if type(event).__name__ == "BatchDone":
            os._exit(0)


if __name__ == "__main__":
    progress.Follower = Stopper  # type: ignore[misc]
    sys.argv[1:1] = ["train"]
    runpy.run_module("cnncli", run_name="__main__")
