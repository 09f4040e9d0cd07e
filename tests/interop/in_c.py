"""Exported C code, compiled with all warnings as errors and with sanitizers, and run."""

import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.interop.exports import c_text
from cnncli.interop.exports.c_files import NetworkInC
from cnncli.interop.exports.exported import Exported
from cnncli.layers.meaning import Meaning

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
HEAD = """\
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
"""
RUN = """\
static int run_{name}(void)
{{
    static float image[{inputs}], output[{outputs}];
    for (int k = 0; k < {count}; k++) {{
        if (fread(image, sizeof image, 1, stdin) != 1)
            return 1;
        {name}_predict(image, output);
        fwrite(output, sizeof output, 1, stdout);
    }}
    return 0;
}}"""


def in_c(network, name, image=None, classes=()):
    """The code of an `Inference`; `image`: the scale of its input, if that is int8."""
    spec = SimpleNamespace(name="made", model=SimpleNamespace(input_shape=network.input.shape))
    return NetworkInC(Exported(spec, {}, classes, Meaning.NUMBERS, 1.0), network, name, image)


def compiled(folder, *sources, optimized="-O0"):
    """Compile the sources, files of a folder, and return the program."""
    program = folder / "program"
    done = subprocess.run(
        [COMPILER, *FLAGS, *SANITIZED, optimized, *sources, "-o", program, "-lm"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:5000]
    return program


def run(program, content=b"", *arguments):
    """What the program writes."""
    done = subprocess.run([program, *arguments], input=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[:5000]
    return done.stdout


def computed(folder, networks):
    """The outputs of several networks, [(network, inputs[, the scale of int8 inputs])], computed by one program."""
    parts = [in_c(network, f"net{k}", *image) for k, (network, _, *image) in enumerate(networks)]
    macros = (f"#define {part.name.upper()}_{key} {value}" for part in parts for key, value in part.macros().items())
    runs = (
        RUN.format(name=part.name, inputs=x[0].size, outputs=network.output.size, count=len(x))
        for part, (network, x, *_) in zip(parts, networks, strict=True)
    )
    functions = c_text.functions("".join(part.function for part in parts))
    main = f"int main(void)\n{{\n    return {' || '.join(f'run_{part.name}()' for part in parts)};\n}}\n"
    code = [HEAD, functions, *macros, *(part.definitions() for part in parts), *runs, main]
    (folder / "all.c").write_text("\n\n".join(code))
    content = b"".join(np.float32(x).tobytes() for _, x, *_ in networks)
    numbers = np.frombuffer(run(compiled(folder, "all.c"), content), np.float32)
    ends = np.cumsum([network.output.size * len(x) for network, x, *_ in networks])
    return [
        part.reshape(len(x), *network.output.shape)
        for part, (network, x, *_) in zip(np.split(numbers, ends[:-1]), networks, strict=True)
    ]
