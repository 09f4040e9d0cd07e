"""The storage dtype of a value: its size, who takes it over, and that a program's arrays have it."""

import numpy as np
import pytest

from cnncli.graph.model import Model, Node, lower
from cnncli.graph.objective import objective
from cnncli.graph.program import Program, aligned
from cnncli.kernels.batch import gather
from cnncli.kernels.elementwise import merge
from cnncli.kernels.jit.dtypes import BYTES, bytes_of
from cnncli.kernels.jit.runtime import Tensor
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.ir import Tape, Value
from cnncli.ops.merging import Add

layers()
LOSS = LOSSES.parse("categorical_crossentropy")
ENTRIES = [
    {"Conv2D": {"filters": 4, "kernel_size": 3, "activation": "relu"}},
    {"MaxPooling2D": {}},
    {"DepthwiseConv2D": {"kernel_size": 2}},
    {"BatchNormalization": {}},
    {"MaxPooling2D": {"pool_size": 2, "strides": 1}},
    {"GlobalMaxPooling2D": {}},
    {"Dropout": {"rate": 0.5}},
    {"Dense": {"units": 3, "activation": "softmax", "kernel_regularizer": "l2"}},
]
NAMES = ["input", *(f"n{number}" for number in range(len(ENTRIES)))]
NODES = [Node(NAMES[n + 1], LAYERS.parse(entry), (NAMES[n],)) for n, entry in enumerate(ENTRIES)]
MODEL = Model((14, 12, 2), tuple(NODES))


@pytest.mark.parametrize("dtype", BYTES)
def test_an_element_has_the_bytes_it_has_in_numpy(dtype):
    held = {"bfloat16": "uint16"}.get(dtype, dtype)
    assert bytes_of(dtype) == np.dtype(held).itemsize
    assert Value((3, 5), dtype=dtype).bytes == np.zeros((3, 5), held).nbytes


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bytes_of("float16"),
        lambda: Value((3,), dtype="float16").bytes,
        lambda: merge.add([Tensor(0, (3,), "float16")], Tensor(0, (3,), "float16")),
        lambda: gather.one_hot(Tensor(0, (3,), "float16"), Tensor(0, (3,), "int64"), Tensor(0, (3, 2), "float32")),
    ],
)
def test_an_unknown_dtype_is_refused_by_its_name(ask):
    with pytest.raises(ValueError, match="float16"):
        ask()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_that_follows_from_a_model_is_stored_as_it_is_lowered(dtype):
    assert {value.dtype for value in lower(MODEL, dtype=dtype).outputs.values()} == {dtype}
    for purpose in ("train", "evaluate", "predict"):
        made = objective(MODEL, LOSS, purpose, dtype=dtype)
        stored = [value for call in made.calls for value in (*call.inputs, *call.outputs)]
        assert {value.dtype for value in stored} - {"int64", "int32", "uint8"} == {dtype}
        assert {value.dtype for value in made.kept} == {dtype}


def test_values_of_one_program_may_have_different_dtypes():
    tape, narrow, wide = Tape(), Value((5,)), Value((5,), dtype="float64")
    outputs = [tape.emit(Add(), value, value) for value in (narrow, wide)]
    placed = {value: np.arange(15, dtype=value.dtype).reshape(3, 5) for value in (narrow, wide)}
    program = Program(tape.calls, placed, outputs, capacity=3, threads=1)
    program.attach(aligned(program.size))
    program.run(3)
    for output, dtype in zip(outputs, ("float32", "float64"), strict=True):
        assert program.read(output).dtype == dtype
        assert np.array_equal(program.read(output), 2 * np.arange(15).reshape(3, 5))


def test_an_array_of_another_dtype_than_its_value_is_refused():
    tape, x = Tape(), Value((5,), label="input")
    y = tape.emit(Add(), x)
    with pytest.raises(ValueError, match="input is stored as float32; received float64"):
        Program(tape.calls, {x: np.zeros((2, 5))}, [y], capacity=2, threads=1)
