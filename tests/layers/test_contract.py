"""The contract of every registered layer, on all its examples and on its options in pairs."""

import inspect

import numpy as np
import pytest

from cnncli.layers.layer import LAYERS
from cnncli.layers.vocabulary import layers
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain
from cnncli.spec.yaml.writer import to_yaml
from tests.layers.harness import LayerHarness, finite_differences, gradients_agree
from tests.layers.pairwise import pairwise
from tests.layers.twins import BASES, OPTIONS, TWINS


def every_case():
    for name, cls in layers().items():
        for number, example in enumerate(cls.examples):
            yield pytest.param(name, dict(example.arguments), list(example.inputs), id=f"{name}-example-{number}")
        if name not in OPTIONS:
            continue
        required, shapes = BASES[name]
        combined = pairwise(OPTIONS[name]) if len(OPTIONS[name]) > 1 else singles(OPTIONS[name])
        for number, options in enumerate(combined):
            if options.get("strides", 1) != 1 and options.get("dilation_rate", 1) != 1:
                options["dilation_rate"] = 1  # the one pair that Keras and cnncli refuse
            yield pytest.param(name, {**required, **options}, shapes, id=f"{name}-options-{number}")


def singles(options):
    ((name, values),) = options.items()
    return [{name: value} for value in values]


CASES = list(every_case())


def harness(name, arguments, shapes, *, dtype="float64", training=True, seed=0):
    layer = LAYERS.parse({name: arguments})
    return layer, LayerHarness(layer, shapes, batch=2, dtype=dtype, training=training).fill(seed)


@pytest.mark.parametrize(("name", "arguments", "shapes"), CASES)
def test_output_is_that_of_the_naive_twin(name, arguments, shapes):
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
        layer, one = harness(name, arguments, shapes, dtype=dtype, training=False)
        inputs = [array.astype(np.float64) for array in (*one.inputs, *one.weights.values())]
        expected = TWINS[name](layer, *inputs)
        got = one.run()
        assert got.shape[1:] == one.output_shape == expected.shape[1:]
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "arguments", "shapes"), CASES)
def test_gradients_are_the_finite_differences_in_float64(name, arguments, shapes):
    _, one = harness(name, arguments, shapes)
    got, expected = one.gradients(), finite_differences(one)
    assert gradients_agree(got, expected)
    got[0].flat[0] += 1e-4 * max(1.0, *(np.abs(array).max() for array in expected))
    assert not gradients_agree(got, expected), "the comparison must notice a perturbed gradient"


@pytest.mark.parametrize(("name", "arguments", "shapes"), CASES)
def test_float32_gradients_are_those_of_float64(name, arguments, shapes):
    _, double = harness(name, arguments, shapes)
    _, single = harness(name, arguments, shapes, dtype="float32")
    assert gradients_agree(single.gradients(), double.gradients(), 3e-5)


@pytest.mark.parametrize("name", list(layers()))
def test_every_layer_has_examples_a_twin_and_a_documentation(name):
    cls = LAYERS.classes[name]
    assert cls.examples
    assert name in TWINS
    assert inspect.getdoc(cls)
    assert cls.__doc__ is not None, "the docstring must be its own, not inherited"


@pytest.mark.parametrize("name", list(layers()))
def test_every_option_that_is_a_field_is_tried(name):
    untried = {"filters", "units", "data_format"}
    fields = {field for field in LAYERS.classes[name].fields if not field.endswith(("_initializer", "_constraint"))}
    assert fields - untried <= set(OPTIONS.get(name, {}))


@pytest.mark.parametrize(("name", "arguments", "shapes"), CASES)
def test_declarations_survive_being_written_as_yaml_and_read(name, arguments, shapes):
    layer = LAYERS.parse({name: arguments})
    problems = Problems("layer.yaml", "")
    tree = read(to_yaml({name: layer.plain()}), problems)
    assert not problems
    assert LAYERS.parse(plain(tree)) == layer
