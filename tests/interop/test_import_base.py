"""`init --base`: the body of an imported network, with its weights, below a new last layer."""

from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.cli import main
from cnncli.errors import UsageError
from cnncli.interop.incoming.body import body
from cnncli.spec.spec import load, parse
from tests.cli.test_folders import noise

pytest.importorskip("h5py", reason="needs h5py")
ARCHIVES = Path(__file__).parent.parent / "fixtures" / "archives"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with photos; its exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    noise(tmp_path / "photos")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return run


def test_init_writes_the_body_of_a_file_with_a_new_last_layer_that_trains(run, tmp_path):
    code, said = run("init", "--data", "photos", "--base", str(ARCHIVES / "digits.keras"))
    assert code == 0, said
    assert "photos.yaml: digits-based network for 28 × 28 × 1" in said
    spec = load(tmp_path / "photos.yaml")
    *kept, _, last = spec.model.nodes
    assert [node.name for node in kept] == ["conv2d", "max_pooling2d", "conv2d_1", "max_pooling2d_1", "flatten"]
    assert (last.name, last.layer.units, last.layer.activation.name) == ("head", 3, "softmax")
    assert (spec.data.color_mode, spec.data.image_size) == ("grayscale", (28, 28))
    assert [len(phase.model.nodes) for phase in spec.phases] == [7, 7]
    frozen = ("init", "--data", "photos", "--base", "photos.base", "--freeze", "-o", "frozen.yaml")
    assert run(*frozen)[0] == 0
    code, said = run("train", "frozen.yaml", "--epochs", "1", "-o", "run")
    assert code == 0, said
    before, after = (cnncli.load(tmp_path / name).weights() for name in ("photos.base", "run"))
    assert np.array_equal(before["conv2d/kernel"], after["conv2d/kernel"])
    assert "dense/kernel" not in after
    assert after["head/kernel"].shape == (400, 3)


def test_init_refuses_what_no_network_can_begin_with(run, tmp_path):
    base = str(ARCHIVES / "digits.keras")
    for arguments, why in (
        (("--base", base), "--base needs --data"),
        (("--data", "photos", "--freeze"), "--freeze needs --base"),
        (("--data", "photos", "--base", base, "--model", "resnet20"), "--base takes the place of --model"),
        (("--data", "photos", "--base", "photos"), "'photos' is no run with a model"),
        (("--data", "photos", "--base", "none.keras"), "there is no file 'none.keras'"),
        (("--data", "photos", "--base", str(ARCHIVES / "refused.keras")), "layers can't be imported"),
    ):
        code, said = run("init", *arguments)
        assert code == 2, said
        assert why in said
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_network_of_one_layer_has_no_body():
    spec = parse(
        "data: {dataset: {synthetic: {classes: 3}}}\n"
        "model: {input_shape: [8, 8, 3], layers: [{Conv2D: {filters: 3, kernel_size: 8}}, Flatten]}\n"
        "compile: {optimizer: adam, loss: categorical_crossentropy}\nfit: {epochs: 1}\n",
        "spec.yaml",
        check_data=False,
    )
    with pytest.raises(UsageError, match="must have layers before its last one"):
        body(spec.model)
