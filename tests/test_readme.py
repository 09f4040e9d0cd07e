"""What the README says is so: the spec it shows is the one that ships, and the figures of the run are possible."""

import re
from pathlib import Path

import yaml

from cnncli.cli import main
from cnncli.spec.spec import load, parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


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
