"""The network of a run: its size, its layers as a diagram and as a table."""

from cnncli.graph.model import lower, summarize
from cnncli.report.diagram.diagram import DiagramOptions
from cnncli.report.diagram.drawing import draw_diagram
from cnncli.report.diagram.from_model import diagram_of
from cnncli.report.html.charts import element
from cnncli.report.html.page import Cell, Column, Fact, ModelPart, Picture, Table
from cnncli.report.tables.summary import BYTES, amount
from cnncli.spec.spec import Spec

MOST_LAYERS = 500
"""In the diagram."""


def model_part(spec: Spec, most: int) -> ModelPart:
    """The network of a spec; the table has at most `most` layers."""
    rows = summarize(spec.model, lower(spec.model))
    parameters, flops = sum(row.parameters for row in rows), sum(row.flops for row in rows)
    facts = [
        Fact("parameters", f"{parameters:,}"),
        Fact("trainable", f"{sum(row.trainable for row in rows):,}"),
        Fact("weights", f"{amount(parameters * BYTES)}B"),
        Fact("FLOPs an image", amount(flops)),
        Fact("layers", f"{len(rows):,}"),
    ]
    columns = [Column("layer", numeric=False), Column("type", numeric=False), Column("output shape", numeric=False)]
    columns += [Column("parameters"), Column("FLOPs"), Column("inputs", numeric=False)]
    body = [
        [
            *(Cell(row.name), Cell(row.type), Cell(" × ".join(map(str, row.output_shape)))),
            *(Cell(f"{row.parameters:,}"), Cell(f"{row.flops:,}")),
            Cell(", ".join(row.inputs)),
        ]
        for row in rows[:most]
    ]
    which = "Layers" if len(rows) <= most else f"Layers: the first {most:,} of {len(rows):,}"
    return ModelPart(facts, Table(which, columns, body, sortable=True), _diagram(spec))


def _diagram(spec: Spec) -> Picture | None:
    """The layers with their shapes; None if there are too many to be looked at."""
    if len(spec.model.nodes) > MOST_LAYERS:
        return None
    drawing = draw_diagram(diagram_of(spec, DiagramOptions(show_shapes=True)))
    return Picture("Layer diagram", element(drawing), wide=True)
