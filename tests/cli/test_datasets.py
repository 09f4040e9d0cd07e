"""Datasets that are downloaded, from the command line; the server is one of our own."""

import json
import subprocess
import sys

import pytest

from cnncli.datasets.sources import download
from cnncli.datasets.sources.catalogue import KNOWN
from tests.cli.test_train import child_environment, cnncli
from tests.datasets import mirror as mirrors

SPEC = """\
data: {dataset: mnist, validation_split: 0.1}
model:
  layers:
    - Conv2D: {filters: 3, kernel_size: 3, activation: relu}
    - Flatten
    - Dense: {units: UNITS, activation: softmax}
compile: {optimizer: adam, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 1, batch_size: 8}
"""


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CNNCLI_OFFLINE", raising=False)
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    (tmp_path / "bars.yaml").write_text(SPEC.replace("UNITS", "2"))
    with mirrors.serving() as served:
        yield served


@pytest.fixture
def known(mirror, monkeypatch):
    made, _ = mirrors.digits(mirror, "broken", "good")
    monkeypatch.setitem(KNOWN, "mnist", made)
    return made


def test_training_downloads_once_and_evaluation_reads_what_is_there(tmp_path, mirror, known):
    done = cnncli(tmp_path, "train", "bars.yaml", "--threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert "36 training, 4 validation, 10 test (mnist)" in done.stdout
    asked = len(mirror.asked)
    done = cnncli(tmp_path, "evaluate", "--threads", 1, "--offline", "--json")
    assert done.returncode == 0
    assert [row["name"] for row in json.loads(done.stdout)["classes"]] == ["stands", "lies"]
    assert cnncli(tmp_path, "train", "bars.yaml", "--threads", 1, "--quiet").returncode == 0
    assert len(mirror.asked) == asked


@pytest.mark.parametrize(("option", "variable"), [(["--offline"], ""), ([], "1")])
def test_offline_training_ends_in_one_line_and_makes_no_request(tmp_path, mirror, known, monkeypatch, option, variable):
    monkeypatch.setenv("CNNCLI_OFFLINE", variable)
    done = cnncli(tmp_path, "train", "bars.yaml", *option)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: mnist: ")
    assert "downloads are disabled offline" in done.stderr
    assert done.stderr.count("\n") == 1
    assert mirror.asked == []
    assert not (tmp_path / "runs").exists()


def test_offline_as_json_is_an_event(tmp_path, mirror, known):
    done = cnncli(tmp_path, "train", "bars.yaml", "--offline", "--json")
    event = json.loads(done.stdout)
    assert (event["event"], event["exit_code"]) == ("error", 1)
    assert "mnist5k" in event["message"]


def test_a_dataset_is_listed_downloaded_and_described(tmp_path, mirror, known):
    rows = {row["name"]: row for row in json.loads(cnncli(tmp_path, "datasets", "list", "--json").stdout)}
    assert list(rows) == ["mnist5k", "mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100"]
    assert (rows["mnist5k"]["here"], rows["mnist"]["here"]) == (True, False)
    done = cnncli(tmp_path, "datasets", "download", "mnist")
    assert (done.stdout, done.stderr) == (f"mnist  {download.folder(known)}\n", "")
    facts = json.loads(cnncli(tmp_path, "datasets", "info", "mnist", "--json").stdout)
    assert (facts["here"], facts["images"], facts["shape"]) == (True, {"train": 40, "test": 10}, [8, 8, 1])
    assert facts["class_names"] == ["stands", "lies"]
    assert [file["name"] for file in facts["files"]] == [file.name for file in known.files]
    text = cnncli(tmp_path, "datasets", "info", "mnist").stdout
    assert "images   40 train, 10 test, each 8 × 8 × 1" in text
    assert f"here     {download.folder(known)}" in text
    table = cnncli(tmp_path, "datasets", "list").stdout.splitlines()
    (row,) = [line.split() for line in table if line.split()[:1] == ["mnist"]]
    assert row[1:7] == ["50", "8", "×", "8", "×", "1"]
    assert row[-1] == "downloaded"


def test_a_dataset_that_is_not_known_suggests_one(tmp_path):
    done = cnncli(tmp_path, "datasets", "download", "fashion-mnist")
    assert (done.returncode, done.stderr) == (
        2,
        "error: there is no dataset 'fashion-mnist'; did you mean 'fashion_mnist'?\n",
    )


@pytest.mark.parametrize("command", ["check", "summary"])
def test_check_and_summary_need_no_download_and_no_heavy_module(tmp_path, command):
    (tmp_path / "emnist.yaml").write_text(SPEC.replace("mnist", "emnist").replace("UNITS", "47"))
    unwanted = {"numpy", "numba", "pooch", "requests"}
    code = (
        f"import sys\nfrom cnncli.cli import main\ntry:\n    main([{command!r}, 'emnist.yaml'])\n"
        f"except SystemExit as end:\n    print('ENDED', end.code, sorted({unwanted!r} & sys.modules.keys()))"
    )
    environment = {**child_environment(), "CNNCLI_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("ENDED 0 []\n")
    assert [path.name for path in tmp_path.iterdir()] == ["emnist.yaml"]


def test_a_model_with_too_few_outputs_is_told_before_anything_is_downloaded(tmp_path):
    (tmp_path / "emnist.yaml").write_text(SPEC.replace("mnist", "emnist").replace("UNITS", "46"))
    done = cnncli(tmp_path, "check", "emnist.yaml")
    assert done.returncode == 2
    assert "47" in done.stderr
