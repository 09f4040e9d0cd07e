"""Keras' side of test_export_keras: a script in Keras' own Python, which loads the archives of a folder in safe mode.

NAME.npz beside NAME.keras has `x`: NAME.out.npz gets the predictions `y`, or `error`. If it also has `xs` and `ys`,
batches, `losses` are those of training on each, `names` those of the results, and `iterations` those of the optimizer
before.
"""

import sys
from pathlib import Path

import numpy as np
from keras_setup import keras


def main(folder):
    for path in sorted(folder.glob("*.keras")):
        keras.backend.clear_session()
        model = keras.saving.load_model(path, safe_mode=True)
        given = dict(np.load(path.with_suffix(".npz")))
        try:
            found = {"y": model.predict(given["x"], verbose=0)}
        except Exception as error:  # TensorFlow can't do everything on a CPU
            np.savez(path.with_suffix(".out.npz"), error=str(error))
            continue
        if "xs" in given:
            found["iterations"] = model.optimizer.iterations.numpy()
            batches = zip(given["xs"], given["ys"], strict=True)
            found["losses"] = []
            for x, y in batches:
                model.reset_metrics()
                results = model.train_on_batch(x, y, return_dict=True)
                found["losses"].append(results["loss"])
            found["names"] = list(results)
        np.savez(path.with_suffix(".out.npz"), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
