"""Unicode normalization of file and class names: é is one letter, or e and an accent."""

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from unicodedata import normalize


def composed(name: str) -> str:
    """The name in Unicode's form C, in which letters and their accents are one: macOS takes them apart."""
    return name if name.isascii() else normalize("NFC", name)


RULE = "a file must be a path inside the table's folder"


class Files:
    """The files of a folder and below, found as a table may name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> str:
        """The file that a name means, relative to the folder and with /.

        It is the one of that name; else the one that a table made elsewhere would name so: with backslashes, by an
        absolute path, with accents composed otherwise, in other case. Raises ValueError with the rule that a name
        breaks which means no file, or several.
        """
        path = PurePosixPath(name)
        if not self._has(path):
            path = self._relative(name)
        if self._has(path):
            return str(path)
        for key in (composed, _folded):
            found = self._by[key(str(path))]
            if len(found) > 1:
                raise ValueError(f"'{path}' is ambiguous in the table's folder; it matches {', '.join(found)}")
            if found:
                return found[0]
        raise ValueError(f"there is no file '{path}' in the table's folder")

    def _has(self, path: PurePosixPath) -> bool:
        return not path.is_absolute() and ".." not in path.parts and (self.folder / path).is_file()

    def _relative(self, name: str) -> PurePosixPath:
        """A name, which is not that of a file, without backslashes and relative to the folder."""
        path = PurePosixPath(name.replace("\\", "/"))
        for folder in (self.folder.absolute(), self.folder.resolve()):
            path = path.relative_to(folder) if path.is_relative_to(folder) else path
        if path.is_absolute() or PureWindowsPath(name).drive:
            raise ValueError(f"{RULE}; received {name!r}, an absolute path outside it")
        if not path.parts or ".." in path.parts:
            raise ValueError(f"{RULE}; received {name!r}")
        return path

    @cached_property
    def _by(self) -> dict[str, list[str]]:
        """All files below by their composed and by their folded names: listed only where a name is not a file's."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for place, _, files in os.walk(self.folder):
            for file in sorted(files):
                path = Path(place, file).relative_to(self.folder).as_posix()
                for name in {composed(path), _folded(path)}:
                    found[name].append(path)
        return found


def _folded(name: str) -> str:
    """The name without regard to case."""
    return composed(name).casefold()
