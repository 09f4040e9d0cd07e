"""What is kept on the disk: sizes that are right, and a cleaning that takes only what can be made again."""

import shutil
from collections import namedtuple
from contextlib import chdir

import pytest

from cnncli.datasets.sources import temporary
from cnncli.report.tables import storage
from cnncli.training.runs import past_runs

MINE, OTHER, IMAGES = "a" * 16, "b" * 16, "c" * 32
ROOM, STALE = f"conv-{MINE}", f"conv-{OTHER}"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder with kernels of two digests, a room of two sources, images, a download, and what is not ours."""
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path))
    for path, count in (
        (f"jit/{MINE}/{ROOM}/k.nbi", 10),
        (f"jit/{MINE}/{STALE}/deep/k.nbi", 500),
        (f"jit/{MINE}/notes/mine.txt", 3),
        (f"jit/{OTHER}/deep/k.nbi", 200),
        (f"jit/{OTHER}/k.nbc", 50),
        ("jit/notes/mine.txt", 7),
        (f"images/{IMAGES}/images.npy", 1000),
        ("images/.left/half", 30),
        ("datasets/mnist/x.gz", 4),
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * count)
    (tmp_path / "jit" / ("d" * 16)).symlink_to(tmp_path / "datasets")
    return tmp_path


def values(found):
    return {fact.name: fact.value for fact in found}


def test_sizes_are_those_of_the_files_by_kind(cache):
    found = values(storage.caches(MINE, [ROOM], unused=""))
    assert (found["jit"], found["jit_of_others"], found["images"], found["datasets"]) == (10, 750, 1030, 4)


def test_cleaning_removes_other_kernels_images_and_what_was_left_half_made_and_nothing_else(cache):
    with temporary.folder(cache / "images") as living:
        (cache / "images/.left/half").parent.mkdir()
        (cache / "images/.left/half").write_bytes(b"x" * 30)
        (living / "half").touch()
        assert storage.clean(MINE, [ROOM]) == {"jit": (2, 750), "images": (2, 1030)}
        left = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
        notes = {f"jit/{MINE}/notes/mine.txt", "jit/notes/mine.txt"}
        kept = {f"jit/{MINE}/{ROOM}/k.nbi", *notes, "datasets/mnist/x.gz"}
        assert left == {*kept, f"images/{living.name}/half"}
        assert storage.clean(MINE, [ROOM]) == {"jit": (0, 0), "images": (0, 0)}


@pytest.mark.usefixtures("cache")
def test_a_cache_that_can_not_be_written_is_amiss():
    assert not any(fact.advice for fact in storage.caches(MINE, [ROOM], unused=""))
    (line,) = [fact.advice for fact in storage.caches(MINE, [ROOM], unused="/x can't be written") if fact.advice]
    assert line == ("/x can't be written: kernels are compiled in every run; set CNNCLI_CACHE_DIR to another directory")


def test_caches_that_others_can_change_are_amiss(cache):
    (cache / "images").chmod(0o777)
    (line,) = [fact.advice for fact in storage.caches(MINE, [ROOM], unused="") if fact.advice]
    assert "images is writable by everyone" in line


def test_data_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path))
    found = values(storage.data())
    assert found["mnist5k"].endswith("mnist5k.npz")
    assert "mnist" in found["not_here"]
    assert not any(fact.advice for fact in storage.data())


def test_little_disk_is_amiss(monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(5_000_000))
    lines = [fact.advice for fact in storage.disk()]
    assert all(line.startswith("only 5.0 MB free in ") for line in lines)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(storage.LITTLE))
    assert not any(fact.advice for fact in storage.disk())


def test_runs_are_counted_and_the_newest_is_named(tmp_path):
    with chdir(tmp_path):
        assert values(storage.trained()) == {"count": 0}
        run = past_runs.RUNS / "x" / "20260101-000000"
        run.mkdir(parents=True)
        for name in ("spec.yaml", "best.safetensors"):
            (run / name).touch()
        assert values(storage.trained()) == {"count": 1, "newest": str(run)}
