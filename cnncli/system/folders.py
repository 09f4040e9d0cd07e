"""Directories of the user's files, and whether other users could change them; imports nothing of cnncli."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

RUNS = Path("runs")
"""The default directory of runs, in the working directory."""
LONGEST_WAY = 1000
"""Maximum parts of a path, including those of its links, to detect circular links."""


def cache(name: str) -> Path:
    """The subdirectory `name` of the user's cache directory, which may not exist; its content can be recreated.

    `CNNCLI_CACHE_DIR` overrides the cache directory. The path is absolute, because a process may change its working
    directory. Raises RuntimeError if there is no home directory.
    """
    base = os.environ.get("CNNCLI_CACHE_DIR")
    home = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "cnncli"
    return home.expanduser().absolute() / name


def make(folder: Path) -> None:
    """Create a directory and its missing parents, accessible only to this user. Raises OSError."""
    for place in (*reversed(folder.parents), folder):
        if not place.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)


def unsafe_reason(folder: Path) -> str:
    """Why other users could change the content of `folder`, and how to fix it; "" if they can't.

    The folder and all above it, and the links on the way, must belong to this user or to root and be writable by nobody
    else, or somebody could put another folder in the place of one of them at any time. In a sticky folder, such as
    /tmp, only an entry's owner can: on the way there the entries count. A group of this user's own (umask 002) is
    nobody else, unless an access control list hides behind its bits; those of macOS and NFS are not looked at. To root,
    too, another user is another one, also in a container: what a user can write must not run as root.

    What does not exist yet is trusted: make it, and ask then, because others may be able to make it first.
    """
    if not hasattr(os, "getuid"):  # Windows has no such owners and modes
        return ""
    for place, status, passed in _way(folder.absolute()):
        if status.st_uid not in (os.getuid(), 0):
            return f"{place} belongs to another user ({_user(status.st_uid)})"
        if stat.S_ISLNK(status.st_mode) or (status.st_mode & stat.S_ISVTX and passed):
            continue
        if status.st_mode & stat.S_IWOTH:
            return f"{place} is writable by everyone (chmod go-w {quote(str(place))})"
        if status.st_mode & stat.S_IWGRP and (_has_list(place) or not _is_own_group(status.st_gid)):
            return f"{place} is writable by its group (chmod g-w {quote(str(place))})"
    return ""


def _way(folder: Path) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Every folder and link from the root to `folder`, as far as they exist: its status, and whether it is only passed.

    From the root on, because what is below a folder that nobody else can change stays as it was seen.
    """
    place, left = Path(folder.anchor), list(reversed(folder.parts[1:]))
    yield place, place.lstat(), bool(left)
    for _ in range(LONGEST_WAY):
        if not left:
            return
        part = left.pop()
        if part == "..":
            place = place.parent
            yield place, place.lstat(), bool(left)
            continue
        try:
            status = (place / part).lstat()
        except OSError:
            return
        yield place / part, status, bool(left)
        if stat.S_ISLNK(status.st_mode):
            target = (place / part).readlink()
            left.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
            place = Path(target.anchor) if target.is_absolute() else place
        else:
            place /= part


def _has_list(place: Path) -> bool:
    """Whether a folder has an access control list (POSIX): the group's bits are then the most that any user has."""
    try:
        return "system.posix_acl_access" in os.listxattr(place)
    except (AttributeError, OSError):  # a system or a file system without them
        return False


def _is_own_group(number: int) -> bool:
    """Whether a group is the one of this user alone that many systems make for each user."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return user.pw_gid == number and group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
