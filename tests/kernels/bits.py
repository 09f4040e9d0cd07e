"""Prints digests of kernels' results: `python -m tests.kernels.bits`. Run on several instruction sets by a test."""

import hashlib

import numpy as np

from cnncli.kernels.elementwise import (
    activations,
    arithmetic,
    axes,
    dropout,
    log_softmax,
    merge,
    softmax,
    sparsemax,
    weights,
)
from cnncli.kernels.elementwise.activation_names import of_input
from cnncli.kernels.jit.runtime import tensor
from cnncli.kernels.losses import loss_functions, orthogonal, penalties
from cnncli.kernels.losses.loss_rules import RULES
from cnncli.kernels.optimizers import clipping, update_rules
from cnncli.kernels.optimizers.update_rules import Segments
from cnncli.kernels.pooling import pool2d
from tests.kernels import (
    test_batch_normalization,
    test_conv2d,
    test_conv_pool,
    test_dense,
    test_depthwise,
    test_fold,
    test_group_normalization,
    test_layer_normalization,
    test_vectormath,
    test_winograd,
    test_winograd_strided,
)
from tests.kernels.loss_cases import OF_LOGITS, OF_PROBABILITIES, arguments
from tests.kernels.support import DTYPES, execute, normal


def results(dtype):
    """Results by name; lengths leave part of a vector over.

    No training computes in float64: of what is slow to compile, float32 alone is.
    """
    generator, found = np.random.default_rng(1), {}

    def given(*shape):
        return generator.normal(0, 2, shape).astype(dtype)

    def keep(name, out, plan):
        execute(plan)
        found[name] = out

    for name in test_vectormath.NAMES:
        found[name] = test_vectormath.apply(name, test_vectormath.samples(dtype))
    x, grad = given(700, 37), given(700, 37)
    for kind in activations.KINDS:
        out, back = np.empty_like(x), np.empty_like(x)
        keep(kind, out, lambda _, kind=kind, out=out: activations.forward(kind, tensor(x), tensor(out)))
        places = tensor(x if of_input(kind) else out), tensor(grad), tensor(back)
        keep(f"{kind} backward", back, lambda _, kind=kind, places=places: activations.backward(kind, *places))
        if of_input(kind):
            both = np.stack([x, x])
            places = tensor(both[0]), tensor(both[1])
            keep(f"{kind} slopes", both, lambda _, kind=kind, places=places: activations.with_slopes(kind, *places))
    for name, module in (("log_softmax", log_softmax), ("sparsemax", sparsemax), ("softmax", softmax)):
        y, out = np.empty_like(x), np.empty_like(x)
        keep(name, y, lambda _, module=module, y=y: module.forward(tensor(x), tensor(y)))
        places = tensor(y), tensor(grad), tensor(out)
        keep(f"{name} backward", out, lambda _, module=module, places=places: module.backward(*places))
    _others(keep, given, dtype)
    if dtype == "float32":
        _losses(keep, given, x, y)
        _updates(keep, given)
    return found | _products(dtype)


def _losses(keep, given, x, y):
    """All losses of logits, or of probabilities `y`."""
    target, weight = np.abs(given(700, 37)), np.abs(given(700))
    for name in RULES:
        value, probabilities, out = np.empty_like(weight), np.empty_like(x), np.empty_like(x)
        predicted, numbers = y if name in (*OF_PROBABILITIES, "poisson") else x, arguments(name, 0.1)
        inputs = tensor(predicted), tensor(target), tensor(weight), tensor(value)
        outputs = [tensor(probabilities)] if name in OF_LOGITS else []
        keep(name, value, lambda _, given=(name, numbers, *inputs, *outputs): loss_functions.loss(*given))
        inputs = tensor(probabilities if outputs else predicted), tensor(target), tensor(weight), tensor(out)
        keep(f"{name} gradient", out, lambda _, given=(name, numbers, *inputs): loss_functions.gradient(*given))


def _products(dtype):
    """Results of convolutions and dense layers, of many random shapes and a large one: the bytes of all in a row."""
    cases = [test_conv2d.random_case(seed, dtype) for seed in range(40)]
    cases += [test_conv2d.large_case(11)] if dtype == "float32" else []
    found = {f"conv2d {number}": [run(case) for case in cases] for number, run in enumerate(test_conv2d.OPERATIONS)}
    if dtype == "float32":
        cases, runs = [test_depthwise.random_case(seed, dtype) for seed in range(40)], test_depthwise.OPERATIONS
        found |= {f"depthwise {number}": [run(case) for case in cases] for number, run in enumerate(runs)}
    cases = [test_winograd.random_case(seed, dtype) for seed in range(60)]
    cases = [case for case in cases if min(case.grad.shape[1:3]) > 1]  # something to pool
    cases += [test_winograd.large_case(11)] if dtype == "float32" else []
    runs = test_winograd.OPERATIONS
    found |= {f"winograd {number}": [run(case) for case in cases] for number, run in enumerate(runs)}
    if dtype == "float32":
        cases = [*(test_winograd_strided.random_case(seed) for seed in range(20)), test_winograd_strided.large_case(3)]
        runs = test_winograd_strided.OPERATIONS
        found |= {f"winograd_strided {number}": [run(case) for case in cases] for number, run in enumerate(runs)}
    found["batch_normalization"] = []
    for seed in range(40):
        case = test_batch_normalization.random_case(seed, dtype)
        for arrays in (*test_batch_normalization.training(case, "relu"), test_batch_normalization.inference(case)):
            found["batch_normalization"] += arrays
    for module in (test_layer_normalization, test_group_normalization):
        runs = [module.normalized(module.random_case(seed, dtype)) for seed in range(40)]
        found[module.__name__] = [array for first, second in runs for array in (*first, *second)]
    found["fold"] = [array for seed in range(40) for array in test_fold.folded(test_fold.random_case(seed, dtype))]
    cases = [test_conv_pool.random_case(seed, dtype) for seed in range(25)]
    cases += [test_conv_pool.large_case(11, dtype, channels) for channels in (3, 20)]
    found["conv_pool"] = [array for case in cases for array in test_conv_pool.everything(case, 4)]
    generator = np.random.default_rng(0)
    x, kernel, grad = (normal(generator, dtype, *shape) for shape in ((70, 150), (150, 90), (70, 90)))
    found["dense forward"] = [test_dense.forward(x, kernel, None)]
    found["dense grad_input"] = [test_dense.grad_input(grad, kernel)]
    found["dense grad_weight"] = [test_dense.grad_weight(x, grad)]
    return {name: np.frombuffer(b"".join(a.tobytes() for a in arrays), np.uint8) for name, arrays in found.items()}


def _others(keep, given, dtype):
    images, window = given(3, 14, 15, 21), pool2d.Window((3, 3), (2, 2), (1, 1))
    pooled, winner, back = np.empty((3, 7, 8, 21), dtype), np.empty((3, 7, 8, 21), np.int32), np.empty_like(images)
    places = tensor(images), tensor(pooled), tensor(winner), window
    keep("max pooling", pooled, lambda _: pool2d.max_forward(*places))
    places_back = tensor(pooled), tensor(winner), tensor(back), window
    keep("max pooling backward", back, lambda _: pool2d.max_backward(*places_back))
    means, back_means = np.empty_like(pooled), np.empty_like(images)
    keep("average pooling", means, lambda _: pool2d.average_forward(tensor(images), tensor(means), window))
    places_means = tensor(means), tensor(back_means), window
    keep("average pooling backward", back_means, lambda _: pool2d.average_backward(*places_means))
    for name, lengths in (("columns", axes.Lengths(1, 1, 14, 15 * 21)), ("runs", axes.Lengths(14, 15, 21, 1))):
        sums = np.empty((3, lengths.middle, lengths.inner), dtype)
        places_sums = tensor(images), tensor(sums), lengths
        keep(f"sums of {name}", sums, lambda _, places=places_sums: axes.reduce(*places, 3.0))
    weight, shifted = given(21), np.empty_like(images)
    keep("weight", shifted, lambda s: weights.apply("add", tensor(images), tensor(weight), tensor(shifted), s))
    roots = np.empty_like(images)
    keep("rsqrt", roots, lambda _: arithmetic.apply("rsqrt", [tensor(images)], tensor(roots), offset=20.0))
    w, g, m = given(999), given(999), given(999)
    dropped, clock = np.empty_like(w), np.array([3, 4, 0])
    keep("dropout", dropped, lambda _: dropout.apply(tensor(w), tensor(dropped), tensor(clock), 0.3, 1))
    for kind in sorted(dropout.FORMULAS.keys() - {"kept"}):  # whose numbers are two
        noisy = np.empty_like(w)
        places_noise = tensor(w), tensor(noisy), tensor(clock)
        keep(kind, noisy, lambda _, kind=kind, p=places_noise: dropout.noise(kind, *p, 1, None, 0.3, 0.7, 0.2, 0.1))
    scaled, numbers = np.empty_like(images), np.linspace(-1, 1, 21)
    keep("affine of channels", scaled, lambda _: weights.affine(tensor(images), tensor(scaled), numbers, numbers))
    total = np.empty_like(w)
    keep("add", total, lambda _: merge.add([tensor(w), tensor(g), tensor(m)], tensor(total)))
    penalty, slope = np.empty(1, dtype), np.empty_like(w)
    keep("penalty", penalty, lambda s: penalties.value(tensor(w), tensor(penalty), 0.1, 0.2, 1.0, s))
    keep("penalty gradient", slope, lambda _: penalties.gradient(tensor(w), tensor(slope), 0.1, 0.2, 1.0))
    matrix, angles = given(37, 27), np.empty((37, 27), dtype)
    keep("angles", angles, lambda s: orthogonal.gradient(tensor(matrix), tensor(angles), 0.1, True, s))


def _updates(keep, given):
    g, hyper = given(999), np.array([[0.001, 0.9, 0.01, 1e-3, 0.9, 0.1, 0.7, 0.3]])
    places = np.array([[first, first + 45] for first in range(0, 960, 48)])
    rows, (factors, ratios) = np.zeros(len(places), np.int64), np.ones((2, len(places)))
    squares, moves = np.zeros((2, len(places), clipping.PARTS)), given(999)
    segments = Segments(*map(tensor, (places, rows, factors, ratios, squares)))
    keep("clipping", factors, lambda _: clipping.factors(tensor(g), segments, 0.5, together=False))
    keep("ratios", ratios, lambda _: clipping.ratios(tensor(g), tensor(moves), segments))
    for rule, (_, slots, _) in update_rules.RULES.items():
        w, state = given(999), [np.abs(given(999)), 0.1 * given(999), given(999)][:slots]
        arrays = tensor(w), tensor(g), [tensor(array) for array in state], tensor(hyper)
        keep(rule, w, lambda _, rule=rule, arrays=arrays: update_rules.update(rule, *arrays, segments))


def lines(dtype, found):
    """A line a result."""
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest()[:16] for name, array in found.items()}
    return [f"{dtype} {name} {digest}" for name, digest in digests.items()]


if __name__ == "__main__":
    for dtype in DTYPES:
        print(*lines(dtype, results(dtype)), sep="\n")
