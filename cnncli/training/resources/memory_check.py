"""Memory check before training, suggesting a batch size that fits."""

from cnncli.errors import CnncliError
from cnncli.graph.model import Model
from cnncli.graph.objective import training_memory
from cnncli.system.memory import shown
from cnncli.training.sections import CompileSection

ROOM = 0.8
"""Fraction of the memory for which a batch size is suggested, leaving room for data and interpreter."""
POWERS = [1 << power for power in range(20)]


def check_memory(model: Model, compiled: CompileSection, batch_size: int, allowed: int) -> None:
    """Raise CnncliError if the arrays of training need more than `allowed` bytes."""

    def needed(size: int) -> int:
        return training_memory(model, compiled.loss, size, compiled.optimizer.memories, compiled.dtype_policy)

    if needed(batch_size) <= allowed:
        return
    fitting = [size for size in POWERS if size < batch_size and needed(size) <= allowed * ROOM]
    advice = f"fit.batch_size={fitting[-1]} would fit" if fitting else "the model is too large even for batches of 1"
    raise CnncliError(
        f"training with batches of {batch_size:,} takes {shown(needed(batch_size))} of memory, "
        f"of which this process may use {shown(allowed)}: {advice}"
    )
