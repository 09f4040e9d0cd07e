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
    "beta_2": 0.99,
    "epsilon": 0.01,
    "rho": 0.7,
    "centered": True,
    "initial_accumulator_value": 0.3,
}
"""A value other than the default for each field."""
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
        yield {**required, field: OPTIONS[field]}
    yield together(name)


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
    moments = _moments(w, memory)
    w, memory["m"], memory["v"] = updates.adam(w, g, *moments, alpha, o.beta_1, o.beta_2, o.epsilon)
    return w


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


TWINS = {"SGD": _sgd, "Adam": _adam, "AdamW": _adam, "Nadam": _nadam, "RMSprop": _rmsprop, "Adagrad": _adagrad}
"""(declaration, update from 1, weight, gradient, what is remembered by name) → the new weight."""


def trajectory(optimizer, weights, batches):
    """The weights after each batch's gradients, as the declaration and the papers have it, in float64."""
    name, every = type(optimizer).__name__, optimizer.gradient_accumulation_steps or 1
    if name not in TWINS:
        pytest.fail(f"the optimizer {name} has no twin: write one in tests/training/optimizer_cases.py", pytrace=False)
    memories, total = [{} for _ in weights], [np.zeros_like(w) for w in weights]
    for number, gradients in enumerate(batches, 1):
        total = [sum_ + gradient for sum_, gradient in zip(total, gradients, strict=True)]
        if number % every == 0:
            means, total = [gradient / every for gradient in total], [np.zeros_like(w) for w in weights]
            factors = [1.0] * len(weights)
            if optimizer.limit:
                factors = updates.clip_factors(means, optimizer.limit, optimizer.global_clipnorm is not None)
            bound, decay = optimizer.clipvalue or np.inf, (optimizer.weight_decay or 0) * optimizer.learning_rate
            given = zip(weights, means, factors, memories, strict=True)
            weights = [
                TWINS[name](optimizer, number // every, *updates.prepared(w, g, factor, bound, decay), memory)
                for w, g, factor, memory in given
            ]
        yield weights
