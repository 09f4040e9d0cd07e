"""OpenVINO's side of `benchmark --inference --against openvino`: a script that imports only how ONNX is built.

It uses the protocol of `rounds`; the network is described by `onnx.network.translate`. OpenVINO runs one batch at a
time, as the others do.

The variants are the described dtypes, each set explicitly: by itself OpenVINO would choose bfloat16 where the processor
has it.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import openvino

from cnncli.interop.onnx.proto import built
from cnncli.interop.peers.onnx_arrays import ImageRounds, drawn
from cnncli.interop.peers.rounds import Rounds, serve

PRECISIONS = {"float32": "f32", "bf16": "bf16"}
"""OpenVINO's names of dtypes."""


class Runner(ImageRounds):
    """Runs the network in one dtype on random batches."""

    def __init__(self, description: Mapping[str, Any], dtype: str) -> None:
        self.request = compiled(description, dtype).create_infer_request()
        super().__init__(description)

    def begin(self) -> None:
        self.x = self.batch()
        self.request.set_input_tensor(openvino.Tensor(self.x, shared_memory=True))

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.request.infer()


def compiled(description: Mapping[str, Any], dtype: str) -> Any:
    """Compile the network for batches of the description's size and its number of threads."""
    core = openvino.Core()
    model = core.read_model(built(description, drawn(description)).SerializeToString())
    model.reshape([description["batch_size"], *description["input_shape"]])
    options = {
        "INFERENCE_NUM_THREADS": description["threads"],
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
        "PERFORMANCE_HINT": "LATENCY",
    }
    return core.compile_model(model, "CPU", options)


def variants(description: Mapping[str, Any]) -> dict[str, Callable[[], Rounds]]:
    """Return what starts each variant."""
    return {dtype: partial(Runner, description, dtype) for dtype in description["dtypes"]}


if __name__ == "__main__":
    serve(openvino.__version__.partition("-")[0], variants, lambda message: print(json.dumps(message), flush=True))
