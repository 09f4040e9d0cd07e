"""The engine: what waits is predicted together, within bounds; a model that changes is loaded again."""

import shutil
import threading

import numpy as np
import pytest

import cnncli
from cnncli.errors import CnncliError
from cnncli.serve import engine as module
from cnncli.serve.engine import Engine, OverloadedError
from cnncli.serve.meters import Meters


@pytest.fixture(scope="module")
def pictures(place):
    return [(255 * x[..., None]).astype(np.uint8) for x in np.load(place / "bars.npz")["x_train"][:40]]


class Held:
    """A model whose predictions wait until they are `let` through, and are counted."""

    def __init__(self, model):
        self.model, self.let, self.sizes, self.busy = model, threading.Event(), [], threading.Event()
        self.let.set()

    def __getattr__(self, name):
        return getattr(self.model, name)

    def stream(self, images, **options):
        self.busy.set()
        assert self.let.wait(20)
        self.sizes.append(len(images))
        return self.model.stream(images, **options)


def started(model, most_waiting=64):
    held = Held(model)
    engine = Engine(lambda: held, most_waiting=most_waiting, meters=Meters())
    engine.start()
    held.let.clear()
    held.busy.clear()
    held.sizes.clear()
    return engine, held


def test_images_that_wait_are_predicted_together_and_answered_in_order(model, pictures):
    expected = model.predict(pictures[:14])
    engine, held = started(model)
    futures = engine.predict(pictures[:1])
    assert held.busy.wait(20)
    for picture in pictures[1:14]:  # each of a request of its own, while the first is being predicted
        futures += engine.predict([picture])
    held.let.set()
    answers = [future.result(20) for future in futures]
    engine.stop()
    assert [answer["class"] for answer in answers] == list(expected.labels)
    found = np.array([answer["probabilities"] for answer in answers], np.float32)
    assert (found == expected.probabilities).all()
    assert held.sizes == [1, 8, 4, 1]  # powers of two


def test_inverted_images_are_no_batch_with_others(model, pictures):
    engine, held = started(model)
    futures = engine.predict(pictures[:1])
    assert held.busy.wait(20)
    futures += engine.predict(pictures[:2]) + engine.predict(pictures[:2], invert=True)
    held.let.set()
    plain, inverted = futures[1].result(20), futures[3].result(20)
    engine.stop()
    assert held.sizes == [1, 2, 2]
    assert plain["probabilities"] == futures[0].result()["probabilities"] != inverted["probabilities"]


def test_no_more_wait_than_are_allowed_and_what_waits_is_answered_at_the_end(model, pictures):
    engine, held = started(model, most_waiting=4)
    first = engine.predict(pictures[:1])
    assert held.busy.wait(20)
    waiting = engine.predict(pictures[:3])
    with pytest.raises(OverloadedError):
        engine.predict(pictures[:2])
    waiting += engine.predict(pictures[:1])
    held.let.set()
    engine.stop()
    assert all("class" in future.result(0) for future in first + waiting)
    with pytest.raises(OverloadedError):
        engine.predict(pictures[:1])


def test_a_request_that_was_given_up_is_not_predicted(model, pictures):
    engine, held = started(model)
    engine.predict(pictures[:1])
    assert held.busy.wait(20)
    (given_up, kept) = engine.predict(pictures[:2])
    assert given_up.cancel()
    held.let.set()
    assert "class" in kept.result(20)
    engine.stop()
    assert held.sizes == [1, 1]


def test_a_model_without_images_or_that_is_not_there_is_told_at_the_start(place):
    def missing():
        raise CnncliError("there is none")

    with pytest.raises(CnncliError, match="there is none"):
        Engine(missing, most_waiting=1, meters=Meters()).start()


def test_a_model_that_gets_better_is_loaded_again_and_a_damaged_one_is_not(place, tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(module, "LOOK", 0.02)
    file, told, heard = tmp_path / "model.safetensors", [], threading.Event()

    def hear(event):
        told.append(event)
        heard.set()

    shutil.copy(place / "run" / "last.safetensors", file)
    engine = Engine(lambda: cnncli.load(file), most_waiting=4, meters=Meters(), watched=file, on_event=hear)
    engine.start()
    before = engine.predict(pictures[:1])[0].result(20)
    other = cnncli.load(file)
    kernel = other.file.weights["dense/kernel"]
    other.file = other.file.__class__(
        **{**vars(other.file), "weights": {**other.file.weights, "dense/kernel": -kernel}}
    )
    other.save(tmp_path / "new.safetensors")
    (tmp_path / "new.safetensors").replace(file)
    assert heard.wait(20)
    assert str(told[0]).startswith(f"notice: loaded again: {file}, epoch ")
    after = engine.predict(pictures[:1])[0].result(20)
    assert before["probabilities"] != after["probabilities"]
    heard.clear()
    file.write_bytes(b"damaged")
    assert heard.wait(20)
    assert str(told[1]).startswith("warning: the model stays as it is: ")
    assert engine.predict(pictures[:1])[0].result(20) == after
    engine.stop()
