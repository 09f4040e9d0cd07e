"""What is wrong with a value: what a declaration says where it refuses one."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Flaw(NamedTuple):
    """One thing that is wrong with a value.

    `path` leads from the value to the part at fault: keys and list indices, declarations' names among them. `kind`
    says what `text` is: "value" (a field; what it must be), "sentence" (a field; all that is to be said), "missing"
    (a field; what it must be), "unknown_key", "unknown_name" (the name), "arguments" (a declaration's arguments are no
    mapping) or "contradiction" (of several fields; all that is to be said). `owner` is the declaration the field would
    belong to, or the registry that lacks the name.
    """

    path: tuple[str | int, ...]
    kind: str
    text: str
    owner: Any = None

    def under(self, *path: str | int) -> "Flaw":
        """The same flaw, seen from further out."""
        return self._replace(path=(*path, *self.path))


class RefusedError(ValueError):
    """A value is not what it must be; `flaws` are all the reasons."""

    def __init__(self, flaws: Iterable[Flaw]) -> None:
        self.flaws = list(flaws)
        super().__init__("; ".join(map(_told, self.flaws)))


def _told(flaw: Flaw) -> str:
    """A flaw in a line, for whoever made the value in Python; a spec's reader says it with its place."""
    where = ".".join(map(str, flaw.path)) or "the value"
    return {
        "value": f"{where} must be {flaw.text}",
        "missing": f"{where} must be given: {flaw.text}",
        "unknown_key": f"there is no field {where}",
        "unknown_name": f"{where}: unknown name {flaw.text!r}",
        "arguments": f"{where}: arguments must be a mapping",
        "sentence": f"{where}: {flaw.text}",
    }.get(flaw.kind, flaw.text)
