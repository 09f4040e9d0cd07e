"""Pictures in terminals: asking what a terminal can do, and the three protocols, each read back."""

import base64
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from io import BytesIO

import pytest
from PIL import Image, ImageChops

from cnncli.report.terminal import graphics

PIECE = re.compile(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])")
"""A color or its definition, a repeated sixel, a sixel, or the start of a line."""
BLACK, WHITE = "\x1b]11;rgb:1414/1717/1c1c\x1b\\", "\x1b]11;rgb:ff/ff/ff\x07"
KITTY_YES, DA1, DA1_SIXEL = "\x1b_Gi=31;OK\x1b\\", "\x1b[?62;22c", "\x1b[?62;4;22c"


def sample() -> Image.Image:
    image = Image.new("RGB", (23, 14), "white")
    image.paste((200, 0, 0), (2, 1, 9, 13))
    image.paste((0, 0, 200), (9, 5, 23, 7))
    return image


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (KITTY_YES + DA1, "kitty"),
        ("\x1b_Gi=31;ENOENT\x1b\\" + DA1, None),
        (DA1, None),
        (DA1_SIXEL, "sixel"),
        ("\x1b[?4;1c", None),
        ("", None),
        ("garbage", None),
    ],
)
def test_what_an_answer_says(answer: str, how: str | None) -> None:
    assert graphics.understood(answer) == how


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (KITTY_YES + BLACK + DA1, "Display(protocol='kitty', dark=True)"),
        (WHITE + DA1_SIXEL, "Display(protocol='sixel', dark=False)"),
        (BLACK + DA1, "None"),
        ("", "None"),
    ],
)
def test_a_terminal_is_asked_and_its_answer_is_not_left_behind(answer: str, how: str) -> None:
    """A terminal that is never heard of again gets nothing but the question."""
    code = "from cnncli.report.terminal.graphics import display; print('how', display(), flush=True)"
    shown, state = on_a_terminal(code, answer)
    assert f"how {how}" in shown.replace(graphics.QUERY, "")
    assert state == 0


def test_keys_pressed_meanwhile_are_for_who_reads_next() -> None:
    code = "from cnncli.report.terminal.graphics import display; print('how', display(), 'then', input(), flush=True)"
    shown, state = on_a_terminal(code, f"{DA1_SIXEL}ls\n")
    assert "how Display(protocol='sixel', dark=False) then ls" in shown
    assert state == 0


def test_with_keys_pressed_before_no_terminal_is_asked() -> None:
    code = "import time; time.sleep(0.3); from cnncli.report.terminal.graphics import display;"
    code += "print('how', display(), 'then', input(), flush=True)"
    shown, _ = on_a_terminal(code, "ls\n", after="")
    assert "how None then ls" in shown
    assert graphics.QUERY not in shown


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    code = "from cnncli.system import signals; signals.install();"
    code += "from cnncli.report.terminal.graphics import display; display()"
    shown, state = on_a_terminal(code, "\x03")
    assert "interrupted" in shown
    assert state == 130


def on_a_terminal(code: str, typed: str, after: str = graphics.QUERY) -> tuple[str, int]:
    """What a program shows on a terminal on which something is typed after it has shown something, and its exit code.

    It must leave the terminal's settings as they were.
    """
    begin = "import os; os.close(os.open(os.ttyname(0), os.O_RDWR));"  # makes it the terminal of the session
    master, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "TERM_PROGRAM", "TMUX"):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-c", f"{begin}{code}"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        start_new_session=True,
    ) as process:
        shown = ""
        while after not in shown:
            shown += os.read(master, 1024).decode()
        os.write(master, typed.encode())
        state = process.wait()
        assert termios.tcgetattr(terminal) == before
        os.close(terminal)
        try:
            while piece := os.read(master, 1024):
                shown += piece.decode()
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(master)
    return shown, state


def test_iterm2_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "coloured", lambda: True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM_PROGRAM", "WezTerm")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setattr(graphics, "_answer", lambda query: DA1)
    assert graphics.display() == ("iterm2", False)


def test_no_terminal_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(query: str) -> str:
        raise AssertionError("asked")

    monkeypatch.setattr(graphics, "_answer", ask)
    monkeypatch.setattr(graphics, "coloured", lambda: False)
    assert graphics.display() is None


@pytest.mark.parametrize(
    ("told", "room"), [((800, 400), (800, 400)), ((3000, 0), (1000, 1000)), ((0, 0), (1000, 1000))]
)
def test_a_picture_is_no_larger_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, told: tuple[int, int], room: tuple[int, int]
) -> None:
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, *told))
    with os.fdopen(terminal, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert graphics.room() == room
        monkeypatch.undo()
    os.close(master)


def test_kitty_and_iterm2_get_the_png() -> None:
    image = sample().resize((400, 300), Image.Resampling.BICUBIC)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", graphics.picture(image, "kitty"))
    assert [keys.endswith("m=1") for keys, _ in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[0][0].startswith("a=T,f=100")
    assert all(len(data) <= 4096 for _, data in chunks)
    inline = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+):(.*)\x07", graphics.picture(image, "iterm2"))
    assert inline is not None
    for data in ("".join(data for _, data in chunks), inline[2]):
        assert Image.open(BytesIO(base64.b64decode(data))).convert("RGB").tobytes() == image.tobytes()


def test_sixels_give_the_image_back() -> None:
    """Colors are in percent there."""
    image = sample()
    read = decoded(graphics.picture(image, "sixel"))
    difference = ImageChops.difference(read, image)
    assert max(high for _, high in difference.getextrema()) <= 2


def decoded(text: str) -> Image.Image:
    """The image of a text of sixels, by the manual."""
    inside = re.fullmatch(r"\x1bPq(.*)\x1b\\", text, re.DOTALL)
    assert inside is not None
    width, height = map(int, re.match(r'"1;1;(\d+);(\d+)', inside[1]).groups())
    image, palette = Image.new("RGB", (width, height)), {}
    x = top = color = 0
    for piece in PIECE.finditer(inside[1], inside[1].index("#")):
        number, *levels, count, repeated, single, move = piece.groups()
        if number and levels[0] is not None:
            palette[int(number)] = tuple(round(int(level) * 2.55) for level in levels)
        elif number:
            color = palette[int(number)]
        elif move:
            x, top = 0, top + 6 * (move == "-")
        else:
            bits = ord(repeated or single) - 63
            for column in range(x, x + int(count or 1)):
                for row in range(6):
                    if bits >> row & 1:
                        image.putpixel((column, top + row), color)
            x += int(count or 1)
    return image
