"""Folding of normalizations into the products before them, as the kernels do it for inference."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from cnncli.graph.fusion import folded, fuse
from cnncli.interop.inference import Inference
from cnncli.ops.batch_normalization import FixedNormalization, FoldNormalization

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def with_normalizations_folded(found: Inference) -> Inference:
    """The network with new kernels and biases, instead of normalizations of products that nothing else reads."""
    uses = Counter(value for call in found.calls for value in call.inputs)
    names, arrays, calls = dict(found.names), dict(found.arrays), []
    for call in fuse(found.calls, [folded], [found.output]):
        if not isinstance(call.op, FoldNormalization):
            calls.append(call)
            continue
        kernel = names[call.inputs[0]]
        bias = f"{kernel.rpartition('/')[0]}/bias"
        if uses[call.inputs[0]] > 1 or (bias in arrays and bias not in map(names.get, call.inputs)):
            kernel, bias = f"{call.owner}/folded_kernel", f"{call.owner}/folded_bias"
        names.update(zip(call.outputs, (kernel, bias), strict=True))
        if found.arrays:
            made = _folded(call.op, *(found.arrays[names[value]] for value in call.inputs))
            arrays.update(zip((kernel, bias), made, strict=True))
    return found.changed(calls, names, arrays)


def _folded(op: FoldNormalization, kernel: "Array", mean: "Array", variance: "Array", *others: "Array") -> Any:
    """The kernel and bias with the normalization folded in, computed in float64. `others`: gamma, beta and bias."""
    import numpy as np

    given = op.of.scale + op.of.center
    scale, offset = scale_and_offset(op.of, mean, variance, *others[:given])
    bias = others[given] if len(others) > given else 0.0
    rows = kernel.reshape(-1, len(mean), op.inner) * scale[:, None]
    return rows.reshape(kernel.shape).astype(np.float32), (bias * scale + offset).astype(np.float32)


def scale_and_offset(op: FixedNormalization, mean: "Array", variance: "Array", *gamma_and_beta: "Array") -> Any:
    """The normalization as scale · x + offset of each channel, float64."""
    import numpy as np

    given = iter(gamma_and_beta)
    gamma = next(given).astype(np.float64) if op.scale else 1.0
    beta = next(given).astype(np.float64) if op.center else 0.0
    scale = gamma / np.sqrt(variance.astype(np.float64) + op.epsilon)
    return scale, beta - mean * scale
