"""Layer diagrams as text for other programs: Mermaid flowcharts and Graphviz' DOT."""

import re
from collections.abc import Iterator, Sequence

from cnncli.escaping import one_line
from cnncli.report.diagram.colors import ROLES, TINT
from cnncli.report.diagram.diagram import Box, Diagram, Frame, Kind, Part
from cnncli.report.pictures import theme

INDENT = "  "


def mermaid(diagram: Diagram) -> str:
    """The diagram as a Mermaid flowchart; expanded blocks are subgraphs."""
    ids = _ids(diagram.parts)

    def drawn(parts: Sequence[Part], indent: str) -> Iterator[str]:
        for part in parts:
            if isinstance(part, Frame):
                yield f'{indent}subgraph {ids[part.id]}["{_entities(part.title)}"]'
                yield from drawn(part.parts, indent + INDENT)
                yield f"{indent}end"
            else:
                open_, close = ("[[", "]]") if part.kind == "block" else ("([", "])") if part.kind == "input" else "[]"
                label = "<br/>".join(
                    _entities(line.replace(" × ", "×")) for line in _texts(part)
                )  # it breaks long lines
                yield f'{indent}{ids[part.id]}{open_}"{label}"{close}:::{part.kind}'

    lines = [f"flowchart {diagram.direction}", *drawn(diagram.parts, INDENT)]
    lines += [f"{INDENT}{ids[edge.source]} --> {ids[edge.target]}" for edge in diagram.edges]
    for kind in sorted({box.kind for box in diagram.boxes}):
        fill, stroke, ink = _colors(kind)
        lines.append(f"{INDENT}classDef {kind} fill:{fill},stroke:{stroke},color:{ink}")
    return "\n".join(lines) + "\n"


def dot(diagram: Diagram) -> str:
    """The diagram in Graphviz' language; expanded blocks are clusters."""
    ids = _ids(diagram.parts)

    def drawn(parts: Sequence[Part], indent: str) -> Iterator[str]:
        for part in parts:
            if isinstance(part, Frame):
                yield f"{indent}subgraph cluster_{ids[part.id]} {{"
                yield f"{indent}{INDENT}label={_quoted([part.title])};"
                yield from drawn(part.parts, indent + INDENT)
                yield f"{indent}}}"
            else:
                fill, stroke, _ = _colors(part.kind)
                look = f'color="{stroke}" fillcolor="{fill}"' + " peripheries=2" * (part.times > 1)
                yield f"{indent}{ids[part.id]} [label={_quoted(_texts(part))} {look}];"

    lines = [
        f"digraph {_quoted([diagram.title])} {{",
        f"{INDENT}rankdir={diagram.direction};",
        f'{INDENT}node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11];',
        *drawn(diagram.parts, INDENT),
        *(f"{INDENT}{ids[edge.source]} -> {ids[edge.target]};" for edge in diagram.edges),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _texts(box: Box) -> list[str]:
    return [f"{box.title} ×{box.times}" if box.times > 1 else box.title, *box.lines]


def _colors(kind: Kind) -> tuple[str, str, str]:
    """Of the area, the border and the text of a box: the light ones, as these programs ask for one of each."""
    tint, role, ink = theme.rgb(ROLES[kind], opacity=TINT), ROLES[kind], "ink"
    return f"#{bytes(tint).hex()}", theme.ROLES[role].light, theme.ROLES[ink].light


def _ids(parts: Sequence[Part]) -> dict[str, str]:
    """Short names of boxes and frames: names of layers may have letters that mean something to these programs."""
    ids: dict[str, str] = {}
    for part in parts:
        ids |= {part.id: ""}
        if isinstance(part, Frame):
            ids |= _ids(part.parts)
    return {name: f"n{number}" for number, name in enumerate(ids)}


def _entities(text: str) -> str:
    """Text within quotes of Mermaid: letters with a meaning in its language, HTML or Markdown as entities."""
    return re.sub("[^\\w .,:;()×·→…+/-]", lambda found: f"#{ord(found[0])};", one_line(text))


def _quoted(lines: Sequence[str]) -> str:
    r"""Lines as one string of DOT, where \ and " have a meaning."""
    return '"' + r"\n".join(re.sub(r'["\\]', r"\\\g<0>", one_line(line)) for line in lines) + '"'
