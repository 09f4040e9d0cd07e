"""How far the numbers of each name are from Keras': `python -m tests.keras_page.measure [RESULTS]`.

It writes `deviations.json`: of the fixtures, or with RESULTS, which test_keras_live wrote, of random graphs.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnncli.kernels.augment import mix
from cnncli.kernels.jit import runtime
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.training.metrics.vocabulary import METRICS
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.schedules import SCHEDULES
from tests.datasets import test_augmentation as augmentations
from tests.graph import test_keras_losses as losses
from tests.kernels import test_mix as mixing
from tests.layers import test_keras_layers as layers
from tests.layers import test_keras_updates as updates
from tests.layers.harness import LayerHarness
from tests.training import test_keras_metrics as metrics
from tests.training import test_keras_optimizers as optimizers

FILE = Path(__file__).with_name("deviations.json")
Measured = Iterator[tuple[str, str, str, float]]
"""Kind, name, fixture, deviation of one case."""


def apart(got, expected) -> float:
    """The largest difference over the largest number, or over 1 where all are smaller."""
    expected = np.asarray(expected, np.float64)
    if not expected.size:
        return 0.0
    difference = np.abs(np.asarray(got, np.float64).reshape(expected.shape) - expected)
    finite = np.isfinite(expected)
    return float(difference[finite].max(initial=0.0) / np.abs(expected[finite]).max(initial=1.0))


def of_layers() -> Measured:
    for file, (cases, arrays) in layers.FAMILIES.items():
        for case in cases:
            config = {name: value for name, value in case["config"].items() if name not in {"name", "dtype"}}
            inputs = [arrays[key] for key in case["inputs"]]
            layer = LAYERS.parse({case["layer"]: config})
            shapes = [x.shape[1:] for x in inputs]
            training = case.get("training", True)
            one = LayerHarness(layer, shapes, batch=len(inputs[0]), dtype="float32", training=training)
            for place, array in zip(one.inputs, inputs, strict=True):
                place[...] = array
            for name, key in case["weights"].items():
                one.weights[name][...] = arrays[key]
            one.cotangent[...] = arrays[case["cotangent"]]
            keys = [*case["grad_inputs"], *(case["grad_weights"][name] for name in one.trained if training)]
            far = [apart(one.run(), arrays[case["output"]])]
            far += [apart(got, arrays[key]) for got, key in zip(one.gradients()[: len(keys)], keys, strict=True)]
            yield "layer", type(layer).__name__, f"{file}.json", max(far)
            activation = getattr(layer, "activation", None)
            if activation is not None:
                yield "activation", ACTIVATIONS.spell(type(activation).__name__), f"{file}.json", max(far)


def of_losses() -> Measured:
    for case in losses.CASES:
        value, gradient = losses.loss_and_gradient(case, fused=True)
        name = type(LOSSES.parse({case["loss"]: case["config"]})).__name__
        yield "loss", name, "losses.json", max(apart(value, case["value"]), apart(gradient, case["gradient"]))


def of_metrics() -> Measured:
    for case in metrics.FIXTURE["cases"]:
        metric = METRICS.parse({case["metric"]: case["config"]})
        predictions, targets = metrics.DATA[case["data"]]
        found = list(metrics.figures(metric, predictions, targets).values())
        yield "metric", type(metric).__name__, "metrics_of_scores.json", apart(found, case["value"])
    for case in json.loads((metrics.FIXTURES / "metrics.json").read_text())["cases"]:
        metric = METRICS.parse({case["metric"]: case["config"]})
        rows = [np.array(case[key], np.float32) for key in ("y_pred", "y_true")]
        found = list(metrics.figures(metric, *rows).values())
        yield "metric", type(metric).__name__, "metrics.json", apart(found, case["value"])


def of_optimizers() -> Measured:
    start, gradients = (optimizers.OPTIONS[key] for key in ("weights", "gradients"))
    arrays = [{name: np.array(array) for name, array in given.items()} for given in (start, *gradients)]
    for case in optimizers.OPTIONS["cases"]:
        constraint = case["kernel_constraint"]
        network = optimizers.network_of(arrays[0], "float32", constraint)
        optimizer = OPTIMIZERS.parse({case["optimizer"]: case["config"]})
        steps = zip(optimizers.trajectory(network, optimizer, arrays[1:]), case["trajectory"], strict=True)
        far = max(apart(weights[name], expected[name]) for (weights, _), expected in steps for name in start)
        yield "optimizer", case["optimizer"], "optimizer_options.json", far
    for case in optimizers.CASES:
        network = optimizers.network_of({"kernel": np.array(case["weight"])[:, None]}, "float32")
        updates_given = [{"kernel": np.array(gradient)[:, None]} for gradient in case["gradients"]]
        found = optimizers.trajectory(network, OPTIMIZERS.parse({case["optimizer"]: case["config"]}), updates_given)
        far = max(
            apart(weights["kernel"], expected) for (weights, _), expected in zip(found, case["trajectory"], strict=True)
        )
        yield "optimizer", case["optimizer"], "optimizers.json", far
    for case in optimizers.RATES:
        schedule = SCHEDULES.parse({case["schedule"]: case["config"]})
        rates = [schedule.rate(step, 1) for step in range(len(case["rates"]))]
        yield "schedule", case["schedule"], "schedules.json", apart(rates, case["rates"])


def of_constraints() -> Measured:
    for case in updates.FIXTURE["constraints"]:
        weight = np.array(case["input"], np.float32)
        runtime.run(CONSTRAINTS.parse({case["constraint"]: case["config"]}).steps(runtime.tensor(weight)))
        yield "constraint", case["constraint"], "optimizers.json", apart(weight, case["output"])


def of_initializers() -> Measured:
    """Of those that draw: mean, standard deviation and bounds of large draws, in standard deviations."""
    for case in updates.FIXTURE["initializers"]:
        drawn, sample = updates.drawn_like(case), case["sample"]
        figures = {"mean": drawn.mean(), "std": drawn.std(), "min": drawn.min(), "max": drawn.max()}
        compared = ("mean", "std") if case["distribution"] == "normal" else tuple(figures)  # which has no bounds
        far = max(abs(figures[name] - sample[name]) for name in compared) / sample["std"]
        yield "initializer", case["initializer"], "optimizers.json", far
    for case in updates.WEIGHTS["initializers"]:
        yield "initializer", case["initializer"], "weights.json", apart(updates.known(case), case["values"])


def of_regularizers() -> Measured:
    for case in updates.WEIGHTS["regularizers"]:
        penalty, gradient = updates.penalized(case)
        far = max(apart(penalty, case["penalty"]), apart(gradient, case["gradient"]))
        yield "regularizer", case["regularizer"], "weights.json", far


def of_augmentations() -> Measured:
    with np.load(augmentations.FOLDER / "augmentation.npz") as arrays:
        for number, case in enumerate(augmentations.CASES):
            images = np.stack([arrays[case["image"]]] * 16)
            made = augmentations.filled(images, [{case["layer"]: case["config"]}])
            far = [min(apart(image, expected) for expected in arrays[str(number)]) for image in made]
            yield "augmentation", case["layer"], "augmentation.json", max(far)


def of_mixing() -> Measured:
    with np.load(mixing.FIXTURE) as arrays:
        draws = np.column_stack([arrays[name] for name in ("order", "weight", "left", "top")]).astype(np.float64)
        for name, array, change in (
            *(("mix_up", array, mix.blend) for array in ("images", "targets")),
            *(("cut_mix", array, mix.paste) for array in ("images", "masks")),
            ("cut_mix", "targets", mix.blend),
        ):
            far = apart(_mixed(arrays[array].copy(), change, draws), arrays[f"{name}_{array}"])
            yield "augmentation", {"mix_up": "MixUp", "cut_mix": "CutMix"}[name], "mixing.npz", far


def _mixed(x, change, draws):
    """What `change` makes of x with these draws; its own are written where memory begins, by its first step."""
    clock = runtime.tensor(np.zeros(3, np.int64))
    memory = np.zeros(draws.size + x.size)
    drawn = mix.Mixing(clock, 0, 0, (1.0, 1.0))
    memory[: draws.size] = draws.ravel()
    _, *steps = change(runtime.tensor(x), drawn, runtime.Scratch(memory.ctypes.data))
    runtime.run(steps)
    return x


def fixtures() -> dict[str, dict[str, dict[str, list]]]:
    """By kind, name and fixture: the number of cases, and the largest deviation."""
    found: dict = {}
    for measure in (
        *(of_layers, of_losses, of_metrics, of_optimizers, of_constraints, of_initializers, of_regularizers),
        *(of_augmentations, of_mixing),
    ):
        for kind, name, file, far in measure():
            count, largest = found.setdefault(kind, {}).setdefault(name, {}).get(file, [0, 0.0])
            found[kind][name][file] = [count + 1, max(largest, float(f"{far:.1e}"))]
    return found


def graphs(lines: list[str]) -> dict:
    """Of the random graphs: how many there are, the largest deviations, and by kind and name how many have it."""
    records = [json.loads(line) for line in lines]
    worst = {key: float(f"{max(record['apart'][key] for record in records):.1e}") for key in records[0]["apart"]}
    counts: dict = {}
    for record in records:
        for kind, names in record["words"].items():
            for name in sorted(set(names)):
                known = counts.setdefault(kind, {})
                known[name] = known.get(name, 0) + 1
    return {"graphs": len(records), "apart": worst, "in": counts}


def main() -> None:
    """Write what was measured anew: the random graphs of a file of results, or else the fixtures."""
    measured = json.loads(FILE.read_text()) if FILE.exists() else {}
    if len(sys.argv) > 1:
        measured["live"] = graphs(Path(sys.argv[1]).read_text().splitlines())
    else:
        measured["fixtures"] = fixtures()
    FILE.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
