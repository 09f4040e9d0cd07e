"""The files that a table of images names: beside it, or in a folder beside it, also without their endings."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from cnncli.datasets.layouts.split_names import split_of
from cnncli.datasets.sources.image_names import ENDINGS, UNREAD
from cnncli.datasets.sources.unicode_names import Files, composed
from cnncli.errors import DeclarationError

PICTURES = (*ENDINGS, *UNREAD)


class TableFiles:
    """The files of the folder of a table. `inside`: the folder in it that holds all, where that is said."""

    def __init__(self, table: Path, inside: str = "") -> None:
        self.table, self.folder, self.inside = table, table.parent, inside.strip("/")
        parts = PurePosixPath(self.inside).parts
        if inside.startswith("/") or ".." in parts or not (self.folder / self.inside).is_dir():
            raise DeclarationError(
                f"columns: folder must be a folder beside {table.name}; received {inside}", "columns"
            )
        self.listed = Files(self.folder)
        self.homes: Counter[str] = Counter()
        """How many of the names are of files in each folder."""

    def find(self, names: Sequence[str]) -> list[str | ValueError]:
        """The file that each name means, relative to the table's folder; or the rule that it breaks.

        Raises DeclarationError where most are in each of several folders.
        """
        found = [self._candidates(name) for name in names]
        for at, files in enumerate(found):
            if len(files) > 1:
                found[at] = self._nearest(names[at], files)
                if len(found[at]) > 1:
                    self._refuse_homes(names, found)
        return [self._one(name, files) for name, files in zip(names, found, strict=True)]

    @property
    def pictures(self) -> int:
        """How many pictures are in the folders in which files were found, and below where those have none."""
        return sum(count for home, count in self._index[1].items() if home in self.homes)

    def _one(self, name: str, files: Sequence[str]) -> str | ValueError:
        if len(files) > 1:
            return ValueError(f"'{name}' is ambiguous in the table's folder; it matches {', '.join(sorted(files))}")
        if not files and _is_simple(name) and not (self.folder / name).is_file():
            return ValueError(f"there is no file '{name}' in the table's folder")
        try:
            file = files[0] if files else self.listed.find(name)
        except ValueError as error:
            return error
        self.homes[file.rpartition("/")[0]] += 1
        return file

    def _candidates(self, name: str) -> Sequence[str]:
        """The files that end in what a name says."""
        by_name, _ = self._index
        if "/" not in name and "\\" not in name:
            files = by_name.get(composed(name).casefold(), ())
            return files if len(files) < 2 else [file for file in files if _ends(composed(file), name)] or files
        path = composed(name.replace("\\", "/")).removeprefix("./")
        parts = path.split("/")
        if not _is_simple(path) or not parts[-1]:
            return ()
        if parts[0] == self.folder.name and not (self.folder / parts[0]).is_dir():
            path = "/".join(parts[1:])
        found = by_name.get(parts[-1].casefold(), ())
        if path in found:
            return (path,)
        found = [file for file in found if _ends(composed(file).casefold(), path.casefold())]
        return [file for file in found if _ends(composed(file), path)] or found

    def _nearest(self, name: str, files: Sequence[str]) -> list[str]:
        """Of files that are called alike those that are beside the table, or in the folder of its split."""
        beside = [file for file in files if len(PurePosixPath(file).parts) == name.count("/") + 1]
        split = split_of(self.table.stem)
        return beside or [file for file in files if split and split_of(file.split("/")[0]) == split] or list(files)

    def _refuse_homes(self, names: Sequence[str], found: Sequence[Sequence[str]]) -> None:
        """Raise DeclarationError where several folders have most of the files, or one has them twice."""
        homes = Counter(_home(file, name) for name, files in zip(names, found, strict=True) for file in files)
        most = [home for home, held in homes.items() if 2 * held >= len(names)]
        folders = sorted({folder for folder, _ in most})
        if len(folders) > 1 and folders[0]:
            way = " or ".join(f"`columns: {{folder: {folder}}}`" for folder in folders)
            raise DeclarationError(
                f"{self.table}: the folders {' and '.join(folders)} both have files of these names: set {way} under "
                "`data`"
            )
        if len(most) > len(folders):
            endings = " and ".join(sorted(ending for folder, ending in most if folder == folders[0]))
            raise DeclarationError(
                f"{self.table}: {folders[0] or 'its folder'} has {endings} files of these names: write the names with "
                "their endings in the table, or keep one file of each name"
            )

    @cached_property
    def _index(self) -> tuple[dict[str, list[str]], Counter[str]]:
        """The pictures of the folder and below by their names, with and without their endings; and how many are in
        each folder. Each folder is listed once.
        """
        found: defaultdict[str, list[str]] = defaultdict(list)
        counts: Counter[str] = Counter()
        for place, folders, files in os.walk(self.folder / self.inside):
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            home = Path(place).relative_to(self.folder).as_posix()
            prefix = "" if home == "." else f"{home}/"
            for file in files:
                name = composed(file).casefold()
                if name.endswith(PICTURES):
                    found[name].append(prefix + file)
                    found[name.rpartition(".")[0]].append(prefix + file)
                    counts[prefix.rstrip("/")] += 1
        return found, counts


def _is_simple(name: str) -> bool:
    """Whether a name is that of a file in the folder, or below, as it stands there."""
    return (
        not (name.startswith("/") or "\\" in name or ":" in name or ".." in name or "//" in name) and name.isprintable()
    )


def _ends(file: str, path: str) -> bool:
    """Whether a file is the one at a path, or below a folder, or with an ending that the path lacks."""
    stem = file.rpartition(".")[0]
    return any(each == path or each.endswith(f"/{path}") for each in (file, stem))


def _home(file: str, name: str) -> tuple[str, str]:
    """The folder in which a name means a file, and the file's ending."""
    folder, _, last = file.rpartition("/")
    folders = folder.split("/")
    kept = len(folders) - name.replace("\\", "/").count("/")
    return "/".join(folders[:kept]), PurePosixPath(last).suffix
