"""TensorFlow's side of `benchmark --against tensorflow`: a script in a separate process that imports no cnncli.

It trains with Keras' `fit`, and infers with the model as a compiled function. It uses the protocol of
`torch_peer`; the network is described by `keras.network.translate`.

The variants, `DTYPE, WAY`, are a step compiled by XLA and a step as a TensorFlow graph, for each of the dtypes:
float32, and bf16 through the policy mixed_bfloat16.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from itertools import product
from time import perf_counter
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow

COMPILED = {"graph": False, "xla": True}
POLICIES = {"float32": "float32", "bf16": "mixed_bfloat16"}
WARM_UP = 3


class Runner:
    """Runs one variant of the network on random batches."""

    def __init__(self, description: Mapping[str, Any], policy: str, jit: bool) -> None:
        self.batch = description["batch_size"]
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        image = keras.Input(tuple(description["input_shape"]))
        values = {"input": image}
        for node in description["nodes"]:
            layer = getattr(keras.layers, node["layer"]["class_name"])(**node["layer"]["config"])
            inputs = [values[name] for name in node["inputs"]]
            output = values[node["name"]] = layer(inputs if len(inputs) > 1 else inputs[0])
        self.model = keras.Model(image, output)
        self.trains = description["mode"] == "training"
        if self.trains:
            loss, optimizer = description["loss"], description["optimizer"]
            self.model.compile(
                optimizer=getattr(keras.optimizers, optimizer["class_name"])(**optimizer["config"]),
                loss=getattr(keras.losses, loss["class_name"])(**loss["config"]),
                jit_compile=jit,
            )
            self.one_hot = description["targets"] == "classes"
        self.predict = tensorflow.function(lambda x: self.model(x, training=False), jit_compile=jit)
        self.start = self.model.get_weights()
        self.random = np.random.default_rng(0)
        self.begin()
        self.run(WARM_UP)
        self.steps = 1
        while self.time(self.steps) < description["seconds"] / 2:
            self.steps *= 2

    def begin(self) -> None:
        """Restore the initial weights, and set a new batch; for training, as a repeated dataset in memory."""
        self.model.set_weights(self.start)
        x = self.random.random((self.batch, *self.model.input_shape[1:]), np.float32)
        self.x = tensorflow.constant(x)
        if self.trains:
            self.aim(x)

    def aim(self, x: Any) -> None:
        """Draw targets for a batch, and create the dataset of both."""
        shape = (self.batch, *self.model.output_shape[1:])
        if self.one_hot:
            y = np.eye(shape[-1], dtype=np.float32)[self.random.integers(shape[-1], size=shape[:-1])]
        else:
            y = self.random.random(shape, np.float32)
        self.data = tensorflow.data.Dataset.from_tensors((x, y)).repeat()

    def run(self, steps: int) -> None:
        """Run training or inference steps."""
        if self.trains:
            self.model.fit(self.data, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
            return
        for _ in range(steps):
            self.predict(self.x).numpy()  # waits for the result

    def time(self, steps: int) -> float:
        """Return the seconds of `steps` steps."""
        start = perf_counter()
        self.run(steps)
        return perf_counter() - start

    def round(self) -> dict[str, float]:
        """Run one round; return its images and seconds."""
        self.begin()
        self.run(1)
        return {"images": self.steps * self.batch, "seconds": self.time(self.steps)}


def main(answer: Callable[[Mapping[str, Any]], None]) -> None:
    """Serve requests until standard input is closed."""
    description = json.loads(sys.stdin.readline())
    tensorflow.config.threading.set_intra_op_parallelism_threads(description["threads"])
    tensorflow.config.threading.set_inter_op_parallelism_threads(description["threads"])
    runners = {
        f"{dtype}, {way}": Runner(description, POLICIES[dtype], jit)
        for dtype, (way, jit) in product(description["dtypes"], COMPILED.items())
    }
    answer({"version": tensorflow.__version__, "variants": list(runners)})
    for line in sys.stdin:
        answer(runners[json.loads(line)].round())


if __name__ == "__main__":
    main(lambda message: print(json.dumps(message), flush=True))
