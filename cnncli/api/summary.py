"""The summary of a model, layer by layer."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnncli.spec.spec import Spec


@dataclass(frozen=True)
class Summary:
    """A model layer by layer; `str` gives the table of `cnncli summary`.

    `layers`: name, type, output_shape, parameters, flops, trainable_parameters, output_bytes, receptive_field ([rows,
    columns], or None where a layer's outputs have no place in the image) and inputs of each. `flops` and `output_bytes`
    are per image (forward). `c_export`: flash_bytes and ram_bytes of `cnncli export -o FILE.c`.
    """

    layers: Sequence[Mapping[str, Any]]
    parameters: int
    trainable_parameters: int
    flops: int
    output_bytes: int
    c_export: Mapping[str, int]
    text: str

    def __str__(self) -> str:
        return self.text


def summarize(spec: Spec, *, expand: bool = False) -> Summary:
    """Summary of a spec's model, layer by layer."""
    from cnncli.report.tables.summary import c_export_data, print_summary, summary_data

    text = io.StringIO()
    print_summary(spec, text, expand=expand)
    return Summary(**summary_data(spec.model), **c_export_data(spec), text=text.getvalue())
