"""YAML is read by the 1.2 core schema, within limits."""

import math
import time

import pytest

from cnncli.errors import SpecError
from cnncli.spec.spec import load
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain


def value_of(text: str) -> object:
    problems = Problems("f.yaml", text)
    tree = read(text, problems)
    problems.raise_any()
    assert tree is not None
    return plain(tree)


def problem_of(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        value_of(text)
    return caught.value.problems[0].split("\n")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001), (".5", 0.5), ("5.", 5.0), ("-1.5E+2", -150.0), ("1e3", 1000.0), ("+7", 7),
        ("0o17", 15), ("0x1F", 31), ("010", 10), ("0", 0), ("-0", 0),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"),
        ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("1_000", "1_000"), ("0b11", "0b11"), ("1,000", "1,000"),
        ("~", None), ("null", None), ("NULL", None), ("", None), ("nUll", "nUll"), ("None", "None"),
        ("true", True), ("True", True), ("TRUE", True), ("tRue", "tRue"), ("false", False), ("FALSE", False),
        (".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf), ("inf", "inf"), (".", "."),
        ("'1'", "1"), ('"true"', "true"), ("'~'", "~"), ("1.5.2", "1.5.2"), ("e5", "e5"), ("1e", "1e"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, expected: object) -> None:
    value = value_of(f"a: {text}")
    assert value == {"a": expected}
    assert type(value["a"]) is type(expected)  # type: ignore[index]


def test_nan_is_a_number() -> None:
    value = value_of(".NaN")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_anchors_stand_for_their_values() -> None:
    assert value_of("a: &x [1, {b: 2}]\nc: *x\n&k d: 1\n") == {"a": [1, {"b": 2}], "c": [1, {"b": 2}], "d": 1}


def test_a_block_text_is_a_text() -> None:
    assert value_of("a: |\n  1\n") == {"a": "1\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"b{i}: &b{i} [{','.join(['*b' + str(i - 1) if i else '*a'] * 10)}]\n" for i in range(9)
        ), "more than 100,000 values"),
        ("a: " + "[" * 3000, "f.yaml:1:103: values must not be nested deeper than 100 levels"),
        ("a: " + "[" * 3000 + "]" * 3000, "f.yaml:1:103: values must not be nested deeper than 100 levels"),
        ("a: " + "{b: " * 3000, "deeper than 100"),
        ("\n".join(" " * i + "a:" for i in range(300)), "f.yaml:100:100: values must not be nested deeper"),
        ("- " * 5000, "deeper than 100"),
        ("a: &a [" + "[" * 60 + "]" * 60 + "]\nb: " + "[" * 60 + "*a" + "]" * 60, "f.yaml:2:64: values must not be"),
        ("a: " + "9" * 5000, "f.yaml:1:4: an integer must have at most 20 digits"),
        ("# " + "x" * (1 << 20), "must not be larger than 1 MiB"),
        ("a: \0", "f.yaml:1:4: the character U+0000 is not allowed in a spec"),
        ("a: 1\nb: \x1b[0m", "f.yaml:2:4: the character U+001B"),
        ("a: \ud800", "f.yaml:1:4: the character U+D800"),
        ('a: "\\ud800"', "f.yaml:1:"),
        ("a: 1\n \tb: 2", "f.yaml:2:2: YAML must be indented with spaces; received a tab"),
        ("%YAML 3.0\n---\na: 1", "f.yaml:1:1:"),
        ("a: !!binary aGk=", "f.yaml:1:4: YAML tags are not supported; received '!!binary'"),
        ("!!python/object/apply:os.system ['true']", "f.yaml:1:1: YAML tags are not supported"),
    ],
)  # fmt: skip
def test_what_could_do_harm_is_refused_quickly(text: str, expected: str) -> None:
    began = time.process_time()
    assert expected in problem_of(text)
    assert time.process_time() - began < 5


def test_a_file_that_is_no_utf_8_is_told_with_the_place(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.yaml"
    path.write_bytes("é: 1\né: ".encode() + b"\xff\n")
    with pytest.raises(SpecError, match=r"a\.yaml:2:4: a spec must be UTF-8 text; received the byte 0xff"):
        load(path)
    path.write_bytes("seed: 1".encode("utf-16"))
    with pytest.raises(SpecError, match=r"a\.yaml:1:1: a spec must be UTF-8"):
        load(path)


def test_a_byte_order_mark_is_skipped(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfseed: -1\n")
    with pytest.raises(SpecError) as caught:
        load(path)
    assert caught.value.problems[-1].startswith(f"{path}:1:7: seed must be")


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        load(path)
