"""`normalize` and a `rescale` per channel: what networks are fed in training, evaluation and prediction."""

import json

import numpy as np
import pytest
import yaml

import cnncli as library
from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.datasets.images.channel_stats import channel_stats
from cnncli.datasets.rescale import PerChannel, image_scale
from cnncli.datasets.section import DataSection, Normalize
from cnncli.graph.model import Model
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.losses import LOSSES
from tests.cli.test_train import cnncli

MSE = LOSSES.parse("mean_squared_error")
MEAN, VARIANCE = (0.25, 0.5, 0.125), (0.04, 0.09, 2.0)


def images(dtype, channels, count=7, shape=(5, 4)):
    generator = np.random.default_rng(channels)
    if dtype == "uint8":
        return generator.integers(0, 256, (count, *shape, channels)).astype(np.uint8)
    return (generator.normal(0, 3000, (count, *shape, channels)) + 5000).astype(np.float32)


def twin(x, *, scale, factor, mean, variance):
    """What a network must be fed, operation by operation in float32."""
    one = np.float32
    scaled = x.astype(np.float32) * one(scale[0]) / one(scale[1])
    deviation = np.maximum(np.sqrt(np.array(variance)), 1e-7).astype(np.float32)
    return (scaled * np.array(factor, np.float32) - np.array(mean, np.float32)) / deviation


def fed(x, rescale):
    inputs = np.zeros(x.shape, np.float32)
    feed = Feed(Split(x, None, "own", "x_train"), rescale, MSE, inputs, {"y": np.zeros_like(inputs)})
    feed.fill(np.arange(len(x))[::-1])
    return inputs[::-1]


def scale_of(x, **keys):
    return image_scale(Model(x.shape[1:], ()), DataSection(dataset="own", **keys))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_batch_is_numpys_to_the_bit(dtype, channels):
    x, generator = images(dtype, channels), np.random.default_rng(1)
    factor, mean, variance = generator.random((3, channels)).tolist()
    divisor = 255 if dtype == "uint8" else 1
    normalize = {"mean": mean, "variance": variance}
    plain = {"factor": [1.0] * channels, "mean": [0.0] * channels, "variance": [1.0] * channels}
    for keys, scale, numbers in (
        ({"normalize": normalize}, (1, divisor), plain | normalize),
        ({"rescale": factor}, (1, 1), plain | {"factor": factor}),
        ({"rescale": factor, "normalize": normalize}, (1, 1), {"factor": factor, **normalize}),
        ({"rescale": 0.5, "normalize": normalize}, (0.5, 1), plain | normalize),
    ):
        assert np.array_equal(fed(x, scale_of(x, **keys)), twin(x, scale=scale, **numbers))


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_numbers_are_those_of_the_training_rows(dtype, channels):
    x = images(dtype, channels, count=600)
    split = Split(x, None, "own", "x_train", rows=np.arange(0, 600, 3))
    own = x[::3].astype(np.float64) / (255 if dtype == "uint8" else 1)
    found = channel_stats(split, "auto")
    assert np.allclose(found["mean"], own.mean((0, 1, 2)), rtol=1e-7)
    assert np.allclose(found["variance"], own.var((0, 1, 2)), rtol=1e-7)
    factor = tuple(np.linspace(1, 2, channels).tolist())
    found = channel_stats(split, scale_of(x, rescale=factor))
    assert np.allclose(found["mean"], (x[::3] * np.array(factor)).mean((0, 1, 2)), rtol=1e-6)


def test_a_channel_of_one_value_is_only_shifted():
    x = np.concatenate([images("float32", 1), np.full((7, 5, 4, 1), 12345.678, np.float32)], -1)
    found = channel_stats(Split(x, None, "own", "x_train"), "auto")
    assert found["variance"][1] == 1
    assert abs(fed(x, scale_of(x, normalize=dict(found)))[..., 1]).max() < 0.01


SPEC = """\
data: {{dataset: own.npz, {data}}}
model: {{layers: [Flatten, Dense: {{units: 3, activation: softmax}}]}}
compile: {{optimizer: {{SGD: {{learning_rate: 0.1}}}}, loss: sparse_categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: {epochs}, batch_size: 8}}
"""


def archive(folder, dtype="float32", channels=5, count=60):
    """Images whose class is the channel that is bright; the channels' scales are a thousand times apart."""
    generator, y = np.random.default_rng(3), np.arange(count) % 3
    x = generator.normal(0, 1, (count, 4, 4, channels))
    x[np.arange(count), :, :, y] += 1.5
    x = x * np.logspace(0, 3, channels) + np.linspace(0, 5000, channels)
    if dtype == "uint8":
        least = x.min((0, 1, 2))
        x = (x - least) / (x.max((0, 1, 2)) - least) * np.linspace(50, 255, channels)
    x = x.astype(dtype)
    np.savez(folder / "own.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    return x, y


def spec(folder, data="normalize: train", epochs=4):
    (folder / "own.yaml").write_text(SPEC.format(data=data, epochs=epochs))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_training_evaluation_and_prediction_agree_with_numpy(tmp_path, dtype):
    x, y = archive(tmp_path, dtype)
    spec(tmp_path, epochs=1)
    (tmp_path / "own.yaml").write_text((tmp_path / "own.yaml").read_text() + "seed: 5\n")
    run = library.train(tmp_path / "own.yaml", output=tmp_path / "run")
    model = library.load(tmp_path / "run")
    numbers = model.spec.data.normalize
    base = (1, 255 if dtype == "uint8" else 1)
    plain = x[:40].astype(np.float64) / base[1]
    assert np.allclose(numbers["mean"], plain.mean((0, 1, 2)), rtol=1e-7)
    assert np.allclose(numbers["variance"], plain.var((0, 1, 2)), rtol=1e-7)
    seen = twin(x, scale=base, factor=[1] * 5, **numbers)
    kernel, bias = model.weights()["dense/kernel"], model.weights()["dense/bias"]
    expected = softmax(seen[40:].reshape(20, -1) @ kernel + bias)
    made = model.predict(x[40:])
    assert np.allclose(made.probabilities, expected, atol=1e-5)
    assert run.test["accuracy"] == (expected.argmax(-1) == y[40:]).mean()
    assert model.evaluate().figures == run.test
    loss = -np.log(expected[np.arange(20), y[40:]]).mean()
    assert abs(run.test["loss"] - loss) < 1e-5


def test_numbers_that_are_given_train_the_same_bits_as_those_of_train(tmp_path):
    archive(tmp_path)
    spec(tmp_path)
    by_train = library.train(tmp_path / "own.yaml", output=tmp_path / "a")
    resolved = yaml.safe_load((tmp_path / "a/spec.yaml").read_text())
    given = library.train(
        tmp_path / "own.yaml", {"data.normalize": resolved["data"]["normalize"]}, output=tmp_path / "b"
    )
    assert by_train.digest == given.digest
    # Keras' Normalization with these numbers, as the first layer
    assert by_train.test["accuracy"] > 0.9
    plain = library.train(tmp_path / "own.yaml", {"data.normalize": None}, output=tmp_path / "c")
    assert plain.test["accuracy"] < by_train.test["accuracy"]


def test_a_resumed_run_has_the_bits_of_a_whole_one(tmp_path):
    archive(tmp_path)
    spec(tmp_path)
    whole = library.train(tmp_path / "own.yaml", output=tmp_path / "whole")
    library.train(tmp_path / "own.yaml", {"fit.epochs": 2}, output=tmp_path / "part")
    assert library.resume(tmp_path / "part", epochs=4).digest == whole.digest


def test_each_fold_has_the_numbers_of_its_own_training_part(tmp_path):
    x, y = archive(tmp_path)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y)
    spec(tmp_path, "normalize: train, folds: 3", epochs=1)
    done = cnncli(tmp_path, "train", "own.yaml", "--folds", "3", "--output", "all")
    if done.returncode:
        done = cnncli(tmp_path, "trials", "own.yaml", "--folds", "--output", "all")
    assert done.returncode == 0, done.stderr
    found = set()
    for path in sorted(tmp_path.glob("all/**/spec.yaml")):
        rows = json.loads((path.parent / "splits.json").read_text())["train"]["rows"]
        numbers = yaml.safe_load(path.read_text())["data"]["normalize"]
        assert np.allclose(numbers["mean"], x[rows].astype(np.float64).mean((0, 1, 2)), rtol=1e-7)
        found.add(tuple(numbers["mean"]))
    assert len(found) == 3


def test_augmentation_comes_before_normalization(tmp_path):
    from cnncli.datasets.augment.augmentation import AUGMENTATIONS

    x = images("uint8", 3)
    augment = [AUGMENTATIONS.parse({"RandomBrightness": {"factor": [0.2, 0.2]}})]
    made = {}
    for name, keys in (("plain", {}), ("normalized", {"normalize": {"mean": MEAN, "variance": VARIANCE}})):
        made[name] = np.zeros(x.shape, np.float32)
        targets = {"y": np.zeros(x.shape, np.float32)}
        feed = Feed(Split(x, None, "own", "x"), scale_of(x, **keys), MSE, made[name], targets, augment=augment, seed=3)
        feed.fill(np.arange(7), 1)
        assert np.array_equal(targets["y"], made[name])  # an autoencoder's targets are what it is fed
    deviation = np.sqrt(np.array(VARIANCE)).astype(np.float32)
    assert np.array_equal(made["normalized"], (made["plain"] - np.float32(MEAN)) / deviation)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("rescale: [1, 2]", "rescale must have a number for each of the images' channels, 5; received 2"),
        (
            "normalize: {mean: [1], variance: [1]}",
            "normalize must have a number for each of the images' channels, 5; received 1",
        ),
        ("normalize: yes", "normalize must be train, or {mean: […], variance: […]} with a number per channel"),
        ("normalize: {mean: [1, 2], variance: [1]}", "normalize must be train, or {mean: […], variance: […]}"),
        ("normalize: {mean: [1], variance: [-1]}", "normalize must be train, or {mean: […], variance: […]}"),
        ("normalize: {mean: [.nan], variance: [1]}", "normalize must be train, or {mean: […], variance: […]}"),
        ("rescale: []", "rescale must be auto, a number or a fraction like 1/255, or a list of them, one per channel"),
    ],
)
def test_what_does_not_fit_is_said_when_the_spec_is_checked(tmp_path, data, said):
    archive(tmp_path)
    spec(tmp_path, data)
    done = cnncli(tmp_path, "check", "own.yaml")
    assert done.returncode == 2
    assert said in done.stderr


def test_probabilities_need_images_from_0_to_1(tmp_path):
    archive(tmp_path)
    (tmp_path / "own.yaml").write_text(
        "data: {dataset: own.npz, targets: input, normalize: train}\n"
        "model: {layers: [Conv2D: {filters: 5, kernel_size: 1, activation: sigmoid}]}\n"
        "compile: {optimizer: adam, loss: binary_crossentropy}\n"
    )
    done = cnncli(tmp_path, "train", "own.yaml")
    assert "requires images between 0 and 1: remove `normalize`" in done.stderr


def test_values_are_read_as_they_are_written():
    section = DataSection(dataset="own", rescale=["1/255", 2], normalize={"mean": [1, 2], "variance": [3, 4]})
    assert section.rescale == (1 / 255, 2.0)
    assert section.normalize == Normalize(mean=(1.0, 2.0), variance=(3.0, 4.0))
    assert DataSection(**section.plain()) == section
    assert hash(section) == hash(DataSection(**section.plain()))
    assert isinstance(image_scale(Model((2, 2, 2), ()), section), PerChannel)
    with pytest.raises(ValidationError):
        DataSection(dataset="own", normalize="test")


FAR = "far from 0 to 1: unless the model scales them itself, set `normalize: train` under `data`"


def test_values_far_from_0_to_1_are_told_with_what_to_do(tmp_path):
    x, _ = archive(tmp_path)
    spec(tmp_path, "rescale: auto", epochs=1)
    told = cnncli(tmp_path, "train", "own.yaml").stderr
    assert f"x_train has values from {x[:40].min():,.6g} to {x[:40].max():,.6g}, {FAR}" in told
    assert FAR in cnncli(tmp_path, "datasets", "check", "own.npz").stdout
    for data in ("normalize: train", "rescale: 1/8000"):
        spec(tmp_path, data, epochs=1)
        assert FAR not in cnncli(tmp_path, "train", "own.yaml").stderr


def test_whole_numbers_beyond_bytes_are_answered_with_what_to_do(tmp_path):
    x, y = archive(tmp_path)
    np.savez(tmp_path / "own.npz", x_train=x.clip(0, 10_000).astype(np.uint16), y_train=y)
    spec(tmp_path)
    told = cnncli(tmp_path, "train", "own.yaml").stderr
    assert "save them as float32 and set `normalize: train` under `data`" in told


def test_init_normalizes_such_arrays(tmp_path):
    x, y = archive(tmp_path)
    np.savez(tmp_path / "own.npz", x_train=x.repeat(3, 1).repeat(3, 2), y_train=y)
    done = cnncli(tmp_path, "init", "--data", "own.npz", "-o", "new.yaml")
    assert done.returncode == 0, done.stderr
    assert "normalize: train" in (tmp_path / "new.yaml").read_text()
    assert "rescale" not in (tmp_path / "new.yaml").read_text()
    done = cnncli(tmp_path, "train", "new.yaml", "--epochs", "1", "--output", "run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 13])
def test_arrays_of_any_channels_go_through_every_command(tmp_path, channels):
    generator, y = np.random.default_rng(3), np.arange(60) % 2
    x = generator.normal(0, 1, (60, 8, 8, channels)).astype(np.float32) + y[:, None, None, None] * 2
    np.savez(tmp_path / "own.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    np.save(tmp_path / "one.npy", x[50])
    text = SPEC.format(data="normalize: train", epochs=3)
    text = text.replace("Flatten,", "Conv2D: {filters: 4, kernel_size: 3}, Flatten,")
    (tmp_path / "own.yaml").write_text(text)
    for command in (
        ("init", "--data", "own.npz", "-o", "new.yaml"),
        ("datasets", "check", "own.npz", "-o", "sheet.svg"),
        ("check", "own.yaml"),
        ("train", "own.yaml", "--output", "run"),
        ("evaluate", "run"),
        ("predict", "run", "one.npy"),
        ("explain", "run", "one.npy", "-o", "why.svg"),
        ("datasets", "preview", "own.yaml", "-o", "preview.svg"),
        ("report", "run", "-o", "page.html"),
    ):
        done = cnncli(tmp_path, *command)
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
    notes = {1: "", 2: "The first of 2 channels is shown."}
    note = notes.get(channels, f"The first 3 of {channels} channels are shown.")
    for picture in ("sheet.svg", "preview.svg", "why.svg", "page.html"):
        text = (tmp_path / picture).read_text()
        assert note in text if note else "channels are shown" not in text
