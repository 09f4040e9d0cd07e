"""Figures in lines and columns, and what the terminal can show of them."""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from math import inf

ASCII = str.maketrans("━╌│┤└┴─▁▂▃▄▅▆▇█▏▎▍▌▋▊▉", "*-||++-____####   ####") | dict.fromkeys(range(0x2801, 0x2900), "*")
"""Characters of charts and bars in ASCII: lines, blocks, and Braille, of which each is an asterisk."""


def figures_line(figures: Mapping[str, float]) -> str:
    """`loss 0.5934  accuracy 0.8300`."""
    return "  ".join(named(figures))


def figure(value: float) -> str:
    """A figure in a column, as long as those above and below it: four decimals, or where these would hide too much or
    say too much, three or four significant digits.
    """
    size = abs(value)
    if 0 < size < 0.001:
        return f"{value:.2e}"
    return f"{value:.4f}" if size < 10 else f"{value:#.4g}".rstrip(".")


def fitted(parts: Sequence[str], separator: str) -> str:
    """The parts in one line; on a terminal that is too narrow, broken between two of them."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]}{separator}{part}"
        if len(longer.rstrip()) <= columns():
            lines[-1] = longer
        else:
            lines.append(f"  {part}")
    return "\n".join(line.rstrip() for line in lines)


def named(figures: Mapping[str, float]) -> list[str]:
    """Each figure behind its name, as long as in the lines above and below."""
    return [f"{name} {figure(value):6}" for name, value in figures.items()]


def epoch_label(epoch: int, epochs: int) -> str:
    """`epoch 9/15 `: as long as the last one."""
    return f"epoch {epoch}/{epochs}".ljust(len(f"epoch {epochs}/{epochs}"))


def phase_line(first: int, last: int, trainable_parameters: int, parameters: int, rate_factor: float) -> str:
    """`epochs 2–5: all 1,290 parameters train, at 0.1 × the learning rate`."""
    epochs = f"epochs {first}–{last}" if last > first else f"epoch {first}"
    share = (
        f"{trainable_parameters:,} of {parameters:,}" if trainable_parameters < parameters else f"all {parameters:,}"
    )
    rate = f", at {rate_factor:g} × the learning rate" if rate_factor != 1 else ""
    return f"{epochs}: {share} parameters train{rate}"


def columns() -> float:
    """How long a line on standard output may be: the terminal's width; without one, any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else inf


def animated() -> bool:
    """True where bars and notices may be shown: standard error is a terminal, and NO_COLOR is not set."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured() -> bool:
    """True where standard output may have colours: it is a terminal, and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def drawable(lines: Iterable[str]) -> list[str]:
    """Lines with charts and bars as the terminal can show them: in ASCII if its encoding, or the font of the Linux
    console, has no characters for them.
    """
    if (sys.stdout.encoding or "ascii").lower().startswith("utf") and os.environ.get("TERM") != "linux":
        return list(lines)
    return [line.translate(ASCII) for line in lines]
