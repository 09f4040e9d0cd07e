"""C99 as text: numbers, arrays, names, comments, loops, and the functions of `c_functions.c`."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from math import inf, isfinite, prod
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np

from cnncli.escaping import one_line
from cnncli.ops.ir import Shape

Array = np.ndarray[Any, Any]
FUNCTIONS = Path(__file__).with_name("c_functions.c")
WIDTH = 120
IN_LINE = {"float": 6, "int32_t": 9, "int8_t": 18, "uint8_t": 18}
"""Numbers of an array in a line."""


def identifier(text: str) -> str:
    """A text as a name, or as a part of one."""
    return re.sub(r"\W", "_", text, flags=re.ASCII)


def comment(text: str) -> str:
    """A text, which may be anybody's, within a comment: ASCII without what begins or ends one."""
    return re.sub(r"\*/|/\*|\?\?|\\|[^ -~]", "_", one_line(text))


def string(text: str) -> str:
    """A literal of a text, in UTF-8."""
    parts = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(parts)}"'


def number(value: float) -> str:
    """A float32 as people read it: 0.2f."""
    if isfinite(value):
        return f"{np.float32(value)!s}f"
    return {inf: "INFINITY", -inf: "-INFINITY"}.get(value, "NAN")


def exact(value: float) -> str:
    """A float32 to the bit: 0x1.99999ap-3f."""
    if not isfinite(value):
        return number(value)
    mantissa, _, exponent = value.hex().partition("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}f"


def array(name: str, values: Array, about: str) -> str:
    """The definition of a constant array: float32 or integers."""
    kind = "float" if values.dtype.kind == "f" else f"{values.dtype.name}_t"
    literals = list(map(exact if kind == "float" else str, values.ravel().tolist()))
    count = IN_LINE[kind]
    body = ",\n".join(f"    {', '.join(literals[k : k + count])}" for k in range(0, len(literals), count))
    return f"static const {kind} {name}[{values.size}] = {{ /* {about} */\n{body}\n}};"


def size(shape: Shape) -> str:
    """A shape for people: 28 x 28 x 1."""
    return " x ".join(map(str, shape)) or "1"


def image(shape: Shape) -> str:
    """An `Image`."""
    return f"(Image){{{', '.join(map(str, shape))}}}"


def steps(shape: Shape, of: Shape) -> list[int]:
    """How far apart the neighbors along each axis are in memory, of what has a shape and is broadcast to another."""
    padded = (1,) * (len(of) - len(shape)) + tuple(shape)
    return [0 if length == 1 else prod(padded[axis + 1 :]) for axis, length in enumerate(padded)]


class Nest:
    """Loops over axes, for operands with a step along each; axes that no operand tells apart are one loop."""

    def __init__(self, shape: Shape, *operands: Sequence[int], names: str = "ijklmn") -> None:
        axes = [[length, *own] for length, *own in zip(shape, *operands, strict=True) if length > 1]
        merged: list[list[int]] = []
        for axis in axes:
            if merged and all(before == axis[0] * after for before, after in pairwise_steps(merged[-1], axis)):
                merged[-1] = [merged[-1][0] * axis[0], *axis[1:]]
            else:
                merged.append(axis)
        self.axes, self.names = merged, names[: len(merged)]

    def place(self, operand: int) -> str:
        """The place of an element of an operand: i * 64 + j."""
        terms = [
            name if axis[operand + 1] == 1 else f"{name} * {axis[operand + 1]}"
            for name, axis in zip(self.names, self.axes, strict=True)
            if axis[operand + 1]
        ]
        return " + ".join(terms) or "0"

    def around(self, body: Sequence[str]) -> list[str]:
        """The loops around statements."""
        lines = list(body)
        for name, (length, *_) in reversed(list(zip(self.names, self.axes, strict=True))):
            braces = len(lines) > 1 and not lines[0].startswith("for")
            head = f"for (int {name} = 0; {name} < {length}; {name}++)"
            lines = [f"{head} {{" if braces else head, *indented(lines), *(["}"] if braces else [])]
        return lines


def pairwise_steps(before: Sequence[int], after: Sequence[int]) -> Iterable[tuple[int, int]]:
    """The steps of each operand along two axes."""
    return zip(before[1:], after[1:], strict=True)


def indented(lines: Iterable[str]) -> list[str]:
    """Lines one level deeper."""
    return [indent(line, "    ") for line in lines]


@cache
def _functions() -> dict[str, str]:
    """The types and functions of the file, by name."""
    parts = FUNCTIONS.read_text().rstrip().split("\n\n")[2:]
    found = (re.search(r"^typedef .*\} (\w+);$|^static [^(]*?(\w+)\(", part, re.M) for part in parts)
    return {name[1] or name[2] + "(": part for name, part in zip(found, parts, strict=True) if name}


def functions(code: str) -> str:
    """The types and functions that code uses, and those that they use, in the order of the file."""
    known, wanted = _functions(), set[str]()
    texts = [code]
    while texts:
        new = known.keys() & set(re.findall(r"\w+\(?", texts.pop())) - wanted
        wanted |= new
        texts += [known[name] for name in new]
    return "\n\n".join(part for name, part in known.items() if name in wanted)
