"""`cnncli layers` and `cnncli schema`: the vocabulary in a terminal, in a pipe and for programs."""

import json

from cnncli.layers.vocabulary import layers
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.validation.sections import SECTIONS
from tests.cli.test_commands import MNIST, cnncli


def test_without_a_name_every_declaration_has_its_line():
    done = cnncli("layers")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    names = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    wanted = {name for registry in REGISTRIES.values() for name in registry.classes}
    assert names == wanted | set(layers()) | set(SECTIONS)


def test_a_name_gets_its_arguments_with_rules_and_an_example():
    lines = [" ".join(line.split()) for line in cnncli("layers", "Conv2D").stdout.splitlines()]
    assert lines[0] == "Conv2D: layer, also called Convolution2D"
    assert "filters required an integer ≥ 1" in lines
    assert "padding valid one of valid, same" in lines
    assert lines[-3:] == ["model:", "layers:", "- Conv2D: {filters: 4, kernel_size: 3}"]


def test_brackets_in_rules_are_told_as_they_are():
    done = cnncli("layers", "RandomRotation")
    assert "or a range [lower, upper] of such numbers" in " ".join(done.stdout.split())


def test_an_unknown_name_is_one_line_with_the_nearest():
    done = cnncli("layers", "Conv2E")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no 'Conv2E'; did you mean 'Conv2D'?\n"


def test_programs_get_a_list_of_words():
    (word,) = json.loads(cnncli("layers", "adam", "--json").stdout)
    assert (word["kind"], word["name"], word["aliases"]) == ("optimizer", "Adam", ["adam"])
    assert len(json.loads(cnncli("layers", "--json").stdout)) > 80


def test_the_schema_goes_to_a_file_that_a_spec_can_name(tmp_path):
    printed = json.loads(cnncli("schema").stdout)
    done = cnncli("schema", "--output", "spec.schema.json", cwd=tmp_path)
    assert json.loads((tmp_path / "spec.schema.json").read_text(encoding="utf-8")) == printed
    assert "# yaml-language-server: $schema=spec.schema.json" in done.stdout
    done = cnncli("schema", "--output", tmp_path / "no" / "x.json")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_a_spec_that_names_its_schema_is_a_spec(tmp_path):
    spec = tmp_path / "mine.yaml"
    spec.write_text("# yaml-language-server: $schema=x.json\n" + MNIST.read_text(encoding="utf-8"), encoding="utf-8")
    assert cnncli("check", spec).returncode == 0
