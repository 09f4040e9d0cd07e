"""Problems with the files of a data source, reported all at once."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from cnncli.errors import CnncliError
from cnncli.escaping import one_line

MOST_SHOWN = 20
MOST_CLASSES = 5
"""Classes that a line lists."""


class Problem(NamedTuple):
    """A file (or folder, or line of a table), relative to the source, and the rule it violates."""

    file: str
    rule: str

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}"


def grouped(problems: Sequence[Problem], *, all_of_it: bool = False) -> list[str]:
    """A line for each problem; one for all of a cause that has more than MOST_SHOWN, with the first as an example.

    `all_of_it`: no file can be used, so that the only such cause is that of all files.
    """
    causes = Counter(_cause(problem) for problem in problems)
    frequent = [cause for cause, count in causes.items() if count > MOST_SHOWN]
    lines: dict[str, str] = {}
    for problem in problems:
        cause = _cause(problem)
        if cause not in frequent:
            lines[f"{problem}"] = f"{problem}"
        elif cause not in lines:
            every = "all " if all_of_it and len(frequent) == 1 else ""
            what = "rows" if re.search(r":\d+$", problem.file) else "files"
            lines[cause] = f"{every}{causes[cause]:,} {what}, such as {problem.file}: {problem.rule}"
    return list(lines.values())


def _cause(problem: Problem) -> str:
    """The rule without its numbers, the files that it names and the text that was received."""
    return re.sub(r"\d+|\S+/\S+|(?<=received )'[^']*'|(?<=; )'[^']*'", "0", problem.rule)


def listed(problems: Sequence[object]) -> list[str]:
    """An indented line for each of the first problems, and the number of further ones."""
    more = len(problems) - MOST_SHOWN
    first = [f"  {one_line(str(problem))}" for problem in problems[:MOST_SHOWN]]
    return first + ([f"  and {more:,} more"] if more > 0 else [])


def few_classes(names: Sequence[str]) -> str:
    """The first classes, and how many more there are: "classes cat, dog and 3 more"."""
    more = f" and {len(names) - MOST_CLASSES:,} more" if len(names) > MOST_CLASSES else ""
    return f"class{'es' * (len(names) > 1)} {', '.join(names[:MOST_CLASSES])}{more}"


def raise_any(source: str, problems: Sequence[Problem], advice: str = "") -> None:
    """Raise CnncliError with the problems, and the advice as its last line, if there are problems."""
    if not problems:
        return
    count = len(problems)
    head = f"{source}: {count:,} problem{'s' * (count > 1)}"
    raise CnncliError(head, *listed(grouped(problems)), *([advice] if advice else []))
