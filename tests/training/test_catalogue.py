"""Records of many runs: from runs/.facts what has not changed, and always what the files say."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir

import pytest

from cnncli.training.runs import catalogue, facts, notes, past_runs
from cnncli.training.runs.past_runs import all_runs

COUNT = 60
OLD = 1_700_000_000


@pytest.fixture(autouse=True)
def here(tmp_path):
    with chdir(tmp_path):
        for number in range(COUNT):
            run = tmp_path / f"runs/net{number % 3}/20260101-00{number:04d}"
            run.mkdir(parents=True)
            (run / "spec.yaml").write_text("")
            (run / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.5, "val_loss": 0.25}\n')
            (run / "result.json").write_text(json.dumps({"epoch": 1, "test": {"accuracy": number / 100}}))
            age(run)
        yield tmp_path


def age(run):
    """Make the files of a run so old that they are worth remembering."""
    for file in run.iterdir():
        os.utime(file, (OLD, OLD))


@pytest.fixture
def read(monkeypatch):
    """The runs whose files are read."""
    found, record = [], facts.record
    monkeypatch.setattr(facts, "record", lambda run, files: found.append(run) or record(run, files))
    return found


def listed():
    return catalogue.records(all_runs())


def test_only_what_has_changed_is_read_again(read):
    done = []
    first = catalogue.records(all_runs(), done.append)
    assert (len(first), len(read), done) == (COUNT, COUNT, [0, 50])
    read.clear()
    assert (listed(), read) == (first, [])
    changed = all_runs()[7]
    (changed / "result.json").write_text("{}")
    assert [one.facts["run"] for one in listed() if one not in first] == [str(changed)]
    assert read == [changed]


def test_a_note_and_a_removal_show_at_once(read):
    listed()
    one, other = all_runs()[:2]
    notes.change(one, lambda before: before.tagged(["best"], []))
    shutil.rmtree(other)
    found = {record.facts["run"]: record.facts["tags"] for record in listed()}
    assert len(found) == COUNT - 1
    assert {run: tags for run, tags in found.items() if tags} == {str(one): ["best"]}


def test_what_was_written_just_now_is_not_remembered(read):
    run = all_runs()[0]
    (run / "result.json").write_text("{}")
    listed(), read.clear(), listed()
    assert read == [run]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"",
        lambda text: text[:-1],
        lambda text: text.replace(b"0.25", b"0.35", 1),
        lambda text: b"cnncli 0 0 0\n",
        lambda text: bytes(100),
        None,
    ],
)
def test_a_damaged_file_is_made_again(damage, read):
    first = listed()
    if damage is None:
        catalogue.FILE.unlink()
        catalogue.FILE.mkdir()
    else:
        catalogue.FILE.write_bytes(damage(catalogue.FILE.read_bytes()))
    read.clear()
    assert listed() == first
    assert len(read) == COUNT


def test_several_processes_may_list_at_once():
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: listed(), range(4)))
    assert all(one == found[0] for one in found)
    assert catalogue.FILE.read_bytes().count(b"\n") == COUNT + 1


def test_a_few_runs_leave_no_file(read):
    catalogue.records(all_runs("net0"))
    assert not catalogue.FILE.exists()


def test_facts_are_sound_whatever_the_files_say(here):
    run = all_runs()[0]
    (run / "result.json").write_text(
        '{"state": 3, "epoch": "x", "test": {"accuracy": "high", "loss": 1}, "reason": []}'
    )
    (run / "notes.json").write_text('{"note": 3, "tags": "x"}')
    found = facts.facts(run)
    assert (found["state"], found["epoch"], found["test"], found["reason"]) == ("3", 1, {"loss": 1}, "[]")
    for start in ('"x"', "1e999", "null", "[]"):
        (run / "splits.json").write_text(f'{{"train": {{"start": {start}, "stop": 1}}}}')
        assert past_runs.sizes(run) == {}
    assert (found["note"], found["tags"], found["figures"]) == ("", [], {"loss": 0.5, "val_loss": 0.25})
