"""ONNX Runtime's side of `benchmark --inference --against onnxruntime`: a script that imports only how ONNX is built.

It uses the protocol of `rounds`; the network is described by `onnx.network.translate`.

The two variants are the usual call, which allocates a new array for each output, and an I/O binding with fixed input
and output buffers; both compute in float32, whatever the description's dtypes: ONNX Runtime has few operators of
bfloat16 on CPUs.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import onnxruntime

from cnncli.interop.onnx.proto import built
from cnncli.interop.peers.onnx_arrays import ImageRounds, drawn
from cnncli.interop.peers.rounds import Rounds, serve

VARIANTS = ("float32, run", "float32, io_binding")


class Runner(ImageRounds):
    """Runs one variant of the network on random batches."""

    def __init__(self, session: Any, description: Mapping[str, Any], variant: str) -> None:
        self.session, self.binding = session, session.io_binding()
        self.bound = variant.endswith("io_binding")
        super().__init__(description)

    def begin(self) -> None:
        """Set a new batch; a bound output buffer is allocated in the first run."""
        self.x = self.batch()
        if self.bound:
            value = onnxruntime.OrtValue.ortvalue_from_numpy(self.x)
            self.binding.bind_ortvalue_input("input", value)
            self.binding.bind_output(self.session.get_outputs()[0].name)
            self.session.run_with_iobinding(self.binding)
            self.binding.bind_ortvalue_output(self.session.get_outputs()[0].name, self.binding.get_outputs()[0])

    def run(self, steps: int) -> None:
        for _ in range(steps):
            if self.bound:
                self.session.run_with_iobinding(self.binding)
            else:
                self.session.run(None, {"input": self.x})


def started(model: Any, threads: int) -> Any:
    """Create a session with the model, with all optimizations of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only: standard error is reserved for fatal errors
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def variants(description: Mapping[str, Any]) -> dict[str, Callable[[], Rounds]]:
    """Return what starts each variant."""
    session = started(built(description, drawn(description)), description["threads"])
    return {variant: partial(Runner, session, description, variant) for variant in VARIANTS}


if __name__ == "__main__":
    serve(onnxruntime.__version__, variants, lambda message: print(json.dumps(message), flush=True))
