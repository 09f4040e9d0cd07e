"""The driver runs every chunk exactly once, in the steps' order, on no more threads than the scratch is made for."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from numba import types

from cnncli.kernels.jit import cache, compilations, relocation, runtime
from cnncli.kernels.jit.runtime import Pass, Program, Scratch, Work, block, fields, tensor, view, worker

MARK = block("runs threads")


@worker(MARK)
def mark_worker(real):
    """Count the chunk's runs and note its thread."""

    def mark(parameters, chunk, _, thread):
        p = fields(parameters, MARK)
        view(p.runs, chunk + 1, types.int64)[chunk] += 1
        view(p.threads, chunk + 1, types.int64)[chunk] = thread

    return mark


class Marks:
    """What `steps` steps of `chunks` chunks did."""

    def __init__(self, chunks, steps=1, threads=None):
        self.runs, self.threads = np.zeros((steps, chunks), np.int64), np.full((steps, chunks), -1, np.int64)
        self.program = Program(
            [
                mark_worker.step(
                    "float64",
                    chunks,
                    runs=self.runs[s].ctypes.data,
                    threads=self.threads[s].ctypes.data,
                )
                for s in range(steps)
            ],
            threads,
        )


@pytest.fixture
def any_threads():
    """Puts the number of threads back."""
    before = runtime.threads()
    yield
    runtime.set_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("chunks", [1, 2, 3, 500])
def test_every_chunk_of_every_step_runs_once_on_a_thread_that_there_is(any_threads, threads, chunks):
    runtime.set_threads(threads)
    marks = Marks(chunks, steps=3)
    for turn in range(1, 4):
        marks.program.run()
        assert (marks.runs == turn).all()
        assert marks.threads.min() >= 0
        assert marks.threads.max() < min(threads, chunks)


TURN = block("x out size")


@worker(TURN)
def turn_worker(real):
    """out[chunk] = x[size - 1 - chunk] + 1."""

    def turn(parameters, chunk, _, thread):
        p = fields(parameters, TURN)
        view(p.out, p.size, types.int64)[chunk] = view(p.x, p.size, types.int64)[p.size - 1 - chunk] + 1

    return turn


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("chunks", [2, 7, 40])
def test_a_step_finds_all_that_the_step_before_it_wrote(any_threads, threads, chunks):
    runtime.set_threads(threads)
    first, steps = np.random.default_rng(0).integers(0, 1000, chunks), 999
    arrays = [first.copy(), np.zeros_like(first)]
    places = [array.ctypes.data for array in arrays]
    program = Program(
        [turn_worker.step("float64", chunks, x=places[s % 2], out=places[1 - s % 2], size=chunks) for s in range(steps)]
    )
    for _ in range(5):
        arrays[0][:] = first
        program.run()
        np.testing.assert_array_equal(arrays[1], first[::-1] + steps)


def test_a_program_uses_no_more_threads_than_its_scratch_is_planned_for_whoever_runs_it(any_threads):
    runtime.set_threads(1)
    marks = Marks(500, threads=1)
    # Numba keeps the number for each Python thread: a new one starts with the most there are.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(runtime.threads).result() > 1
        pool.submit(marks.program.run).result()
    assert (marks.threads == 0).all()
    runtime.set_threads(2)
    marks.program.run()
    assert (marks.threads == 0).all()


def test_two_python_threads_may_run_one_program(any_threads):
    marks = Marks(50)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(marks.program.run) for _ in range(40)]:
            done.result()
    assert (marks.runs == 40).all()


def test_more_threads_than_numba_was_started_with_are_refused():
    for count in (0, numba.config.NUMBA_NUM_THREADS + 1):
        with pytest.raises(ValueError, match="number of threads must be between 1 and"):
            runtime.set_threads(count)


def test_scratch_is_aligned_disjoint_and_for_each_thread():
    scratch = Scratch(6400, 12800, 256)
    first, second, third, last = scratch.take(1), scratch.per_thread(65), scratch.take(64), scratch.per_thread(1)
    assert (first, second, third, last) == (6400, (12800, 256), 6464, (12928, 256))
    assert (scratch.used, scratch.used_by_thread) == (128, 192)


def test_what_a_kernel_cannot_take_is_refused():
    with pytest.raises(ValueError, match=r"C-contiguous arrays; received strides \(8, 24\) for shape \(3, 2\)"):
        tensor(np.zeros((2, 3)).T)
    with pytest.raises(TypeError, match=r"mark_worker takes .* received"):
        mark_worker.step("float64", 1, runs=0)


@pytest.fixture
def heard(monkeypatch):
    """What a listener is told."""
    told = []
    monkeypatch.setattr(compilations, "listeners", [told.append])
    return told


def test_a_listener_is_told_once_of_each_function_that_is_made_ready(heard, monkeypatch):
    monkeypatch.setattr(cache, "ENABLED", False)
    fresh = runtime.Worker(mark_worker.factory, MARK)
    before = len(compilations.done)
    assert fresh.address("float64") == fresh.address("float64")
    assert [(told.name, told.dtype, told.cached) for told in heard] == [("test_runtime.mark", "float64", False)]
    assert compilations.done[before:] == heard
    assert heard[0].seconds > 0


def test_a_function_that_lies_in_the_folder_is_told_as_cached(heard):
    assert cache.ENABLED
    for _ in range(2):
        runtime.Worker(mark_worker.factory, MARK).address("float32")
    assert heard[1].cached


TRACE = block("out count number places")


@worker(TRACE)
def trace_worker(real):
    """Write down at the next place of its row's lane which step did which unit."""

    def trace(parameters, start, stop, thread):
        p = fields(parameters, TRACE)
        for unit in range(start, stop):
            row = unit % p.count
            places = view(p.places, p.count, types.int64)
            view(p.out, (p.count, 16), types.int64)[row, places[row]] = p.number * 1000 + unit
            places[row] += 1

    return trace


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize(("lane", "portion"), [(4, 4), (4, 3), (1, 1), (10, 2), (3, 2)])
def test_each_row_goes_through_all_steps_of_a_pass_in_order(any_threads, threads, lane, portion):
    runtime.set_threads(threads)
    rows = 10
    out, places = np.full((rows, 16), -1), np.zeros(rows, np.int64)
    fields = {"out": out.ctypes.data, "count": rows, "places": places.ctypes.data}
    works = [Work(rows, 3, rows), Work(rows, rows, rows, strands=3), Work(rows, 4, rows, chained=True)]
    steps = [trace_worker.step("float64", work, **fields, number=number) for number, work in enumerate(works)]
    runtime.run([Pass(steps, rows, lane, portion)])
    for row in range(rows):
        strands = [1000 + strand * rows + row for strand in range(3)]
        assert out[row, : places[row]].tolist() == [row, *strands, 2000 + row]


def test_strands_of_a_step_alone_are_all_done(any_threads):
    runtime.set_threads(2)
    rows = 10
    out, places = np.full((rows, 16), -1), np.zeros(rows, np.int64)
    step = trace_worker.step(
        "float64", Work(rows, 3, rows, 2), out=out.ctypes.data, count=rows, places=places.ctypes.data, number=0
    )
    assert step.chunks == 8
    runtime.set_threads(1)
    runtime.run([step])
    assert [sorted(line[:2]) for line in out.tolist()] == [[row, rows + row] for row in range(rows)]


RELAY = block("x out width")


@worker(RELAY)
def relay_worker(real):
    """out = x + 1, rows of `width` numbers."""

    def relay(parameters, start, stop, thread):
        p = fields(parameters, RELAY)
        x, out = view(p.x, (stop, p.width), real), view(p.out, (stop, p.width), real)
        for row in range(start, stop):
            for i in range(p.width):
                out[row, i] = x[row, i] + 1

    return relay


@pytest.mark.parametrize("threads", [1, 2])
def test_an_array_of_portions_takes_the_rows_of_one_after_the_other(any_threads, threads):
    runtime.set_threads(threads)
    rows, width, portion = 10, 3, 2
    x, out, slices = np.arange(30.0).reshape(rows, width), np.zeros((rows, width)), np.zeros((threads, portion, width))
    between = relocation.placeholder_address(5)
    work = Work(rows, 1, rows)
    steps = [
        relay_worker.step("float64", work, x=x.ctypes.data, out=between, width=width),
        relay_worker.step("float64", work, x=between, out=out.ctypes.data, width=width),
    ]
    found = [(step, mention) for step, own in enumerate(steps) for mention in relocation.mentions(own.parameters)]
    assert found == [(0, (1, 5, 0)), (1, (0, 5, 0))]
    moved = [
        relocation.Moved(step, mention.word, slices.ctypes.data, slices.strides[0], slices.strides[1])
        for step, mention in found
    ]
    runtime.Program([Pass(steps, rows, 4, portion, moved)], threads).run()
    np.testing.assert_array_equal(out, x + 2)
    assert slices.any()


def test_mentions_are_told_from_numbers_that_look_alike():
    step = relay_worker.step(
        "float64", 1, x=relocation.placeholder_address(2) + 8, out=relocation.placeholder_address(3) - 16, width=3
    )
    assert [*relocation.mentions(step.parameters)] == [(0, 2, 8), (1, 3, -16)]
    number = np.array([relocation.placeholder_address(0)]).view(np.float64)[0]
    scaled = np.zeros(1, [("factor", np.float64)])
    scaled["factor"] = number
    assert [*relocation.mentions(scaled)] == []
    with pytest.raises(ValueError, match="524288 arrays"):
        relocation.placeholder_address(relocation.MOST)


def test_a_worker_that_numba_could_not_find_again_is_refused():
    def factory(real):
        inner = numba.njit(lambda x: x)

        def outer(parameters, start, stop, thread):
            inner(start)

        return outer

    with pytest.raises(TypeError, match="as a module's function"):
        runtime.Worker(factory, MARK).address("float32")
