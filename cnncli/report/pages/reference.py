"""The reference page, made from the declarations: `python -m cnncli.report.pages.reference > docs/reference.md`."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from cnncli.layers.declarations.declaration import Field
from cnncli.report.tables.vocabulary import PLACES, Word, words
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.yaml.writer import flow


def page() -> str:
    """The whole page in Markdown."""
    lines = ["# Reference", "", "Made from the code by `python -m cnncli.report.pages.reference`; do not edit.", ""]
    for kind, group in groupby(words(), key=lambda word: word.kind):
        found = list(group)
        lines += [f"## {PLACES[kind][0]}", "", *([found[0].family, ""] if found[0].family else [])]
        common = _common(kind)
        if common is not None:
            shared = {name: field for name, field in common.fields.items() if not field.required}
            lines += [f"Keys of every {kind}, besides those below:", "", *_table(common, shared)]
        for word in found:
            lines += _word(word, common)
    return "\n".join(lines).rstrip() + "\n"


def _common(kind: str) -> Word | None:
    """What all words of a kind have, if that is any keys."""
    registry = REGISTRIES.get(kind)
    return Word(kind, "", (), "", declaration=registry.base) if registry is not None and registry.base.fields else None


def _word(word: Word, common: Word | None) -> Iterator[str]:
    """A section: its names, what it is, and its keys, but for those that are as `common` has them."""
    names = ", ".join(f"`{name}`" for name in (word.name, *word.others))
    yield from (f"### {names}", "", word.about, "")
    shared = {} if common is None else common.fields
    own = {name: field for name, field in word.fields.items() if field is not shared.get(name)}
    if own:
        yield from _table(word, own)


def _table(word: Word, fields: Mapping[str, Field]) -> Iterator[str]:
    """Keys of a word with their defaults and what they may be."""
    yield from ("| key | default | what it may be |", "|---|---|---|")
    for name, field in fields.items():
        yield f"| `{name}` | {_default(field)} | {word.rules[name]} |"
    yield ""


def _default(field: Field) -> str:
    if field.required:
        return "required"
    value = field.plain_default()
    return "none" if value is None else f"`{flow(value)}`"


if __name__ == "__main__":
    print(page(), end="")
