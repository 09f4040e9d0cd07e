"""`cnncli.load`: a model's predictions, figures, weights and summary as data."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.datasets.sources.image_names import READ
from cnncli.errors import CnncliError, UsageError
from tests.cli.test_train import cnncli as command


@pytest.fixture
def images(place):
    return (255 * np.load(place / "bars.npz")["x_train"][:5, ..., None]).astype(np.uint8)


def test_a_model_is_found_by_its_run_its_file_and_its_spec(place, monkeypatch):
    monkeypatch.chdir(place)
    one = cnncli.load("run")
    assert one.path == Path("run/best.safetensors")
    assert cnncli.load("run", "last").path == Path("run/last.safetensors")
    for other in (cnncli.load("run/best.safetensors"), cnncli.load("bars.yaml")):
        assert all((other.weights()[name] == weight).all() for name, weight in one.weights().items())
    with pytest.raises(UsageError, match=r"nowhere"):
        cnncli.load("nowhere")


def test_its_spec_classes_weights_and_summary_are_those_of_the_commands(place, model):
    assert model.spec.name == "bars"
    assert list(model.classes) == ["0", "1"]
    shapes = {name: weight.shape for name, weight in model.weights().items()}
    assert shapes["conv2d/kernel"] == (3, 3, 1, 3)
    assert not model.weights()["dense/bias"].flags.writeable
    summary, document = model.summary(), json.loads(command(place, "summary", "run", "--json").stdout)
    assert (summary.layers, summary.parameters) == (document["layers"], document["parameters"])
    assert str(summary) == command(place, "summary", "run").stdout


def test_predictions_of_arrays_files_and_pictures_agree_with_the_command(place, model, images):
    np.save(place / "images.npy", images)
    pictures = []
    for number, image in enumerate(images):
        pictures.append(Image.fromarray(image[..., 0]))
        pictures[-1].save(place / f"{number}.png")
    files = [place / f"{number}.png" for number in range(len(images))]
    document = json.loads(command(place, "predict", "run", "images.npy", "--json").stdout)
    labels = [image["class"] for image in document["predictions"]]
    shares = np.array([image["probabilities"] for image in document["predictions"]], np.float32)
    for given in (images, images[..., 0], list(images), place / "images.npy", files, pictures, map(str, files)):
        found = model.predict(list(given) if isinstance(given, map) else given)
        assert list(found.labels) == labels
        assert (found.probabilities == shares).all()
        assert len(found) == len(found.names) == len(images)
    single = model.predict(images[0])
    assert (single.probabilities.shape, single.labels[0]) == ((1, 2), labels[0])


def test_floating_point_images_are_taken_as_in_training(model, images):
    halves = model.predict((images / 255).astype(np.float32)).probabilities
    np.testing.assert_allclose(halves, model.predict(images).probabilities, rtol=1e-5)


def test_what_can_not_be_used_is_an_error_that_names_it_or_left_out(place, model, images):
    (place / "broken.png").write_text("no image")
    several = [images[0], str(place / "broken.png"), images[0, :3]]
    with pytest.raises(CnncliError) as caught:
        model.predict(several)
    first, second = str(caught.value).splitlines()
    assert first.endswith(f"broken.png: an image must be {READ}; its content is not a supported image")
    assert second.startswith("[2]: an array must be ")
    found = model.predict(several, on_error="skip")
    assert found.labels[1:] == (None, None)
    assert np.isnan(found.probabilities[1:]).all()
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "images must be paths, NumPy arrays or images opened with Pillow; received int"),
        ([], "predict needs at least one image; received none"),
        ("nowhere.png", "there is no file or folder 'nowhere.png'"),
    ],
)
def test_what_is_no_image_at_all_is_refused(model, given, said):
    with pytest.raises(UsageError) as caught:
        model.predict(given)
    assert str(caught.value) == said


def test_an_evaluation_is_that_of_the_command_as_data(place, model):
    found = model.evaluate()
    document = json.loads(command(place, "evaluate", "run", "--json").stdout)
    assert (found.figures["loss"], found.samples) == (document["loss"], document["samples"])
    assert found.confusion.tolist() == document["confusion"]
    assert [row.support for row in found.rows()] == [row["support"] for row in document["classes"]]
    assert len(found.mistakes) == document["misclassified"]
    assert found.figures == model.evaluate(place / "bars.npz").figures


def test_warnings_are_events(place, model, images):
    events = []
    model.predict(1000 * images.astype(np.float32), on_event=events.append)
    assert [event.level for event in events] == ["warning"]
    assert "fed as numbers unlike the training images'" in events[0].text
