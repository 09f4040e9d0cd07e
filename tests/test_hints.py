"""What may have been meant: names, and paths of specs, runs and model files."""

from pathlib import Path

import pytest

from cnncli import hints
from cnncli.errors import UsageError
from cnncli.extras import require


def test_the_nearest_name_is_suggested_whatever_its_case():
    assert hints.suggestion("conv2d", ["Conv2D", "Dense"]) == "; did you mean 'Conv2D'?"
    assert hints.suggestion("weather", ["Conv2D", "Dense"]) == ""


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("mnits.yaml", "mnist.yaml"),  # a name beside it
        ("t.yaml", ""),  # an ending in common makes no two names alike
        ("resnet.yaml", "configs/resnet.yaml"),  # the very name elsewhere
        ("confgs/resnet.yaml", "configs/resnet.yaml"),  # a folder that is misspelt
        ("runs/mnits/latest", "runs/mnist/latest"),
    ],
)
def test_the_nearest_path_is_suggested(wrong, meant):
    known = map(Path, ["mnist.yaml", "configs/resnet.yaml", "runs/mnist/latest"])
    assert hints.path_suggestion(Path(wrong), known) == (f"; did you mean '{meant}'?" if meant else "")


def test_specs_runs_and_model_files_are_found_where_they_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run in ("runs/a/1", "runs/a/2", "mine"):
        Path(run).mkdir(parents=True)
        Path(run, "spec.yaml").touch()
    Path("configs").mkdir()
    for file in ("a.yaml", "b.yml", "configs/c.yaml", "m.safetensors", "notes.txt"):
        Path(file).touch()
    Path("gone.yaml").symlink_to("nowhere")
    assert [*map(str, hints.specs(Path()))] == ["a.yaml", "b.yml", "configs/c.yaml"]
    assert [*map(str, hints.runs(Path()))] == ["runs/a/2", "runs/a/1", "mine"]
    assert [*map(str, hints.models(Path()))] == ["m.safetensors"]


def test_a_link_to_nowhere_says_where_it_leads(tmp_path):
    link = tmp_path / "spec.yaml"
    link.symlink_to("nowhere")
    assert hints.missing(link, "file", []) == f"'{link}' is a link to 'nowhere', which does not exist"


def test_a_missing_extra_is_told_with_the_command_that_installs_it():
    require("this", "JSON", ("json",), "plot")
    with pytest.raises(UsageError, match=r"^this needs Nothing: pip install 'cnncli\[plot\]'$"):
        require("this", "Nothing", ("json", "no_such_module"), "plot")
