"""The runs that lie elsewhere are found again, whatever has become of their list."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir

import pytest

from cnncli import notices
from cnncli.training.runs import registry


@pytest.fixture(autouse=True)
def here(tmp_path):
    with chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def said(monkeypatch):
    """What is said to the user."""
    lines = []
    monkeypatch.setattr(notices, "show", lines.append)
    monkeypatch.setattr(notices, "_shown", set())
    return lines


def run(path):
    path.mkdir(parents=True, exist_ok=True)
    (path / "spec.yaml").touch()
    return path


def found():
    return sorted(map(str, registry.registered()))


def test_only_runs_that_are_still_there_are_found_each_once(here):
    for name in ("a", "b", "a"):
        registry.register(run(here / name), name)
    assert found() == ["a", "b"]
    (here / "a").rename(here / "moved")
    assert found() == ["b"]
    assert (here / "runs/.gitignore").read_text() == "*\n"


def test_one_of_the_runs_folder_need_not_be_listed(here):
    registry.register(run(here / "runs/name/20260101-000000"), "runs/name/20260101-000000")
    assert not registry.INDEX.exists()


def test_several_processes_may_register_at_once(here):
    names = [f"run{number}" for number in range(50)]
    for name in names:
        run(here / name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: registry.register(here / name, name), names))
    assert found() == sorted(names)


@pytest.mark.parametrize(
    "damage",
    [b"\xff\xfe\x00", b'"a', b"[" * 100_000, b"3", b'["a"]', b'"a\\u0000b"', json.dumps("x" * 5000).encode(), b'"/"'],
)
def test_a_damaged_line_hides_no_other(here, damage):
    registry.register(run(here / "a"), "a")
    with registry.INDEX.open("ab") as file:
        file.write(damage)
    registry.register(run(here / "b"), "b")
    assert found() == ["a", "b"]


def test_a_list_that_is_none_is_no_reason_to_stop(here, said):
    registry.INDEX.mkdir(parents=True)
    registry.register(run(here / "a"), "a")
    assert found() == []
    assert said == ["runs/.index can't be written (Is a directory): `cnncli runs` will not list a"]


def test_a_place_that_can_not_be_written_is_told_once(here, said):
    (here / "runs").write_text("a file")
    for _ in range(2):
        registry.register(run(here / "a"), "a")
    assert said == ["runs/.index can't be written (File exists): `cnncli runs` will not list a"]


def test_of_a_list_that_is_far_too_long_the_end_is_read(here):
    registry.register(run(here / "old"), "old")
    with registry.INDEX.open("ab") as file:
        file.write(b"\n" * registry.LARGEST)
    registry.register(run(here / "new"), "new")
    assert found() == ["new"]
