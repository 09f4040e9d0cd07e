"""TensorFlow's side of `benchmark --against tensorflow`: a script in a separate process.

It trains with Keras' `fit`, and infers with the model as a compiled function. It uses the protocol of
`rounds`; the network is described by `keras.network.translate`.

The variants, `DTYPE, WAY`, are a step compiled by XLA and a step as a TensorFlow graph, for each of the dtypes:
float32, and bf16 through the policy mixed_bfloat16.
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow

from cnncli.interop.peers.rounds import Rounds, serve

COMPILED = {"graph": False, "xla": True}
POLICIES = {"float32": "float32", "bf16": "mixed_bfloat16"}


class Runner(Rounds):
    """Runs one variant of the network on random batches."""

    def __init__(self, description: Mapping[str, Any], policy: str, jit: bool) -> None:
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
        super().__init__(description)

    def begin(self) -> None:
        """Restore the initial weights, and set a new batch; for training, as a repeated dataset in memory."""
        self.model.set_weights(self.start)
        x = self.random.random((self.batch_size, *self.model.input_shape[1:]), np.float32)
        self.x = tensorflow.constant(x)
        if self.trains:
            self.aim(x)

    def aim(self, x: Any) -> None:
        """Draw targets for a batch, and create the dataset of both."""
        shape = (self.batch_size, *self.model.output_shape[1:])
        if self.one_hot:
            y = np.eye(shape[-1], dtype=np.float32)[self.random.integers(shape[-1], size=shape[:-1])]
        else:
            y = self.random.random(shape, np.float32)
        self.data = tensorflow.data.Dataset.from_tensors((x, y)).repeat()

    def run(self, steps: int) -> None:
        if self.trains:
            self.model.fit(self.data, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
            return
        for _ in range(steps):
            self.predict(self.x).numpy()  # waits for the result


def variants(description: Mapping[str, Any]) -> dict[str, Callable[[], Rounds]]:
    """Return what starts each variant."""
    tensorflow.config.threading.set_intra_op_parallelism_threads(description["threads"])
    tensorflow.config.threading.set_inter_op_parallelism_threads(description["threads"])
    return {
        f"{dtype}, {way}": partial(Runner, description, POLICIES[dtype], jit)
        for dtype, (way, jit) in product(description["dtypes"], COMPILED.items())
    }


if __name__ == "__main__":
    serve(tensorflow.__version__, variants, lambda message: print(json.dumps(message), flush=True))
