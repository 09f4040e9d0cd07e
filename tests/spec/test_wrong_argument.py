"""What is said where a spec is wanted and something else was given."""

from contextlib import chdir

import pytest

from cnncli.errors import UsageError
from cnncli.spec.spec import load
from tests.datasets.photos import picture


@pytest.fixture
def folder(tmp_path):
    """Photographs, a folder of folders, specs in a folder and beside one; no configs/, as outside a checkout."""
    for name in ("cats", "dogs"):
        picture(tmp_path / "my photos" / name / "1.png")
    (tmp_path / "tree/leaf").mkdir(parents=True)
    (tmp_path / "own").mkdir()
    for name in ("own/a", "own/b", "tree"):
        (tmp_path / f"{name}.yaml").touch()
    with chdir(tmp_path):
        yield tmp_path


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("my photos/", "'my photos' is a data folder: `cnncli init --data 'my photos'` creates a spec for it"),
        ("mnist", "there is no file 'mnist'; `cnncli init mnist` creates it from the bundled spec"),
        ("unet.yaml", "there is no file 'unet.yaml'; `cnncli init unet` creates it from the bundled spec"),
        ("cifar10", "there is no file 'cifar10'; `cnncli init --data cifar10` creates a spec for this dataset"),
        ("own", "'own' is a folder; specs there: own/a.yaml, own/b.yaml"),
        ("tree", "'tree' is a folder; did you mean 'tree.yaml'?"),
        ("tree/leaf", "'tree/leaf' is a folder"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_the_command_that_was_meant_is_named_and_nothing_arbitrary(given, said):
    with pytest.raises(UsageError) as caught:
        load(given)
    assert str(caught.value).removeprefix("a spec must be a file; ") == said
