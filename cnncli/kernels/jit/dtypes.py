"""Storage dtypes of arrays, by NumPy's names; NumPy holds bfloat16, the upper half of a float32, as uint16."""

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "int64": 8, "int32": 4, "uint8": 1}


def bytes_of(dtype: str) -> int:
    """Return the size of an element in bytes. Raises ValueError for a dtype that is not in BYTES."""
    if dtype not in BYTES:
        raise ValueError(f"the dtype of an array must be one of {', '.join(BYTES)}; received {dtype!r}")
    return BYTES[dtype]


def dtype_of_sums(dtype: str) -> str:
    """Return the dtype that products of `dtype` are summed in: float32 for bfloat16."""
    return "float32" if dtype == "bfloat16" else dtype
