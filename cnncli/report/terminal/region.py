"""Lines at the end of standard error on a terminal that are updated in place and finally removed."""

import os
import sys
from collections.abc import Sequence

from cnncli.report.terminal.figures import drawable
from cnncli.system import signals

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ERASE_REST_OF_LINE, ERASE_BELOW = "\x1b[K", "\x1b[J"


class Region:
    """Shows lines in the place of those before. Only for a terminal."""

    def __init__(self) -> None:
        self.height = 0

    @property
    def width(self) -> int:
        """How long a line may be. The last column stays free: some terminals break a line that reaches it."""
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns - 1
        except OSError:
            return 79

    def show(self, lines: Sequence[str]) -> None:
        """Show lines, none longer than `width`. What changes is overwritten in one go, so that nothing flickers."""
        if not self.height:
            signals.undo(self._take_away)
        start = self._start() if self.height else HIDE_CURSOR
        sys.stderr.write(start + f"{ERASE_REST_OF_LINE}\n".join(drawable(lines)) + ERASE_BELOW)
        sys.stderr.flush()
        self.height = len(lines)

    def close(self) -> None:
        """Remove the lines; later output replaces them."""
        if self.height:
            sys.stderr.write(self._start() + ERASE_BELOW + SHOW_CURSOR)
            sys.stderr.flush()
            self.height = 0
            signals.keep(self._take_away)

    def _take_away(self) -> None:
        signals.write(self._start() + ERASE_BELOW + SHOW_CURSOR)

    def _start(self) -> str:
        """To the first character of the first line."""
        return "\r" + (f"\x1b[{self.height - 1}A" if self.height > 1 else "")
