"""docs/training.svg, a training in a terminal of 80 columns: `python -m tests.report.screenshot` runs and draws it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from html import escape
from itertools import groupby
from pathlib import Path

from tests.report.terminal import Cell, cells

ROOT = Path(__file__).parent.parent.parent
COMMAND = "cnncli train configs/mnist.yaml"
COLUMNS = 80
EPOCH = 13
"""The picture is taken while this epoch is under way."""
WIDTH, HEIGHT, MARGIN = 8.4, 20, 16
"""Pixels of a character, of a line, and around the text."""
ABOVE, SHOW_CURSOR = "\r\x1b[1A", "\x1b[?25h"
CLASSES = {"1": "bold", "2": "dim", "32": "green"}
STYLE = """
rect { fill: #f6f8fa; stroke: #d0d7de }
text { fill: #1f2328; font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.bold { font-weight: bold } .dim { fill: #59636e } .green { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
  rect { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } .dim { fill: #9198a1 } .green { fill: #3fb950 }
}
"""


def record(folder: Path) -> str:
    """All that the command writes to a terminal. `folder`: where it leaves its run."""
    for name in ("configs", "data"):
        (folder / name).symlink_to(ROOT / name)
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, COLUMNS, 0, 0))
    command = [sys.executable, "-m", *COMMAND.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=terminal, stderr=terminal):
        os.close(terminal)
        written = b""
        try:
            while piece := os.read(master, 65536):
                written += piece
        except OSError:  # how Linux reports that nobody has the terminal open any more
            pass
    os.close(master)
    return written.decode()


def during(written: str, epoch: int) -> str:
    """What had been written before the bar of the epoch was drawn for the last time."""
    shown = written.split(SHOW_CURSOR)[:epoch]
    return SHOW_CURSOR.join([*shown[:-1], ABOVE.join(shown[-1].split(ABOVE)[:-1])])


def svg(rows: list[list[Cell]]) -> str:
    """The rows of a screen as a picture, light or dark as the reader's browser is."""
    width, height = COLUMNS * WIDTH + 2 * MARGIN, len(rows) * HEIGHT + 2 * MARGIN
    size = f'width="{width:g}" height="{height}" viewBox="0 0 {width:g} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<style>{STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1}" rx="8"/>',
    ]
    for number, row in enumerate(rows):
        lines += line(row, MARGIN + HEIGHT * (number + 0.7))
    return "\n".join([*lines, "</svg>", ""])


def line(row: list[Cell], baseline: float) -> list[str]:
    """An element for each part of a line in one style and without wide gaps, as wide as its columns in any font."""
    elements, column = [], 0
    for style, group in groupby(row, key=lambda cell: cell.style):
        text = "".join(cell.character for cell in group)
        names = " ".join(CLASSES[code] for code in style)
        opening = f'<text class="{names}"' if names else "<text"
        for part in re.finditer(r"\S+( \S+)*", text):
            place = f'x="{MARGIN + (column + part.start()) * WIDTH:g}" y="{baseline:g}"'
            elements.append(f'{opening} {place} textLength="{len(part[0]) * WIDTH:g}">{escape(part[0])}</text>')
        column += len(text)
    return elements


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as run:
        picture = during(record(Path(run)), EPOCH)
    (ROOT / "docs/training.svg").write_text(svg(cells(f"$ {COMMAND}\n{picture}")), encoding="utf-8")
