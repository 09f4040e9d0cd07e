"""Keras archives become specs and model files with Keras' outputs; what can't be said is listed, code never runs."""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.api.importing import import_model
from cnncli.cli import main
from cnncli.errors import CnncliError, UsageError
from cnncli.graph.network import Network
from cnncli.spec.spec import load
from tests.fixtures.archives.images import image

h5py = pytest.importorskip("h5py", reason="needs h5py")
FOLDER = Path(__file__).parent.parent / "fixtures" / "archives"


def outputs_of(folder, given):
    """The outputs of an imported network for images as the network takes them."""
    spec = load(folder / "spec.yaml", check_data=False)
    network = Network(spec.model, spec.compile.loss, batch_size=len(given))
    network.load(cnncli.load(folder).weights())
    network.inputs[...] = given
    network.predict(len(given))
    (found,) = network.predictions.values()
    return found


@pytest.mark.parametrize("name", ["nested.keras", "nested.h5", "operations.keras", "operations.h5"])
def test_an_imported_model_has_the_outputs_of_keras(name, tmp_path):
    check_outputs(name, "outputs.npz", tmp_path)


@pytest.mark.parametrize("name", ["keras2.keras", "keras2.h5"])
def test_a_model_of_keras_2_has_its_outputs_and_what_it_was_compiled_with(name, tmp_path):
    found = check_outputs(name, "keras2.npz", tmp_path)
    assert not found.notes
    section = found.spec.compile
    assert section.optimizer.learning_rate.decay_steps == 100
    assert type(section.loss).__name__ == "SparseCategoricalCrossentropy"
    assert [type(metric).__name__ for metric in section.metrics] == ["Accuracy"]


def check_outputs(name, outputs, tmp_path):
    """Import an archive and compare its outputs with those that Keras has computed."""
    found = import_model(FOLDER / name, tmp_path / "imported")
    with np.load(FOLDER / outputs) as arrays:
        expected = arrays[name.partition(".")[0]]
    given = image(*found.spec.model.input_shape)
    np.testing.assert_allclose(outputs_of(found.path, given), expected, rtol=0, atol=1e-5)
    return found


def test_nested_models_are_flattened_and_what_was_compiled_is_taken_over(tmp_path):
    spec = import_model(FOLDER / "nested.keras", tmp_path / "imported").spec
    names = [node.name for node in spec.model.nodes]
    assert names[:3] == ["body/rescaling", "body/features/conv2d", "body/features/batch_normalization"]
    assert names[-2:] == ["dropout", "dense"]
    assert [node.name for node in spec.model.nodes if getattr(node.layer, "trainable", True) is False] == names[1:3]
    optimizer = spec.compile.optimizer
    assert type(optimizer).__name__ == "AdamW"
    assert optimizer.weight_decay == 0.01
    assert optimizer.learning_rate.initial_learning_rate == 0.01
    assert type(spec.compile.loss).__name__ == "SparseCategoricalCrossentropy"
    assert [type(metric).__name__ for metric in spec.compile.metrics] == ["Accuracy", "SparseTopKCategoricalAccuracy"]


def test_everything_that_cannot_be_imported_is_listed_and_nothing_written(tmp_path):
    with pytest.raises(UsageError) as caught:
        import_model(FOLDER / "refused.keras", tmp_path / "imported")
    head, *lines = str(caught.value).splitlines()
    assert head.endswith("refused.keras: 5 layers can't be imported:")
    assert [line.partition(":")[0].strip() for line in lines] == [
        "lambda (Lambda)",
        "doubled (Doubled)",
        "shared (Conv2D)",
        "lstm (LSTM)",
        "flip (Flip)",
    ]
    assert not (tmp_path / "imported").exists()


def test_an_import_evaluates_trains_and_summarizes_like_any_other_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = (
        ["import", str(FOLDER / "nested.keras"), "-o", "nested", "--classes", "disc,square,triangle"],
        ["evaluate", "nested"],
        ["summary", "nested"],
        ["train", "nested/spec.yaml", "--epochs", "1", "-o", "tuned"],
    )
    for line in lines:
        with pytest.raises(SystemExit) as ended:
            main(line)
        assert ended.value.code == 0, capsys.readouterr().err
    assert "4 of 4 layers with weights loaded" in capsys.readouterr().err


def test_classes_sizes_and_keys_of_data_can_be_given_and_nothing_else(tmp_path):
    archive = FOLDER / "nested.keras"
    found = import_model(archive, tmp_path / "a", ["data.rescale=1/255"], classes=["a", "b", "c"], image_size=(10, 12))
    assert found.spec.model.input_shape == (10, 12, 3)
    assert found.spec.data.rescale == 1 / 255
    assert list(cnncli.load(found.path).classes) == ["a", "b", "c"]
    for wrong in ({"classes": ["a"]}, {"classes": ["a", "b", "b"]}, {"changes": ["fit.epochs=1"]}):
        with pytest.raises(UsageError):
            import_model(archive, tmp_path / "b", **wrong)
    with pytest.raises(UsageError, match="new or empty folder"):
        import_model(archive, tmp_path / "a")
    assert not (tmp_path / "b").exists()


def changed(path, change, weights=None):
    """A copy of nested.keras with another config.json or other weights."""
    with zipfile.ZipFile(FOLDER / "nested.keras") as archive, zipfile.ZipFile(path, "w") as copy:
        config = json.loads(archive.read("config.json"))
        change(config)
        copy.writestr("config.json", json.dumps(config))
        copy.writestr("model.weights.h5", archive.read("model.weights.h5") if weights is None else weights)
    return path


def weights_with(change):
    """The weights of nested.keras, changed."""
    with zipfile.ZipFile(FOLDER / "nested.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        change(file["layers/dense/vars"])
    return content.getvalue()


def external(group):
    del group["0"]
    group.create_dataset("0", (3, 3), "f4", external=[("/etc/passwd", 0, 36)])


def linked(group):
    del group["0"]
    group["0"] = h5py.ExternalLink("/etc/passwd", "x")


def soft(group):
    del group["0"]
    group["0"] = h5py.SoftLink("/layers/dense/vars/1")


def virtual(group):
    del group["0"]
    layout = h5py.VirtualLayout((3, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 3))
    group.create_virtual_dataset("0", layout)


def huge(group):
    del group["0"]
    group.create_dataset("0", (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10))


def other(group):
    del group["0"]
    group.create_dataset("0", data=np.zeros((4, 3), "f4"))


def text(group):
    del group["0"]
    group.create_dataset("0", data=["a"])


def unlimited(group):
    group["0"][...] = np.inf


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (external, "is stored in other files, which are never opened"),
        (linked, "is a link, which is never followed"),
        (soft, "is a link, which is never followed"),
        (virtual, "is stored in other files, which are never opened"),
        (huge, "must be stored whole and uncompressed"),
        (other, r"must have shape \(3, 3\); the file has \(4, 3\)"),
        (text, "must be an array of numbers"),
        (unlimited, "must hold finite numbers"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_hostile_weights_are_refused_with_a_reason(change, why, tmp_path):
    path = changed(tmp_path / "hostile.keras", lambda config: None, weights_with(change))
    with pytest.raises(CnncliError, match=why):
        import_model(path, tmp_path / "imported")
    assert not (tmp_path / "imported").exists()


def units(config):
    config["config"]["layers"][-1]["config"]["units"] = 10**12


def channels_first(config):
    config["config"]["layers"][1]["config"]["layers"][3]["config"]["data_format"] = "channels_first"


def no_layers(config):
    config["config"]["layers"] = 5


def own_class(config):
    config.update(module="mine", class_name="Net")


def half(config):
    config["config"]["layers"][-1]["config"]["dtype"] = "float16"


def enormous(config):
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 1 << 40, 8, 3]


def circle(config):
    body = config["config"]["layers"][1]["config"]["layers"]
    body[1]["inbound_nodes"] = body[3]["inbound_nodes"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (units, "dense/kernel must have shape"),
        (channels_first, "only 'channels_last' is supported"),
        (no_layers, "its configuration is damaged"),
        (own_class, "Net is a custom object, whose code is not in the file"),
        (half, "its dtype is float16; layers compute in float32"),
        (enormous, "the input must be images"),
        (circle, "is not connected to the input"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_hostile_configurations_are_refused_with_a_reason(change, why, tmp_path):
    with pytest.raises(CnncliError, match=why):
        import_model(changed(tmp_path / "hostile.keras", change), tmp_path / "imported")
    assert not (tmp_path / "imported").exists()


def test_archives_that_are_damaged_bombs_or_something_else_are_refused(tmp_path):
    whole = (FOLDER / "nested.keras").read_bytes()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}" + " " * (40 << 20))
    outside = io.BytesIO()
    with zipfile.ZipFile(outside, "w") as archive:
        archive.writestr("../config.json", "{}")
    cases = {
        "truncated.keras": (whole[: len(whole) // 2], "is damaged or no Keras archive"),
        "empty.keras": (b"", "is damaged or no Keras archive"),
        "bomb.keras": (bomb.getvalue(), "more than such a file may"),
        "outside.keras": (outside.getvalue(), "it has no config.json"),
        "weights.pt": (b"PK", "can run code"),
        "model.pkl": (b"\x80", "can run code"),
        "model.tflite": (b"", "import reads .keras, .h5, .onnx"),
    }
    for name, (content, why) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CnncliError, match=why):
            import_model(tmp_path / name, tmp_path / "imported")
    with pytest.raises(UsageError, match="there is no file"):
        import_model(tmp_path / "none.keras", tmp_path / "imported")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(cases)


def test_weights_alone_are_paired_by_name_class_or_order(tmp_path):
    whole = import_model(FOLDER / "nested.h5", tmp_path / "whole")
    text = (whole.path / "spec.yaml").read_text()
    (tmp_path / "flat.yaml").write_text(re.sub("body/|features/", "", text))
    (tmp_path / "renamed.yaml").write_text(
        re.sub(r"(name|inputs): (\[?)", r"\1: \2my_", text).replace(", body", ", my_body")
    )
    shutil.copy(whole.path / "best.safetensors", tmp_path)
    (tmp_path / "other.yaml").write_text(text.replace("units: 3", "units: 4").replace("classes: 3", "classes: 4"))
    cases = {
        ("nested.weights.h5", "whole/spec.yaml"): "Weights were paired by name.",
        ("nested.weights.h5", "flat.yaml"): "Weights were paired by name.",
        ("best.safetensors", "renamed.yaml"): "Weights were paired by order.",
    }
    for number, ((file, spec), note) in enumerate(cases.items()):
        path = tmp_path / file if file.endswith(".safetensors") else FOLDER / file
        found = import_model(path, tmp_path / str(number), spec=tmp_path / spec)
        assert found.notes == (note,)
        weights, expected = (cnncli.load(folder).weights().values() for folder in (found.path, whole.path))
        assert all(np.array_equal(*pair) for pair in zip(weights, expected, strict=True))
    for file in ("nested.weights.h5", "operations.weights.h5"):
        with pytest.raises(CnncliError, match=r"those of the file .* and of the spec \(4\)"):
            import_model(FOLDER / file, tmp_path / "none", spec=tmp_path / "other.yaml")
    for path, why in (
        (FOLDER / "nested.weights.h5", "has weights alone"),
        (tmp_path / "best.safetensors", "is a model file of cnncli"),
    ):
        with pytest.raises(UsageError, match=why):
            import_model(path, tmp_path / "none")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "best.safetensors").read_bytes()[:-20])
    with pytest.raises(CnncliError, match="is damaged or no safetensors file"):
        import_model(tmp_path / "cut.safetensors", tmp_path / "none", spec=whole.path / "spec.yaml")
    assert not (tmp_path / "none").exists()


def test_strings_of_hdf5_files_that_would_take_gigabytes_or_no_end_are_refused(tmp_path):
    whole = (FOLDER / "nested.h5").read_bytes()
    heap = whole.find(b"GCOL\x01")
    address = heap.to_bytes(8, "little")
    places = [place for place in range(8, len(whole) - 12) if whole[place : place + 8] == address]
    long, endless = bytearray(whole), bytearray(whole)
    record = next(place for place in places if whole[place + 8] and not any(whole[place + 9 : place + 12]))
    long[record - 1] = 0x80  # the length of a string, 2 GiB
    endless[heap + 24] += 0x40  # that of the first string in the heap
    for content in (long, endless):
        (tmp_path / "hostile.h5").write_bytes(content)
        with pytest.raises(CnncliError, match="its strings can't be read"):
            import_model(tmp_path / "hostile.h5", tmp_path / "imported")
