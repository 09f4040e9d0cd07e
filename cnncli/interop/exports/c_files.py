"""A header and a source in C99: no dependencies, no allocation; weights are constants, values are in a static array."""

import re
from collections.abc import Iterable
from textwrap import fill, indent

from cnncli.interop.exports import c_text
from cnncli.interop.exports.c_int8 import TRANSLATORS as OF_INT8
from cnncli.interop.exports.c_memory import Buffers
from cnncli.interop.exports.c_operations import TRANSLATORS as OF_FLOATS
from cnncli.interop.exports.c_operations import Code
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.exports.int8_accuracy import in_int8
from cnncli.interop.exports.int8_network import Scale
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
    {image}
    for (int i = 0; i < {upper}_INPUTS; i++)
        image[i] = {number};
    return {name}_{next};
}}"""
SCALED = "(float)pixels[i] * scale[i % {upper}_CHANNELS] + offset[i % {upper}_CHANNELS]"
PREDICT_INT8 = """\
static int {name}_run(float *output)
{{
    {image}
{body}
}}

int {name}_predict(const float *image, float *output)
{{
    to_int8(image, {place}, {upper}_INPUTS, {scale}, {zero});
    return {name}_run(output);
}}"""


def export(exported: Exported, options: ExportOptions) -> dict[str, bytes]:
    """The files by suffix. Raises UsageError for an operation that it does not know."""
    network = exported.inference(options, probabilities=True)
    made = NetworkInC(exported, network, exported.stem)
    exported.told.append(f"{made.ram:,} bytes of RAM, {made.code.bytes:,} bytes of weights")
    if options.int8:
        found = in_int8(exported, network)
        exported.told[0] = f"float32: {exported.told[0]}{found.float32}"
        made = NetworkInC(exported, found.network, exported.stem, found.image)
        exported.told.append(f"int8: {made.ram:,} bytes of RAM, {made.code.bytes:,} bytes of weights{found.int8}")
    return {".c": made.source().encode(), ".h": made.header().encode()}


class NetworkInC:
    """A network as C. `image`: the scale of its input, if that is int8.

    `name`: what the names of all that it has in common with other files begin with.
    """

    def __init__(self, exported: Exported, network: Inference, stem: str, image: Scale | None = None) -> None:
        self.exported, self.network, self.file, self.image = exported, network, stem, image
        name = c_text.identifier(stem)
        self.name = name if name[:1].isalpha() else f"model_{name}"
        self.buffers = Buffers(network, self.name, pixels=self.of_images or image is not None)
        self.code = Code(network, self.buffers, self.name)
        self.statements = self.code.statements({**OF_FLOATS, **OF_INT8})

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
            ram=self.ram,
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
        return found | {"RAM_BYTES": str(self.ram), "FLASH_BYTES": str(self.code.bytes)}

    @property
    def function(self) -> str:
        """The function that predicts."""
        body = "\n".join(map(_statement, [*self.statements, f"return {self._answer()[0]};"]))
        if self.image is None:
            return PREDICT.format(name=self.name, body=body)
        scale, zero = c_text.number(self.image.scale), self.image.zero
        image, place = self.buffers.declaration(self.network.input), self.buffers.place(self.network.input)
        return PREDICT_INT8.format(**self._common(), body=body, image=image, place=place, scale=scale, zero=zero)

    @property
    def function_of_pixels(self) -> str:
        """The function that scales pixels, and predicts."""
        common = self._common()
        number, then = SCALED.format(**common), "predict(image, output)"
        if self.image is not None:
            number, then = f"as_int8({number}, {c_text.number(self.image.scale)}, {self.image.zero})", "run(output)"
        image = self.buffers.declaration(self.network.input)
        return OF_PIXELS.format(**common, image=image, number=number, next=then)

    @property
    def ram(self) -> int:
        """The size of the array of values, which is one of floats."""
        return -(-self.buffers.bytes // 4) * 4

    def definitions(self) -> str:
        """Its constants and functions."""
        memory = [f"static float {self.buffers.array}[{self.ram // 4}];"] if self.ram else []
        found = [*self.code.definitions(), *memory, self.function]
        if self.of_images:
            found.append(self.function_of_pixels)
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
