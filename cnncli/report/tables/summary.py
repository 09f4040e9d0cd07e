"""The summary of a model, as a table or data for JSON."""

from collections.abc import Sequence
from typing import Any, TextIO

from cnncli.graph.model import INPUT, LayerSummary, Model, lower, summarize
from cnncli.graph.objective import training_memory
from cnncli.report.terminal.console import console_on, print_table
from cnncli.spec.spec import Spec

BYTES = 4
"""Of one float32 weight."""


def summary_data(model: Model) -> dict[str, Any]:
    """What `summary --json` prints. FLOPs are those of one sample forward."""
    rows = summarize(model, lower(model))
    parameters = sum(row.parameters for row in rows)
    return {
        "layers": [
            {
                "name": row.name,
                "type": row.type,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
                "flops": row.flops,
            }
            for row in rows
        ],
        "parameters": parameters,
        "trainable_parameters": sum(row.trainable for row in rows),
        "flops": sum(row.flops for row in rows),
    }


def print_summary(spec: Spec, file: TextIO) -> None:
    """What `summary` prints on `file`; without colour where it is no terminal or NO_COLOR is set."""
    print_layers(spec, file)
    batch = spec.fit.batch_size
    memory = training_memory(spec.model, spec.compile.loss, batch, spec.compile.optimizer.memories)
    file.write(f"{amount(memory)}B of arrays to train with batches of {batch}\n")


def print_layers(spec: Spec, file: TextIO) -> None:
    """The table of layers, and their totals."""
    model = spec.model
    rows = summarize(model, lower(model))
    console = console_on(file)
    heads, texts = ["Layer (type)", "Output shape", "Parameters", "FLOPs"], [0]
    table = [
        [f"{row.name} ({row.type})", _shape(row.output_shape), f"{row.parameters:,}", f"{row.flops:,}"] for row in rows
    ]
    if not _is_chain(rows):
        heads, texts = [*heads, "Connected to"], [0, 4]
        table = [[*cells, ", ".join(row.inputs)] for cells, row in zip(table, rows, strict=True)]
    print_table(console, f"{spec.name} · input {_shape(model.input_shape)}", heads, table, texts)
    parameters, trainable = sum(row.parameters for row in rows), sum(row.trainable for row in rows)
    of_them = "all" if trainable == parameters else f"{trainable:,}"
    console.print(
        f"{parameters:,} parameters, {of_them} trainable · {amount(parameters * BYTES)}B of weights · "
        f"{amount(sum(row.flops for row in rows))}FLOPs an image forward"
    )


def _is_chain(rows: Sequence[LayerSummary]) -> bool:
    before = [INPUT, *(row.name for row in rows)]
    return all(row.inputs == (name,) for row, name in zip(rows, before, strict=False))


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def amount(value: float) -> str:
    """`225 k`, `4.86 M`: a number with the prefix of its unit, which is to follow."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:,.4g} T"
