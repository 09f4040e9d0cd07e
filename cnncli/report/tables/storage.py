"""Caches, datasets and runs on the disk: their sizes, contents, and what can be removed."""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from cnncli.datasets.describe import EMBEDDED
from cnncli.datasets.files import shipped
from cnncli.datasets.sources import download, temporary
from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.errors import CnncliError
from cnncli.report.tables.machine_facts import GIGA, Fact
from cnncli.system import folders
from cnncli.training.runs import past_runs

LITTLE = 1_000_000_000
"""Bytes that should be free: several runs and what is compiled, with room."""
KEPT = {"jit": re.compile(r"[0-9a-f]{16}"), "images": re.compile(r"[0-9a-f]{32}")}
"""The folders that cnncli makes in those of its caches that can go at any time."""
ROOM = re.compile(r"[a-z_]+-[0-9a-f]{16}")
"""Those in a folder of compiled kernels."""


def size(folder: Path) -> int:
    """Total size in bytes of the files in a folder; 0 if it does not exist."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(place) / name).st_size
            except OSError:  # gone meanwhile
                continue
    return total


def caches(digest: str, rooms: Collection[str], *, unused: str) -> list[Fact]:
    """The caches by kind. `digest`: the folder of compiled kernels, `rooms`: those in it that belong to the sources as
    they are; `unused`: why none are kept there, or nothing.
    """
    try:
        places = {kind: folders.cache(kind) for kind in ("jit", "images", "datasets")}
    except RuntimeError:
        advice = "there is no home directory for caches: set CNNCLI_CACHE_DIR"
        return [Fact("caches", "folder", None, "none", advice)]
    used, old = places["jit"] / digest, list(_old_kernels(digest, rooms))
    advice = ""
    if unused:
        advice = f"{unused}: kernels are compiled in every run; set CNNCLI_CACHE_DIR to another directory"
    taken, spent = sum(size(used / room) for room in rooms), sum(map(size, old))
    others = f"{_megabytes(spent)} in {len(old)} folders of other versions or processors"
    facts = [
        Fact("caches", "jit", taken, f"{_megabytes(taken)} in {used}", advice),
        Fact("caches", "jit_of_others", spent, others),
    ]
    for kind in ("images", "datasets"):
        place = places[kind]
        why = folders.unsafe_reason(place) or ("" if _writable(place) else f"{place} can't be written")
        advice = why and f"{why}; set CNNCLI_CACHE_DIR to another directory"
        facts.append(Fact("caches", kind, size(place), _sized(place), advice))
    empty = f"`cnncli doctor --clean` removes old kernels and images; `rm -r {places['datasets']}` removes downloads"
    return [*facts, Fact("caches", "to_empty", "cnncli doctor --clean", empty)]


def data() -> list[Fact]:
    """The datasets that are here."""
    facts = []
    for name in EMBEDDED:
        file = shipped("data") / f"{name}.npz"
        advice = "" if file.is_file() else f"{file} is missing: reinstall cnncli"
        facts.append(Fact("data", name, str(file), "bundled", advice))
    try:
        here = [known for known in KNOWN.values() if download.is_here(known)]
    except RuntimeError:
        here = []
    facts += [Fact("data", known.name, str(download.folder(known)), _sized(download.folder(known))) for known in here]
    missing = [name for name, known in KNOWN.items() if known not in here]
    if missing:
        facts.append(Fact("data", "not_here", missing, f"{', '.join(missing)}: `cnncli datasets download NAME`"))
    return facts


def trained() -> list[Fact]:
    """The runs that were made in the working directory."""
    found = past_runs.all_runs()
    shown = f"{len(found)}, {_megabytes(sum(map(size, found)))}: `cnncli runs`" if found else "none under runs/ yet"
    newest = past_runs.newest()
    return [
        Fact("runs", "count", len(found), shown),
        *([Fact("runs", "newest", str(newest), str(newest))] if newest else []),
    ]


def disk() -> list[Fact]:
    """Free disk space for runs and caches."""
    places = {"runs": Path.cwd()}
    with suppress(RuntimeError):  # no home directory: reported elsewhere
        places["caches"] = _existing(folders.cache("jit"))
    facts = []
    for name, place in places.items():
        free, advice = shutil.disk_usage(place).free, ""
        if free < LITTLE:
            advice = f"only {_megabytes(free)} free in {place}: free some space, or training may fail to save"
        facts.append(Fact("disk", name, free, f"{free / GIGA:,.1f} GB free in {place}", advice))
    return facts


def removable(kind: str, keep: str = "") -> Iterator[Path]:
    """Folders of a cache that can go: all but `keep`, and what a process that was killed left half made.

    The latter are to be removed before the next is asked for: until then nobody else takes them for their own.
    """
    place = folders.cache(kind)
    yield from temporary.abandoned(place)
    for folder in sorted(place.iterdir()) if place.is_dir() else ():
        if folder.name != keep and _is_ours(folder, KEPT[kind]):
            yield folder


def _old_kernels(digest: str, rooms: Collection[str]) -> Iterator[Path]:
    """Folders of compiled kernels that can go: those of other compilers or processors, and of other sources."""
    yield from removable("jit", keep=digest)
    used = folders.cache("jit") / digest
    for folder in sorted(used.iterdir()) if used.is_dir() else ():
        if folder.name not in rooms and _is_ours(folder, ROOM):
            yield folder


def _is_ours(folder: Path, named: re.Pattern[str]) -> bool:
    return bool(named.fullmatch(folder.name)) and folder.is_dir() and not folder.is_symlink()


def clean(digest: str, rooms: Collection[str]) -> dict[str, tuple[int, int]]:
    """Remove compiled kernels of other digests, and decoded images: by kind how many folders, and their bytes.

    Raises CnncliError where one can't be removed.
    """
    gone = {}
    for kind, found in (("jit", _old_kernels(digest, rooms)), ("images", removable("images"))):
        sizes = []
        for folder in found:
            sizes.append(size(folder))
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise CnncliError(f"{folder}: can't be removed: {error.strerror or error}") from None
        gone[kind] = len(sizes), sum(sizes)
    return gone


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _writable(place: Path) -> bool:
    return os.access(_existing(place), os.W_OK)


def _sized(place: Path) -> str:
    return f"{_megabytes(size(place))} in {place}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
