"""Reads YAML text into a tree with places, by the core schema of YAML 1.2 and within limits.

PyYAML reads `1e-3` as a string, `no` as False, `1:30` as 90, `010` as 8 and keeps the last of two equal keys; therefore
only its event stream is used, and values follow the rules of https://yaml.org/spec/1.2.2/#103-core-schema.
"""

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from cnncli.escaping import control_character
from cnncli.spec.yaml.mistakes import syntax_mistake
from cnncli.spec.yaml.problems import LINE_BREAK, Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree

LARGEST_FILE = 1 << 20
DEEPEST = 100
MOST_NODES = 100_000
LONGEST_INTEGER = 20

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_LOADER = getattr(yaml, "CLoader", yaml.Loader)


class _Stop(Exception):
    """Reading can't continue; the problem has been reported."""


def read(text: str, problems: Problems, origin: Place | None = None) -> Tree | None:
    """The tree of a YAML text; None if there was a problem. `origin` replaces every place (for --set)."""
    before = len(problems)
    try:
        _check_characters(text, problems, origin)
        tree = _Composer(text, problems, origin).document()
    except _Stop:
        return None
    return tree if len(problems) == before else None


def scalar_value(text: str) -> Any:
    """The value of an unquoted scalar."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text) if _FLOAT.fullmatch(text) else text


def _check_characters(text: str, problems: Problems, origin: Place | None) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LARGEST_FILE:
        problems.add(origin or Place(), f"a spec must not be larger than 1 MiB; received {size:,} bytes")
        raise _Stop
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text) or re.search(r"(?m)^ *(\t)", text)
    if odd:
        found = odd.group(odd.lastindex or 0)
        lines = re.split(LINE_BREAK, text[: odd.start(odd.lastindex or 0)])
        message = (
            "YAML must be indented with spaces; received a tab"
            if found == "\t"
            else f"the character U+{ord(found):04X} is not allowed in a spec"
        )
        problems.add(origin or Place(len(lines), len(lines[-1]) + 1), message)
        raise _Stop


class _Composer:
    def __init__(self, text: str, problems: Problems, origin: Place | None) -> None:
        self.text, self.problems, self.origin = text, problems, origin
        self.anchors: dict[str, Tree | None] = {}
        self.sizes: dict[str, int] = {}
        self.depths: dict[str, int] = {}
        self.nodes = 0
        self.deepest = 0
        self.events = self._events()

    def document(self) -> Tree:
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return Scalar(self.origin or Place(), None)
        tree = self._node(next(self.events), 1)
        next(self.events)
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._stop(event, "a spec must be a single YAML document; a second one begins here")
        return tree

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self.text, Loader=_LOADER)
        except yaml.YAMLError as error:
            self._syntax(self._precise(error))
            raise _Stop from None

    def _precise(self, error: yaml.YAMLError) -> yaml.YAMLError:
        """The same error as reported by the Python parser, which is more precise than libyaml's.

        Stops at values that are nested too deeply: libyaml reports its own limit without a place.
        """
        depth = 0
        try:
            for event in yaml.parse(self.text, Loader=yaml.Loader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > DEEPEST:
                    self._too_deep(event)
        except yaml.YAMLError as precise:
            return precise
        return error

    def _syntax(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        context = getattr(error, "context_mark", None) or mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place()
        start = Place(context.line + 1, context.column + 1) if context else place
        lines = re.split(LINE_BREAK, self.text)
        where, message = syntax_mistake(getattr(error, "problem", None) or str(error), place, start, lines)
        self.problems.add(self.origin or where, message)

    def _place(self, event: Any) -> Place:
        return self.origin or Place(event.start_mark.line + 1, event.start_mark.column + 1)

    def _stop(self, event: Any, message: str) -> NoReturn:
        self.problems.add(self._place(event), message)
        raise _Stop

    def _too_deep(self, event: Any) -> NoReturn:
        self._stop(event, f"values must not be nested deeper than {DEEPEST} levels")

    def _node(self, event: Any, depth: int) -> Tree:
        self.deepest = max(self.deepest, depth)
        if depth > DEEPEST:
            self._too_deep(event)
        self.nodes += 1
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.tag is not None:
            self.problems.add(self._place(event), f"YAML tags are not supported; received {_tag(event.tag)!r}")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        before, outside, self.deepest = self.nodes, self.deepest, depth
        if isinstance(event, yaml.ScalarEvent):
            tree: Tree = Scalar(self._place(event), self._scalar(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
                items.append(self._node(item, depth + 1))
            tree = Sequence(self._place(event), tuple(items))
        else:
            tree = self._mapping(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = tree
            self.sizes[event.anchor] = self.nodes - before
            self.depths[event.anchor] = self.deepest - depth
        self.deepest = max(self.deepest, outside)
        if self.nodes > MOST_NODES:
            self._stop(event, f"a spec must not hold more than {MOST_NODES:,} values after expanding aliases")
        return tree

    def _alias(self, event: Any, depth: int) -> Tree:
        if event.anchor not in self.anchors:
            self._stop(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        tree = self.anchors[event.anchor]
        if tree is None:
            self._stop(event, f"the anchor &{event.anchor} must not contain itself")
        self.nodes += self.sizes[event.anchor]
        self.deepest = max(self.deepest, depth + self.depths[event.anchor])
        if self.nodes > MOST_NODES:
            self._stop(event, f"a spec must not hold more than {MOST_NODES:,} values after expanding aliases")
        if self.deepest > DEEPEST:
            self._too_deep(event)
        return tree

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if re.search("[\ud800-\udfff]", text):
            self.problems.add(self._place(event), "an unpaired surrogate is not a valid character")
            return ""
        control = control_character(text)
        if control:
            self.problems.add(self._place(event), f"the character U+{ord(control):04X} is not allowed in a spec")
            return ""
        if not event.implicit[0] or event.style:
            return text
        if _INTEGER.fullmatch(text) and len(text) > LONGEST_INTEGER:
            self.problems.add(self._place(event), f"an integer must have at most {LONGEST_INTEGER} digits")
            return 0
        return scalar_value(text)

    def _mapping(self, start: Any, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if isinstance(key, Scalar) and isinstance(event, yaml.AliasEvent):
                key = Scalar(self._place(event), key.value)
            if isinstance(key, Scalar) and type(key.value) is int:
                key = Scalar(key.place, str(key.value))  # the number of a class, in class_weight
            value = self._node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                self.problems.add(self._place(event), "a key must be a string; received a list or a mapping")
            elif not isinstance(key.value, str):
                received = getattr(event, "value", "") or "nothing"
                self.problems.add(
                    key.place, f"a key must be a string; received {received} (quote it to make it a string)"
                )
            elif key.value == "<<" and not getattr(event, "style", None):
                self.problems.add(key.place, "merge keys (<<) are not supported; write the keys out")
            elif key.value in entries:
                first = entries[key.value].key.place
                self.problems.add(key.place, f"duplicate key '{key.value}'; the first is on line {first.line}")
            else:
                entries[key.value] = Entry(key, value)
        return Mapping(self._place(start), tuple(entries.values()))


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
