"""A broken spec ends in lines that say what is wrong and where; never in a bug, whatever is broken."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cnncli.cli import main
from cnncli.spec.spec import load, parse
from tests.properties import specs

SPEC = "broken.yaml"
PROBLEM = re.compile(rf"({SPEC}:\d+:\d+|--set .*?): .+")
CLOSING = re.compile(r"error: (\d+) problems? in the spec; nothing was done")
MOST_LAYERS = 100
"""Of a spec that is summed up here: thousands take long and show nothing more."""


@pytest.fixture(scope="module")
def _folder(tmp_path_factory):
    """An empty working directory: a dataset that is named by chance is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("specs"))
        yield


def run(*arguments):
    """The exit code, standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as done:
        main(arguments, prog_name="cnncli")
    return done.value.code, out.getvalue(), err.getvalue()


def check(content, overrides):
    """Whether the spec is good, after asserting that all that is said of it has the right form."""
    Path(SPEC).write_bytes(content)
    sets = [argument for text in overrides for argument in ("--set", text)]
    code, out, err = run("check", SPEC, *sets)
    assert "a bug in cnncli" not in err
    assert all(character.isprintable() or character in "\n\t" for character in out + err)
    *told, closing = [*err.splitlines(), ""] if code == 0 else err.splitlines()
    heads = [line for line in told if not line.startswith("  ")]
    assert all(PROBLEM.fullmatch(line) for line in heads), err
    if code == 0:
        assert all("warning: " in line for line in heads), err
        assert out.count("\n") == 1
        _follow(overrides, sets)
        return True
    assert (code, out) == (2, "")
    assert CLOSING.fullmatch(closing)[1] == str(len(heads)) != "0", err
    return False


def _follow(overrides, sets):
    """A good spec says the same once it is resolved, and can be summed up."""
    spec = load(SPEC, overrides)
    assert parse(spec.to_yaml(), SPEC) == spec
    if len(spec.model.nodes) <= MOST_LAYERS:
        code, out, _ = run("summary", SPEC, *sets)
        assert code == 0
        assert "of arrays to train with batches of" in out


@settings(max_examples=settings.default.max_examples * 7 // 10)
@given(st.randoms(use_true_random=False))
@pytest.mark.usefixtures("_folder")
def test_a_spec_whose_tree_is_changed(random):
    event("good" if check(specs.broken_tree(random), specs.overrides(random)) else "wrong")


@settings(max_examples=settings.default.max_examples * 3 // 10)
@given(st.randoms(use_true_random=False))
@pytest.mark.usefixtures("_folder")
def test_a_spec_whose_bytes_are_changed(random):
    event("good" if check(specs.broken_bytes(random), []) else "wrong")


def test_the_specs_that_are_broken_are_good():
    """As they are, and in the form that a changed tree is written in."""
    for text, tree in zip(specs.GOOD, specs.TREES, strict=True):
        assert parse(specs.written(tree), "f.yaml") == parse(text, "f.yaml")
