import dataclasses
import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import download
from cnncli.datasets.sources.catalogue import KNOWN, Idx
from cnncli.errors import CnncliError
from cnncli.kernels.jit import cache
from tests.datasets import mirror as mirrors


@pytest.fixture
def mirror():
    with mirrors.serving() as served:
        yield served


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)


def failure(known, *, offline=False):
    with pytest.raises(CnncliError) as caught:
        download.fetch(known, offline=offline)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def first(known):
    """The path that the mirror is asked for first."""
    return known.files[0].name


def test_files_come_whole_and_are_asked_for_once(mirror, tmp_path):
    known, _ = mirrors.digits(mirror, "good")
    assert not download.is_here(known)
    download.fetch(known, offline=False)
    assert download.is_here(known)
    assert {path.name: path.read_bytes() for path in (tmp_path / "datasets" / "mnist").iterdir()} == mirror.files
    assert len(mirror.asked) == 4
    download.fetch(known, offline=False)
    download.fetch(known, offline=True)
    assert len(mirror.asked) == 4


def test_a_follower_hears_of_every_byte(mirror):
    known, _ = mirrors.digits(mirror, "good")
    heard = []
    download.fetch(known, offline=False, follow=lambda file, count: heard.append((file.name, count)))
    for file in known.files:
        counts = [count for name, count in heard if name == file.name]
        assert (counts[0], counts[-1]) == (0, file.size)


@pytest.mark.parametrize("manner", ["missing", "broken", "lying", "short", "endless"])
def test_what_one_mirror_can_not_give_the_next_one_does(mirror, manner):
    known, _ = mirrors.digits(mirror, manner, "good")
    download.fetch(known, offline=False)
    assert download.is_here(known)
    assert {path.read_bytes() for path in download.paths(known).values()} == set(mirror.files.values())


def test_a_server_that_stumbles_is_asked_again(mirror):
    known, _ = mirrors.digits(mirror, "broken_once")
    download.fetch(known, offline=False)
    assert mirror.asked[:2] == [f"/broken_once/{first(known)}"] * 2


REASONS = [
    ("missing", "404 Not Found", 1),
    ("broken", "500 Internal Server Error", 3),
    ("short", "the connection broke off", 3),
    ("lying", "wrong sha256 checksum", 1),
    ("endless", "wrong sha256 checksum", 1),
    ("silent", "no answer within 0.1 s", 3),
    ("halting", "no answer within 0.1 s", 3),
]


@pytest.mark.parametrize(("manner", "reason", "requests"), REASONS)
def test_what_no_mirror_gives_is_told_with_its_reason(mirror, tmp_path, monkeypatch, manner, reason, requests):
    monkeypatch.setattr(download, "READ_SECONDS", 0.1)
    known, _ = mirrors.digits(mirror, manner)
    folder = tmp_path / "datasets" / "mnist"
    assert failure(known) == (
        f"mnist: train-images.gz can't be downloaded ({mirror.address}: {reason}); try again later, or place it in "
        f"{folder} manually; mnist5k, 5,000 of MNIST's digits, needs no download"
    )
    assert len(mirror.asked) == requests
    assert list(folder.iterdir()) == []


def test_without_a_network_every_mirror_is_named(mirror):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    known, _ = mirrors.digits(mirror, "missing")
    nowhere = (f"http://127.0.0.1:{port}/", mirror.folder("missing"))
    known = dataclasses.replace(known, files=(dataclasses.replace(known.files[0], mirrors=nowhere),))
    assert f"(127.0.0.1:{port}: no connection; {mirror.address}: 404 Not Found)" in failure(known)


def test_a_folder_that_others_could_change_is_refused(mirror, tmp_path):
    known, _ = mirrors.digits(mirror, "good")
    download.fetch(known, offline=False)
    (tmp_path / "datasets").chmod(0o777)
    assert failure(known) == (
        f"mnist: the download directory is not safe: {tmp_path}/datasets is writable by everyone "
        f"(chmod go-w {tmp_path}/datasets); set CNNCLI_CACHE_DIR to another directory"
    )


def test_a_folder_that_somebody_else_makes_while_we_look_is_refused(mirror, tmp_path, monkeypatch):
    known, _ = mirrors.digits(mirror, "good")
    whole = download._is_whole

    def late(path, file):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o777)
        path.write_bytes(mirror.files[file.name])
        return whole(path, file)

    monkeypatch.setattr(download, "_is_whole", late)
    assert "the download directory is not safe: " in failure(known)


def test_what_was_downloaded_is_not_read_from_a_folder_that_others_could_change(mirror, tmp_path, monkeypatch):
    """Not by a command that downloads nothing either."""
    known, _ = mirrors.digits(mirror, "good")
    monkeypatch.setitem(KNOWN, "mnist", known)
    download.fetch(known, offline=False)
    assert len(load(DataSection(dataset="mnist"), tmp_path).train) > 0
    (tmp_path / "datasets" / "mnist").chmod(0o777)
    with pytest.raises(CnncliError, match=r"^mnist: the download directory is not safe: "):
        load(DataSection(dataset="mnist"), tmp_path)


def test_offline_no_request_is_made(mirror):
    known, _ = mirrors.digits(mirror, "good")
    said = failure(known, offline=True)
    assert said.startswith(
        f"mnist: {download.folder(known)}/train-images.gz is missing, and downloads are disabled offline;"
    )
    assert "run `cnncli datasets download mnist` online first; mnist5k" in said
    assert mirror.asked == []


def test_a_file_that_was_damaged_since_is_noticed_and_replaced(mirror):
    known, _ = mirrors.digits(mirror, "good")
    download.fetch(known, offline=False)
    path = download.paths(known)["test-labels.gz"]
    path.write_bytes(b"")
    assert "test-labels.gz has a wrong checksum, and downloads are disabled offline" in failure(known, offline=True)
    download.fetch(known, offline=False)
    assert path.read_bytes() == mirror.files["test-labels.gz"]
    assert len(mirror.asked) == 5


def test_a_file_put_there_by_hand_is_as_good(mirror):
    known, _ = mirrors.digits(mirror, "missing")
    download.folder(known).mkdir(parents=True)
    for name, content in mirror.files.items():
        (download.folder(known) / name).write_bytes(content)
    download.fetch(known, offline=False)
    assert mirror.asked == []


def test_an_interrupted_download_leaves_nothing(mirror):
    known, _ = mirrors.digits(mirror, "good")

    def interrupt(file, count):
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.fetch(known, offline=False, follow=interrupt)
    assert list(download.folder(known).iterdir()) == []


def test_what_a_killed_download_leaves_is_not_taken_for_whole(mirror):
    known, _ = mirrors.digits(mirror, "halting")
    code = f"""
from cnncli.datasets.sources import download
from cnncli.datasets.sources.catalogue import Idx, Known, Remote
download.fetch({known!r}, offline=False)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        while not (download.folder(known).is_dir() and any(download.folder(known).iterdir())):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert any(download.folder(known).iterdir())
    assert not download.is_here(known)
    (left,) = download.folder(known).iterdir()
    known, _ = mirrors.digits(mirror, "good")
    os.utime(left, (time.time() - 7200,) * 2)
    download.fetch(known, offline=False)
    assert {path.name: path.read_bytes() for path in download.folder(known).iterdir()} == mirror.files


def test_a_disk_that_takes_no_more_is_told_at_once(mirror, tmp_path):
    known, _ = mirrors.digits(mirror, "good", "good")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        said = failure(known)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    folder = tmp_path / "datasets" / "mnist"
    assert said == f"{folder}: can't be written: File too large; set CNNCLI_CACHE_DIR to another directory"
    assert len(mirror.asked) == 1
    assert list(folder.iterdir()) == []


def test_a_folder_that_can_not_be_made_is_told(mirror, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "file"))
    known, _ = mirrors.digits(mirror, "good")
    assert "can't be written: File exists" in failure(known)


def test_md5_is_checked_where_nothing_better_is_known(mirror):
    known, _ = mirrors.digits(mirror, "good")
    content = mirror.files[first(known)]
    right, wrong = (f"md5:{hashlib.md5(data).hexdigest()}" for data in (content, content[1:]))
    file = known.files[0]
    download.fetch(dataclasses.replace(known, files=(dataclasses.replace(file, checksum=right),)), offline=False)
    known = dataclasses.replace(known, files=(dataclasses.replace(file, checksum=wrong),))
    assert "wrong md5 checksum" in failure(known)


def test_datasets_are_kept_beside_the_compiled_kernels(mirror, tmp_path):
    known, _ = mirrors.digits(mirror, "good")
    assert download.folder(known).parents[1] == cache.folder().parents[1] == tmp_path


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_the_datasets_that_there_are_agree_with_themselves(known):
    assert len(set(known.classes)) == len(known.classes)
    assert set(known.contents.members) == set(known.samples) == {"train", "test"}
    for file in known.files:
        algorithm, digits = file.checksum.split(":")
        assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size
        assert len(file.mirrors) >= 2
        assert all(folder.startswith("http") and folder.endswith("/") for folder in file.mirrors)
    if isinstance(known.contents, Idx) and len(known.files) > 1:
        named = [name for pair in known.contents.members.values() for name in pair]
        assert sorted(named) == sorted(file.name for file in known.files)
