"""Every layout of docs/layouts.md: what is said of it, and what a network learns from it."""

import pytest

from tests.cli.test_train import cnncli
from tests.layouts.gallery import LAYOUTS
from tests.layouts.page import ROOT, SPEC, page, written


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("layout", LAYOUTS, ids=[layout.name for layout in LAYOUTS])
def test_the_spec_that_init_writes_for_a_layout_trains(layout, tmp_path):
    written(layout, tmp_path)
    expected = f"expect.{layout.split}_{layout.metric}=>= {layout.least}"
    done = cnncli(tmp_path, "train", SPEC, "--output", "run", "--set", f"fit.epochs={layout.epochs}", "--set", expected)
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_page_and_its_pictures_are_those_of_the_layouts():
    made = page()
    stale = [str(path.relative_to(ROOT)) for path, text in made.items() if path.read_bytes() != text]
    assert stale == [], "python -m tests.layouts.page writes them"
    shown = {path.name for path in (ROOT / "docs" / "pictures" / "layouts").iterdir()}
    assert shown == {path.name for path in made if path.suffix == ".svg"}
