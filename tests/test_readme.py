"""What the README says is so: the spec it shows is the one that ships, and the figures of the run are possible."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cnncli.cli import main
from cnncli.spec.spec import load, parse
from tests.cli.test_folders import noise

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


ELSEWHERE = re.compile(r"--against|fish_source|zsh_source")
"""In a line that needs frameworks or another shell."""
INSTALLING = re.compile(r"python3 -m venv|pip install|pytest|activate")


def script(lines):
    """The lines as bash runs them where cnncli is installed already."""
    parts = [line.split(" && ") for line in lines if not ELSEWHERE.search(line)]
    kept = [" && ".join(part for part in line if not INSTALLING.search(part)) for line in parts]
    return "\n".join(line.replace(".venv/bin/", "") for line in kept if line)


def files(folder):
    """What lies in the folder, but for runs, which others may go on with."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.parts[len(folder.parts)] != "runs")
    return {path: path.read_bytes() for path in found}


@pytest.mark.long
def test_its_commands_run_in_order_end_well_and_overwrite_nothing(tmp_path):
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    for folder in (checkout, tools):
        folder.mkdir()
    for name in ("configs", "data"):
        (checkout / name).symlink_to(ROOT / name)
    (tools / "cnncli").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cnncli "$@"\n')
    (tools / "cnncli").chmod(0o755)
    digit = np.asarray(Image.open(ROOT / "data/samples/3.png"))
    Image.fromarray(255 - digit).save(checkout / "three.png")
    noise(checkout / "photos")
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    (workflow,) = [yaml.safe_load(block) for block in blocks("yaml") if "jobs:" in block]
    steps = [step.get("run", "") for step in workflow["jobs"]["smoke"]["steps"]]
    said = {}
    for block in [*blocks("sh"), "\n".join(steps)]:
        text, before = script(block.splitlines()), files(checkout)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        after = files(checkout)
        assert {path: after.get(path) for path in before} == before, text
        said[text] = done.stdout + done.stderr
    assert len(said) >= 9
    (mine,) = [output for text, output in said.items() if "init mnist -o mine.yaml" in text]
    assert re.search(r"^epoch 6/6 .*\n(.*\n)*run   runs/mine/", mine, re.MULTILINE)
    (mistaken,) = [output for text, output in said.items() if "three.png" in text]
    assert re.search(r"^three.png\t3\t", mistaken, re.MULTILINE)


def test_the_spec_it_shows_is_the_one_that_ships():
    assert blocks("yaml")[0] == (ROOT / "configs" / "mnist.yaml").read_text(encoding="utf-8")


def test_its_example_of_a_graph_is_valid():
    layers = blocks("yaml")[1]
    text = (
        "data: {dataset: mnist5k}\n"
        "compile: {optimizer: adam, loss: categorical_crossentropy}\n"
        "model:\n  layers:\n" + layers + "    - Flatten\n    - Dense: {units: 10, activation: softmax}\n"
    )
    assert [node.inputs for node in parse(text, "readme.yaml").model.nodes][2] == ("conv2d", "trunk")


def test_its_example_of_a_schedule_is_valid():
    (optimizer,) = [block for block in blocks("yaml") if block.startswith("  optimizer:")]
    text = (
        "data: {dataset: mnist5k}\n"
        f"compile:\n  loss: categorical_crossentropy\n{optimizer}"
        "model:\n  layers:\n    - Flatten\n    - Dense: {units: 10, activation: softmax}\n"
    )
    schedule = parse(text, "readme.yaml").compile.optimizer.learning_rate
    assert [schedule.rate(step, 10) for step in (0, 50, 800)] == [0, 0.1, 0]


def test_its_overrides_address_the_spec():
    (command,) = re.findall(r"`(cnncli train configs/mnist\.yaml --set[^`]+)`", README)
    overrides = re.findall(r"--set\s+(\S+)", command)
    spec = load(ROOT / "configs" / "mnist.yaml", overrides)
    assert spec.compile.optimizer.learning_rate == 0.01
    assert spec.model.nodes[5].layer.units == 64


def test_ci_runs_the_test_command_it_names():
    (line,) = [line for line in README.splitlines() if "&& .venv/bin/pytest" in line]
    assert "grep --max-count=1 '&& .venv/bin/pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "[test]" in line
    assert line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_its_workflow_is_valid_and_its_commands_exist():
    (workflow,) = [yaml.safe_load(block) for block in blocks("yaml") if "jobs:" in block]
    (job,) = workflow["jobs"].values()
    (kept,) = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/cache@")]
    assert kept["path"] == "${{ env.CNNCLI_CACHE_DIR }}"
    assert "CNNCLI_CACHE_DIR" in job["env"]
    lines = [step["run"].split() for step in job["steps"] if step.get("run", "").startswith("cnncli ")]
    assert [line[1] for line in lines] == ["check", "train"]
    for _, name, *arguments in lines:
        command = main.get_command(None, name)
        known = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= known
        assert all(list(ROOT.glob(argument)) for argument in arguments if argument.startswith("configs/"))
