"""Every registered optimizer with its options, and its naive twin: what another optimizer must bring to be tested."""

import numpy as np
import pytest

from cnncli.training.optimizers.optimizers import OPTIMIZERS
from tests.reference import updates

OPTIONS = {
    "learning_rate": 0.03,
    "weight_decay": 0.1,
    "clipnorm": 0.5,
    "clipvalue": 0.2,
    "global_clipnorm": 0.5,
    "gradient_accumulation_steps": 2,
    "momentum": 0.8,
    "nesterov": True,
    "beta_1": 0.8,
    "beta_2": 0.95,
    "epsilon": 0.01,
    "rho": 0.7,
    "centered": True,
    "initial_accumulator_value": 0.3,
    "amsgrad": True,
    "learning_rate_power": -0.7,
    "l1_regularization_strength": 0.3,
    "l2_regularization_strength": 0.2,
    "l2_shrinkage_regularization_strength": 0.4,
    "beta": 0.6,
    "exclude": ["bias"],
    "multipliers": {"dense/k*": 0.5, "dense": 2},
    "use_ema": True,
    "ema_momentum": 0.7,
    "ema_overwrite_frequency": 2,
    "loss_scale_factor": 1024.0,
    "name": "mine",
}
"""A value other than the default for each field."""
NEEDED = {"exclude": ("weight_decay",), "ema_momentum": ("use_ema",), "ema_overwrite_frequency": ("use_ema",)}
"""Options that need, or have an effect with, others."""
WITHOUT_EFFECT = ("loss_scale_factor", "name")
ONE_OF = ("clipnorm", "clipvalue", "global_clipnorm")
"""Options of which an optimizer takes only one."""


def fields_of(name):
    """The optimizer's fields, of which each must be in OPTIONS."""
    fields = OPTIMIZERS.classes[name].fields
    untried = sorted(fields.keys() - OPTIONS.keys())
    if untried:
        pytest.fail(f"{name} has options that no test tries: add a value of {untried} to OPTIONS", pytrace=False)
    return fields


def alone(name):
    """The arguments of each case: the defaults, one option, and as many as go together."""
    required = {field: OPTIONS[field] for field in OPTIMIZERS.classes[name].needs()}
    yield required
    for field in fields_of(name):
        yield {**required, **with_needed(field)}
    yield together(name)


def with_needed(field):
    """An option with those that it needs."""
    return {name: OPTIONS[name] for name in (*NEEDED.get(field, ()), field)}


def together(name, clipping="clipnorm"):
    """As many options as go together."""
    return {field: OPTIONS[field] for field in fields_of(name) if field == clipping or field not in ONE_OF}


def _sgd(o, step, w, g, memory):
    momentum = memory.get("m", np.zeros_like(w)) if o.momentum else None
    w, memory["m"] = updates.sgd(w, g, momentum, o.learning_rate, o.momentum, o.nesterov)
    return w


def _moments(w, memory):
    return memory.get("m", np.zeros_like(w)), memory.get("v", np.zeros_like(w))


def _adam(o, step, w, g, memory):
    alpha = o.learning_rate * (1 - o.beta_2**step) ** 0.5 / (1 - o.beta_1**step)
    moments, numbers = _moments(w, memory), (alpha, o.beta_1, o.beta_2, o.epsilon)
    if o.amsgrad:
        highest = memory.get("highest", np.zeros_like(w))
        w, memory["m"], memory["v"], memory["highest"] = updates.amsgrad(w, g, *moments, highest, *numbers)
    else:
        w, memory["m"], memory["v"] = updates.adam(w, g, *moments, *numbers)
    return w


def _adamax(o, step, w, g, memory):
    alpha = o.learning_rate / (1 - o.beta_1**step)
    w, memory["m"], memory["v"] = updates.adamax(w, g, *_moments(w, memory), alpha, o.beta_1, o.beta_2, o.epsilon)
    return w


def _lamb(o, step, w, g, memory):
    of_m, of_v = 1 / (1 - o.beta_1**step), 1 / (1 - o.beta_2**step)
    numbers = of_m, of_v, o.beta_1, o.beta_2, o.epsilon
    memory["m"], memory["v"], direction = updates.lamb_direction(g, *_moments(w, memory), *numbers)
    return w - o.learning_rate * updates.norm_ratio(w, direction) * direction


def _nadam(o, step, w, g, memory):
    """Dozat's schedule of momentum, whose product over all steps corrects the bias."""
    mu, following = (o.beta_1 * (1 - 0.5 * 0.96**t) for t in (step, step + 1))
    memory["product"] = memory.get("product", 1.0) * mu
    of_m = o.learning_rate * following / (1 - memory["product"] * following)
    of_g, of_v = o.learning_rate * (1 - mu) / (1 - memory["product"]), 1 / (1 - o.beta_2**step)
    moments = _moments(w, memory)
    w, memory["m"], memory["v"] = updates.nadam(w, g, *moments, of_m, of_g, of_v, o.beta_1, o.beta_2, o.epsilon)
    return w


def _rmsprop(o, step, w, g, memory):
    m, v = _moments(w, memory)
    mean = memory.get("mean", np.zeros_like(w)) if o.centered else None
    m = m if o.momentum else None
    numbers = o.learning_rate, o.rho, o.momentum, o.epsilon
    w, memory["v"], memory["mean"], memory["m"] = updates.rmsprop(w, g, v, mean, m, *numbers)
    return w


def _adagrad(o, step, w, g, memory):
    sums = memory.get("s", np.full_like(w, o.initial_accumulator_value))
    w, memory["s"] = updates.adagrad(w, g, sums, o.learning_rate, o.epsilon)
    return w


def _adadelta(o, step, w, g, memory):
    s, d = memory.get("s", np.zeros_like(w)), memory.get("d", np.zeros_like(w))
    w, memory["s"], memory["d"] = updates.adadelta(w, g, s, d, o.learning_rate, o.rho, o.epsilon)
    return w


def _lion(o, step, w, g, memory):
    w, memory["m"] = updates.lion(w, g, memory.get("m", np.zeros_like(w)), o.learning_rate, o.beta_1, o.beta_2)
    return w


def _ftrl(o, step, w, g, memory):
    s, z = memory.get("s", np.full_like(w, o.initial_accumulator_value)), memory.get("z", np.zeros_like(w))
    l1, l2 = o.l1_regularization_strength, o.l2_regularization_strength
    numbers = o.learning_rate, -o.learning_rate_power, l1, l2, o.l2_shrinkage_regularization_strength, o.beta
    w, memory["s"], memory["z"] = updates.ftrl(w, g, s, z, *numbers)
    return w


TWINS = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adam,
    "Adamax": _adamax,
    "Nadam": _nadam,
    "Lamb": _lamb,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
    "Lion": _lion,
    "Ftrl": _ftrl,
}
"""(declaration, update from 1, weight, gradient, what is remembered by name) → the new weight."""


def trajectory(optimizer, weights, batches):
    """The weights of dense/kernel and dense/bias after each batch's gradients, and their averages, in float64.

    As the declaration and the papers have it: clipping, decay, step, average.
    """
    name, every = type(optimizer).__name__, optimizer.gradient_accumulation_steps or 1
    if name not in TWINS:
        pytest.fail(f"the optimizer {name} has no twin: write one in tests/training/optimizer_cases.py", pytrace=False)
    own = [optimizer] * len(weights)
    if optimizer.multipliers:  # those of OPTIONS: the first pattern is that of the kernel
        own = [optimizer.replace(learning_rate=optimizer.learning_rate * by) for by in optimizer.multipliers.values()]
    decays = [optimizer.weight_decay or 0, 0 if optimizer.exclude else optimizer.weight_decay or 0]
    memories, total = [{} for _ in weights], [np.zeros_like(w) for w in weights]
    averages = [np.zeros_like(w) for w in weights]
    for number, gradients in enumerate(batches, 1):
        total = [sum_ + gradient for sum_, gradient in zip(total, gradients, strict=True)]
        update = -(-number // every)
        if number % every == 0:
            means, total = [gradient / every for gradient in total], [np.zeros_like(w) for w in weights]
            factors = [1.0] * len(weights)
            if optimizer.limit:
                factors = updates.clip_factors(means, optimizer.limit, optimizer.global_clipnorm is not None)
            bound = optimizer.clipvalue or np.inf
            given = zip(own, weights, means, factors, decays, memories, strict=True)
            weights = [
                TWINS[name](o, update, *updates.prepared(w, g, factor, bound, decay * o.learning_rate), memory)
                for o, w, g, factor, decay, memory in given
            ]
        if optimizer.use_ema:
            momentum, every_so_many = optimizer.ema_momentum * (update > 1), optimizer.ema_overwrite_frequency
            overwrite = every_so_many is not None and update % every_so_many == 0
            pairs = [updates.average(w, a, momentum, overwrite) for w, a in zip(weights, averages, strict=True)]
            weights, averages = ([pair[i] for pair in pairs] for i in (0, 1))
        yield [*weights, *(averages if optimizer.use_ema else ())]
