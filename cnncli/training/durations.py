"""Durations in a spec: seconds, or numbers with units such as 90s, 10m or 1h30m."""

import re
from typing import Any

from cnncli.layers.declarations.field_types import Integer, Kind, Number, Schema

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
PART = r"(\d+(?:\.\d+)?)([dhms])"
PATTERN = re.compile(rf"(?:{PART})+")


def seconds(text: str) -> float:
    """The seconds of a text such as 10m; 0 if it is no duration."""
    if not PATTERN.fullmatch(text):
        return 0.0
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(PART, text))


class Duration(Kind):
    """Seconds, also as a text with units; stored as seconds."""

    rule = "seconds > 0, or a duration like 90s, 10m or 1h30m"
    sample = "10m"
    number = Number(above=0)

    def read(self, value: Any) -> float:
        number = seconds(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < float("inf"):
            raise self.refuse()
        return float(number)

    def schema(self) -> Schema:
        return {"anyOf": [self.number.schema(), {"type": "string", "pattern": f"^{PATTERN.pattern}$"}]}


class SaveFreq(Kind):
    """epoch, a number of batches, or a duration as a text."""

    rule = "epoch, a number of batches ≥ 1, or a duration like 90s or 10m"
    sample = "10m"
    batches = Integer(1)

    def read(self, value: Any) -> str | int:
        if isinstance(value, str) and (value == "epoch" or seconds(value)):
            return value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        texts = {"type": "string", "pattern": f"^(epoch|{PATTERN.pattern})$"}
        return {"anyOf": [self.batches.schema(), texts]}
