"""The committed reference page is the one the code makes."""

from pathlib import Path

from cnncli.report.pages import reference


def test_the_reference_page_is_current():
    committed = Path(__file__).parent.parent.parent / "docs" / "reference.md"
    assert committed.read_text(encoding="utf-8") == reference.page(), "run python -m cnncli.report.pages.reference"


def test_every_layer_key_is_on_the_page_with_its_default():
    page = reference.page()
    assert "| `kernel_initializer` | `glorot_uniform` |" in page
    assert "| `filters` | required |" in page
    assert "| `pool_size` | `[2, 2]` |" in page
