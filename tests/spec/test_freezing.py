"""`freeze` and `freeze_until`: the spec is the one in which the layers themselves say `trainable: false`."""

import pytest

from cnncli.graph.objective import objective
from cnncli.spec.spec import parse
from cnncli.training.phases import Phase, Unfreezing
from tests.spec.test_mistakes import HEAD

TEXT = (
    HEAD
    + """model:
  blocks:
    unit:
      parameters: [filters]
      layers:
        - Conv2D: {filters: $filters, kernel_size: 3, padding: same, use_bias: false}
        - BatchNormalization
        - Activation: {activation: relu}
  layers:
    - unit: {name: stem, filters: 4}
    - unit: {name: body, filters: 4}
    - MaxPooling2D
    - Flatten
    - Dense: {units: 10, activation: softmax}
"""
)
STEM, BODY = (["/".join((block, layer)) for layer in ("conv2d", "batch_normalization")] for block in ("stem", "body"))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (["freeze=[]"], []),
        (["freeze=[dense]"], ["dense"]),
        (['freeze=["stem/*"]'], STEM),
        (['freeze=["*/batch_normalization", "body/conv?d"]'], [STEM[1], *BODY]),
        (["freeze=[Dense]"], ["dense"]),
        (["freeze=[BatchNormalization]"], [STEM[1], BODY[1]]),
        (["freeze_until=stem"], []),
        (["freeze_until=body"], STEM),
        (["freeze_until=body/activation"], STEM + BODY),
        (["freeze_until=flatten"], STEM + BODY),
        (["freeze=[dense]", "freeze_until=body"], [*STEM, "dense"]),
    ],
)
def test_layers_are_frozen_by_pattern_or_place(changes, names):
    spec = parse(TEXT, "f.yaml", [f"model.{change}" for change in changes])
    expected = parse(TEXT, "f.yaml").resolved()
    for item in expected["model"]["layers"]:
        for arguments in item.values():
            if arguments["name"] in names:
                assert arguments["trainable"] is True
                arguments["trainable"] = False
    assert spec.resolved() == expected
    assert parse(spec.to_yaml(), "f.yaml") == spec


@pytest.mark.parametrize(
    ("changes", "unfreezing"),
    [
        (["freeze_until=body", "unfreeze_at=2"], Unfreezing(2, tuple(STEM))),
        (["freeze=[dense]", "freeze_until=body", "unfreeze_at=3"], Unfreezing(3, (*STEM, "dense"))),
        (['freeze=["body/*"]', "unfreeze_at={epoch: 2, rate_factor: 0.1}"], Unfreezing(2, tuple(BODY), 0.1)),
    ],
)
def test_layers_are_frozen_until_an_epoch(changes, unfreezing):
    """The first phase is the training with `freeze` alone, the second one without it."""
    sets = ["fit.epochs=4", *(f"model.{change}" for change in changes)]
    spec, whole = parse(TEXT, "f.yaml", sets), parse(TEXT, "f.yaml", ["fit.epochs=4"])
    frozen = parse(TEXT, "f.yaml", [change for change in sets if "unfreeze" not in change])
    assert spec.unfreezing == unfreezing
    assert spec.phases == (
        Phase(1, unfreezing.epoch - 1, frozen.model),
        Phase(unfreezing.epoch, 4, whole.model, unfreezing.rate_factor),
    )
    assert parse(spec.to_yaml(), "f.yaml") == spec
    assert "trainable: false" not in spec.to_yaml()
    assert whole.phases == (Phase(1, 4, whole.model),)
    assert parse(TEXT, "f.yaml", [*sets, "fit.epochs=0"]).phases == (Phase(1, 0, frozen.model),)
    begun = parse(TEXT, "f.yaml", [*sets, "fit.initial_epoch=3"])  # what no epoch trains is no phase
    assert begun.phases == (Phase(4, 4, whole.model, unfreezing.rate_factor),)


def test_nothing_is_differentiated_below_the_lowest_layer_that_trains():
    whole, head = (parse(TEXT, "f.yaml", sets) for sets in ([], ["model.freeze_until=flatten"]))
    every, train, forward = (
        objective(spec.model, spec.compile.loss, purpose, [])
        for spec, purpose in ((whole, "train"), (head, "train"), (head, "evaluate"))
    )

    def of_body(run):
        return [type(call.op) for call in run.calls if call.owner.startswith(("stem/", "body/", "max_pooling"))]

    assert list(train.gradients) == ["dense/kernel", "dense/bias"]
    assert of_body(train) == of_body(forward)
    assert len(of_body(every)) > len(of_body(train))


def test_statistics_of_frozen_layers_stay():
    updates = {
        count: len(objective(spec.model, spec.compile.loss, "train").lowered.builder.updates)
        for count, spec in ((4, parse(TEXT, "f.yaml")), (2, parse(TEXT, "f.yaml", ["model.freeze_until=body"])))
    }
    assert updates == {4: 4, 2: 2}
