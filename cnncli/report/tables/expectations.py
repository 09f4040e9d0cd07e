"""Results of expectations: as text, as a JUnit report, and in the GitHub job summary."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import NamedTuple
from xml.etree import ElementTree

from cnncli.errors import CnncliError, DivergedError, ExpectationError, InterruptedRun, UsageError
from cnncli.escaping import one_line
from cnncli.hints import suggestion
from cnncli.report.terminal.figures import figure
from cnncli.report.terminal.output import echo
from cnncli.system import signals
from cnncli.system.atomic import write
from cnncli.training.metrics.expectations import Expectation

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file of Markdown that GitHub shows on a job's page."""


DONE = {"train": "trained and saved", "evaluate": "evaluated"}
ASKING = {"train": "the spec expects", "evaluate": "--expect asks for"}
"""By command, who expects something."""


class Report:
    """Reports the outcome of `cnncli COMMAND`: expectations, GitHub job summary, a JUnit report in `file`, if given.

    As a context manager it also reports the error that the command ends with. `what`: what it is done to, as far as it
    is known; `expectations`: what is expected of it; `written`: whether this process writes the report. Raises
    UsageError where there is no folder for `file`.
    """

    def __init__(self, command: str, what: str, file: Path | None, *, written: bool = True) -> None:
        if file and not file.parent.is_dir():
            raise UsageError(f"--junit {file}: there is no folder '{file.parent}' to write it in; make it first")
        self.command, self.what, self.file = command, what, file if written else None
        self.expectations: Sequence[Expectation] = ()
        self.start = perf_counter()
        self.concluded = False

    def __enter__(self) -> "Report":
        signals.undo(self._interrupted)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        signals.keep(self._interrupted)
        if isinstance(error, Exception) and not self.concluded and self.file:
            with suppress(CnncliError):  # the error that the command ends with is the one to tell
                self._write({}, error=error)

    def conclude(self, figures: Mapping[str, float], unjudged: str = "") -> None:
        """Hold the figures against what is expected, unless there is a reason not to (`unjudged`).

        Raises ExpectationError, CnncliError where something can't be written.
        """
        self.concluded = True
        if self.file:
            self._write(figures, unjudged)
        summarize(f"{self.command} {self.what}", () if unjudged else self.expectations, figures)
        if unjudged and self.expectations:
            echo(f"notice: expectations not checked: {unjudged}", err=True)
        elif not unjudged:
            judge(self.command, self.expectations, figures)

    def _interrupted(self) -> None:
        """Write the report when a signal ends the process at once."""
        if self.file:
            self._write({}, error=InterruptedRun("interrupted", 0))

    def _write(self, figures: Mapping[str, float], unjudged: str = "", error: Exception | None = None) -> None:
        assert self.file
        case = Case(f"{self.command} {self.what}", perf_counter() - self.start, error)
        file, self.file = self.file, None
        write(file, junit(f"cnncli {self.command}", case, self.expectations, figures, unjudged))


class Case(NamedTuple):
    """The test case of the command itself: its name, how many seconds it took, the error it ended with."""

    name: str
    seconds: float
    error: Exception | None = None


def judge(command: str, expectations: Sequence[Expectation], figures: Mapping[str, float]) -> None:
    """Raise ExpectationError, with each condition that is not met and its figure."""
    missed = [_missed(one, ASKING[command], figures) for one in expectations if not _holds(one, figures)]
    if missed:
        raise ExpectationError(f"{DONE[command]}, but {'; '.join(missed)}")


def _missed(one: Expectation, asking: str, figures: Mapping[str, float]) -> str:
    if one.is_trend and one.reads not in figures:
        return f"{asking} '{one}', which needs two epochs with a {one.figure}"
    if one.figure not in figures and not one.is_trend:
        known = suggestion(one.figure, figures) or f"; there are {', '.join(figures)}"
        return f"there is no figure '{one.figure}' for '{one}'{known}"
    return f"{one.missed(figures[one.reads])} and {asking} {one.condition}"


def junit(
    suite: str, case: Case, expectations: Sequence[Expectation], figures: Mapping[str, float], unjudged: str = ""
) -> bytes:
    """A JUnit report: the case of the command itself, then one for each expectation.

    Divergence is a failure, as an expectation is that is not met; any other error, such as an interruption, is an
    error. Expectations that are not judged, because of an error or for the reason `unjudged`, are skipped.
    """
    skipped = f"not reached: {case.name} failed" if case.error else unjudged
    missed = [one for one in expectations if not skipped and not _holds(one, figures)]
    failed = isinstance(case.error, DivergedError | ExpectationError)
    counts = {
        "tests": 1 + len(expectations),
        "failures": len(missed) + failed,
        "errors": int(case.error is not None and not failed),
        "skipped": len(expectations) if skipped else 0,
    }
    about = {"name": suite, **{name: str(count) for name, count in counts.items()}, "time": f"{case.seconds:.3f}"}
    root = ElementTree.Element("testsuite", about)
    properties = ElementTree.SubElement(root, "properties")
    for name, value in figures.items():
        ElementTree.SubElement(properties, "property", name=name, value=repr(value))
    element = _case(root, case.name, case.seconds)
    if case.error:
        text = _valid(str(case.error))
        attributes = {"type": type(case.error).__name__, "message": text.partition("\n")[0]}
        ElementTree.SubElement(element, "failure" if failed else "error", attributes).text = text
    for one in expectations:
        element = _case(root, str(one), 0.0)
        if skipped:
            ElementTree.SubElement(element, "skipped", message=_valid(skipped))
        elif one in missed:
            message = f"{one.reads} is {figures.get(one.reads, 'not there')}"
            ElementTree.SubElement(element, "failure", type="ExpectationError", message=message)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: ElementTree.Element, name: str, seconds: float) -> ElementTree.Element:
    about = {"classname": "cnncli", "name": one_line(name), "time": f"{seconds:.3f}"}
    return ElementTree.SubElement(suite, "testcase", about)


def _valid(text: str) -> str:
    """The text with nothing in it that XML has no place for, such as control characters; lines stay lines."""
    return "\n".join(map(one_line, text.split("\n")))


def summarize(title: str, expectations: Sequence[Expectation], figures: Mapping[str, float]) -> None:
    """Append a table of figures, and what is expected of them, to the page of GitHub's job, if this is one.

    Raises CnncliError where that can't be written.
    """
    path = os.environ.get(SUMMARY)
    if not path:
        return
    rows = [
        f"| {name} | {figure(value)} | {_verdicts(name, expectations, figures)} |" for name, value in figures.items()
    ]
    missing = [
        f"| {one.reads} | | {one.condition}: there is no such figure ❌ |"
        for one in expectations
        if one.reads not in figures
    ]
    lines = [f"### {title}", "", "| figure | value | expected |", "|---|--:|---|", *rows, *missing]
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n\n")
    except OSError as error:
        raise CnncliError(f"{path}, named by {SUMMARY}: can't be written: {error.strerror or error}") from None


def _verdicts(name: str, expectations: Sequence[Expectation], figures: Mapping[str, float]) -> str:
    own = [one for one in expectations if one.reads == name]
    return ", ".join(f"{one.condition} {'✅' if _holds(one, figures) else '❌'}" for one in own)


def _holds(one: Expectation, figures: Mapping[str, float]) -> bool:
    return one.reads in figures and one.holds(figures[one.reads])
