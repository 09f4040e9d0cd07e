"""A profile: the weights of an ordinary training, parts that add up, what is slow where it is slow."""

from dataclasses import replace
from math import fsum
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncli.report.tables.profile import ProfileReport, tenths
from cnncli.training.loop import loop
from cnncli.training.loop.plan import RunOptions
from cnncli.training.loop.profile import one_epoch, profile
from cnncli.training.loop.session import read_data, ready
from cnncli.training.metrics.evaluation import Sums
from cnncli.training.resources import benchmark
from tests.training import small


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "ROUND", 0.002)
    small.write_data(tmp_path)
    return tmp_path


def profiled(plan, folder, steps=None):
    plan, dataset = one_epoch(plan, steps), read_data(plan)
    network = ready(plan, dataset, RunOptions(), 2, lambda event: None)
    return profile(plan, dataset, network, folder)


def test_the_weights_are_those_of_an_ordinary_training(data):
    plan = small.plan(data, augment=["RandomFlip", {"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2}}])
    once = replace(plan, fit=plan.fit.replace(epochs=1))
    assert profiled(plan, data).digest == small.run(once, data / "once").digest


def test_a_few_batches_are_those_that_steps_per_epoch_trains(data):
    plan = small.plan(data)
    few = replace(plan, fit=plan.fit.replace(epochs=1, steps_per_epoch=2))
    found = profiled(plan, data, steps=2)
    assert (found.batches, found.images) == (2, 16)
    assert found.digest == small.run(few, data / "few").digest


@pytest.mark.parametrize("shards", [None, 4])
def test_the_parts_add_up_and_have_their_names(data, shards):
    plan = small.plan(data, augment=["RandomFlip"])
    found = profiled(replace(plan, fit=plan.fit.replace(shards=shards)), data)
    parts = found.parts()
    assert fsum(part.seconds for part in parts) == pytest.approx(found.seconds)
    assert all(part.seconds >= 0 for part in parts)
    kinds = ["data", "forward", "backward", "update", "metrics", "callbacks", "validation", "saving", "other"]
    assert list(dict.fromkeys(part.kind for part in parts)) == kinds
    assert [part.what for part in parts if part.kind == "data"] == ["images", "targets", "augmentation", "calls"]
    assert found.batches == small.BATCHES
    assert found.images == 45
    assert all(part.seconds > 0 for part in parts if part.kind in ("data", "metrics"))


@pytest.mark.parametrize(("kind", "owner", "name"), [("saving", loop.checkpoint, "save"), ("metrics", Sums, "count")])
def test_what_is_slow_is_seen_where_it_is_slow(data, monkeypatch, kind, owner, name):
    called, run = [], getattr(owner, name)

    def slow(*arguments):
        called.append(name)
        sleep(0.02)
        return run(*arguments)

    monkeypatch.setattr(owner, name, slow)
    parts = {part.kind: part.seconds for part in profiled(small.plan(data, validation_split=0), data).parts()}
    in_epoch = 2 if kind == "saving" else small.BATCHES  # besides, the initial weights are saved
    assert len(called) >= in_epoch
    assert parts[kind] >= 0.02 * in_epoch
    assert parts[kind] > sum(seconds for other, seconds in parts.items() if other != kind)


def test_the_trace_has_spans_on_lanes_each_within_another_or_beside_it(data):
    found = profiled(small.plan(data), data)
    trace = ProfileReport("small", 2, found, {}).trace()
    assert trace["displayTimeUnit"] == "ms"
    named = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
    assert named == {1: "training", 2: "data", 3: "operations of a step, one by one (medians)"}
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert all(set(event) == {"ph", "pid", "tid", "cat", "name", "ts", "dur", "args"} for event in spans)
    for lane in named:
        until = []
        for event in (event for event in spans if event["tid"] == lane):
            start, end = event["ts"], event["ts"] + event["dur"]
            while until and until[-1] <= start + 0.01:
                until.pop()
            assert all(end <= outer + 0.01 for outer in until)
            until.append(end)
    steps = [event["args"]["batch"] for event in spans if event["name"] == "step"]
    assert steps == list(range(1, small.BATCHES + 1))
    assert next(event["name"] for event in spans if event["tid"] == 1) == "epoch"
    assert {event["name"] for event in spans if event["tid"] == 2} == {"images", "targets"}
    operations = [event for event in spans if event["tid"] == 3]
    assert [event["args"]["pass"] for event in operations][-1] == "update"


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda seconds: sum(seconds) > 1e-6))
def test_printed_shares_sum_to_all(seconds):
    shares = tenths(seconds)
    assert sum(shares) == 1000
    assert all(abs(share - 1000 * each / sum(seconds)) < 1.001 for share, each in zip(shares, seconds, strict=True))
