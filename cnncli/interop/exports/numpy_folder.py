"""A folder for NumPy: predict.py, written for one network, and weights.npz. It needs NumPy and Pillow only."""

import io
import re
from collections.abc import Iterator
from inspect import getsource
from textwrap import indent
from types import CodeType
from typing import Any

import numpy as np

from cnncli.escaping import one_line
from cnncli.interop.exports import numpy_functions
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.exports.lines import lines
from cnncli.interop.exports.numpy_operations import TRANSLATORS, matrix_names
from cnncli.interop.exports.numpy_reading import answer, preparation
from cnncli.interop.inference import Inference
from cnncli.interop.resampling import matrices

SCRIPT = '''\
"""{name}: a network trained with cnncli, as NumPy code. It needs NumPy and Pillow only:

    python predict.py IMAGE...
"""

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

{constants}


{functions}


def network(x, w):
    """What the network computes from {input}, with the weights `w`: {output}."""
{body}
    return x


{preparation}


{answer}


if __name__ == "__main__":
    with np.load(Path(__file__).with_name("weights.npz")) as file:
        weights = dict(file)
    for path in sys.argv[1:]:
        print(f"{{path}}: {{answer(network(prepared(path)[None], weights)[0])}}")
'''


def export(exported: Exported, options: ExportOptions) -> dict[str, bytes]:
    """The files. Raises UsageError for an operation that it does not know."""
    network = exported.inference(options, probabilities=True)
    return {"predict.py": script(exported, network).encode(), "weights.npz": weights(network)}


def script(exported: Exported, network: Inference) -> str:
    """The text of predict.py."""
    body = "\n".join(lines(network, TRANSLATORS, "numpy"))
    constants = []
    if exported.classes:
        constants.append(f"CLASSES = {list(exported.classes)!r}")
    made = SCRIPT.format(
        name=_quoted(exported.spec.name),
        constants="\n".join(constants) or "# no classes",
        functions="\n\n\n".join(_sources(body)),
        input=f"images, float32 (N, {', '.join(map(str, network.input.shape))})",
        output=f"(N, {', '.join(map(str, network.output.shape))})",
        body=indent(body, "    "),
        preparation=preparation(exported),
        answer=answer(exported, network.output.shape),
    )
    return re.sub(r"^import math\n", "", made, flags=re.M) if "math." not in made else made


def weights(network: Inference) -> bytes:
    """The content of weights.npz."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays(network))
    return content.getvalue()


def arrays(network: Inference) -> dict[str, Any]:
    """The weights, and the matrices of resamplings."""
    found = dict(network.arrays)
    for call in network.calls:
        pair = matrices(call)
        if pair is not None:
            found |= {
                name: np.array(own, np.float32) for name, own in zip(matrix_names(network, call), pair, strict=True)
            }
    return found


def _sources(body: str) -> Iterator[str]:
    """The source of the functions that the code calls, and of those that they call, in the order of their file."""
    known = {name: made for name, made in vars(numpy_functions).items() if hasattr(made, "__code__")}
    wanted, found = [name for name in known if re.search(rf"\b{name}\(", body)], set()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += _called(known[name].__code__) & known.keys()
    return (getsource(made).rstrip() for name, made in known.items() if name in found)


def _called(code: CodeType) -> set[str]:
    """The names that code reads, that of functions within it included."""
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_called, inner))


def _quoted(name: str) -> str:
    """A name within a docstring."""
    return one_line(name).replace("\\", "").replace('"', "")
