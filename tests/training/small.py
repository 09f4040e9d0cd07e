"""A small training for the tests: 45 images of two shapes, six batches an epoch, every kind of state."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cnncli.datasets.section import DataSection
from cnncli.errors import InterruptedRun
from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.vocabulary import LAYERS
from cnncli.training.events import BatchDone
from cnncli.training.loop import session
from cnncli.training.loop.plan import Plan, RunOptions
from cnncli.training.loop.session import read_data, train
from cnncli.training.runs import checkpoint
from cnncli.training.sections import CompileSection, FitSection

BATCHES = 6
LAYERS_USED = (
    ("conv2d", {"Conv2D": {"filters": 3, "kernel_size": 3, "activation": "relu", "kernel_regularizer": "l2"}}),
    ("batch_normalization", "BatchNormalization"),
    ("max_pooling2d", "MaxPooling2D"),
    ("flatten", "Flatten"),
    ("dropout", {"Dropout": {"rate": 0.3}}),
    ("dense", {"Dense": {"units": 2, "activation": "softmax"}}),
)


def write_data(folder, *, scale=1.0):
    """Bars that lie or stand, with noise: 50 training images, 9 to test."""
    random = np.random.RandomState(0)
    x = random.rand(59, 8, 8).astype(np.float32)
    y = random.randint(0, 2, 59)
    for image, label in zip(x, y, strict=True):
        place = random.randint(1, 7)
        image[(place, slice(None)) if label else (slice(None), place)] += 1.5
    x *= scale
    order = np.arange(59)
    order[[44, 49]] = 49, 44  # so that the last tenth of the training images shows both
    x, y = x[order], y[order]
    np.savez(folder / "bars.npz", x_train=x[:50], y_train=y[:50], x_test=x[50:], y_test=y[50:])


def model(without=()):
    """The layers as a chain, but for those named."""
    used = [(name, entry) for name, entry in LAYERS_USED if name not in without]
    names = [INPUT, *(name for name, _ in used)]
    layers = [LAYERS.parse(entry) for _, entry in used]
    return Model(
        (8, 8, 1), tuple(Node(*node) for node in zip(names[1:], layers, [(n,) for n in names[:-1]], strict=True))
    )


def plan(folder, *, epochs=3, validation_split=0.1, callbacks=None, optimizer="adam", seed=3, **options):
    """A plan on the data in `folder`; `options` may be a model of its own and augmentations."""
    if callbacks is None:
        callbacks = [{"EarlyStopping": {"patience": 2, "restore_best_weights": True}}]
    compiled = {"optimizer": optimizer, "loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    return Plan(
        "small",
        seed,
        DataSection(dataset="bars.npz", validation_split=validation_split, augment=options.get("augment", ())),
        Path(folder),
        options.get("model") or model(),
        CompileSection(**compiled),
        FitSection(epochs=epochs, batch_size=8, callbacks=callbacks),
        "name: small\n",
        {"name": "small"},
    )


def interrupt(plan, folder, *, epoch, batch):
    """Train a plan into `folder` as if Ctrl-C came after a batch (both from 1); the signals' handlers are put back."""

    def report(event):
        if isinstance(event, BatchDone) and (event.epoch, event.batch) == (epoch, batch):
            os.kill(os.getpid(), signal.SIGINT)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(InterruptedRun):
        run(plan, folder, report=report)
    for number, handler in before.items():
        signal.signal(number, handler)


def outcome(run):
    """All that a training's bits decide: its model files, and the lines of its epochs without the time they took."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(line.pop("seconds", 0) >= 0 for line in lines)
    return {name: (run / name).read_bytes() for name in ("best.safetensors", "last.safetensors")} | {"epochs": lines}


def run(plan, folder=None, *, resume=None, weights=None, report=lambda event: None, threads=2):
    """Train a plan into `folder`, or resume the run there."""
    place = RunOptions(resume=resume, weights=weights, output=folder)
    return train(plan, read_data(plan), place, threads, report)


def interrupter(after, number=signal.SIGINT, times=1):
    """A report that sends a signal to this process once `after` batches are trained."""
    trained = []

    def report(event):
        if isinstance(event, BatchDone):
            trained.append(event)
            if len(trained) == after:
                for _ in range(times):
                    os.kill(os.getpid(), number)

    return report


def assert_fits_as_keras(plan, output, monkeypatch, start, case, kept="last"):
    """Training from the weights `start` gives the figures of each epoch, and in the file `kept` the weights of a
    fixture.
    """
    monkeypatch.setattr(session.Network, "initialize", lambda network, seed: network.load(start))
    run(plan, output)
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    for figure in ("loss", "val_loss"):
        np.testing.assert_allclose([line[figure] for line in lines if figure in line], case[figure], rtol=1e-5)
    weights = checkpoint.load(output / f"{kept}.safetensors").weights
    for (name, before), value in zip(start.items(), case["end"], strict=True):
        assert weights[name].shape == before.shape
        np.testing.assert_allclose(weights[name], np.array(value).reshape(before.shape), rtol=1e-4, atol=1e-6)
