"""The summary of a model, as a table or data for JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.table import Table

from cnncli.graph.blocks import Block, grouped
from cnncli.graph.model import INPUT, LayerSummary, Model, Node, lower, summarize
from cnncli.graph.objective import training_memory
from cnncli.graph.precision import FLOAT32, stored
from cnncli.graph.receptive_field import receptive_fields
from cnncli.layers.declarations.declaration import snake_case
from cnncli.report.terminal.console import console_on, fits
from cnncli.report.terminal.figures import phase_line
from cnncli.spec.spec import Spec

BYTES = 4
"""Of one float32 weight."""
BAR = " ▏▎▍▌▋▊▉█"
BAR_CELLS = 6
HEADS = {
    "layer": "Layer (type)",
    "shape": "Output\nshape",
    "field": "Receptive\nfield",
    "parameters": "Params",
    "trainable": "Trainable",
    "flops": "FLOPs",
    "share": "FLOPs\nshare",
    "memory": "Output\nmemory",
    "memory share": "Memory\nshare",
    "inputs": "Connected to",
}
"""The columns."""
TEXTS = ("layer", "share", "inputs")
"""Those that are not figures."""
SHORTER = ("types", "digits", "blanks", "memory share", "inputs", "bar", "trainable", "memory", "field", "share")
"""What is left out, in this order, until the table has room.

These are types that the names tell, digits of FLOPs, blanks in shapes, and columns. At last, names are cut.
"""
SHORTEST_NAME = 8


@dataclass(frozen=True)
class Row:
    """One line: a layer, a folded block (`layers` > 1), or the heading of an expanded one (no `layers`).

    `name`: without the names of the `depth` blocks around it; `inputs`: what it is connected to, if not to the row
    above; `output_bytes`: of what its layers put out for one image.
    """

    name: str
    depth: int
    layers: int = 0
    type: str = ""
    shape: Sequence[int] = ()
    field: tuple[int, int] | None = None
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    output_bytes: int = 0
    inputs: Sequence[str] = ()

    @property
    def label(self) -> str:
        """The name with the type, below the names of the blocks around it."""
        return "  " * self.depth + (f"{self.name} ({self.type})" if self.type else self.name)


def summary_data(spec: Spec) -> dict[str, Any]:
    """What `summary --json` prints. FLOPs and bytes are those of one sample forward."""
    details = _Details(spec.model, spec.compile.dtype_policy)
    rows = details.rows.values()
    return {
        "layers": [
            {
                "name": row.name,
                "type": row.type,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
                "flops": row.flops,
                "trainable_parameters": row.trainable,
                "output_bytes": details.bytes[row.name],
                "receptive_field": _listed(details.fields[row.name]),
                "inputs": list(row.inputs),
            }
            for row in rows
        ],
        "parameters": sum(row.parameters for row in rows),
        "trainable_parameters": sum(row.trainable for row in rows),
        "flops": sum(row.flops for row in rows),
        "output_bytes": sum(details.bytes[row.name] for row in rows),
    }


def phases_data(spec: Spec) -> dict[str, list[dict[str, Any]]]:
    """What `summary --json` prints of the phases of a training, if there are several."""
    return {"phases": [phase.facts() for phase in spec.phases]} if len(spec.phases) > 1 else {}


def print_summary(spec: Spec, file: TextIO, c_export: Mapping[str, int] | None = None, *, expand: bool = False) -> None:
    """What `summary` prints on `file`; without colour where it is no terminal or NO_COLOR is set.

    `c_export`: flash_bytes and ram_bytes of the network in C, for a line of their own.
    """
    batch, slots = spec.fit.batch_size, spec.compile.optimizer.memories
    about = spec.compile.loss, batch, slots, spec.compile.dtype_policy
    memory = max(training_memory(phase.model, *about) for phase in spec.phases)
    more = [f"{amount(memory)}B of arrays to train with batches of {batch}"]
    if c_export is not None:
        more.append(f"C export: flash {amount(c_export['flash_bytes'])}B, RAM {amount(c_export['ram_bytes'])}B")
    _print(spec, file, expand, more)
    if len(spec.phases) > 1:
        for phase in spec.phases:
            print(phase_line(**phase.facts()), file=file)


def print_layers(spec: Spec, file: TextIO) -> None:
    """The table of layers, and their totals."""
    _print(spec, file, False, [])


def _print(spec: Spec, file: TextIO, expand: bool, more: Sequence[str]) -> None:
    model, console = spec.model, console_on(file)
    details = _Details(model, spec.compile.dtype_policy)
    rows = list(_connected(details.listed(model.nodes, 0, expand), INPUT))
    title = f"{spec.name} · input {_shape(model.input_shape)}"
    longest = max(len(row.label) for row in rows)
    ways = [(SHORTER[:count], longest) for count in range(len(SHORTER) + 1)]
    ways += [(SHORTER, room) for room in range(longest - 1, SHORTEST_NAME - 1, -1)]
    tables = (_table(title, rows, without, room) for without, room in ways)
    console.print(next((table for table in tables if fits(console, table)), _table(title, rows, *ways[-1])))
    parameters = sum(row.parameters for row in details.rows.values())
    trainable = sum(row.trainable for row in details.rows.values())
    frozen = "all trainable" if trainable == parameters else f"{trainable:,} trainable"
    totals = [
        f"{parameters:,} parameters, {frozen}",
        f"{amount(parameters * BYTES)}B of weights",
        f"{amount(sum(row.flops for row in details.rows.values()))}FLOPs an image forward",
        f"{amount(sum(details.bytes[name] for name in details.rows))}B of outputs an image",
    ]
    for line in [*_lines(totals, console.width), *more]:
        console.print(line)


class _Details:
    """All that is known of the layers of a model, whose outputs are stored by a policy."""

    def __init__(self, model: Model, policy: str) -> None:
        lowered = lower(model)
        self.rows: dict[str, LayerSummary] = {row.name: row for row in summarize(model, lowered)}
        self.fields = receptive_fields(lowered)
        narrow = (
            {}
            if policy == FLOAT32
            else stored(lowered.builder.calls, [lowered.outputs[name] for name in model.outputs])
        )
        self.bytes = {name: narrow.get(value, value).bytes for name, value in lowered.outputs.items()}

    def listed(self, nodes: Sequence[Node], depth: int, expand: bool) -> Iterator[tuple[Row, Sequence[Node]]]:
        """Rows, each with its layers: of a block one row, or with `expand` a heading and the rows of its layers."""
        for found in grouped(nodes, depth):
            if isinstance(found, Node):
                yield self._row(found.name, [found], depth, self.rows[found.name].type), [found]
            elif expand:
                yield Row(found.name.split("/")[-1], depth), ()
                yield from self.listed(found.nodes, depth + 1, expand)
            else:
                yield self._row(found.name, found.nodes, depth, f"{len(found.nodes)} layers"), found.nodes

    def _row(self, name: str, nodes: Sequence[Node], depth: int, kind: str) -> Row:
        last, rows = nodes[-1].name, [self.rows[node.name] for node in nodes]
        return Row(
            "/".join(name.split("/")[depth:]),
            depth,
            len(nodes),
            kind,
            self.rows[last].output_shape,
            self.fields[last],
            sum(row.parameters for row in rows),
            sum(row.trainable for row in rows),
            sum(row.flops for row in rows),
            sum(self.bytes[node.name] for node in nodes),
        )


def _connected(listed: Iterator[tuple[Row, Sequence[Node]]], before: str) -> Iterator[Row]:
    """The rows with what they are connected to, by the names of rows; `before`: the layer above the first one."""
    shown = {INPUT: INPUT}
    for row, nodes in listed:
        if not nodes:
            yield row
            continue
        around = nodes[0].name.split("/")[: row.depth]
        sources = Block("", nodes).sources
        names = ["/".join(_beyond(shown[name].split("/"), around)) for name in sources]
        yield row if sources == [before] else Row(**{**vars(row), "inputs": names})
        before = nodes[-1].name
        shown |= {node.name: "/".join([*around, row.name]) for node in nodes}


def _beyond(path: Sequence[str], around: Sequence[str]) -> Sequence[str]:
    """What a path has beyond the blocks around a row."""
    return path[len(around) :] if path[: len(around)] == around and len(path) > len(around) else path


def _table(title: str, rows: Sequence[Row], without: Sequence[str], room: int) -> Table:
    """The table without some columns and details, and those that would say nothing; `room`: letters of a name."""
    silent = {
        "trainable": all(row.trainable == row.parameters for row in rows),
        "inputs": not any(row.inputs for row in rows),
    }
    columns = [name for name in HEADS if name not in without and not silent.get(name)]
    table = Table(title=title, title_justify="left")
    for name in columns:
        head = "Layer" if name == "layer" and "types" in without else HEADS[name]
        table.add_column(head, justify="left" if name in TEXTS else "right")
    whole = sum(row.flops for row in rows), sum(row.output_bytes for row in rows)
    for row in rows:
        cells = _cells(row, whole, without, room)
        table.add_row(*(cells[name] if row.layers else cells[name] * (name == "layer") for name in columns))
    return table


def _cells(row: Row, whole: tuple[int, int], without: Sequence[str], room: int) -> Mapping[str, str]:
    parts = row.flops, row.output_bytes
    flops, memory = (part / all_ if all_ else 0.0 for part, all_ in zip(parts, whole, strict=True))
    told = row.layers != 1 or row.name.split("/")[-1].startswith(snake_case(row.type))
    label = "  " * row.depth + row.name if told and "types" in without else row.label
    times = "×" if "blanks" in without else " × "
    return {
        "layer": label if len(label) <= room else f"{label[: room // 2]}…{label[room // 2 + 1 - room :]}",
        "shape": times.join(map(str, row.shape)),
        "field": times.join(map(str, row.field or ())),
        "parameters": f"{row.parameters:,}",
        "trainable": f"{row.trainable:,}",
        "flops": amount(row.flops).rstrip() if "digits" in without else f"{row.flops:,}",
        "share": ("" if "bar" in without else bar(flops, BAR_CELLS) + " ") + f"{flops:4.0%}",
        "memory": f"{amount(row.output_bytes)}B",
        "memory share": f"{memory:.0%}",
        "inputs": ", ".join(row.inputs),
    }


def bar(share: float, cells: int) -> str:
    """A bar of `cells` letters for a share of 1."""
    eighths = round(share * cells * 8)
    return (BAR[-1] * (eighths // 8) + BAR[eighths % 8] * (eighths % 8 > 0)).ljust(cells)


def _lines(parts: Sequence[str], width: int) -> Iterator[str]:
    """The parts in lines no longer than `width`, if these have room for each."""
    line = parts[0]
    for part in parts[1:]:
        longer = f"{line} · {part}"
        if len(longer) > width:
            yield line
            longer = part
        line = longer
    yield line


def _listed(field: tuple[int, int] | None) -> list[int] | None:
    return list(field) if field else None


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def amount(value: float) -> str:
    """`225 k`, `4.86 M`: a number with the prefix of its unit, which is to follow."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:,.4g} T"
