"""docs/api.md is made from docstrings, and its example runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cnncli
from cnncli.api.page import page
from tests.cli.test_train import child_environment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")


def test_the_page_is_made_from_the_docstrings():
    assert page() + "\n" == PAGE, "python -m cnncli.api.page > docs/api.md"


def test_every_public_name_is_on_the_page():
    assert all(f"`{name}`" in PAGE or f"`cnncli.{name}`" in PAGE for name in cnncli.__all__)
    assert all(getattr(cnncli, name) is not None for name in cnncli.__all__)
    assert set(cnncli.__all__) <= set(dir(cnncli))


def test_the_example_runs(tmp_path):
    for name in ("configs", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    example = re.search(r"^```python\n(import cnncli\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={**os.environ, **child_environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "unknown layer 'Flaten'" in done.stdout
    assert done.stderr == ""
