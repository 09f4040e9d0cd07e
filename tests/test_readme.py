"""What README and the pages under docs/ say is so: commands run, YAML is valid, links lead somewhere."""

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
from cnncli.training.runs import checkpoint
from tests.cli.test_folders import noise

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = (
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            *(
                "ci",
                "data",
                "distributed",
                "evaluation",
                "export",
                "import",
                "logging",
                "performance",
                "pictures",
                "reports",
                "runs",
                "serve",
                "specs",
            ),
            "training",
            "tuning",
        )
    ),
)
TESTED_ELSEWHERE = {
    "api.md",
    "benchmarks.md",
    "benchmarks_notes.md",
    "errors.md",
    "keras.md",
    "layouts.md",
    "reference.md",
}
BROKEN = """\
data: {dataset: mnist5k}
model:
  layers:
    - Conv2D: {filtres: 32, kernel_size: 3}
    - Flatten
    - Dense: {units: 10, activation: softmax}
compile: {optimizer: adam, loss: categorical_crossentropy}
fit: {epochs: -1}
"""


def sections(classes=10):
    """What a spec must have and a part of one, as pages show it, leaves out."""
    return {
        "data": {"dataset": "mnist5k", "validation_split": 0.1},
        "model": {"layers": ["Flatten", {"Dense": {"units": classes, "activation": "softmax"}}]},
        "compile": {"optimizer": "adam", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
    }


def spec_of(part, folder=ROOT):
    """The spec that has this part of YAML; paths are relative to the folder, whose pictures are of three classes."""
    shown = yaml.safe_load(part)
    missing = {
        name: section
        for name, section in sections(3 if re.search("(photos|signs)/", part) else 10).items()
        if name not in shown
    }
    return parse(part + (yaml.safe_dump(missing) if missing else ""), str(folder / "shown.yaml"))


def blocks(language, page="README.md"):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


ELSEWHERE = re.compile(r"--against|fish_source|zsh_source|datasets download")
"""In a line that needs frameworks, another shell or the network."""
INSTALLING = re.compile(r"python3 -m venv|pip install|pytest|activate")


def script(lines):
    """The lines as bash runs them where cnncli is installed already. `doctor` may find fault with the machine."""
    parts = [line.split(" && ") for line in lines if not ELSEWHERE.search(line)]
    kept = [" && ".join(part for part in line if not INSTALLING.search(part)) for line in parts]
    text = "\n".join(line.replace(".venv/bin/", "") for line in kept if line)
    return text.replace("cnncli doctor", "cnncli doctor || test $? = 1")


def workflows(page):
    return [found for block in blocks("yaml", page) if "jobs" in (found := yaml.safe_load(block))]


def scripts(page):
    """What the page has run: its blocks for a shell, and the steps of its workflows."""
    steps = [step.get("run", "") for flow in workflows(page) for job in flow["jobs"].values() for step in job["steps"]]
    return [text for block in [*blocks("sh", page), "\n".join(steps)] if (text := script(block.splitlines()).strip())]


def files(folder):
    """What lies in the folder, but for runs, which others may go on with."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.parts[len(folder.parts)] != "runs")
    return {path: path.read_bytes() for path in found}


@pytest.fixture
def checkout(tmp_path):
    """A fresh checkout with the data that the pages speak of."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("configs", "data"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "digits.keras").symlink_to(ROOT / "tests/fixtures/archives/digits.keras")
    digit = np.asarray(Image.open(ROOT / "data/samples/3.png"))
    Image.fromarray(255 - digit).save(folder / "three.png")
    (folder / "broken.yaml").write_text(BROKEN)
    np.savez(folder / "digits.npz", x_train=np.stack([digit, 255 - digit]), y_train=np.array([0, 1]))
    noise(folder / "photos")
    noise(folder / "people", ["green"])
    people = sorted((folder / "people/green").iterdir())
    rows = [f"green/{path.name},{age},1.{age}" for age, path in enumerate(people)]
    (folder / "people/labels.csv").write_text("\n".join(["file,age,height", *rows]))
    noise(folder / "traffic/images", ["green"])
    (folder / "traffic/labels/green").mkdir(parents=True)
    for path in sorted((folder / "traffic/images/green").iterdir()):
        lines = [f"{number} 0.5 0.5 0.4 0.4\n" for number in range(10)]
        (folder / "traffic/labels/green" / f"{path.stem}.txt").write_text("".join(lines))
    noise(folder / "signs")
    for number, path in enumerate(sorted((folder / "signs").rglob("*.png"))):
        path.rename(path.with_name(f"{number // 2:05}_{number % 2:05}.png"))
    for name in ("images", "masks"):
        noise(folder / "cells" / name, ["green"])
    for path in (folder / "cells").rglob("*.png"):
        image = Image.open(path).convert("L")
        (image.point(lambda level: 255 * (level > 100)) if "masks" in path.parts else image).save(path)
    return folder


@pytest.fixture
def run(checkout, tmp_path):
    """Runs a script in the checkout, where `cnncli` and `python` are these ones."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, command in (("cnncli", " -m cnncli"), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{command} "$@"\n')
        (tools / name).chmod(0o755)
    if (launcher := Path(sys.prefix) / "bin" / "mpiexec").exists():
        (tools / "mpiexec").write_text(f'#!/bin/sh\nexec "{launcher}" "$@"\n')
        (tools / "mpiexec").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(text):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_run_in_order_end_well_and_overwrite_nothing(page, checkout, run):
    said = ""
    for text in scripts(page):
        before = files(checkout)
        done = run(text)
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        after = files(checkout)
        assert {path: after.get(path) for path in before} == before, text
        said += done.stdout
    for pattern in SAID.get(page, ()):
        assert re.search(pattern, said, re.MULTILINE), said


SAID = {
    "README.md": [r"^epoch 40/40 .*\ntest .*\nrun   runs/mnist/", r"^three.png\t3\t", r"^run   runs/photos/"],
    "docs/import.md": ["^digits.keras: 6 layers, 5,258 parameters", "accuracy 0.8940", "accuracy 0.9320"],
    "docs/training.md": [r"^epoch 6/6 .*\n(.*\n)*run   runs/mine/", "^mean of 5 trainings", "^mean of 3 trainings"],
}
"""Lines that the commands of a page must have said."""


def test_every_page_has_its_commands_run():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - TESTED_ELSEWHERE
    assert pages == {Path(page).name for page in PAGES[1:]}
    assert all(blocks("sh", page) for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_screens_that_a_page_shows_are_what_its_commands_say(page, run):
    for block in blocks("console", page):
        command, _, shown = block.removeprefix("$ ").partition("\n")
        assert run(command).stdout == shown


@pytest.mark.parametrize("page", PAGES)
def test_specs_and_parts_of_them_that_a_page_shows_are_valid(page, checkout):
    """`runs/mine/latest`, which they may start from, has a convolution."""
    (checkout / "runs/mine/latest").mkdir(parents=True)
    weights = {"conv2d/kernel": np.zeros((3, 3, 1, 16), np.float32), "conv2d/bias": np.zeros(16, np.float32)}
    checkpoint.save(checkout / "runs/mine/latest/best.safetensors", checkpoint.ModelFile(weights, {}))
    for block in blocks("yaml", page):
        assert "jobs:" in block or spec_of(block, checkout)


def anchors(text):
    """What links to headings of the page end with, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_to_files_and_headings_that_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            file = (ROOT / page).parent / path if path else ROOT / page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def test_its_ratios_are_those_of_the_benchmarks():
    ratios = re.findall(r"\d+\.\d\d ×", README)
    assert len(ratios) == 6
    measured = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert all(f"| {ratio} |" in measured for ratio in ratios)


def test_the_spec_it_shows_is_the_one_that_ships():
    assert blocks("yaml")[0] == (ROOT / "configs" / "mnist.yaml").read_text(encoding="utf-8")


def test_the_example_of_a_graph_adds_what_it_says():
    (graph,) = [block for block in blocks("yaml", "docs/specs.md") if "trunk" in block]
    assert [node.inputs for node in spec_of(graph).model.nodes][2] == ("conv2d", "trunk")


def test_the_example_of_a_block_is_three_of_it():
    (block,) = [block for block in blocks("yaml", "docs/specs.md") if "repeat" in block]
    assert [type(node.layer).__name__ for node in spec_of(block).model.nodes].count("Add") == 3


def test_the_example_of_a_schedule_rises_and_falls():
    (optimizer,) = [block for block in blocks("yaml", "docs/specs.md") if "CosineDecay" in block]
    schedule = spec_of(optimizer).compile.optimizer.learning_rate
    assert [schedule.rate(step, 10) for step in (0, 50, 800)] == [0, 0.1, 0]


def test_the_overrides_address_the_spec():
    (command,) = re.findall(
        r"^cnncli train configs/mnist\.yaml .*--set.*$", "".join(blocks("sh", "docs/specs.md")), re.MULTILINE
    )
    overrides = re.findall(r"--set\s+(\S+)", command)
    spec = load(ROOT / "configs" / "mnist.yaml", overrides)
    assert spec.compile.optimizer.learning_rate == 0.01
    assert spec.model.nodes[5].layer.units == 64


def test_ci_runs_the_test_command_it_names():
    (line,) = [line for line in README.splitlines() if "&& .venv/bin/pytest" in line]
    assert "grep --max-count=1 '&& .venv/bin/pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "[test]" in line
    assert line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_workflow_is_valid_and_its_commands_exist():
    (workflow,) = workflows("docs/ci.md")
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


def test_the_picture_shows_a_training_of_the_spec_that_ships():
    text = re.findall(r"<text[^>]*>([^<]*)</text>", (ROOT / "docs/training.svg").read_text(encoding="utf-8"))
    assert text[0] == "$ cnncli train configs/mnist.yaml"
    assert text[1].startswith("mnist: 225,034 parameters · 3,600 training, 400 validation, 1,000 test (mnist5k)")
    epochs = [part.rstrip("*") for part in text if part.startswith("epoch ")]
    assert epochs == [f"epoch {epoch}/40" for epoch in range(1, len(epochs) + 1)]
