"""The committed page of errors is what the commands say."""

from tests.errors import page


def test_the_page_of_errors_is_what_the_commands_say():
    text = page.PAGE.read_text(encoding="utf-8")
    assert text == page.page(text), "run python -m tests.errors.page"


def test_every_error_ends_in_one_line_of_our_form():
    """A line of an error, the problems of a spec before it, or a list below it: no traceback, no other form."""
    blocks = page.PAGE.read_text(encoding="utf-8").split("\n$ ")[1:]
    for block in blocks:
        said = block.partition("\nexit code")[0]
        assert "error: " in said
        assert "a bug in cnncli" not in said
        assert "Traceback" not in said
