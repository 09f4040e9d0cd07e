"""Whether figures are as expected: for people, as a JUnit report, and for GitHub's page about a job."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from cnncli.atomic import write
from cnncli.errors import CnncliError, ExpectationError
from cnncli.escaping import one_line
from cnncli.report.progress import figure
from cnncli.training.expectations import Expectation

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file of Markdown that GitHub shows on a job's page."""


def conclude(
    command: str, what: str, expectations: Sequence[Expectation], figures: Mapping[str, float], report: Path | None
) -> None:
    """Hold the figures of `cnncli COMMAND` against what is expected, and leave a JUnit report in the file `report`.

    Raises ExpectationError as `judge` does; CnncliError where something can't be written.
    """
    if report is not None:
        write(report, junit(command, what, expectations, figures))
    summarize(f"{command} {what}", expectations, figures)
    judge(expectations, figures)


def judge(expectations: Sequence[Expectation], figures: Mapping[str, float]) -> None:
    """Raise ExpectationError, with every condition and its figure, where one is not met or has no figure."""
    held = {str(one): _holds(one, figures) for one in expectations}
    if not all(held.values()):
        lines = [
            f"  {one}: {figures[one.figure]:.6g}{'' if held[str(one)] else ', not met'}"
            if one.figure in figures
            else f"  {one}: there is no such figure; there are {', '.join(figures)}"
            for one in expectations
        ]
        raise ExpectationError("\n".join(["the run does not meet what is expected of it", *lines]))


def junit(command: str, what: str, expectations: Sequence[Expectation], figures: Mapping[str, float]) -> bytes:
    """A JUnit report of `cnncli COMMAND`: a test case for each expectation, or one for `what` was done itself."""
    failed = [one for one in expectations if not _holds(one, figures)]
    count = max(1, len(expectations))
    suite = ElementTree.Element("testsuite", name=f"cnncli {command}", tests=str(count), failures=str(len(failed)))
    what = one_line(what)  # a control character is none of XML's
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in figures.items():
        ElementTree.SubElement(properties, "property", name=name, value=repr(value))
    if not expectations:
        ElementTree.SubElement(suite, "testcase", classname="cnncli", name=f"{command} {what}")
    for one in expectations:
        case = ElementTree.SubElement(suite, "testcase", classname="cnncli", name=str(one))
        if one in failed:
            message = f"{one.figure} is {figures.get(one.figure, 'not there')}"
            ElementTree.SubElement(case, "failure", message=message)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"


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
        f"| {one.figure} | | {one.condition}: there is no such figure ❌ |"
        for one in expectations
        if one.figure not in figures
    ]
    lines = [f"### {title}", "", "| figure | value | expected |", "|---|--:|---|", *rows, *missing]
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n\n")
    except OSError as error:
        raise CnncliError(f"{path}, named by {SUMMARY}: can't be written: {error.strerror or error}") from None


def _verdicts(name: str, expectations: Sequence[Expectation], figures: Mapping[str, float]) -> str:
    own = [one for one in expectations if one.figure == name]
    return ", ".join(f"{one.condition} {'✅' if _holds(one, figures) else '❌'}" for one in own)


def _holds(one: Expectation, figures: Mapping[str, float]) -> bool:
    return one.figure in figures and one.holds(figures[one.figure])
