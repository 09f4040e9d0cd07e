import json
import os

import numpy as np
import pytest

from cnncli.datasets.images import image_cache
from cnncli.datasets.images.decode import Form, decode
from cnncli.errors import CnncliError
from cnncli.system import folders
from tests.datasets.photos import picture

FORM = Form(6, 4)
FILES = ["a.png", "b.png", "c.png"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def root(tmp_path):
    for i, name in enumerate(FILES):
        picture(tmp_path / "photos" / name, colour=(i, 50, 99))
    return tmp_path / "photos"


class Counting:
    """Counts what is decoded."""

    def __init__(self, monkeypatch):
        self.files = []
        monkeypatch.setattr(image_cache, "decode", self)

    def __call__(self, path, form):
        self.files.append(path.name)
        return decode(path, form)


def read(root, form=FORM, files=FILES, progress=lambda done, total: None):
    return image_cache.decoded(root, files, form, progress)


def test_rows_are_the_files_in_their_order_and_mapped_read_only(root):
    made = read(root)
    assert (made.images.shape, made.images.dtype) == ((3, 6, 4, 3), np.uint8)
    assert made.images[:, 0, 0].tolist() == [[0, 50, 99], [1, 50, 99], [2, 50, 99]]
    assert isinstance(made.images, np.memmap)
    assert not made.images.flags.writeable


def test_what_was_decoded_once_is_not_decoded_again(root, monkeypatch):
    counting = Counting(monkeypatch)
    first = read(root)
    assert sorted(counting.files) == FILES
    again = read(root)
    assert len(counting.files) == 3
    assert np.array_equal(again.images, first.images)
    assert again.digest == first.digest


def test_a_changed_file_another_form_or_other_files_are_decoded_anew(root, monkeypatch):
    counting = Counting(monkeypatch)
    first = read(root)
    read(root, Form(6, 4, "grayscale"))
    read(root, files=FILES[:2])
    assert len(counting.files) == 3 + 3 + 2
    status = picture(root / "b.png", colour=(7, 7, 7)).stat()
    os.utime(root / "b.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    changed = read(root)
    assert changed.images[1, 0, 0].tolist() == [7, 7, 7]
    assert changed.digest != first.digest


def test_files_with_problems_have_empty_rows_and_are_tried_again(root, monkeypatch):
    (root / "b.png").write_text("")
    os.utime(root / "b.png", ns=(1, 1))
    made = read(root)
    assert list(made.problems) == [1]
    assert str(made.problems[1]) == "b.png: an image must not be empty; the file has 0 bytes"
    assert not made.images[1].any()
    counting = Counting(monkeypatch)
    assert read(root).problems == made.problems
    assert counting.files == ["b.png"]


def test_a_file_that_can_be_read_at_last_is_decoded_though_no_time_of_it_changed(root, monkeypatch):
    monkeypatch.setattr(image_cache, "_stamp", lambda path: (1,))
    content = (root / "b.png").read_bytes()
    (root / "b.png").write_bytes(b"")
    assert list(read(root).problems) == [1]
    (root / "b.png").write_bytes(content)
    made = read(root)
    assert made.problems == {}
    assert made.images[1, 0, 0].tolist() == [1, 50, 99]


def test_a_damaged_cache_is_made_anew(root, cache):
    expected = np.array(read(root).images)
    (place,) = cache.iterdir()
    for name, content in (("images.npy", b"\x93NUMPY"), ("about.json", b"[]"), ("about.json", b"{")):
        (place / name).write_bytes(content)
        assert np.array_equal(read(root).images, expected)
    (place / "images.npy").write_bytes((place / "images.npy").read_bytes()[:-1])
    assert np.array_equal(read(root).images, expected)
    assert [path.name for path in cache.iterdir()] == [place.name]


def test_an_interrupted_decoding_leaves_nothing(root, cache):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(root, progress=interrupt)
    assert list(cache.iterdir()) == []


def test_progress_is_told_up_to_the_last_file(root, monkeypatch):
    monkeypatch.setattr(image_cache, "PORTION", 2)
    said = []
    read(root, progress=lambda done, total: said.append((done, total)))
    assert said == [(2, 3), (3, 3)]


def test_a_cache_that_can_not_be_written_says_what_moves_it(root, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(
        CnncliError, match=r"^decoded images can't be cached: .*; set CNNCLI_CACHE_DIR to another directory$"
    ):
        read(root)


def test_the_cache_holds_no_objects_and_is_private(root, cache):
    read(root)
    (place,) = cache.iterdir()
    assert (cache.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o700, 0o700)
    about = json.loads((place / "about.json").read_text())
    assert set(about) == {"files", "digest", "problems", "fingerprints", "portions", "seal"}


@pytest.mark.parametrize("name", ["images.npy", "fingerprints.npy", "about.json"])
def test_a_flipped_bit_anywhere_is_noticed_and_the_images_are_decoded_anew(root, cache, monkeypatch, capsys, name):
    monkeypatch.setattr(image_cache, "CHECKED", 100)
    expected = read(root)
    images, digest = np.array(expected.images), expected.digest
    (place,) = cache.iterdir()
    whole = (place / name).read_bytes()
    for at in range(0, len(whole), 7):
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        (place / name).write_bytes(content)
        found = read(root)
        assert np.array_equal(found.images, images)
        assert (found.digest, found.problems) == (digest, {})
    assert f"warning: {place}: the cached images are damaged and are decoded again" in capsys.readouterr().err


def test_damage_of_any_kind_is_decoded_anew(root, cache):
    expected = np.array(read(root).images)
    (place,) = cache.iterdir()
    header = b"\x93NUMPY\x01\x00\x76\x00"
    huge = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%s, 16), }" % (b"9" * 40)
    damage = {
        "about.json": [b"", b"\xff\xfe", b"[" * 100_000, b"null", b'{"seal": {}}', b"1e999", b"9" * 5000],
        "fingerprints.npy": [b"", b"PK\x03\x04", header + huge.ljust(118), b"PK\x05\x06" + bytes(18)],
        "images.npy": [b"", b"PK\x05\x06" + bytes(18), header + b"(" * 118, header + huge.ljust(118)],
    }
    for name, contents in damage.items():
        for content in contents:
            (place / name).write_bytes(content)
            assert np.array_equal(read(root).images, expected)
    for name in damage:
        (place / name).unlink()
        (place / name).mkdir()
        assert np.array_equal(read(root).images, expected)
    assert list(cache.iterdir()) == [place]


@pytest.mark.parametrize("change", ["chmod", "replace"])
def test_images_of_files_that_changed_take_the_place_of_the_old_without_a_warning(root, cache, capsys, change):
    """A new inode or time of all files, as after a copy, does not fill the disk with one more set of all images."""
    first = read(root)
    before = np.array(first.images)
    if change == "chmod":
        (root / "b.png").chmod(0o600)
    else:
        (root / "copy").write_bytes((root / "b.png").read_bytes())
        (root / "copy").replace(root / "b.png")
    second = read(root)
    assert (np.array_equal(second.images, before), second.digest) == (True, first.digest)
    assert len(list(cache.iterdir())) == 1
    assert np.array_equal(first.images, before)  # who has the old ones open keeps them
    assert capsys.readouterr().err == ""


def test_a_file_replaced_by_another_of_the_same_size_and_time_is_decoded_anew(root):
    """As rsync -t, cp -p and archives with fixed times leave it."""
    first = read(root)
    before = (root / "b.png").stat()
    other = picture(root / "other.png", colour=(8, 50, 99))
    content = other.read_bytes()
    assert len(content) == before.st_size
    (root / "b.png").write_bytes(content)
    os.utime(root / "b.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    second = read(root)
    assert (first.images[1, 0, 0].tolist(), second.images[1, 0, 0].tolist()) == ([1, 50, 99], [8, 50, 99])
    assert first.digest != second.digest


def test_images_in_a_folder_that_others_can_change_are_not_used(root, cache, capsys):
    made = read(root)
    (place,) = cache.iterdir()
    content = bytearray((place / "images.npy").read_bytes())
    cache.chmod(0o777)
    content[-1] ^= 255
    (place / "images.npy").write_bytes(content)
    found = read(root)
    assert found.images[:, 0, 0].tolist() == [[0, 50, 99], [1, 50, 99], [2, 50, 99]]
    assert found.digest == made.digest
    assert "decoded images are not cached: " in capsys.readouterr().err
    assert list(cache.iterdir()) == [place]


def test_a_folder_that_somebody_else_makes_just_before_we_do_is_not_used(root, cache, monkeypatch, capsys):
    """In a sticky folder such as /tmp others may be the first to make what is not there yet."""
    make = folders.make

    def late(folder):
        make(folder)
        folder.chmod(0o777)

    monkeypatch.setattr(folders, "make", late)
    assert read(root).images[:, 0, 0].tolist() == [[0, 50, 99], [1, 50, 99], [2, 50, 99]]
    assert "decoded images are not cached: " in capsys.readouterr().err
    assert list(cache.iterdir()) == []
