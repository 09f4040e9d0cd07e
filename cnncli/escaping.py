"""Escaping of untrusted text for output: terminal control and text-direction characters.

Names of classes and files and metadata of models are untrusted. C0 and C1 control characters and DEL, the marks and
overrides of writing direction, line separators, characters that can't be seen, and the halves of surrogate pairs that
stand for bytes of names that are not UTF-8 become \\x1b, \\u202e and the like. This module imports nothing of cnncli.
"""

import json
import re
from typing import Any

_DIRECTIONS = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_INVISIBLE = "\u200b\u2060-\u2065\ufeff\ufff9-\ufffb"
"""Zero-width characters, except joiners, which some scripts need."""
_OTHERS = f"\x7f-\x9f{_DIRECTIONS}{_INVISIBLE}\ud800-\udfff"
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f{_OTHERS}]")
_UNSAFE_IN_LINE = re.compile(f"[\x00-\x1f{_OTHERS}]")
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def printable(text: str) -> str:
    """Escape the text, keeping line breaks and tabs."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Escape the text, including line breaks and tabs: for table cells and names in messages."""
    return _UNSAFE_IN_LINE.sub(_escape, text)


def json_line(value: Any, **options: Any) -> str:
    """The value as JSON, with the same characters escaped in JSON syntax."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def control_character(text: str) -> str:
    """The first control character (Unicode's Cc) of a text other than line breaks and tabs; empty if none."""
    found = re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    return found[0] if found else ""


def _escape(found: "re.Match[str]") -> str:
    character = found[0]
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a non-UTF-8 byte of a file name (surrogateescape)
        return f"\\x{ord(character) - 0xDC00:02x}"
    short = f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
    return _SHORT.get(character, short)
