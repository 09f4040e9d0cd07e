"""Whether a training fits into memory: told before it begins, with the batch size that would."""

import os
from pathlib import Path

from cnncli.errors import CnncliError
from cnncli.graph.model import Model
from cnncli.graph.objective import training_memory
from cnncli.training.control_groups import groups, text
from cnncli.training.sections import CompileSection

LIMITS = {1: "memory.limit_in_bytes", 2: "memory.max"}
"""The file that has a control group's limit, by the version of control groups."""

ROOM = 0.8
"""The share of the memory that a batch size which is advised may take: there are also the data, and the interpreter."""
POWERS = [1 << power for power in range(20)]


def limit(root: Path = Path("/")) -> int:
    """The bytes of memory that this process may use: the machine's, or fewer where its control groups have a limit.

    `root`: see tests.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    said = [text(folder / LIMITS[version]) for version, folder in groups("memory", root)]
    return min([machine, *(int(number) for number in said if number.isdecimal())])


def check_memory(model: Model, compiled: CompileSection, batch_size: int, allowed: int) -> None:
    """Raise CnncliError where the arrays of training take more than the `allowed` bytes."""

    def needed(size: int) -> int:
        return training_memory(model, compiled.loss, size, compiled.optimizer.memories)

    if needed(batch_size) <= allowed:
        return
    fitting = [size for size in POWERS if size < batch_size and needed(size) <= allowed * ROOM]
    advice = f"fit.batch_size={fitting[-1]} would fit" if fitting else "the model is too large even for batches of 1"
    raise CnncliError(
        f"training with batches of {batch_size:,} takes {_shown(needed(batch_size))} of memory, "
        f"of which this process may use {_shown(allowed)}: {advice}"
    )


def _shown(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
