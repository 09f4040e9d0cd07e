"""A disk that fails, or a process that is killed, at the n-th operation that changes files in a folder.

Operations are those of Python's `os`, and of files that are opened: each is counted, named after what it does and to
which file. Nothing is replaced outside of the `with` block.
"""

import builtins
import io
import os
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

OPEN = io.open
CHANGES = ("mkdir", "rmdir", "unlink", "replace", "rename", "symlink", "truncate")
"""Functions of `os` whose first argument is a path, or for `symlink` the second."""


class Killed(BaseException):
    """The process is gone; no code that still runs changes anything."""


class Disk:
    """Counts the operations below `folder`; the one with the number `at` (from 0) goes wrong.

    `error`: the number of the OSError that it raises; None: the process is killed, while it is being done. `power`:
    then what was not flushed to disk is lost as well. `done`: names of all operations, such as "fsync spec.yaml".
    """

    def __init__(self, folder: Path, at: int = -1, error: int | None = None, *, power: bool = False):
        self.folder, self.at, self.error, self.power = Path(os.path.realpath(folder)), at, error, power
        self.done: list[str] = []
        self.dead = False
        self.unflushed: dict[str, bytes | None] = {}
        """Files by path with the content that they have if the power is lost; None: they are not there."""
        self.unnamed: dict[str, bytes | None] = {}
        """As above, of names whose folder was not flushed."""

    def __enter__(self) -> "Disk":
        self.stack = ExitStack()
        for name in CHANGES:
            self._patch(os, name, self._change(name, getattr(os, name)))
        for name in ("fsync", "open", "close", "write"):
            self._patch(os, name, getattr(self, f"_{name}")(getattr(os, name)))
        opened = self._opened(io.open)
        self._patch(io, "open", opened)
        self._patch(builtins, "open", opened)
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()
        if self.dead and self.power:
            for path, content in {**self.unflushed, **self.unnamed}.items():
                if content is None:
                    Path(path).unlink(missing_ok=True)
                else:
                    Path(path).write_bytes(content)

    def _patch(self, module: object, name: str, function: object) -> None:
        self.stack.enter_context(patch.object(module, name, function))

    def _counts(self, path: object) -> bool:
        if isinstance(path, int):
            path = Path("/", _path(path) if path >= 0 else "")  # that of a pipe is no path of the folder
        return isinstance(path, str | Path) and Path(path).absolute().is_relative_to(self.folder)

    def _step(self, what: str, path: object) -> bool:
        """Count an operation. Returns whether it takes effect; raises what goes wrong."""
        if self.dead:
            return False
        if isinstance(path, int):
            path = _path(path)
        name = Path(str(path)).name
        self.done.append(f"{what} {'temporary' if name.endswith('.tmp') else name}")
        if len(self.done) - 1 != self.at:
            return True
        if self.error is None:
            self.dead = True
            raise Killed
        raise OSError(self.error, os.strerror(self.error), str(path))

    def _change(self, name, run):
        def changed(*paths, **options):
            path = paths[1 if name == "symlink" else 0]
            if not self._counts(path):
                return run(*paths, **options)
            if not self._step(name, paths[-1] if name in ("replace", "rename") else path):
                return None
            if name in ("replace", "rename"):
                source, target = (os.path.realpath(each) for each in paths[:2])
                self.unnamed.setdefault(target, _content(target))
                if source in self.unflushed:
                    self.unflushed[target] = self.unflushed.pop(source)
            return run(*paths, **options)

        return changed

    def _fsync(self, run):
        def flushed(number):
            path = _path(number)
            if not self._counts(path):
                return run(number)
            if self._step("fsync", path):
                self.unflushed.pop(path, None)
                for name in [name for name in self.unnamed if Path(name).parent == Path(path)]:
                    del self.unnamed[name]
            return None

        return flushed

    def _open(self, run):
        def opened(path, flags, *options, **named):
            if self._counts(path) and (flags & (os.O_WRONLY | os.O_RDWR) or Path(path).is_dir()):
                self._step("open", path)
            return run(path, flags, *options, **named)

        return opened

    def _close(self, run):
        def closed(number):
            fails = None
            if self._counts(number):
                try:
                    self._step("close", number)
                except (OSError, Killed) as error:
                    fails = error
            run(number)
            if fails:
                raise fails

        return closed

    def _write(self, run):
        def written(number, content):
            if self._counts(number) and not self._step("write", number):
                return len(content)
            return run(number, content)

        return written

    def _opened(self, run):
        def opened(path, mode="r", *options, **named):
            if not self._counts(path) or not set(mode) & set("wax+"):
                return run(path, mode, *options, **named)
            if self.dead:
                raise Killed
            self._step("create", path)
            place = os.path.realpath(path)
            self.unflushed.setdefault(place, _content(place))
            return _File(run(path, mode, *options, **named), path, self)

        return opened


class _File:
    """An open file of which writing and closing may fail. What is written is half written before that."""

    def __init__(self, file, path, disk):
        self.file, self.path, self.disk = file, path, disk

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def write(self, content):
        try:
            if not self.disk._step("write", self.path):
                return len(content)
        except BaseException:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            raise
        return self.file.write(content)

    def flush(self):
        if not self.disk.dead:
            self.file.flush()

    def close(self):
        if self.file.closed:
            return
        self.file.close()
        self.disk._step("close", self.path)


def _path(descriptor: int) -> str:
    """What is open."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _content(path: str) -> bytes | None:
    try:
        with OPEN(path, "rb") as file:
            return file.read()
    except OSError:
        return None
