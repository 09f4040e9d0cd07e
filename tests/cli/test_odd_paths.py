"""Files and folders whose names are not UTF-8, or hold what a spec can't."""

import os
import sys

import numpy as np
import pytest

from tests.cli.test_train import cnncli

SPEC = """\
data: {dataset: digits.npz, validation_split: 0.2}
model: {layers: [Flatten, Dense: {units: 3, activation: softmax}]}
compile: {optimizer: adam, loss: categorical_crossentropy}
fit: {epochs: 1}
"""
pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
LATIN = os.fsdecode(b"caf\xe9")


def fill(folder, spec="s.yaml"):
    folder.mkdir(exist_ok=True)
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4), np.uint8)
    np.savez(folder / "digits.npz", x_train=x, y_train=np.arange(60) % 3)
    (folder / spec).write_text(SPEC)
    return folder


def test_a_spec_whose_file_name_is_not_utf8_goes_by_the_name_of_none(tmp_path):
    fill(tmp_path, f"{LATIN}.yaml")
    assert cnncli(tmp_path, "check", f"{LATIN}.yaml").stdout.startswith("caf\\xe9.yaml: ok")
    done = cnncli(tmp_path, "train", f"{LATIN}.yaml")
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "model"), done.stderr
    assert cnncli(tmp_path, "evaluate").returncode == 0
    assert (tmp_path / "runs" / "model" / "latest" / "spec.yaml").read_text().startswith("name: model\n")


@pytest.mark.parametrize(("name", "shown"), [(LATIN, "caf\\xe9"), ("a\x1bb", "a\\x1bb"), ("a\x7fb", "a\\x7fb")])
def test_data_whose_path_no_spec_can_hold_are_refused_before_a_run_is_begun(tmp_path, name, shown):
    """Their run could not be evaluated and not be resumed."""
    folder = fill(tmp_path / name)
    said = f"{folder.parent}/{shown}/digits.npz"
    for command in ("check", "train"):
        done = cnncli(folder, command, "s.yaml")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[0] == (
            "s.yaml:1:17: the dataset's path must be UTF-8 without control characters, because it is saved in "
            "the run's spec; "
            f"received {said}: rename the folder or file"
        )
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("dataset", ["x" * 300, "round"])
def test_a_path_that_leads_nowhere_is_told_at_its_place(tmp_path, dataset):
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "s.yaml").write_text(SPEC.replace("digits.npz", dataset))
    done = cnncli(tmp_path, "check", "s.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("s.yaml:1:17: ")


def test_a_name_may_have_as_many_bytes_as_a_folder_of_runs_needs(tmp_path):
    fill(tmp_path)
    told = "--set name={}: name must be a plain file name of at most 200 bytes"
    for name, good in (("é" * 100, True), ("é" * 101, False), ("x" * 201, False)):
        done = cnncli(tmp_path, "check", "s.yaml", "--set", f"name={name}")
        assert done.returncode == (0 if good else 2)
        assert good or told.format(name)[:200] in done.stderr
