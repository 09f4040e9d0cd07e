"""`compile.dtype_policy`: how activations are stored, by Keras' names of policies and the words of the command line."""

from typing import Any

from cnncli.graph.precision import FLOAT32, MIXED
from cnncli.layers.declarations.field_types import OneOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError

POLICIES = {"float32": FLOAT32, "bf16": MIXED}
"""The policy of each value of --dtype."""
OTHER_NAMES = ("bfloat16", MIXED)
"""What else "bf16" is called, here or by others."""
DTYPES = {policy: dtype for dtype, policy in POLICIES.items()}
SCALED = "float16 has a narrow range, so that losses must be scaled; bfloat16 has that of float32"
ROUNDED = "weights would be rounded, and small updates lost: mixed_bfloat16 keeps them float32"
REFUSED = {
    "float16": SCALED,
    "mixed_float16": SCALED,
    "bfloat16": ROUNDED,
    "bf16": f"bf16 is what --dtype calls {MIXED}",
    "float64": "weights are float32, and kernels compute in it",
    "float8": "activations are stored in 16 bits or more",
    "int8": "training needs real numbers; for `predict`, --dtype bf16 is faster than float32",
}
"""Why other policies of Keras are refused."""


class DtypePolicy(OneOf):
    """float32 or mixed_bfloat16; another policy of Keras is refused with the reason."""

    def __init__(self) -> None:
        super().__init__(FLOAT32, MIXED)

    def read(self, value: Any) -> str:
        if why := REFUSED.get(str(value).partition("_from_")[0]):
            raise ValidationError([ErrorDetail((), "value", f"{FLOAT32} or {MIXED} ({why})")])
        return super().read(value)
