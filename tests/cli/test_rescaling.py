"""`rescale: auto` and a model that scales its images itself."""

import json
import re

import numpy as np
import pytest

from tests.cli.test_train import SPEC, cnncli
from tests.training import small


def test_a_model_that_rescales_is_fed_images_as_they_are_and_that_is_said(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    with np.load(tmp_path / "bars.npz") as data:
        arrays = {key: (array * 100).astype(np.uint8) if key[0] == "x" else array for key, array in data.items()}
    np.savez(tmp_path / "bars.npz", **arrays)
    (tmp_path / "own.yaml").write_text(SPEC.replace("    - Conv2D", "    - Rescaling: {scale: 1/255}\n    - Conv2D", 1))
    notice = "images are not rescaled: the model does it itself, by Rescaling"
    found = []
    for name in ("bars", "own"):
        done = cnncli(tmp_path, "train", f"{name}.yaml", "--output", name)
        assert (notice in done.stdout.splitlines()) == (name == "own")
        evaluated = json.loads(cnncli(tmp_path, "evaluate", name, "--json").stdout)
        found.append([*(float(loss) for loss in re.findall(r"loss (\S+)", done.stdout)), evaluated["loss"]])
    assert len(found[0]) == 6  # two epochs with validation, the test, and that again
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    assert notice not in cnncli(tmp_path, "train", "own.yaml", "--set", "data.rescale=1/255").stdout


def test_images_behind_padding_are_fed_as_they_are_too(tmp_path):
    small.write_data(tmp_path)
    text = SPEC.replace("    - Conv2D", "    - ZeroPadding2D\n    - Rescaling: {scale: 1/255}\n    - Conv2D", 1)
    (tmp_path / "own.yaml").write_text(text)
    notice = "images are not rescaled: the model does it itself, by Rescaling"
    assert notice in cnncli(tmp_path, "train", "own.yaml", "--epochs", "0").stdout
