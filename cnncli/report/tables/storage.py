"""What cnncli keeps on the disk: caches, data, runs; what they take, what they hold, and what can go."""

import os
import re
import shutil
from collections.abc import Iterator
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


def size(folder: Path) -> int:
    """Bytes of all files below a folder; 0 where it is not there."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(place) / name).st_size
            except OSError:  # gone meanwhile
                continue
    return total


def caches(digest: str, *, unused: str) -> list[Fact]:
    """The caches by kind. `digest`: the folder of compiled kernels; `unused`: why none are kept there, or nothing."""
    try:
        places = {kind: folders.cache(kind) for kind in ("jit", "images", "datasets")}
    except RuntimeError:
        advice = "there is no home directory to keep anything in: CNNCLI_CACHE_DIR names a folder"
        return [Fact("caches", "folder", None, "none", advice)]
    used, old = places["jit"] / digest, list(removable("jit", keep=digest))
    advice = ""
    if unused:
        advice = f"{unused}: kernels are compiled anew each time; CNNCLI_CACHE_DIR names another folder"
    spent = sum(map(size, old))
    others = f"{_megabytes(spent)} in {len(old)} folders of other versions or processors"
    facts = [Fact("caches", "jit", size(used), _sized(used), advice), Fact("caches", "jit_of_others", spent, others)]
    for kind in ("images", "datasets"):
        place = places[kind]
        why = folders.unsafe_reason(place) or ("" if _writable(place) else f"{place} can't be written")
        advice = why and f"{why}; CNNCLI_CACHE_DIR names another folder"
        facts.append(Fact("caches", kind, size(place), _sized(place), advice))
    empty = f"`cnncli doctor --clean` removes old kernels and images; `rm -r {places['datasets']}` removes downloads"
    return [*facts, Fact("caches", "to_empty", "cnncli doctor --clean", empty)]


def data() -> list[Fact]:
    """The datasets that are here."""
    facts = []
    for name in EMBEDDED:
        file = shipped("data") / f"{name}.npz"
        advice = "" if file.is_file() else f"{file} is missing: install cnncli anew"
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
    """What is free where runs and caches are written."""
    places = {"runs": Path.cwd()}
    with suppress(RuntimeError):  # without a home directory, which is told elsewhere
        places["caches"] = _existing(folders.cache("jit"))
    facts = []
    for name, place in places.items():
        free, advice = shutil.disk_usage(place).free, ""
        if free < LITTLE:
            advice = f"only {_megabytes(free)} are free in {place}: make room, or a training may not be able to save"
        facts.append(Fact("disk", name, free, f"{free / GIGA:,.1f} GB free in {place}", advice))
    return facts


def removable(kind: str, keep: str = "") -> Iterator[Path]:
    """Folders of a cache that can go: all but `keep`, and what a process that was killed left half made.

    The latter are to be removed before the next is asked for: until then nobody else takes them for their own.
    """
    place = folders.cache(kind)
    yield from temporary.abandoned(place)
    for folder in sorted(place.iterdir()) if place.is_dir() else ():
        if KEPT[kind].fullmatch(folder.name) and folder.name != keep and folder.is_dir() and not folder.is_symlink():
            yield folder


def clean(digest: str) -> dict[str, tuple[int, int]]:
    """Remove compiled kernels of other digests, and decoded images: by kind how many folders, and their bytes.

    Raises CnncliError where one can't be removed.
    """
    gone = {}
    for kind, keep in (("jit", digest), ("images", "")):
        sizes = []
        for folder in removable(kind, keep):
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
