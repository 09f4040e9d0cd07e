"""Notes and tags of a run."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cnncli.errors import UsageError
from cnncli.training.runs import notes
from cnncli.training.runs.notes import Notes


@pytest.fixture
def run(tmp_path):
    (tmp_path / "spec.yaml").touch()
    return tmp_path


def test_a_note_and_tags_are_kept_until_they_are_removed(run):
    notes.change(run, lambda before: before.noted("größer\nals zuvor"))
    notes.change(run, lambda before: before.tagged(["b", "a", "b"], []))
    assert notes.read(run) == Notes("größer\nals zuvor", ("b", "a"))
    notes.change(run, lambda before: before.tagged(["c"], ["b"]).noted(""))
    assert notes.read(run) == Notes("", ("a", "c"))
    notes.change(run, lambda before: before.tagged([], ["a", "c"]))
    assert not (run / notes.NOTES).exists()


def test_several_processes_may_tag_at_once(run):
    names = [f"tag{number}" for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: notes.change(run, lambda before: before.tagged([name], [])), names))
    assert sorted(notes.read(run).tags) == sorted(names)


@pytest.mark.parametrize("tag", ["", "two words", "-x", "a" * 51, "a\n", "#x"])
def test_an_invalid_tag_is_refused(run, tag):
    with pytest.raises(UsageError, match="a tag has letters"):
        notes.change(run, lambda before: before.tagged([tag], []))
    assert notes.read(run) == Notes()


def test_a_tag_that_it_lacks_can_not_be_removed(run):
    with pytest.raises(UsageError, match="the run has no tag 'x': it has a, b"):
        Notes("", ("a", "b")).tagged([], ["x"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"note": 1, "tags": []}', '{"note": "", "tags": [1]}', "\0"])
def test_a_damaged_file_counts_as_none(run, text):
    (run / notes.NOTES).write_text(text)
    assert notes.read(run) == Notes()
