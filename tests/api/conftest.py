"""A small run, and its model."""

import pytest

import cnncli
from tests.cli.test_train import SPEC
from tests.cli.test_train import cnncli as command
from tests.training import small


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a spec, its data and a run."""
    path = tmp_path_factory.mktemp("model")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    assert command(path, "train", "bars.yaml", "--output", "run").returncode == 0
    return path


@pytest.fixture
def model(place):
    return cnncli.load(place / "run")
