"""Planned memory: nobody's buffer is taken while somebody still reads it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.graph import memory
from cnncli.ops.arrange import Reshape
from cnncli.ops.conv import Conv2D
from cnncli.ops.elementwise import Activation
from cnncli.ops.ir import Tape, Value
from cnncli.ops.merging import Add
from cnncli.ops.pooling import MaxPool2D
from cnncli.ops.window import Window

CELL = 64


def size(value):
    return value.size * 4


def planned(calls, placed, kept):
    return memory.layout(memory.lives(calls, placed, kept, size), size)


@st.composite
def programs(draw):
    """A tape of random calls on images of a few shapes, its input, and what is kept."""
    tape, source = Tape(), Value((4, 4, 4), label="input")
    values = [source]
    for _ in range(draw(st.integers(1, 14))):
        value = draw(st.sampled_from(values))
        kind = draw(st.sampled_from(["activation", "add", "reshape", "pool", "conv"]))
        if kind == "activation":
            values.append(tape.emit(Activation("relu"), value))
        elif kind == "add":
            other = draw(st.sampled_from([v for v in values if v.shape == value.shape]))
            values.append(tape.emit(Add(), value, other, value))
        elif kind == "reshape":
            values.append(tape.emit(Reshape(value.shape[::-1]), value))
        elif kind == "pool" and min(value.shape[:2]) > 1:
            values.append(tape.emit(MaxPool2D(Window((2, 2))), value))
        elif kind == "conv":
            values.append(tape.emit(Conv2D(Window((1, 1))), value, Value((1, 1, value.shape[2], 3), batched=False)))
    kept = draw(st.lists(st.sampled_from(values), max_size=3))
    return tape.calls, source, kept


@settings(max_examples=300, deadline=None)
@given(programs())
def test_every_read_finds_what_was_written(program):
    calls, source, kept = program
    weights = [call.inputs[1] for call in calls if isinstance(call.op, Conv2D)]
    placed = {source, *weights}
    layout = planned(calls, placed, kept)
    cells = np.full(layout.total // CELL + 2, -1)
    content = {}  # what a value's memory must hold: the number of the call that wrote it

    def region(value):
        owner = layout.owner(value)
        if owner in placed:
            return None
        start = layout.offsets[owner]
        assert start % CELL == 0
        assert start + size(value) <= layout.total
        return slice(start // CELL, -(-(start + size(value)) // CELL))

    def check(value):
        place = region(value)
        if place is not None:
            assert (cells[place] == content[value]).all()

    for number, call in enumerate(calls):
        for value in call.inputs:
            check(value)
        for k, value in enumerate(call.outputs):
            if call.op.is_view:
                content[value] = content.get(call.inputs[0])
            else:
                content[value] = 10 * number + k
                place = region(value)
                assert place is not None
                cells[place] = content[value]
    for value in kept:
        check(value)


def test_a_chain_of_elementwise_operations_needs_one_buffer():
    tape, source = Tape(), Value((100,))
    value = source
    for _ in range(5):
        value = tape.emit(Activation("relu"), value)
    assert planned(tape.calls, {source}, [value]).total == 400


def test_a_view_takes_no_memory_even_where_it_is_placed_elsewhere():
    tape, source = Tape(), Value((4, 4))
    made = tape.emit(Add(), source, source)
    view = tape.emit(Reshape((16,)), made)
    assert planned(tape.calls, {source, view}, []).total == 0


def test_what_a_placed_view_shows_is_written_there_and_not_over_a_dead_input():
    tape, source = Tape(), Value((4, 4))
    dead = tape.emit(Add(), source, source)
    made = tape.emit(Activation("relu"), dead)
    view = tape.emit(Reshape((16,)), made)
    layout = planned(tape.calls, {source, view}, [])
    assert layout.owner(made) is view
    assert layout.owner(dead) is dead
