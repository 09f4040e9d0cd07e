"""Colors of boxes: a role of `pictures/theme.py` for each kind of layer."""

from cnncli.report.diagram.diagram import Kind

ROLES: dict[Kind, str] = {
    "convolution": "series-1",
    "normalization": "series-4",
    "activation": "series-2",
    "pooling": "series-3",
    "dense": "series-5",
    "merge": "series-6",
    "dropout": "series-7",
    "shape": "series-8",
    "block": "muted",
    "input": "muted",
}
TINT = 0.1
"""Opacity of a box."""
