"""A benchmark counts the work that there is, runs real training steps, and takes medians."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node, only
from cnncli.layers.vocabulary import LAYERS
from cnncli.training.resources import benchmark
from cnncli.training.resources.benchmark import Bench, Timed, duel
from cnncli.training.sections import CompileSection

N = 4
COMPILED = {"optimizer": "adam", "loss": "categorical_crossentropy"}


@pytest.fixture
def bench(monkeypatch):
    """A convolution of 8×8 images with 3 kernels of 3×3, pooling, and a dense layer from 27 to 2; rounds are short."""
    monkeypatch.setattr(benchmark, "ROUND", 0.002)
    layers = [
        ("conv2d", {"Conv2D": {"filters": 3, "kernel_size": 3}}),
        ("pooling", "MaxPooling2D"),
        ("flatten", "Flatten"),
        ("dense", {"Dense": {"units": 2, "activation": "softmax"}}),
    ]
    names = [INPUT, *(name for name, _ in layers)]
    nodes = [Node(name, LAYERS.parse(entry), (before,)) for before, (name, entry) in zip(names, layers, strict=False)]
    return Bench(Model((8, 8, 1), tuple(nodes)), CompileSection(**COMPILED), N, threads=2)


def parts(bench, field):
    return {(part.layer, part.operation, part.direction): getattr(part, field) for part in bench.parts}


def test_flops_are_those_counted_by_hand_for_the_whole_batch(bench):
    flops = parts(bench, "flops")
    positions, taps = 6 * 6 * 3, 9
    assert flops["conv2d", "Conv2D", "forward"] == N * positions * (2 * taps + 1)
    assert flops["conv2d", "Conv2DGradWeight", "backward"] == N * positions * 2 * taps
    assert flops["dense", "Dense", "forward"] == N * 2 * (2 * 27 + 1)
    assert flops["dense", "DenseGradWeight", "backward"] == flops["dense", "DenseGradInput", "backward"] == N * 2 * 54


def test_bytes_are_those_of_all_that_is_read_and_written(bench):
    traffic = parts(bench, "bytes")
    assert traffic["conv2d", "Conv2D", "forward"] == 4 * (N * 64 + 9 * 3 + 3 + N * 6 * 6 * 3)
    assert traffic["dense", "DenseGradInput", "backward"] == 4 * (N * 2 + 27 * 2 + N * 27)
    # Each of the four weights lies on a line of 64 bytes of its own; Adam reads five arrays of it, and writes three.
    weights = 128 + 64 + 256 + 64
    assert traffic["", "Adam", "update"] == 7 * weights


def test_the_parts_are_the_step(bench):
    """From the same weights and batch, the parts one after the other leave the gradients of the whole step."""
    bench.begin()
    weights, network = bench.network.weights.data.copy(), bench.network
    network.train_step(N, 0, 1)
    expected = network.gradients.data.copy()
    network.gradients.data[...] = 0
    for part in bench.parts:
        part.program.run()
    np.testing.assert_array_equal(network.gradients.data, expected)
    assert (network.weights.data != weights).any()


def test_the_parts_of_inference_are_the_prediction_and_change_no_weight(monkeypatch):
    monkeypatch.setattr(benchmark, "ROUND", 0.002)
    nodes = (
        Node("norm", LAYERS.parse("BatchNormalization"), (INPUT,)),
        Node("flatten", LAYERS.parse("Flatten"), ("norm",)),
        Node("dense", LAYERS.parse({"Dense": {"units": 2, "activation": "softmax"}}), ("flatten",)),
    )
    bench = Bench(Model((4, 4, 1), nodes), CompileSection(**COMPILED), N, threads=2, mode="inference")
    assert {part.direction for part in bench.parts} == {"forward"}
    bench.begin()
    weights = {name: tensor.copy() for name, tensor in bench.network.tensors().items()}
    bench.network.predict(N)
    expected = only(bench.network.predictions).copy()
    only(bench.network.predictions)[...] = 0
    for part in bench.parts:
        part.program.run()
    np.testing.assert_array_equal(only(bench.network.predictions), expected)
    bench.run(3)
    for name, tensor in bench.network.tensors().items():
        np.testing.assert_array_equal(tensor, weights[name])


def test_the_forward_pass_ends_with_the_loss(bench):
    forward = [part for part in bench.parts if part.direction == "forward"]
    assert [part.layer for part in forward][-1] == "loss"
    assert "Grad" not in "".join(part.operation for part in forward)
    backward = [part for part in bench.parts if part.direction == "backward"]
    assert (backward[0].operation, backward[0].layer) == ("LossGrad", "loss")
    assert len(forward) + len(backward) + 1 == len(bench.parts)


@pytest.mark.parametrize(("step", "steps"), [(0.0003, 32), (1.0, 1)])
def test_a_round_has_as_many_steps_as_fill_half_of_its_time(monkeypatch, step, steps):
    monkeypatch.setattr(benchmark, "ROUND", 0.01)
    monkeypatch.setattr(Bench, "time", lambda bench, count: count * step)
    model = Model((4,), (Node("out", LAYERS.parse({"Dense": {"units": 2, "activation": "softmax"}}), (INPUT,)),))
    bench = Bench(model, CompileSection(**COMPILED), N, threads=1)
    assert bench.steps == steps
    assert bench.round() == pytest.approx(N / step)


def test_what_depends_on_weights_alone_is_computed_before_predictions_are_timed(monkeypatch):
    monkeypatch.setattr(benchmark, "ROUND", 0.002)
    model = Model((4,), (Node("out", LAYERS.parse({"Dense": {"units": 2, "activation": "softmax"}}), (INPUT,)),))
    bench = Bench(model, CompileSection(**COMPILED), N, threads=1, mode="inference")
    program, clock, reused = bench.network.runs["predict"].program, benchmark.perf_counter, []
    run = program.run
    monkeypatch.setattr(bench, "_watch_others", lambda: None)
    monkeypatch.setattr(program, "run", lambda n, *, steady: (reused.append(steady), run(n, steady=steady)))
    monkeypatch.setattr(benchmark, "perf_counter", lambda: (reused.append("clock"), clock())[1])
    bench.round()
    assert reused == [False, "clock", *[True] * bench.steps, "clock"]


def test_every_part_gets_a_time_and_none_that_is_not_its_own(bench):
    timed = bench.time_parts(2)
    assert [part for part, _ in timed] == bench.parts
    assert all(isinstance(row, Timed) and 0 < row.seconds < 1 for row in timed)


def test_a_batch_has_images_in_0_to_1_and_one_class_each(bench):
    bench.begin()
    before = bench.network.inputs.copy()
    assert 0 <= before.min() < before.max() < 1
    assert (np.sort(only(bench.network.targets), axis=-1) == [0, 1]).all()
    bench.begin()
    assert (bench.network.inputs != before).any()


def test_a_network_without_classes_gets_numbers_to_aim_at(monkeypatch):
    monkeypatch.setattr(benchmark, "ROUND", 0.002)
    model = Model((2, 2, 1), (Node("a", LAYERS.parse({"Activation": {"activation": "tanh"}}), (INPUT,)),))
    other = Bench(model, CompileSection(optimizer="sgd", loss="mse"), N, threads=1)
    assert len(np.unique(only(other.network.targets))) > 2
    assert [part.operation for part in other.parts] == ["Activation", "Loss", "SGD"]


def test_what_others_do_is_seen_while_we_wait(bench, monkeypatch):
    assert bench.others is None
    clock = iter([10.0, 10.3, 20.0, 20.1])  # CPU seconds: 0.4 in two pauses
    monkeypatch.setattr(benchmark, "busy_seconds", lambda: next(clock))
    monkeypatch.setattr(benchmark, "PAUSE", 0.1)
    bench.round()
    bench.round()
    assert 0 < bench.others <= 0.4 / 0.2  # a pause may last longer
    assert bench.others == pytest.approx(0.4 / bench.waited)
    monkeypatch.setattr(benchmark, "busy_seconds", lambda: None)
    before = bench.others
    bench.round()
    assert bench.others == before


def test_the_machine_says_how_long_its_cpus_have_worked_if_it_does():
    before, start = benchmark.busy_seconds(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < 0.3:
        pass
    after = benchmark.busy_seconds()
    assert (before is None) == (after is None) == (not Path("/proc/stat").exists())
    # A machine where everything else waits has worked on one CPU; ticks are of 10 ms.
    assert after is None or 0.2 < after - before < elapsed * os.cpu_count() + 0.1


class Fake:
    """An opponent with two variants whose rounds are given."""

    version, variants = "1.2", {"slow": 3.0, "fast": 4.5}

    def __init__(self, log):
        self.log = log
        self.rates = {"slow": iter([1.0, 1.0, 500.0]), "fast": iter([100.0, 50.0, 200.0])}

    def round(self, variant):
        self.log.append(variant)
        return next(self.rates[variant])


def test_a_duel_alternates_and_takes_medians_of_the_opponents_better_variant():
    log, ours = [], iter([7.0, 200.0, 7.0, 300.0, 7.0, 1000.0])
    us = SimpleNamespace(round=lambda: (log.append("we"), next(ours))[1])
    rate, result = duel(us, Fake(log), 3)
    assert log == ["we", "slow", "we", "fast"] * 3
    assert rate == (7.0 + 200.0) / 2
    assert (result.version, result.variant, result.images_per_second) == ("1.2", "fast", 100.0)
    # 200/100, 300/50, 1000/200
    assert (result.ratio, result.least, result.most) == (5.0, 2.0, 6.0)
