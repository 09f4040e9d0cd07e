"""Conditions on runs: `test_accuracy > 0.97 and fit.batch_size == 32`.

    condition   = all {"or" all}
    all         = one {"and" one}
    one         = "not" one | "(" condition ")" | key operator value
    operator    = "==" | "=" | "!=" | "<" | "<=" | ">" | ">="

A key is a metric (`val_loss`, `test_accuracy`), a fact (`state`, `epochs`, `seed`, `tags`, `began`) or a key of the
spec without its layers (`fit.batch_size`); of a mapping with one key, such as that of an optimizer, that is the value.
A value is a number, true, false, null, or a text, with quotes if it has blanks; upper and lower case are alike. A run
that lacks the key meets no comparison of it, not even `!=`. Of lists such as `tags`, `==` means "has".
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from cnncli.errors import UsageError
from cnncli.hints import few, suggestion
from cnncli.training.runs.facts import STATES, Record

OPERATORS = {"==": eq, "=": eq, "!=": ne, "<=": le, ">=": ge, "<": lt, ">": gt}
WORDS = {"true": True, "false": False, "null": None}
TOKEN = re.compile(r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<sign>[<>=!]=|[<>=()])|(?P<word>[^\s<>=!()"']+))""")
DEEPEST = 50
"""Levels of parentheses and `not`."""
ABSENT = object()
Condition = Callable[["Run"], bool]


class Value(NamedTuple):
    """A value of a condition: as it was written, and as a number, true, false or null if it is one."""

    text: str
    parsed: Any


@dataclass(frozen=True)
class Run:
    """A run, whose values have names."""

    record: Record

    def value(self, key: str) -> Any:
        """The value of a key; ABSENT without one."""
        facts = self.record.facts
        if key in facts and key not in ("figures", "test"):
            return facts[key]
        test = facts["test"] or {}
        if key.startswith("test_") and key[5:] in test:
            return test[key[5:]]
        return facts["figures"].get(key, self._of_spec(key))

    def _of_spec(self, key: str) -> Any:
        found: Any = self.spec
        for part in key.split("."):
            if not isinstance(found, dict) or part not in found:
                return ABSENT
            found = found[part]
        if isinstance(found, dict):  # {Adam: {learning_rate: 0.001}}
            return next(iter(found)) if len(found) == 1 else ABSENT
        return found

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The spec without its layers; empty if unknown."""
        found: dict[str, Any] = json.loads(self.record.spec)
        return found

    def keys(self) -> Iterator[str]:
        """All keys that have a value."""
        facts = self.record.facts
        yield from (key for key in facts if key not in ("figures", "test"))
        yield from facts["figures"]
        yield from (f"test_{name}" for name in facts["test"] or ())
        yield from _paths(self.spec, "")


def matching(records: Sequence[Record], conditions: Sequence[str]) -> list[Record]:
    """The runs that meet all conditions. Raises UsageError for one that is invalid, or has a key that no run has."""
    runs = [Run(record) for record in records]
    for text in conditions:
        parsed = _Parser(text)
        for key, value in parsed.compared:
            _check(key, runs, f"--where '{text}'", value.text)
        runs = [run for run in runs if parsed.condition(run)]
    return [run.record for run in runs]


def ordered(records: Sequence[Record], key: str) -> list[Record]:
    """Sorted by a key, descending after "-"; runs without a value, or with NaN, come last. Raises UsageError for a key
    that no run has.
    """
    name = key.removeprefix("-")
    _check(name, [Run(record) for record in records], f"--sort {key}")
    valued = [(Run(record).value(name), record) for record in records]
    known = [(_rank(value), record) for value, record in valued if value is not ABSENT and value == value]  # noqa: PLR0124
    known.sort(key=lambda pair: pair[0], reverse=key.startswith("-"))
    kept = [record for _, record in known]
    return [*kept, *(record for value, record in valued if value is ABSENT or value != value)]  # noqa: PLR0124


def _rank(value: Any) -> tuple[int, Any]:
    """Numbers before texts before all else."""
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, json.dumps(value))


def _check(key: str, runs: Sequence[Run], text: str, value: str = "") -> None:
    """Raise UsageError if no run has the key, or if there is no state of this name."""
    if runs and all(run.value(key) is ABSENT for run in runs):
        known = list(dict.fromkeys(name for run in runs for name in run.keys()))  # noqa: SIM118
        ending = next((f"; did you mean '{name}'?" for name in known if name.endswith(f".{key}")), "")
        plain = [name for name in known if "." not in name]
        near = ending or suggestion(key, known) or f"; there are {few(plain, 30)}, and keys of specs"
        raise UsageError(f"{text}: no run has '{key}'{near}")
    if key == "state" and value and value.casefold() not in STATES:
        near = suggestion(value, STATES) or f"; there are {', '.join(STATES)}"
        raise UsageError(f"{text}: there is no state '{value}'{near}")


class _Parser:
    """Parses a condition. `compared`: its keys with their values."""

    def __init__(self, text: str) -> None:
        self.text, self.compared = text, list[tuple[str, Value]]()
        self.tokens = list(self._tokens())
        self.depth = 0
        self.condition = self._any()
        if self.tokens:
            raise self._wrong(f"expected 'and' or 'or' before '{self.tokens[0][1]}'")

    def _tokens(self) -> Iterator[tuple[str, str]]:
        place, end = 0, len(self.text.rstrip())
        while place < end:
            found = TOKEN.match(self.text, place)
            if found is None:
                raise self._wrong(f"unexpected {self.text[place:].strip()[:20]}")
            yield found.lastgroup or "", found[found.lastgroup or 0]
            place = found.end()

    def _wrong(self, message: str) -> UsageError:
        return UsageError(f"--where '{self.text}': {message}; a condition is like 'test_accuracy > 0.97 and seed == 1'")

    def _take(self, *wanted: str) -> bool:
        """Whether the next token is one of these; then it is taken."""
        if self.tokens and self.tokens[0][0] != "quoted" and self.tokens[0][1].lower() in wanted:
            del self.tokens[0]
            return True
        return False

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._take("or", "||"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda run: any(part(run) for part in parts)

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("and", "&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda run: all(part(run) for part in parts)

    def _one(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._wrong("it is nested too deeply")
        try:
            if self._take("not"):
                inner = self._one()
                return lambda run: not inner(run)
            if self._take("("):
                inner = self._any()
                if not self._take(")"):
                    raise self._wrong("a ')' is missing")
                return inner
            return self._comparison()
        finally:
            self.depth -= 1

    def _comparison(self) -> Condition:
        key = self._next("word", "a key")
        sign = self._next("sign", f"an operator ({', '.join(OPERATORS)}) after '{key}'")
        if sign not in OPERATORS:
            raise self._wrong(f"expected an operator ({', '.join(OPERATORS)}) after '{key}'; received '{sign}'")
        value = self._value(f"{key} {sign}")
        self.compared.append((key, value))
        return lambda run: _compare(sign, run.value(key), value)

    def _next(self, kind: str, what: str) -> str:
        if not self.tokens or self.tokens[0][0] != kind:
            received = f"received '{self.tokens[0][1]}'" if self.tokens else "it ends there"
            raise self._wrong(f"expected {what}; {received}")
        return self.tokens.pop(0)[1]

    def _value(self, before: str) -> Value:
        if self.tokens and self.tokens[0][0] == "quoted":
            text = self.tokens.pop(0)[1][1:-1]
            return Value(text, text)
        word = self._next("word", f"a value after '{before}'")
        if word in WORDS:
            return Value(word, WORDS[word])
        try:
            return Value(word, float(word))
        except ValueError:
            return Value(word, word)


def _compare(sign: str, found: Any, value: Value) -> bool:
    """Compare a value of a run: texts with the text, numbers with numbers; of a list, whether it has the value."""
    if found is ABSENT:
        return False
    if sign in ("==", "=", "!="):
        return _equals(found, value) is (sign != "!=")
    if isinstance(found, str):
        return bool(OPERATORS[sign](found, value.text))
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (found, value.parsed))
    return numbers and bool(OPERATORS[sign](found, value.parsed))


def _equals(found: Any, value: Value) -> bool:
    if isinstance(found, list):
        return any(_equals(one, value) for one in found)
    if isinstance(found, str):
        return found.casefold() == value.text.casefold()
    return isinstance(found, bool) is isinstance(value.parsed, bool) and bool(found == value.parsed)


def _paths(value: dict[str, Any], before: str) -> Iterator[str]:
    """The dotted keys of a spec that have a value."""
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            if len(inner) == 1 and before:
                yield f"{before}{key}"
            yield from _paths(inner, f"{before}{key}.")
        else:
            yield f"{before}{key}"
