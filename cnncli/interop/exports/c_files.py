"""A header and a source in C99: no dependencies, no allocation; weights are constants, values are in a static array."""

import re
from collections.abc import Iterable
from textwrap import fill, indent

from cnncli.interop.exports import c_text
from cnncli.interop.exports.c_memory import Buffers
from cnncli.interop.exports.c_operations import Code
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.inference import Inference
from cnncli.layers.meaning import Meaning
from cnncli.ops.ir import Shape
from cnncli.version import __version__

HEADER = """\
/* {title}: a network trained with cnncli {version}, in C99.

   It needs {ram:,} bytes of RAM for values, besides the image and the output, and {flash:,} bytes of flash for weights.
   Values are in a static array: two threads must not predict at the same time. */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

{macros}

#ifdef __cplusplus
extern "C" {{
#endif

/* Computes {outputs} from an image: {image}.
   Returns {returned}. */
int {name}_predict(const float *image, float *output);
{pixels}
#ifdef __cplusplus
}}
#endif

#endif
"""
PIXELS = """
/* The same of pixels from 0 to 255, which are scaled as {upper}_SCALE and {upper}_OFFSET say. */
int {name}_predict_pixels(const uint8_t *pixels, float *output);
"""
SOURCE = """\
/* {title}: a network trained with cnncli {version}, in C99. {file}.h says how it is used. */
#include "{file}.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#if INT_MAX < 2147483647
#error "int must have 32 bits"
#endif

{functions}

{network}
"""
PREDICT = """\
int {name}_predict(const float *image, float *output)
{{
{body}
}}"""
OF_PIXELS = """\
int {name}_predict_pixels(const uint8_t *pixels, float *output)
{{
    static const float scale[] = {upper}_SCALE, offset[] = {upper}_OFFSET;
    float *image = {place};
    for (int i = 0; i < {upper}_INPUTS; i++)
        image[i] = (float)pixels[i] * scale[i % {upper}_CHANNELS] + offset[i % {upper}_CHANNELS];
    return {name}_predict(image, output);
}}"""


def export(exported: Exported, options: ExportOptions) -> dict[str, bytes]:
    """The files by suffix. Raises UsageError for an operation that it does not know."""
    made = NetworkInC(exported, exported.inference(options, probabilities=True), exported.stem)
    exported.told.append(f"{made.buffers.bytes:,} bytes of RAM, {made.code.bytes:,} bytes of weights")
    return {".c": made.source().encode(), ".h": made.header().encode()}


class NetworkInC:
    """A network as C. `name`: what the names of all that it has in common with other files begin with."""

    def __init__(self, exported: Exported, network: Inference, stem: str) -> None:
        self.exported, self.network, self.file = exported, network, stem
        name = c_text.identifier(stem)
        self.name = name if name[:1].isalpha() else f"model_{name}"
        self.buffers = Buffers(network, self.name, pixels=self.of_images)
        self.code = Code(network, self.buffers, self.name)
        self.statements = self.code.statements()

    @property
    def of_images(self) -> bool:
        """Whether its input is an image."""
        return len(self.network.input.shape) == 3

    def _common(self) -> dict[str, str]:
        title = c_text.comment(self.exported.spec.name)
        return {"title": title, "version": __version__, "name": self.name, "upper": self.name.upper()}

    def header(self) -> str:
        """The content of the header."""
        common = self._common()
        return HEADER.format(
            **common,
            ram=self.buffers.bytes,
            flash=self.code.bytes,
            macros="\n".join(f"#define {common['upper']}_{name} {value}" for name, value in self.macros().items()),
            outputs=_described(self.network.output.shape),
            image=_described(self.network.input.shape),
            returned=self._answer()[1],
            pixels=PIXELS.format(**common) if self.of_images else "",
        )

    def source(self) -> str:
        """The content of the source."""
        functions = c_text.functions(self.function)
        return SOURCE.format(**self._common(), file=self.file, functions=functions, network=self.definitions())

    def macros(self) -> dict[str, str]:
        """The macros of the header, without the name that they begin with."""
        found: dict[str, str] = {}
        if self.of_images:
            names = ("HEIGHT", "WIDTH", "CHANNELS")
            found |= {name: str(n) for name, n in zip(names, self.network.input.shape, strict=True)}
        found |= {"INPUTS": str(self.network.input.size), "OUTPUTS": str(self.network.output.size)}
        if self.exported.classes:
            found["CLASSES"] = str(len(self.exported.classes))
            found["CLASS_NAMES"] = _braced(map(c_text.string, self.exported.classes))
        if self.of_images:
            both = zip(("SCALE", "OFFSET"), self.exported.scale_and_offset(), strict=True)
            found |= {name: _braced(map(c_text.number, numbers)) for name, numbers in both}
        return found | {"RAM_BYTES": str(self.buffers.bytes), "FLASH_BYTES": str(self.code.bytes)}

    @property
    def function(self) -> str:
        """The function that predicts."""
        body = "\n".join(map(_statement, [*self.statements, f"return {self._answer()[0]};"]))
        return PREDICT.format(name=self.name, body=body)

    def definitions(self) -> str:
        """Its constants and functions."""
        memory = [f"static float {self.buffers.array}[{self.buffers.bytes // 4}];"] if self.buffers.bytes else []
        found = [*self.code.definitions(), *memory, self.function]
        if self.of_images:
            found.append(OF_PIXELS.format(**self._common(), place=self.buffers.place(self.network.input)))
        return "\n\n".join(found)

    def _answer(self) -> tuple[str, str]:
        """What the function returns: an expression, and a description."""
        shape, count = self.network.output.shape, self.network.output.size
        if self.exported.meaning is Meaning.CLASSES and len(shape) == 1 and count > 1:
            return f"place_of_greatest(output, {count})", "the number of the most probable class"
        if self.exported.meaning in (Meaning.CLASSES, Meaning.CHOICE) and shape == (1,):
            return (
                "output[0] > 0.5f",
                "1 if the output, the probability of the second of two classes, is above 0.5; else 0",
            )
        return "0", "0"


def _described(shape: Shape) -> str:
    numbers = f"{c_text.size(shape)} numbers"
    return f"{numbers}, rows of pixels with their channels" if len(shape) == 3 else numbers


def _braced(texts: Iterable[str]) -> str:
    return f"{{{', '.join(texts)}}}"


def _statement(line: str) -> str:
    """A line of a function, divided between arguments if it is long."""
    if len(line) < c_text.WIDTH - 4:
        return indent(line, "    ")
    joined = re.sub(r"\{(?:[^{}]|\{[^}]*\})*\}", lambda found: found[0].replace(" ", "\0"), line)
    made = fill(joined, c_text.WIDTH, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False)
    return made.replace("\0", " ")
