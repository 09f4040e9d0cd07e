"""The control groups of this process, which limit its resources, for example in containers."""

from collections.abc import Iterator
from pathlib import Path


def groups(controller: str, root: Path) -> Iterator[tuple[int, Path]]:
    """(version 1 or 2, directory) of this process's groups for a controller and of their parents.

    Empty on systems without control groups. `root`: see tests.
    """
    mount = root / "sys/fs/cgroup"
    for line in text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from ((2, folder) for folder in _upwards(mount, path))
        elif controller in controllers.split(","):
            for name in (controller, controllers):
                yield from ((1, folder) for folder in _upwards(mount / name, path))


def text(path: Path) -> str:
    """The content of a file; "" if it does not exist."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _upwards(mount: Path, path: str) -> list[Path]:
    folder = mount / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))]
