"""Where files of the user's are kept; this module imports nothing of cnncli."""

import os
from pathlib import Path

RUNS = Path("runs")
"""Where runs are made, in the working directory."""


def cache(name: str) -> Path:
    """The folder `name` of the user's cache folder, whether it exists or not; all in it can be made again.

    `CNNCLI_CACHE_DIR` moves it. Absolute, because a process may change its directory. Raises RuntimeError where there
    is no home directory.
    """
    base = os.environ.get("CNNCLI_CACHE_DIR")
    home = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "cnncli"
    return home.expanduser().absolute() / name
