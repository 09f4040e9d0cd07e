"""docs/errors.md: what commands that go wrong say. `python -m tests.errors.page` runs them anew and writes it.

The page is its own list: a line `$ cnncli …` in it is a command, which is run in the folder that `folder.fill` makes;
below it stands what it says on standard error, and its exit code. Between the marks stands a row for each mistake of
tests/spec/mistakes.txt. To add a command, write its line and make the page anew.
"""

import io
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from unittest.mock import patch

from cnncli.cli import main
from cnncli.errors import SpecError
from cnncli.spec.spec import parse
from tests.errors import folder
from tests.spec.test_mistakes import cases

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
ROWS = re.compile(r"(?<=<!-- mistakes -->\n).*(?=<!-- end -->)", re.DOTALL)
HOME = "…"
USED = "8000"
"""Stands for the number of a port that is in use."""


def page(text: str) -> str:
    """The page with what its commands say now."""
    with TemporaryDirectory() as temporary, chdir(temporary), patch.dict(os.environ):
        place = Path(temporary).resolve()
        folder.fill(place, ROOT / "configs")
        said = run(f"cnncli train mine.yaml --epochs 0 --output {folder.RUN}", place)
        assert said == "exit code 0\n", said
        folder.fill_from_run(place)
        with create_server(("127.0.0.1", 0)) as server:
            lines = list(_answered(text.splitlines(), place, server.getsockname()[1]))
    return ROWS.sub(lambda _: "\n".join(_rows()) + "\n", "\n".join(lines) + "\n")


def run(line: str, place: Path, port: int = 0) -> str:
    """What a command line, after its variables, says on standard error, and its exit code. `port`: one in use."""
    words = shlex.split(line.replace(USED, str(port)))
    start = words.index("cnncli")
    errors = io.StringIO()
    with (
        patch.dict(os.environ, [word.split("=", 1) for word in words[:start]]),
        redirect_stderr(errors),
        redirect_stdout(io.StringIO()),
    ):
        try:
            main(words[start + 1 :], prog_name="cnncli")
        except SystemExit as done:
            code = done.code
    said = errors.getvalue().replace(str(place), HOME)
    said = said.replace(str(port), USED) if USED in line else said
    said = re.sub(r"(?<=process may use )[\d.,]+ .B", "16.0 GB", said)
    return f"{said}exit code {code}\n"


def _answered(lines: list[str], place: Path, port: int) -> Iterator[str]:
    """The lines, with what is said below each command in the place of what was said before."""
    answering = False
    for line in lines:
        if line.startswith("$ "):
            answering = True
            yield line
            yield from run(line[2:], place, port).splitlines()
        elif line.startswith("```") or not answering:
            answering = False
            yield line
        elif not line:
            yield line


def _rows() -> Iterator[str]:
    """Rows of a table: the line of a spec that is wrong, and what is said of it."""
    yield from ("| line | what it says |", "|---|---|")
    told = dict.fromkeys(row for text, _ in cases() for row in _problems(text))
    yield from (f"| {line} | {message} |" for line, message in told)


def _problems(text: str) -> Iterator[tuple[str, str]]:
    try:
        parse(text, "f.yaml")
    except SpecError as error:
        for problem in error.problems:
            first, *source = problem.splitlines()
            yield _code(source[0] if source else ""), _escaped(first.split(": ", 1)[1])


def _code(line: str) -> str:
    return f"`` {_escaped(line.strip())} ``" if line.strip() else ""


def _escaped(text: str) -> str:
    """Fit for a table's cell; of the longest lists, which grow with the vocabulary, the beginning."""
    shortened = re.sub(r"((\w+, ){4})(\w+, ){4,}\w+", r"\1…", text)
    return shortened.replace("|", "\\|").replace("\t", "→")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
