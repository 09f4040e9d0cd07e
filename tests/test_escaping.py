"""Texts from files as they are shown."""

import json

import pytest

from cnncli.escaping import control_character, json_line, one_line, printable

CASES = [
    ("plain · ×8 é 漢字 🙂", "plain · ×8 é 漢字 🙂"),
    ("q\x1b]0;PWN\x07", "q\\x1b]0;PWN\\x07"),
    ("\x00\x08\x7f\x85\x9b31m", "\\x00\\x08\\x7f\\x85\\x9b31m"),
    ("a\rb", "a\\rb"),
    ("evil\u202egpj.exe\u2066", "evil\\u202egpj.exe\\u2066"),
    ("line\u2028separator", "line\\u2028separator"),
    ("in\u200bvisible\ufeff", "in\\u200bvisible\\ufeff"),
    ("می\u200cخواهم 👩\u200d🚀", "می\u200cخواهم 👩\u200d🚀"),
    (b"caf\xe9.png".decode("utf-8", "surrogateescape"), "caf\\xe9.png"),
    ("half \ud800", "half \\ud800"),
]


@pytest.mark.parametrize(("text", "shown"), CASES)
def test_what_would_steer_a_terminal_is_escaped(text, shown):
    assert printable(text) == one_line(text) == shown
    assert printable(shown) == shown


def test_line_breaks_and_tabs_stay_in_texts_of_several_lines_alone():
    assert printable("a\tb\nc") == "a\tb\nc"
    assert one_line("a\tb\nc") == "a\\tb\\nc"


@pytest.mark.parametrize(("text", "shown"), CASES)
def test_json_is_safe_to_print_and_says_the_same(text, shown):
    line = json_line({text: [text]})
    assert json.loads(line) == {text: [text]}
    assert printable(line) == line


@pytest.mark.parametrize(("text", "found"), [("a b", ""), ("a\n\tb", ""), ("\x85", "\x85"), ("x\0", "\0")])
def test_a_control_character_is_found(text, found):
    assert control_character(text) == found
