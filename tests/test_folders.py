"""Which folders others could change: permissions, owners, links."""

import grp
import os
import pwd
import struct
from types import SimpleNamespace

import pytest

from cnncli.system import folders


@pytest.fixture
def place(tmp_path):
    """A folder two below a trusted one; /tmp and pytest's own folders are trusted."""
    assert folders.unsafe_reason(tmp_path) == ""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True, mode=0o700)
    (tmp_path / "a").chmod(0o755)
    return folder


def test_a_folder_of_this_user_is_trusted_whether_it_exists_or_not(place):
    assert folders.unsafe_reason(place) == ""
    assert folders.unsafe_reason(place / "not" / "there") == ""


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o703])
@pytest.mark.parametrize("level", [0, 1])
def test_a_folder_that_everybody_can_write_is_named(place, mode, level):
    changed = (place, place.parent)[level]
    changed.chmod(mode)
    assert folders.unsafe_reason(place) == f"{changed} is writable by everyone (chmod go-w {changed})"


def test_a_sticky_folder_is_trusted_on_the_way_but_not_as_the_place_itself(place):
    place.parent.chmod(0o1777)
    assert folders.unsafe_reason(place) == ""
    assert "is writable by everyone" in folders.unsafe_reason(place.parent)


def test_a_group_is_trusted_only_where_it_is_this_users_alone(place, monkeypatch):
    place.chmod(0o770)
    user = SimpleNamespace(pw_name="ada", pw_gid=place.stat().st_gid)
    monkeypatch.setattr(pwd, "getpwuid", lambda number: user)
    for name, members, trusted in (("ada", [], True), ("ada", ["ada"], True), ("ada", ["bob"], False)):
        monkeypatch.setattr(
            grp, "getgrgid", lambda n, found=(name, members): SimpleNamespace(gr_name=found[0], gr_mem=found[1])
        )
        assert (folders.unsafe_reason(place) == "") == trusted
    monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name="staff", gr_mem=[]))
    assert folders.unsafe_reason(place) == f"{place} is writable by its group (chmod g-w {place})"


@pytest.mark.parametrize("level", [0, 1])
def test_a_folder_of_another_user_is_named(place, monkeypatch, level):
    given = (place, place.parent)[level]
    if os.getuid() == 0:
        os.chown(given, 4321, -1)
    else:  # who can't give anything away becomes another one, to whom all folders but root's are another's
        owner = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
        given = next(folder for folder in (*reversed(place.parents), place) if folder.stat().st_uid == owner)
    assert folders.unsafe_reason(place).startswith(f"{given} belongs to another user (")


def test_links_are_followed_and_what_they_lead_through_counts(place, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "inner").mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to("open/inner")
    assert folders.unsafe_reason(link) == ""
    (tmp_path / "open").chmod(0o777)
    assert "open is writable by everyone" in folders.unsafe_reason(link)
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert folders.unsafe_reason(loop / "x") == ""


def test_a_sticky_folder_is_not_trusted_as_the_place_itself_by_whatever_way(place, tmp_path):
    """Others could put entries of theirs into it, though not replace ours."""
    place.chmod(0o1777)
    (place / "inner").mkdir()
    (tmp_path / "images").symlink_to(place)
    for way in (tmp_path / "images", place / "inner" / "..", tmp_path / "images" / "inner" / ".."):
        assert folders.unsafe_reason(way) == f"{place} is writable by everyone (chmod go-w {place})"
    assert folders.unsafe_reason(tmp_path / "images" / "inner") == ""


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="access control lists as Linux has them")
def test_an_access_control_list_that_lets_others_write_is_not_taken_for_the_users_own_group(place, monkeypatch):
    """With a list the group's bits are its mask: what the group itself may do is not to be seen there."""
    user = SimpleNamespace(pw_name="ada", pw_gid=place.stat().st_gid)
    monkeypatch.setattr(pwd, "getpwuid", lambda number: user)
    monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name="ada", gr_mem=[]))
    place.chmod(0o770)
    assert folders.unsafe_reason(place) == ""
    nobody, entries = 0xFFFFFFFF, [(1, 7), (2, 7), (4, 5), (16, 7), (32, 0)]  # owner, a user, group, mask, others
    content = b"".join(struct.pack("<HHI", tag, bits, 4321 if tag == 2 else nobody) for tag, bits in entries)
    try:
        os.setxattr(place, "system.posix_acl_access", struct.pack("<I", 2) + content)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert place.stat().st_mode & 0o777 == 0o770
    assert folders.unsafe_reason(place) == f"{place} is writable by its group (chmod g-w {place})"


def test_missing_folders_are_made_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        folders.make(tmp_path / "x" / "y")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("x", "x/y")] == [0o700, 0o700]
    folders.make(tmp_path / "x" / "y")
