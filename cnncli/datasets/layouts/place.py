"""What a recognizer is asked about, and its answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.image_names import entries


@dataclass(frozen=True)
class Place:
    """An absolute path at which there is something, and how a spec's `data` ask for it to be read."""

    path: Path
    data: DataSection

    @cached_property
    def entries(self) -> list[tuple[str, bool]]:
        """What lies in a folder, by name: the name, and whether it is a folder. Raises CnncliError."""
        return entries(self.path)

    @cached_property
    def is_folder(self) -> bool:
        return self.path.is_dir()


class Yes(NamedTuple):
    """The place is a dataset of this layout. `rank`: how much it outdoes other layouts; `choice`: what to specify
    where others are as likely.
    """

    found: Found
    rank: int
    choice: str = ""


class No(NamedTuple):
    """The place is none of this layout. `near`: how much it looks like one; `why`: what it lacks."""

    why: str
    near: int


Recognizer = Callable[[Place], Iterable[Yes | No]]
