"""What lies beside data, or among it, and is none: documents, and what tools leave behind, stop nothing."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe
from cnncli.datasets.section import DataSection
from tests.datasets.photos import classes, picture, table


def split(root):
    for name in ("train", "val"):
        classes(root / name)
    return root


def listed(root):
    root.mkdir()
    return table(root, "file,label\n" + "".join(f"{name}.png,{'xy'[i % 2]}\n" for i, name in enumerate("abcdef")))


def masked(root):
    (root / "masks").mkdir(parents=True)
    for i in range(4):
        picture(root / f"images/{i}.png", colour=(i * 9, 3, 4))
        Image.fromarray(np.full((6, 4), i % 2, np.uint8)).save(root / f"masks/{i}.png")
    return root


SOURCES = {
    "class folders": (classes, "labels", ("", "cats")),
    "split folders": (split, "labels", ("", "train", "train/cats")),
    "a table": (listed, "labels", ("",)),
    "masks": (masked, "masks", ("", "images", "masks")),
    "images alone": (classes, "input", ("", "cats")),
}
JUNK = (
    *("docs/readme.md", "docs/en/manual.pdf", "Documentation/index.html", "scripts/split.py", "code/train.ipynb"),
    *(".git/config", ".git/logo.png", ".cache/1/thumb.png", "__MACOSX/train/cats/._00.png", "._00.png"),
    *(".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"),
)
PLACES = [(source, folder) for source, (_, _, folders) in SOURCES.items() for folder in folders]


@pytest.mark.parametrize(("source", "folder"), PLACES, ids=[f"{source} {folder}" for source, folder in PLACES])
def test_what_is_no_data_stops_nothing(tmp_path, source, folder):
    make, targets, _ = SOURCES[source]
    data = DataSection(dataset=str(make(tmp_path / "own")), targets=targets)
    before = describe(data, tmp_path)
    for junk in JUNK:
        path = tmp_path / "own" / folder / junk
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
        assert describe(data, tmp_path) == before, junk


def test_pictures_of_a_folder_called_like_documents_are_not_left_out(tmp_path):
    root = classes(tmp_path / "own", ("code", "docs"))
    assert describe(DataSection(dataset=str(root)), tmp_path).names == ("code", "docs")
