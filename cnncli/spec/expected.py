"""What the `expect` of a spec names besides metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnncli.graph.model import lower
from cnncli.spec.spec import Spec
from cnncli.training.metrics.expectations import more_figures


def expected_figures(
    spec: Spec, history: Sequence[Mapping[str, Any]], images: int | None, memory: int | None = None
) -> dict[str, float]:
    """The figures, as far as they are known. history: as in metrics.jsonl. images: for training. memory: bytes."""
    if not spec.expect:
        return {}
    steps = spec.fit.steps_per_epoch
    each = images if images is None or steps is None else min(images, steps * spec.fit.batch_size)
    parameters = sum(parameter.size for parameter in lower(spec.model).parameters)
    return more_figures(spec.expect, history, images=each, parameters=parameters, memory=memory)
