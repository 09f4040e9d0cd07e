"""Networks made elsewhere on the spot: keras.applications through Keras archives, and real ONNX files of packages.

`CNNCLI_KERAS_PYTHON` is the Python of an environment with Keras. `CNNCLI_ONNX_FILES` is a folder in which packages with
ONNX files are unpacked (rapidocr-onnxruntime, ddddocr, nudenet; onnx' own light models), and `CNNCLI_ONNX_PYTHON` the
Python of an environment with ONNX Runtime.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.api.importing import import_model
from cnncli.errors import UsageError
from tests.fixtures.applications import image
from tests.interop.test_applications import NAMES
from tests.interop.test_import_keras import outputs_of

KERAS, ONNX = os.environ.get("CNNCLI_KERAS_PYTHON"), os.environ.get("CNNCLI_ONNX_PYTHON")
FILES = os.environ.get("CNNCLI_ONNX_FILES")
FIXTURES = Path(__file__).parent.parent / "fixtures"
pytestmark = pytest.mark.long
SAVING = """
import sys
from keras_applications import MODELS, leaves
from applications import image, weight
name, path = sys.argv[1:]
given = image(name)
model = MODELS[name](weights=None, input_shape=given.shape[1:], classifier_activation=None)
for layer in leaves(model):
    names = ["gamma"] if type(layer).__name__ == "LayerScale" else [one.name for one in layer.weights]
    drawn = [weight(layer.name, name, one.shape) for name, one in zip(names, layer.weights, strict=True)]
    if type(layer).__name__ != "Normalization":
        layer.set_weights(drawn)
model.save(path)
"""
RUNNING = """
import sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
x = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], session.run(None, {session.get_inputs()[0].name: x})[0])
"""


def apart(found, expected):
    """The largest deviation, as a share of the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.skipif(not KERAS, reason="needs CNNCLI_KERAS_PYTHON, the Python of an environment with Keras")
@pytest.mark.parametrize("name", NAMES)
def test_an_archive_of_keras_applications_has_its_outputs(name, tmp_path):
    path = tmp_path / f"{name}.keras"
    settings = {**os.environ, "PYTHONPATH": str(FIXTURES), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([KERAS, "-c", SAVING, name, str(path)], check=True, env=settings, capture_output=True)
    found = import_model(path, tmp_path / "imported")
    with np.load(FIXTURES / "applications.npz") as arrays:
        deviation = apart(outputs_of(found.path, image(name))[0], arrays[f"{name}/outputs"])
    print(json.dumps({"network": name, "layers": found.layers, "deviation": deviation}))
    assert deviation <= 1e-4


FITTING = """
import json, sys
import numpy as np
from keras_setup import keras
path, digits = sys.argv[1:]
with np.load(digits) as arrays:
    data = {name: arrays[name] for name in arrays.files}
x, given = (data[name][..., np.newaxis] / np.float32(255) for name in ("x_train", "x_test"))
model = keras.saving.load_model(path, safe_mode=True)
found = {"iterations": int(model.optimizer.iterations)}
found["before"] = model.evaluate(given, data["y_test"], verbose=0)
model.fit(x, data["y_train"], epochs=1, batch_size=32, verbose=0)
found["after"] = model.evaluate(given, data["y_test"], verbose=0)
print("FOUND", json.dumps(found))
"""


@pytest.mark.skipif(not KERAS, reason="needs CNNCLI_KERAS_PYTHON, the Python of an environment with Keras")
def test_a_model_of_keras_is_trained_here_and_fitted_further_there(tmp_path):
    """From 1,000 digits there to 4,000 here, and again 4,000 there; the optimizer's state goes along."""
    made = import_model(FIXTURES / "archives" / "digits.keras", tmp_path / "digits")
    imported = cnncli.load(made.path).evaluate("mnist5k").figures
    run = cnncli.train(made.path / "spec.yaml", {"fit.epochs": 2}, data="mnist5k", output=tmp_path / "run")
    archive = cnncli.export(run, tmp_path / "again.keras", weights="last")
    trained = cnncli.load(run, "last").evaluate().figures
    line = [KERAS, "-c", FITTING, str(archive), str(FIXTURES.parent.parent / "data" / "mnist5k.npz")]
    folders = {"PYTHONPATH": str(FIXTURES)}
    done = subprocess.run(line, env={**os.environ, **folders}, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.partition("FOUND ")[2])
    print(json.dumps({"imported": imported["accuracy"], "trained": trained["accuracy"], **found}))
    assert found["iterations"] == 2 * 4000 // 32
    assert found["before"] == pytest.approx([trained["loss"], trained["accuracy"]], abs=1e-5)
    assert imported["accuracy"] < trained["accuracy"] < found["after"][1]


REAL = {
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": ((2, 3, 48, 192), None),
    "ch_PP-OCRv4_det_infer.onnx": ((1, 3, 320, 320), None),
    "common_det.onnx": ((1, 3, 416, 416), None),
    "320n.onnx": ((1, 3, 320, 320), ("/model.22/Sub (Sub)", "/model.22/Add_10 (Add)")),
    "light_bvlc_alexnet.onnx": ((1, 3, 224, 224), None),
    "light_densenet121.onnx": ((1, 3, 224, 224), None),
    "light_inception_v1.onnx": ((1, 3, 224, 224), None),
    "light_inception_v2.onnx": ((1, 3, 224, 224), None),
    "light_resnet50.onnx": ((1, 3, 224, 224), None),
    "light_shufflenet.onnx": ((1, 3, 224, 224), None),
    "light_squeezenet.onnx": ((1, 3, 224, 224), None),
    "light_vgg19.onnx": ((1, 3, 224, 224), None),
    "light_zfnet512.onnx": ((1, 3, 224, 224), None),
}
"""Shapes of the inputs, and the nodes that can't be imported, or None."""


@pytest.mark.skipif(not (FILES and ONNX), reason="needs CNNCLI_ONNX_FILES and CNNCLI_ONNX_PYTHON")
@pytest.mark.parametrize("name", REAL)
def test_a_real_file_has_the_outputs_of_onnx_runtime_or_names_its_nodes(name, tmp_path):
    (path,) = Path(FILES).rglob(name)
    shape, refused = REAL[name]
    if refused is not None:
        with pytest.raises(UsageError) as caught:
            import_model(path, tmp_path / "imported", image_size=shape[2:])
        assert {line.partition(":")[0].strip() for line in str(caught.value).splitlines()[1:]} <= set(refused)
        return
    found = import_model(path, tmp_path / "imported", image_size=shape[2:])
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    ends = [str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run([ONNX, "-c", RUNNING, str(path), *ends], check=True, capture_output=True)
    expected, ours = np.load(tmp_path / "y.npy"), outputs_of(found.path, x.transpose(0, 2, 3, 1))
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == ours.ndim == 4 else expected.reshape(ours.shape)
    deviation = float(np.abs(ours - expected).max())
    print(json.dumps({"file": name, "layers": found.layers, "deviation": deviation}))
    assert deviation <= 1e-4 * max(1.0, float(np.abs(expected).max()))
