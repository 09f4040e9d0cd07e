"""Pictures in terminals that can show them: kitty's protocol, iTerm2's, and sixels.

A terminal is asked what it can do, so that one that can't gets no garbage: a query of kitty's protocol, one of the
background's color, then one that every terminal answers (primary device attributes, DA1), whose answer also tells of
sixels.

Sources: https://sw.kovidgoyal.net/kitty/graphics-protocol/, https://iterm2.com/documentation-images.html, and the
VT330/VT340 Programmer Reference Manual, volume 2, chapter 14.
"""

import base64
import os
import re
import select
import struct
import sys
from collections.abc import Iterator
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Literal, NamedTuple

from cnncli.report.terminal.figures import coloured
from cnncli.system import signals

if TYPE_CHECKING:
    from PIL.Image import Image

Protocol = Literal["kitty", "iterm2", "sixel"]
QUERY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b]11;?\x1b\\\x1b[c"
PATIENCE = 0.5
"""Seconds to wait for an answer: far terminals are slow, and those that never answer are rare."""
ITERM2 = ("iTerm.app", "WezTerm")
"""TERM_PROGRAM of terminals with iTerm2's protocol, which has no query of its own."""
DA1 = re.compile(r"\x1b\[\?([\d;]*)c")
"""The answer to DA1."""
CHUNK = 4096
SIXEL = 4
"""The attribute in the answer to DA1 of a terminal that shows sixels."""
COLORS = 128
LARGEST = 1000
"""Pixels on a side."""


class Display(NamedTuple):
    """How a terminal shows pictures, and whether its background is dark."""

    protocol: Protocol
    dark: bool = False


def display() -> Display | None:
    """How standard output, a terminal, shows pictures; None if it does not, or is no terminal."""
    if not (coloured() and sys.stdin.isatty()):
        return None
    answer = _answer(QUERY)
    iterm2 = os.environ.get("TERM_PROGRAM") in ITERM2 and "TMUX" not in os.environ
    how = "iterm2" if iterm2 else understood(answer)
    return Display(how, is_dark(answer)) if how else None


def room() -> tuple[int, int]:
    """Width and height in pixels that a picture may have: those of the terminal, as far as it tells them.

    xterm shows no sixels beyond LARGEST, unless its user has set maxGraphicSize.
    """
    try:
        import fcntl
        import termios

        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError, ValueError):
        return LARGEST, LARGEST
    _, _, width, height = struct.unpack("HHHH", size)
    return min(width or LARGEST, LARGEST), min(height or LARGEST, LARGEST)


def understood(answer: str) -> Protocol | None:
    """What the answer to QUERY says."""
    if re.search(r"\x1b_Gi=31;OK\x1b\\", answer):
        return "kitty"
    attributes = DA1.search(answer)
    return "sixel" if attributes and str(SIXEL) in attributes[1].split(";")[1:] else None


def is_dark(answer: str) -> bool:
    """Whether the answer to QUERY has a dark background color; not if it has none."""
    color = re.search(r"\x1b\]11;rgba?:([\da-f]+)/([\da-f]+)/([\da-f]+)", answer, re.IGNORECASE)
    return color is not None and sum(int(part, 16) / (16 ** len(part) - 1) for part in color.groups()) < 1.5


def picture(image: "Image", how: Protocol) -> str:
    """The text that makes a terminal show the image, without a line break at its end."""
    if how == "sixel":
        return sixel(image)
    content = BytesIO()
    image.save(content, "png")
    data = base64.b64encode(content.getvalue()).decode()
    if how == "iterm2":
        return f"\x1b]1337;File=inline=1;size={len(content.getvalue())}:{data}\x07"
    return "".join(_kitty(data))


def _kitty(data: str) -> Iterator[str]:
    for start in range(0, len(data), CHUNK):
        keys = "a=T,f=100," if not start else ""
        more = int(start + CHUNK < len(data))
        yield f"\x1b_G{keys}q=2,m={more};{data[start : start + CHUNK]}\x1b\\"


def sixel(image: "Image") -> str:
    """The image in bands of six rows, which each color passes over once."""
    import numpy as np

    reduced = image.convert("RGB").quantize(COLORS)
    palette = reduced.getpalette() or []
    pixels = np.asarray(reduced)
    height, width = pixels.shape
    used = np.unique(pixels).tolist()
    colors = (
        "#{};2;{};{};{}".format(number, *(round(level / 2.55) for level in palette[3 * number : 3 * number + 3]))
        for number in used
    )
    parts = [f'\x1bPq"1;1;{width};{height}', *colors]
    weights = (1 << np.arange(6))[:, None]
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        rows = []
        for number in np.unique(band).tolist():
            bits = ((band == number) * weights[: len(band)]).sum(0) + 63
            rows.append(f"#{number}{_compressed(bytes(bits.astype(np.uint8)).decode())}")
        parts.append("$".join(rows) + "-")
    return "".join([*parts, "\x1b\\"])


def _compressed(text: str) -> str:
    """Repetitions of a character as !count."""
    return re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", text)


def _answer(query: str) -> str:
    """What the terminal answers to a query that ends with DA1; empty if it says nothing in time.

    If keys have been pressed already, it is not asked, as they could not be told from an answer.
    """
    try:
        import termios
        import tty
    except ImportError:
        return ""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        before = termios.tcgetattr(terminal)
        answer = ""
        with signals.undoing(lambda: termios.tcsetattr(terminal, termios.TCSAFLUSH, before)):
            try:
                tty.setcbreak(terminal, termios.TCSADRAIN)
                if not select.select([terminal], [], [], 0)[0]:
                    os.write(terminal, query.encode())
                    answer = _read(terminal)
            finally:  # what comes after half an answer is the other half, and else what the user typed
                flushed = answer and not DA1.search(answer)
                termios.tcsetattr(terminal, termios.TCSAFLUSH if flushed else termios.TCSADRAIN, before)
        return answer
    except (OSError, termios.error):
        return ""
    finally:
        os.close(terminal)


def _read(terminal: int) -> str:
    """Read up to the answer to DA1, for at most PATIENCE."""
    answer, end = "", monotonic() + PATIENCE
    while (left := end - monotonic()) > 0 and not DA1.search(answer):
        if not select.select([terminal], [], [], left)[0]:
            break
        answer += os.read(terminal, 1).decode("latin-1")  # one by one: what follows is not for us
    return answer
