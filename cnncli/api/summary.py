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
    from cnncli.report.tables.summary import print_summary, summary_data

    text, in_c = io.StringIO(), c_export(spec)
    print_summary(spec, text, in_c, expand=expand)
    return Summary(**summary_data(spec), c_export=in_c, text=text.getvalue())


def c_export(spec: Spec) -> dict[str, int]:
    """Bytes of the network in C, by their macros' names."""
    from cnncli.interop.exports.c_sizes import sizes

    found = sizes(spec.model, spec.compile.loss)
    return {"flash_bytes": found.flash, "ram_bytes": found.ram}
