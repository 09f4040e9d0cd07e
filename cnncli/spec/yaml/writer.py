"""Writes a resolved spec as readable YAML."""

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from cnncli.spec.yaml.reader import scalar_value

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_][\w./+-]*", re.ASCII)


def to_yaml(data: Mapping[str, Any]) -> str:
    """A resolved spec as YAML: sections as blocks, each layer, callback or argument in flow style."""
    lines: list[str] = []
    for key, value in data.items():
        if not isinstance(value, Mapping) or not value:
            lines.append(f"{scalar(key)}: {flow(value)}")
            continue
        lines.append(f"{scalar(key)}:")
        for inner, item in value.items():
            if isinstance(item, list) and item and isinstance(item[0], dict):
                lines.append(f"  {scalar(inner)}:")
                for entry in item:
                    lines += wrapped(_entry(entry), "    - ", "        ")
            else:
                lines += wrapped(f"{scalar(inner)}: {flow(item)}", "  ", "      ")
    return "\n".join(lines) + "\n"


def _entry(entry: dict[str, Any]) -> str:
    ((name, given),) = entry.items()
    return f"{scalar(name)}: {flow(given)}"


def wrapped(text: str, first: str, further: str) -> list[str]:
    """YAML in flow style, begun by `first` and wrapped where it is long."""
    if '"' in text or "'" in text:
        return [first + text]
    text = text.replace(": ", ":\0")  # a key and its value stay on one line
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines]


def flow(value: Any) -> str:
    """Plain data as YAML on one line: `{units: 10, activation: relu}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar value as YAML, quoted if necessary."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and isinstance(scalar_value(value), str):
        return value
    if "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in text)
