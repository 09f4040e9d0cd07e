"""What `train`, `evaluate` and `check` leave for the machinery that runs them."""

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from cnncli.report.tables.expectations import Report
from tests.cli.test_train import SPEC, child_environment, cnncli, interrupted
from tests.training import small

EXPECT = 'expect:\n  test_accuracy: "<= 1"\n  val_loss: "< 0"\n'


@pytest.fixture
def folder(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC + EXPECT)
    return tmp_path


@pytest.fixture
def _github(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))


def report(folder, tests, **counts):
    """The suite of report.xml, whose counts are those given (else 0) and those of its cases; each has its time."""
    suite = ElementTree.parse(folder / "report.xml").getroot()
    found = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    assert found == {"tests": tests, "failures": 0, "errors": 0, "skipped": 0, **counts}
    cases = list(suite.iter("testcase"))
    kinds = [child.tag for case in cases for child in case]
    plural = {"failure": "failures", "error": "errors", "skipped": "skipped"}
    assert {plural[kind]: kinds.count(kind) for kind in kinds} == counts
    assert len(cases) == tests
    times = [float(case.get("time")) for case in cases]
    assert float(suite.get("time")) == pytest.approx(sum(times))
    assert times[0] > 0 or suite.get("name") == "cnncli evaluate"
    return suite


def commands(text):
    """The workflow commands among lines."""
    return [line for line in text.splitlines() if line.startswith("::")]


def test_each_expectation_of_a_training_is_a_case_of_its_junit_report(folder):
    done = cnncli(folder, "train", "bars.yaml", "--junit", "report.xml")
    assert done.returncode == 4
    suite = report(folder, tests=3, failures=1)
    cases = {case.get("name"): case.find("failure") is not None for case in suite.iter("testcase")}
    assert cases == {"train bars": False, "test_accuracy <= 1.0": False, "val_loss < 0.0": True}
    assert {one.get("name") for one in suite.iter("property")} == {
        f"{prefix}{name}" for prefix in ("", "val_", "test_") for name in ("loss", "accuracy")
    }


def test_expectations_that_are_not_judged_are_skipped_cases_with_the_reason(folder):
    done = cnncli(folder, "train", "bars.yaml", "--epochs", 1, "--junit", "report.xml")
    assert done.returncode == 0
    suite = report(folder, tests=3, skipped=2)
    reasons = {skipped.get("message") for skipped in suite.iter("skipped")}
    assert reasons == {"the run has 1 epoch, the spec asks for 2"}


GATES = """\
expect:
  loss: decreasing
  val_loss: increasing
  epoch_seconds: "< 100"
  images_per_second: "> 1e9"
  parameters: "== 86"
  peak_memory: "< 1 MB"
"""


def test_time_memory_parameters_and_trends_are_expected_like_metrics(folder):
    (folder / "bars.yaml").write_text(SPEC + GATES)
    done = cnncli(folder, "train", "bars.yaml", "--junit", "report.xml", "-o", "run")
    assert done.returncode == 4
    suite = report(folder, tests=7, failures=3)
    cases = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert cases == ["val_loss increasing", "images_per_second > 1000000000.0", "peak_memory < 1.0 MB"]
    found = {one.get("name"): float(one.get("value")) for one in suite.iter("property")}
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    assert found["loss_change"] == lines[1]["loss"] - lines[0]["loss"] < 0
    assert found["epoch_seconds"] == pytest.approx((lines[0]["seconds"] + lines[1]["seconds"]) / 2)
    assert found["images_per_second"] == pytest.approx(45 / found["epoch_seconds"])
    assert 20e6 < found["peak_memory"] < 100e9
    change = lines[1]["val_loss"] - lines[0]["val_loss"]
    assert f"the last val_loss is the first − {abs(change):.6g} and the spec expects increasing; " in done.stderr
    assert re.search(r"peak_memory is [\d.,]+ .B and the spec expects < 1.0 MB\n", done.stderr)


def test_a_trend_over_a_single_value_is_not_met(folder):
    (folder / "bars.yaml").write_text(SPEC.replace("epochs: 2", "epochs: 1") + "expect: {loss: decreasing}\n")
    done = cnncli(folder, "train", "bars.yaml")
    assert done.returncode == 4
    assert "the spec expects 'loss decreasing', which needs two epochs with a loss\n" in done.stderr


def test_an_interrupted_training_is_an_error_that_says_how_to_resume(folder):
    code, _ = interrupted(folder, "bars.yaml", "--epochs", "10000", "--junit", "report.xml")
    assert code == 130
    suite = report(folder, tests=3, errors=1, skipped=2)
    (error,) = suite.iter("error")
    assert error.get("type") == "InterruptedRun"
    assert "everything is saved. To resume: cnncli train --resume" in error.text


def test_a_signal_that_ends_the_process_at_once_leaves_a_report(folder):
    code = (
        "from cnncli.system import signals; signals.install()\n"
        "import os; from pathlib import Path; from cnncli.report.tables.expectations import Report\n"
        "with Report('train', 'bars', Path('report.xml')): os.kill(os.getpid(), 15)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=child_environment(), check=False)
    assert done.returncode == 143
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert [error.get("type") for error in suite.iter("error")] == ["InterruptedRun"]


def test_an_error_that_nobody_foresaw_is_an_error_of_the_report(folder):
    with pytest.raises(ZeroDivisionError), Report("train", "bars", folder / "report.xml"):
        raise ZeroDivisionError("no\x00thing")
    (error,) = ElementTree.parse(folder / "report.xml").getroot().iter("error")
    assert (error.get("type"), error.text) == ("ZeroDivisionError", "no\\x00thing")


def test_divergence_is_a_failure_and_what_was_expected_is_skipped(folder):
    diverging = "compile.optimizer={SGD: {learning_rate: 1e30}}"
    done = cnncli(folder, "train", "bars.yaml", "--set", diverging, "--junit", "report.xml")
    assert done.returncode == 3
    suite = report(folder, tests=3, failures=1, skipped=2)
    (failure,) = suite.iter("failure")
    assert failure.get("type") == "DivergedError"
    assert f"error: {failure.text}\n" == done.stderr
    assert {skipped.get("message") for skipped in suite.iter("skipped")} == {"not reached: train bars failed"}


@pytest.mark.parametrize(
    ("spec", "code", "kind", "text"),
    [
        (SPEC.replace("filters", "fil\x85tres"), 2, "SpecError", "fil"),
        (SPEC.replace("filters", "filtres").replace("epochs: 2", "epochs: <&"), 2, "SpecError", "epochs: <&"),
        (SPEC.replace("bars.npz", "no.npz"), 2, "SpecError", "no.npz"),
        (SPEC.replace("units: 2", "units: 1").replace("softmax", "sigmoid"), 2, "SpecError", "units"),
    ],
)
def test_an_error_of_the_spec_is_an_error_with_all_its_lines(folder, spec, code, kind, text):
    (folder / "bars.yaml").write_text(spec, encoding="utf-8")
    done = cnncli(folder, "train", "bars.yaml", "--junit", "report.xml")
    assert done.returncode == code
    suite = report(folder, tests=1, errors=1)
    (error,) = suite.iter("error")
    assert error.get("type") == kind
    assert text in error.text
    assert done.stderr.startswith(error.text)


def test_an_evaluation_of_no_model_is_an_error(folder):
    assert cnncli(folder, "evaluate", "nothing", "--expect", "loss < 1", "--junit", "report.xml").returncode == 2
    suite = report(folder, tests=2, errors=1, skipped=1)
    assert [error.get("type") for error in suite.iter("error")] == ["UsageError"]


def test_a_training_of_which_nothing_is_expected_is_one_case(folder):
    (folder / "bars.yaml").write_text(SPEC)
    assert cnncli(folder, "train", "bars.yaml", "--epochs", 1, "--junit", "report.xml").returncode == 0
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert [case.get("name") for case in suite.iter("testcase")] == ["train bars"]


def test_a_dry_run_has_nothing_to_report(folder):
    done = cnncli(folder, "train", "bars.yaml", "--dry-run", "--junit", "report.xml")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --junit reports the result of a training; it can't be used with --dry-run\n",
    )


def test_a_report_that_could_not_be_written_is_told_before_the_training(folder):
    done = cnncli(folder, "train", "bars.yaml", "--junit", "reports/bars.xml")
    told = "error: --junit reports/bars.xml: there is no folder 'reports' to write it in; make it first\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


DOUBTFUL = "warning: categorical_crossentropy expects probabilities"


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_warning_is_told_with_its_place_and_changes_nothing(folder, command):
    (folder / "bars.yaml").write_text(SPEC.replace("softmax", "linear"))
    done = cnncli(folder, command, "bars.yaml", *(["--epochs", 0] if command == "train" else []))
    told, source, mark = done.stderr.splitlines()[:3]
    assert (done.returncode, told.partition(": w")[0]) == (0, "bars.yaml:11:7")
    assert DOUBTFUL in told
    assert (source.strip(), mark.index("^")) == ("- Dense: {units: 2, activation: linear}", 8)
    assert "::" not in done.stderr


def test_a_warning_is_among_the_facts_of_check(folder):
    (folder / "bars.yaml").write_text(SPEC.replace("softmax", "linear"))
    done = cnncli(folder, "check", "bars.yaml", "--json")
    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr, facts["ok"], facts["problems"]) == (0, "", True, [])
    assert [DOUBTFUL in warning for warning in facts["warnings"]] == [True]


@pytest.mark.usefixtures("_github")
def test_github_shows_each_warning_of_a_spec_at_its_place(folder):
    (folder / "bars.yaml").write_text(SPEC.replace("softmax", "linear"))
    (command,) = commands(cnncli(folder, "check", "bars.yaml").stderr)
    assert command.startswith("::warning file=bars.yaml,line=11,col=7::categorical_crossentropy expects probabilities")


def test_doubtful_data_are_told_before_the_training(folder):
    augmented = SPEC.replace("model:", "  augment: [RandomBrightness: {factor: 0.2}]\nmodel:")
    (folder / "bars.yaml").write_text(augmented)
    told = cnncli(folder, "train", "bars.yaml", "--epochs", 0).stderr
    assert told.startswith("warning: RandomBrightness takes images for numbers from 0 to 255; those of ")
    assert told.endswith(" are from 7.37e-05 to 2.498: say `value_range: [7.37e-05, 2.498]`\n")


@pytest.mark.usefixtures("_github")
@pytest.mark.parametrize("command", ["check", "train"])
def test_github_shows_each_problem_of_a_spec_at_its_place(folder, command):
    (folder / "100%,a:b.yaml").write_text(SPEC.replace("filters", "filtres").replace("epochs: 2", "epochs: -1"))
    done = cnncli(folder, command, "100%,a:b.yaml", "--set", "fit.batch_size=none")
    assert done.returncode == 2
    place = "file=100%25%2Ca%3Ab.yaml,line="
    assert commands(done.stderr) == [
        f"::error {place}8,col=7::Conv2D requires 'filters': an integer ≥ 1",
        f"::error {place}8,col=16::unknown key 'filtres' in Conv2D; did you mean 'filters'?",
        f"::error {place}17,col=11::epochs must be an integer ≥ 0; received -1",
        "::error::--set fit.batch_size=none: batch_size must be an integer ≥ 1; received 'none'",
    ]
    assert "100%,a:b.yaml:8:16: unknown key" in done.stderr


@pytest.mark.usefixtures("_github")
def test_github_shows_what_was_expected_in_vain_and_a_table_of_all_figures(folder):
    done = cnncli(folder, "train", "bars.yaml", "--output", "run")
    (command,) = commands(done.stderr)
    assert command.startswith("::error::trained and saved, but val_loss is ")
    assert command.endswith(" and the spec expects < 0.0")
    title, _, head, rule, *rows = (folder / "summary.md").read_text(encoding="utf-8").rstrip().splitlines()
    assert (title, head, rule) == ("### train bars", "| figure | value | expected |", "|---|--:|---|")
    cells = {row.split(" | ")[0].strip("| "): row.split(" | ")[-1].strip("| ") for row in rows}
    assert cells == {
        **dict.fromkeys(("loss", "accuracy", "val_accuracy", "test_loss"), ""),
        "val_loss": "< 0.0 ❌",
        "test_accuracy": "<= 1.0 ✅",
    }
    assert cnncli(folder, "evaluate", "run", "--expect", "loss >= 0", "--expect", "f1 > 0").returncode == 4
    evaluated = (folder / "summary.md").read_text(encoding="utf-8").partition("### evaluate test\n")[2]
    assert ">= 0.0 ✅" in evaluated
    assert "| f1 | | > 0.0: there is no such figure ❌ |" in evaluated


def test_elsewhere_there_are_no_workflow_commands(folder):
    assert commands(cnncli(folder, "train", "bars.yaml", "--epochs", 1).stderr) == []
