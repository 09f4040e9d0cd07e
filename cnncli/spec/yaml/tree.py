"""The tree of values that the reader returns, each with its place. Nodes are immutable by convention."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Place:
    """A position, counted from 1. `note` names the enclosing block, `override` the --set option it comes from."""

    line: int = 1
    column: int = 1
    note: str = ""
    override: str = ""


@dataclass(slots=True)
class Scalar:
    """A single value: None, a boolean, a number or a string."""

    place: Place
    value: Any


@dataclass(slots=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple["Tree", ...]


@dataclass(slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: "Tree"

    @property
    def name(self) -> str:
        """The key's text."""
        return str(self.key.value)


@dataclass(slots=True)
class Mapping:
    """Keys and values; keys are unique."""

    place: Place
    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def entry(self, name: str) -> Entry | None:
        """The entry with this key, or None."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def get(self, name: str) -> "Tree | None":
        """The value of this key, or None if there is no such key."""
        entry = self.entry(name)
        return None if entry is None else entry.value

    def names(self) -> list[str]:
        """The keys."""
        return [entry.name for entry in self.entries]

    def without(self, *names: str) -> "Mapping":
        """The mapping without these keys."""
        return Mapping(self.place, tuple(entry for entry in self.entries if entry.name not in names))

    def replaced(self, key: Scalar, value: "Tree") -> "Mapping":
        """The mapping with `value` under `key`, which keeps its position if it exists."""
        new = Entry(key, value)
        if self.entry(new.name) is None:
            return Mapping(self.place, (*self.entries, new))
        return Mapping(self.place, tuple(new if entry.name == new.name else entry for entry in self.entries))


Tree = Scalar | Sequence | Mapping


def plain(tree: Tree) -> Any:
    """The tree as None, bool, int, float, str, list and dict."""
    if isinstance(tree, Mapping):
        return {entry.name: plain(entry.value) for entry in tree}
    if isinstance(tree, Sequence):
        return [plain(item) for item in tree.items]
    return tree.value


def size(tree: Tree, most: int) -> int:
    """The number of values in the tree, without keys; if there are more than `most`, some number above it."""
    count, waiting = 0, [tree]
    while waiting and count <= most:
        node = waiting.pop()
        count += 1
        if isinstance(node, Sequence):
            waiting += node.items
        elif isinstance(node, Mapping):
            waiting += [entry.value for entry in node]
    return count


def is_null(tree: Tree | None) -> bool:
    """True for a key without a value."""
    return isinstance(tree, Scalar) and tree.value is None
