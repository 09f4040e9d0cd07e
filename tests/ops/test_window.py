"""Window arithmetic against counting positions one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncli.errors import ShapeError
from cnncli.ops.window import Window

small = st.integers(1, 5)


@given(st.integers(1, 12), small, small, small)
def test_valid_positions_are_those_that_fit(size, kernel, stride, dilation):
    extent = (kernel - 1) * dilation + 1
    fitting = [start for start in range(0, size, stride) if start + extent <= size]
    window = Window((kernel, 1), (stride, 1), "valid", (dilation, 1))
    if fitting:
        assert window.output(size, 1) == (len(fitting), 1)
        assert window.padding_before(size, 1) == (0, 0)
    else:
        with pytest.raises(ShapeError, match=f"received a window of {extent}×1"):
            window.output(size, 1)


@given(st.integers(1, 12), small, small)
def test_same_padding_covers_the_image_with_the_odd_cell_after(size, kernel, stride):
    window = Window((kernel, 1), (stride, 1), "same")
    out = window.output(size, 1)[0]
    before = window.padding_before(size, 1)[0]
    after = max(0, (out - 1) * stride + kernel - size) - before
    assert out == len(range(0, size, stride))
    assert before <= after <= before + 1
