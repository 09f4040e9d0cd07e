"""OpenVINO's side of `benchmark --inference --against openvino`: a script that imports only how ONNX is built.

It uses the protocol of `torch_peer`; the network is described by `onnx.network.translate`. OpenVINO computes in float32
and on one batch at a time, as the others do; by itself it would choose bfloat16 where the processor has it.
"""

import json
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
import openvino

from cnncli.interop.onnx.proto import built
from cnncli.interop.peers.drawn import drawn

VARIANT = "float32"
WARM_UP = 3


class Runner:
    """Runs the network on random batches."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.shape = (description["batch_size"], *description["input_shape"])
        self.request = compiled(description).create_infer_request()
        self.random = np.random.default_rng(0)
        self.begin()
        self.run(WARM_UP)
        self.steps = 1
        while self.time(self.steps) < description["seconds"] / 2:
            self.steps *= 2

    def begin(self) -> None:
        """Set a new batch."""
        self.x = self.random.random(self.shape, np.float32)
        self.request.set_input_tensor(openvino.Tensor(self.x, shared_memory=True))

    def run(self, steps: int) -> None:
        """Run inference."""
        for _ in range(steps):
            self.request.infer()

    def time(self, steps: int) -> float:
        """Return the seconds of `steps` steps."""
        start = perf_counter()
        self.run(steps)
        return perf_counter() - start

    def round(self) -> dict[str, float]:
        """Run one round; return its images and seconds."""
        self.begin()
        self.run(1)
        return {"images": self.steps * self.shape[0], "seconds": self.time(self.steps)}


def compiled(description: Mapping[str, Any]) -> Any:
    """Compile the network for batches of the description's size and its number of threads."""
    core = openvino.Core()
    model = core.read_model(built(description, drawn(description)).SerializeToString())
    model.reshape([description["batch_size"], *description["input_shape"]])
    options = {
        "INFERENCE_NUM_THREADS": description["threads"],
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    return core.compile_model(model, "CPU", options)


def main(answer: Callable[[Mapping[str, Any]], None]) -> None:
    """Serve requests until standard input is closed."""
    runner = Runner(json.loads(sys.stdin.readline()))
    answer({"version": openvino.__version__.partition("-")[0], "variants": [VARIANT]})
    for _ in sys.stdin:
        answer(runner.round())


if __name__ == "__main__":
    main(lambda message: print(json.dumps(message), flush=True))
