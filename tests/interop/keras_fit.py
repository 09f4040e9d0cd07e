"""Keras' side of test_keras_live: a script in Keras' own Python, which trains one network for each line it reads.

A line: the path of an .npz file, and the network as `interop.keras.network.translate` describes it, with `metrics`,
`loss_weights`, `batch_size`, and the optimizer's `schedule` and `exclude`. The file has the weights by name, and `x`,
`y` to train on and `x_val`, `y_val`. The answer: `history` of one epoch, or `error`;
weights and statistics after it, and `before`, the predictions of `x_val` before it, lie in the file `….npz.out.npz`.
"""

import json
import sys

import numpy as np
from keras_setup import keras


def built(description):
    """The network, and its layers by the names of nodes."""
    image = keras.Input(tuple(description["input_shape"]))
    values, layers = {"input": image}, {}
    for node in description["nodes"]:
        layer = layers[node["name"]] = made(keras.layers, node["layer"])
        inputs = [values[name] for name in node["inputs"]]
        values[node["name"]] = layer(inputs if isinstance(layer, MERGING) else inputs[0])
    return keras.Model(image, values[description["nodes"][-1]["name"]]), layers


MERGING = (type(keras.layers.Add()).__bases__[0],)


def made(module, declared):
    return getattr(module, declared["class_name"])(**declared["config"])


def optimizer(description):
    config = dict(description["optimizer"]["config"])
    if description["schedule"]:
        config["learning_rate"] = made(keras.optimizers.schedules, description["schedule"])
    built = getattr(keras.optimizers, description["optimizer"]["class_name"])(**config)
    if description["exclude"]:
        built.exclude_from_weight_decay(var_names=description["exclude"])
    return built


def named(metric):
    """A metric; the name "accuracy", of which Keras makes the one for the targets."""
    return "accuracy" if metric["class_name"] == "Accuracy" else made(keras.metrics, metric)


def fitted(description, path):
    keras.backend.clear_session()
    given = dict(np.load(path))
    network, layers = built(description)
    weights = {f"{name}/{weight.name}": weight for name, layer in layers.items() for weight in layer.weights}
    for name, weight in weights.items():
        weight.assign(given[name].reshape(weight.shape))
    network.compile(
        optimizer=optimizer(description),
        loss=made(keras.losses, description["loss"]),
        loss_weights=description["loss_weights"],
        metrics=[named(metric) for metric in description["metrics"]],
        run_eagerly=True,
        jit_compile=False,
    )
    before = network(given["x_val"], training=False).numpy()
    history = network.fit(
        given["x"],
        given["y"],
        validation_data=(given["x_val"], given["y_val"]),
        batch_size=description["batch_size"],
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.SwapEMAWeights()] if description["optimizer"]["config"]["use_ema"] else [],
    ).history
    kept = {name: weight.numpy().reshape(given[name].shape) for name, weight in weights.items()}
    np.savez(f"{path}.out.npz", **kept, before=before)
    return {"history": {name: float(np.ravel(values)[0]) for name, values in history.items()}}


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = fitted(asked["network"], asked["path"])
        except Exception as error:  # what Keras refuses is for the test to judge
            answer = {"error": f"{type(error).__name__}: {error}"[:600]}
        print("ANSWER " + json.dumps(answer), flush=True)
