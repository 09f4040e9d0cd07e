"""The reference page, made from the declarations: `python -m cnncli.report.pages.reference > docs/reference.md`."""

from collections.abc import Iterator
from itertools import groupby

from cnncli.layers.declarations.declaration import Field
from cnncli.report.tables.vocabulary import PLACES, Word, words
from cnncli.spec.yaml.writer import flow


def page() -> str:
    """The whole page in Markdown."""
    lines = ["# Reference", "", "Made from the code by `python -m cnncli.report.pages.reference`; do not edit.", ""]
    for kind, group in groupby(words(), key=lambda word: word.kind):
        found = list(group)
        lines += [f"## {PLACES[kind][0]}", "", *([found[0].family, ""] if found[0].family else [])]
        for word in found:
            lines += _word(word)
    return "\n".join(lines).rstrip() + "\n"


def _word(word: Word) -> Iterator[str]:
    """A section: its names, what it is, its keys with their defaults and what they may be."""
    names = ", ".join(f"`{name}`" for name in (word.name, *word.others))
    yield from (f"### {names}", "", word.about, "")
    if not word.fields:
        return
    yield from ("| key | default | what it may be |", "|---|---|---|")
    for name, rule in word.rules.items():
        yield f"| `{name}` | {_default(word.fields[name])} | {rule} |"
    yield ""


def _default(field: Field) -> str:
    if field.required:
        return "required"
    value = field.plain_default()
    return "none" if value is None else f"`{flow(value)}`"


if __name__ == "__main__":
    print(page(), end="")
