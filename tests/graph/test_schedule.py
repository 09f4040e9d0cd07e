"""Which steps a portion of the batch goes through together, held against what their operations read."""

from itertools import pairwise

import numpy as np
import pytest

from cnncli.graph.model import Model, Node
from cnncli.graph.network import Network
from cnncli.graph.schedule import FULL, NEAR, WIDE, Segment, segments, spans
from cnncli.kernels.jit.runtime import Pass, Step, Work
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.conv import Conv2DGradWeight
from cnncli.ops.ir import Call, Op, Value
from cnncli.ops.window import Window

layers()


def step(*work, **more):
    return Step(0, np.zeros(1), Work(*work, **more))


def rowwise(n=8):
    return step(n * 3, 6, n)


def chained(n=8, lane=1):
    return step(n, lane, n, chained=True)


def whole():
    return step(5)


def call(inputs, outputs):
    return Call(Op(), tuple(inputs), tuple(outputs))


def batched():
    return Value((4,))


def weight():
    return Value((4,), batched=False)


def names(entries):
    nodes, before = [], "input"
    for number, entry in enumerate(entries):
        nodes.append(Node(f"n{number}", LAYERS.parse(entry), (before,)))
        before = f"n{number}"
    return tuple(nodes)


class Whole(Op):
    """An operation that takes the whole batch."""

    as_whole = True


def scheduled(calls, steps, n=8):
    """Spans, and what each segment has before (of weights or not), apart and after."""
    found = spans(calls)
    groups = [(s.weights + s.before, s.per_row, s.after) for s in segments(calls, steps, n, found)]
    return [tuple(span) for span in found], [group for group in groups if any(group)]


def test_a_chain_of_steps_on_rows_is_one_segment_with_what_its_weights_need_before_it():
    a, b, c, kernel = batched(), batched(), batched(), weight()
    pack, first, second = whole(), rowwise(), rowwise()
    found, groups = scheduled([call([a], [b]), call([b, kernel], [c])], [[first], [pack, second]])
    assert found == [(0, 0), (0, 0)]
    assert groups == [([pack], [first, second], [])]


def test_what_is_made_of_weights_alone_comes_before_a_segment_it_stands_in():
    a, b, c, kernel, folded = batched(), batched(), batched(), weight(), weight()
    first, fold, second = rowwise(), whole(), rowwise()
    calls = [call([a], [b]), call([kernel], [folded]), call([b, folded], [c])]
    assert scheduled(calls, [[first], [fold], [second]])[1] == [([fold], [first, second], [])]


def test_who_reads_a_sum_over_the_batch_begins_a_segment():
    x, y, z, total, twice = batched(), batched(), batched(), weight(), weight()
    sums, add_up, other, apply, double = chained(), whole(), rowwise(), rowwise(), whole()
    calls = [call([x], [total]), call([x], [y]), call([y, total], [z])]
    assert scheduled(calls, [[sums, add_up], [other], [apply]]) == (
        [(0, 0), (0, 0), (1, 1)],
        [([], [sums, other], [add_up]), ([], [apply], [])],
    )
    calls = [call([x], [total]), call([total], [twice])]
    assert scheduled(calls, [[sums, add_up], [double]])[1] == [([], [sums], [add_up]), ([double], [], [])]


def test_an_operation_may_end_one_segment_and_begin_the_next():
    x, y, z, saved = batched(), batched(), batched(), weight()
    moments, statistics, apply, after = chained(), whole(), rowwise(), rowwise()
    calls = [call([x], [y, saved]), call([y], [z])]
    found, groups = scheduled(calls, [[moments, statistics, apply], [after]])
    assert found == [(0, 1), (1, 1)]
    assert groups == [([], [moments], []), ([statistics], [apply, after], [])]


def test_a_gradient_of_more_weights_than_a_cache_holds_needs_the_whole_batch():
    window = Window((3, 3), (1, 1), "same")
    gradients = [Conv2DGradWeight(window, 1, (3, 3, channels, 128)) for channels in (128, 256)]
    assert [gradient.as_whole for gradient in gradients] == [False, True]


def test_what_needs_the_whole_batch_stands_between_segments():
    x, y, z, w = (batched() for _ in range(4))
    first, all_of_it, last = rowwise(), whole(), rowwise()
    calls = [call([x], [y]), Call(Whole(), (y,), (z,)), call([z], [w])]
    found, groups = scheduled(calls, [[first], [all_of_it], [last]])
    assert found == [(0, 0), (1, 1), (1, 1)]
    assert groups == [([], [first], []), ([all_of_it], [last], [])]


def test_a_segment_has_no_more_arrays_than_a_cache_holds_rows_of():
    for size, segments_of_calls in ((WIDE // 3, [0, 0, 1, 1]), (WIDE, [0, 1, 2, 3])):
        values = [Value((size,), dtype="uint8") for _ in range(5)]
        calls = [call([x], [y]) for x, y in pairwise(values)]
        assert [span.first for span in spans(calls)] == segments_of_calls


def test_steps_that_are_not_what_an_operation_promises_are_done_alone():
    x, y, z = batched(), batched(), batched()
    first, finish, last = rowwise(), whole(), rowwise()
    calls = [call([x], [y]), call([y], [z])]
    assert scheduled(calls, [[first, finish], [last]])[1] == [([], [first], [finish]), ([], [last], [])]
    assert scheduled(calls, [[first], [finish]])[1] == [([], [first], []), ([finish], [], [])]


def test_sums_with_other_lanes_are_not_gone_through_together():
    x, y, z = batched(), weight(), weight()
    one, two = chained(lane=1), chained(lane=2)
    assert scheduled([call([x], [y]), call([x], [z])], [[one], [two]])[1] == [([], [one], []), ([], [two], [])]


def test_rows_of_something_else_than_the_batch_are_not_taken_for_it():
    kernel, other = weight(), weight()
    only = rowwise()
    assert scheduled([call([kernel], [other])], [[only]])[1] == [([only], [], [])]


def segment(*apart, row=1):
    return Segment(per_row=list(apart), values={Value((row,), dtype="uint8")})


@pytest.mark.parametrize(
    ("steps", "n", "threads", "row", "expected"),
    [
        ([rowwise(64), rowwise(64)], 64, 2, NEAR // 4, (4, 4)),
        ([rowwise(64), rowwise(64)], 64, 2, 8 * NEAR, (1, 1)),  # a row at the least
        ([rowwise(64), rowwise(64)], 64, 2, 1, (8, 8)),  # four lanes a thread
        ([rowwise(64), chained(64, 8)], 64, 2, NEAR // 4, (8, 4)),
        ([rowwise(64), chained(64, 8)], 64, 2, 1, (8, 8)),
        ([step(64, 16, 64), chained(64, 16)], 64, 2, NEAR, (16, 4)),  # more together, as far as there is room
    ],
)
def test_portions_fit_the_cache_and_lanes_the_threads(steps, n, threads, row, expected):
    (found,) = segment(*steps, row=row).parts(n, threads)
    assert isinstance(found, Pass)
    assert (found.rows, found.lane, found.portion) == (n, *expected)


@pytest.mark.parametrize(
    ("steps", "n", "threads"),
    [
        ([rowwise(64)], 64, 2),  # one step gains nothing
        ([rowwise(1), rowwise(1)], 1, 2),  # one image, two threads: they share each step
        ([rowwise(10), chained(10, 2)], 10, 4),  # five lanes: one thread would do two while three wait
    ],
)
def test_steps_stay_alone_where_lanes_would_leave_threads_idle(steps, n, threads):
    assert FULL > 5 / 8
    assert segment(*steps).parts(n, threads) == steps


def test_a_convolution_ends_with_the_moments_of_its_normalization():
    entries = [
        {"Conv2D": {"filters": 4, "kernel_size": 3, "use_bias": False}},
        {"BatchNormalization": {}},
        {"ReLU": {}},
        {"Conv2D": {"filters": 4, "kernel_size": 3}},
        {"Flatten": {}},
        {"Dense": {"units": 3, "activation": "softmax"}},
    ]
    network = Network(Model((8, 8, 2), names(entries)), LOSSES.parse("categorical_crossentropy"), batch_size=16)
    network.initialize(0)
    network.train_step(16, 0, 1)
    program = network.runs["train"].program
    spans = {call.op.title: span for call, span in zip(program.calls, program.spans, strict=True)}
    assert spans["BatchNormalization + relu"] == (0, 1)
    assert spans["Conv2D"] == (1, 1)
    assert spans["BatchNormalizationGrad"][0] == spans["Conv2DGradInput"][0]


def test_what_is_made_of_weights_alone_is_kept_apart_from_what_a_batch_goes_into():
    x, y, z, kernel, folded, total = batched(), batched(), batched(), weight(), weight(), weight()
    fold, pack, first, sums, add_up, table, last = (whole() for _ in range(7))
    first, sums, last = rowwise(), chained(), rowwise()
    calls = [call([kernel], [folded]), call([x, folded], [y]), call([x], [total]), call([y, total], [z])]
    found = segments(calls, [[fold], [pack, first], [sums, add_up], [table, last]], 8, spans(calls))
    assert [s.weights for s in found if s.weights] == [[fold, pack]]
    assert [s.before for s in found if s.before] == [[table]]
