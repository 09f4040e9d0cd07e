"""Nothing that comes from a file steers a terminal: classes, files, specs and models with hostile names."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from PIL import Image
from rich.table import Table

from cnncli.report.terminal.console import console_on
from tests.cli.test_commands import ENVIRONMENT
from tests.cli.test_train import read_to_end
from tests.report.html.pages import checked

TITLE = "q\x1b]0;PWN\x07\x9b31m\u202e"
CLASSES = [f"a{TITLE}", "b\tc\nd\r::error::x"]
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
SPEC = """
name: hostile
data: {dataset: photos, image_size: [8, 8], validation_split: 0.25, test_split: 0.25}
model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}
compile: {optimizer: adam, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 1, batch_size: 4}
expect: {test_accuracy: ">= 0"}
"""
COMMANDS = [
    "check hostile.yaml",
    "train hostile.yaml --json --output json",
    "train hostile.yaml --output again --junit report.xml",
    "train hostile.yaml --quiet --output quiet",
    "train hostile.yaml --dry-run",
    "evaluate run",
    "evaluate run --json",
    "evaluate run --data other",
    "predict run photos",
    "predict run photos --json",
    "predict run photos --top 1 --output p.csv",
    "summary run",
    "datasets check photos",
    "datasets check photos --json",
    "datasets check folders",
    "predict run folders",
    "init --data folders -o other.yaml",
    "init --data other -o other.yaml",
    "datasets preview hostile.yaml -o sheet.png",
    "init --data photos -o made.yaml",
    "runs",
    "report run",
    "doctor",
]


def run(folder, *arguments, **environment):
    """A command's exit code and its two outputs, whatever they hold."""
    command = [sys.executable, "-m", "cnncli", *arguments]
    done = subprocess.run(command, cwd=folder, env={**ENVIRONMENT, **environment}, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of photos whose classes and files are named to do harm, a spec for it, and a run on it."""
    path = tmp_path_factory.mktemp("hostile")
    for place, second in (("photos", CLASSES[1]), ("other", f"other{TITLE}")):
        (path / place).mkdir()
        rows = [["file", "label"]]
        for count in range(16):
            Image.new("RGB", (8, 8), (40 + 10 * count, 10 * count, 99)).save(path / place / f"{count}.png")
            rows.append([f"{count}.png", second if count % 2 else CLASSES[0]])
        rows.append([f"lost{TITLE}.png", CLASSES[0]])
        with (path / place / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        Image.new("RGB", (8, 8)).save(path / place / f"hostile{TITLE}.png")
    for name in CLASSES:
        (path / "folders" / name.replace("/", "")).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(path / "folders" / name / f"{TITLE}.png")
    (path / "hostile.yaml").write_text(SPEC.replace("photos,", "photos, on_error: skip,"))
    code, _, said = run(path, "train", "hostile.yaml", "--output", "run")
    assert code == 0, said
    return path


@pytest.mark.parametrize("line", COMMANDS)
def test_no_control_character_of_a_file_is_printed(folder, line):
    _, out, err = run(folder, *line.split())
    for text in (out, err):
        assert not CONTROL.search(text)
        assert "a bug in cnncli" not in text
    if "--json" in line:
        for document in out.splitlines() if line.startswith("train") else [out]:
            json.loads(document)
    shutil.rmtree(folder / "json", ignore_errors=True)


def test_nor_has_a_report_one(folder):
    assert run(folder, "report", "run", "-o", "page.html")[0] == 0
    assert not CONTROL.search(checked((folder / "page.html").read_text()).text)


@pytest.mark.parametrize("line", ["evaluate run", "predict run photos", "predict run other", "datasets check photos"])
def test_nor_on_a_terminal_where_only_colours_and_the_cursor_are_steered(folder, line):
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cnncli", *line.split()],
        cwd=folder, env={**ENVIRONMENT, "TERM": "xterm"}, stdout=follower, stderr=follower, close_fds=True,
    )  # fmt: skip
    os.close(follower)
    text = read_to_end(leader).decode()
    process.wait()
    ours = re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\r", "", text)
    assert not CONTROL.search(ours)


def test_a_line_of_predictions_stays_a_line_and_its_parts_stay_apart(folder):
    _, out, _ = run(folder, "predict", "run", "photos")
    lines = out.splitlines()
    assert len(lines) == 17
    assert {len(line.split("\t")) for line in lines} == {3}
    assert {line.split("\t")[1] for line in lines} <= {"aq\\x1b]0;PWN\\x07\\x9b31m\\u202e", "b\\tc\\nd\\r::error::x"}


def test_reports_are_whole(folder):
    assert run(folder, "train", "hostile.yaml", "--output", "reported", "--junit", "report.xml")[0] == 0
    ElementTree.parse(folder / "report.xml")


def test_nothing_of_a_file_is_a_command_of_a_workflow(folder):
    for line in ("evaluate run --data other", "datasets check photos", "predict run photos"):
        _, out, err = run(folder, *line.split(), GITHUB_ACTIONS="true")
        commands = re.findall(r"(?m)^\s*(::.*|##\[.*)$", out + err)
        assert all(command.startswith("::error::") and not CONTROL.search(command) for command in commands)
        assert not any(command == "::error::x" for command in commands)


@pytest.mark.parametrize("text", [f'name: "{t}"' for t in ("q\\e]0;PWN\\a", "a\\0b", "\\x7f", "\\x85")])
def test_a_spec_holds_no_control_characters(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(f"{text}\n{SPEC.replace('name: hostile', '')}")
    code, out, err = run(tmp_path, "check", "bad.yaml")
    assert (code, out) == (2, "")
    assert re.match(r"bad\.yaml:1:7: the character U\+00[0-9A-F]{2} is not allowed in a spec\n", err)
    assert not CONTROL.search(err)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_that_lacks_a_sign_costs_only_that_sign(folder, encoding):
    """The table of the confusion matrix has signs that neither encoding has."""
    code, out, err = run(folder, "evaluate", "run", PYTHONIOENCODING=encoding)
    assert code == 0, err
    assert "precision" in out


BREAK = "a\n::error::x\tb"


@pytest.mark.parametrize(
    "line",
    [
        *(["check", f"{BREAK}.yaml"], ["evaluate", BREAK], ["train", "--resume", BREAK], ["predict", "run", BREAK]),
        *(["init", "--data", BREAK], ["summary", BREAK], [BREAK], ["layers", BREAK], ["train", "hostile.yaml", BREAK]),
    ],
)
def test_an_error_is_one_line_whatever_is_named_in_it(folder, line):
    code, out, err = run(folder, *line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "a\\n::error::x\\tb" in err


def test_a_folder_named_like_a_key_adds_nothing_to_the_spec_that_is_written_for_it(tmp_path):
    place = tmp_path / "ph\nname: evil"
    for number, name in enumerate("ab"):
        (place / name).mkdir(parents=True)
        for count in range(12):
            Image.new("RGB", (8, 8), (20 * count, 90 * number, 9)).save(place / name / f"{count}.png")
    code, out, err = run(tmp_path, "init", "--data", place.name, "-o", "made.yaml")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "ph\\nname: evil: 24 images, 2 classes"
    text = (tmp_path / "made.yaml").read_text()
    assert re.findall(r"(?m)^name:.*", text) == ["name: made"]
    code, out, _ = run(tmp_path, "check", "made.yaml")
    assert (code, out.count("\n")) == (0, 1)


@pytest.fixture(scope="module")
def commanding(tmp_path_factory):
    """A run on classes that are named like commands to GitHub Actions."""
    path = tmp_path_factory.mktemp("commanding")
    for number, name in enumerate(("::error::x", "##[error]y")):
        (path / "photos" / name).mkdir(parents=True)
        for count in range(12):
            Image.new("RGB", (8, 8), (20 * count, 90 * number, 9)).save(path / "photos" / name / f"{count}.png")
    (path / "s.yaml").write_text(SPEC)
    assert run(path, "train", "s.yaml", "--output", "run")[0] == 0
    return path


@pytest.mark.parametrize("line", ["evaluate run", "predict run photos", "datasets check photos", "init --data photos"])
def test_no_class_is_a_command_to_github_actions_in_tables_either(commanding, line):
    _, out, err = run(commanding, *line.split(), GITHUB_ACTIONS="true")
    assert "error" in out
    assert not any(text.lstrip().startswith("::") or "##[" in text for text in (out + err).splitlines())
    assert "##[error]y" in run(commanding, *line.split(), "--force" if "init" in line else "--")[1]


def test_under_github_actions_json_says_the_same(commanding):
    _, out, _ = run(commanding, "evaluate", "run", "--json", GITHUB_ACTIONS="true")
    assert "##[" not in out
    assert [row["name"] for row in json.loads(out)["classes"]] == ["##[error]y", "::error::x"]


def test_columns_are_as_wide_as_what_they_show():
    """Escapes are measured: numbers behind them stand below each other."""
    table = Table("name", "count", box=None)
    for name in ("a\x1b\x1b\x1bb", "c"):
        table.add_row(name, "7")
    file = io.StringIO()
    console_on(file).print(table)
    first, second = file.getvalue().splitlines()[1:]
    assert first.strip().split() == ["a\\x1b\\x1b\\x1bb", "7"]
    assert first.index("7") == second.index("7")
