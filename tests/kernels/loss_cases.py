"""Every rule of the losses with what its registered losses say of it: its arguments, and what may be fed to it."""

from inspect import signature
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.layers.losses import LOSSES
from cnncli.layers.meaning import Meaning
from tests.reference import losses as twins

OF_LOGITS = {cls.logits.kind: cls.logits.activation for cls in LOSSES if cls.logits}
"""The rules of logits, and the activation that makes the probabilities they give."""
USERS = {
    rule: [cls for cls in LOSSES if rule in (cls.kind, cls.logits and cls.logits.kind)]
    for rule in [*OF_LOGITS, *(cls.kind for cls in LOSSES)]
}
OF_PROBABILITIES = [rule for rule in USERS if rule not in OF_LOGITS and USERS[rule][0].outputs.probabilities]


def twin(rule, what=""):
    """The naive twin of a rule, or with "_gradient" that of its gradient."""
    found = getattr(twins, f"{rule}{what}", None)
    if found is None:
        pytest.fail(f"the loss rule {rule} has no twin: write {rule}{what} in tests/reference/losses.py")
    return found


def arguments(rule, smoothing):
    """What the rule's twin takes besides arrays: its losses' defaults, and `smoothing` for label_smoothing."""
    defaults = {name: field.default for cls in USERS[rule] for name, field in cls.fields.items()}
    _, _, _, *numbers = signature(twin(rule)).parameters
    return {name: smoothing if name == "label_smoothing" else defaults[name] for name in numbers}


def problem(rule, shape, dtype, generator):
    """Random inputs; targets of classes and labels are one-hot rows or probabilities."""
    means = USERS[rule][0].outputs
    x = generator.normal(0, 2, shape)
    if rule in (*OF_PROBABILITIES, "poisson"):
        x = generator.uniform(0.02, 0.98, shape)
    hard = generator.random() < 0.5
    if means is Meaning.NUMBERS:
        target = generator.normal(0, 2, shape)
    elif means is Meaning.LABELS:
        target = generator.integers(0, 2, shape) if hard else generator.random(shape)
    else:
        target = generator.dirichlet(np.full(shape[-1], 0.5), shape[:-1])
        target = np.eye(shape[-1])[generator.integers(0, shape[-1], shape[:-1])] if hard else target
    weight = generator.uniform(0, 3, shape[0])
    x, target, weight = (np.ascontiguousarray(array, dtype=dtype) for array in (x, target, weight))
    given = arguments(rule, float(generator.choice([0, 0.1, 0.3])))
    return SimpleNamespace(x=x, target=target, weight=weight, arguments=given)
