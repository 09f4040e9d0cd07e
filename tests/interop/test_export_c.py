"""The C code of networks, against the naive twins of the layers and against our own predictions."""

import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.api.export import export
from cnncli.api.model import Model as Trained
from cnncli.api.targets import Target
from cnncli.datasets.rescale import PerChannel
from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node, lower
from cnncli.interop.exports.c_files import NetworkInC
from cnncli.interop.exports.c_sizes import sizes
from cnncli.interop.exports.exported import Exported
from cnncli.interop.exports.int8_accuracy import in_int8 as in_int8_of_data
from cnncli.interop.exports.int8_accuracy import ranges
from cnncli.interop.exports.int8_evaluation import COMPUTING
from cnncli.interop.exports.int8_network import Scale, fixed, quantized
from cnncli.interop.exports.numpy_evaluation import Evaluation
from cnncli.interop.folding import with_normalizations_folded
from cnncli.interop.inference import inference
from cnncli.kernels.elementwise.activation_names import CONSTANTS
from cnncli.layers.layer import LAYERS, Layer
from cnncli.layers.meaning import Meaning
from cnncli.ops.arrange import Reshape
from cnncli.ops.elementwise import Dropout
from tests.interop.equality import ROOT, model_file, spec_of
from tests.interop.in_c import COMPILER, FLAGS, compiled, computed, in_c, needs_compiler
from tests.interop.models import OneLayer, examples
from tests.reference import activations


@needs_compiler
def test_the_code_of_every_layer_computes_what_its_naive_twin_does(tmp_path):
    """All in one program: a compiler needs longer to start than for a layer."""
    names, ones = zip(*((identifier, OneLayer(*case)) for identifier, *case in examples()), strict=True)
    networks = [(with_normalizations_folded(inference(one.model, one.weights)), one.x) for one in ones]
    for name, one, got in zip(names, ones, computed(tmp_path, networks), strict=True):
        np.testing.assert_allclose(got, one.expected, rtol=1e-5, atol=1e-5, err_msg=name)


def in_int8(network, x):
    """A network in int8, the scale of its input, and what it makes of x, by which it is calibrated."""
    found = ranges(network, [x])
    made, image = quantized(network, found), Scale.of(*found[network.input])
    return made, image, Evaluation(made, COMPUTING).run(image.int8(x))


@needs_compiler
def test_every_layer_in_int8_computes_in_c_what_is_evaluated_and_about_what_its_naive_twin_does(tmp_path):
    """To the bit, unless something is computed in float32 in between."""
    names, ones = zip(*((identifier, OneLayer(*case)) for identifier, *case in examples()), strict=True)
    networks = [in_int8(with_normalizations_folded(inference(one.model, one.weights)), one.x) for one in ones]
    got = computed(tmp_path, [(made, one.x, image) for one, (made, image, _) in zip(ones, networks, strict=True)])
    for name, one, (made, _, expected), own in zip(names, ones, networks, got, strict=True):
        if {type(call.op) for call in made.calls} <= {*COMPUTING, Reshape}:
            np.testing.assert_array_equal(own, expected, err_msg=name)
        else:
            np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(own, one.expected, rtol=0, atol=0.04 * np.abs(one.expected).max(), err_msg=name)


@needs_compiler
def test_int8_and_float32_take_turns(tmp_path):
    """A sum that is broadcast is computed in float32, and the activation behind it all the same."""
    x = np.random.default_rng(0).standard_normal((4, 5, 4, 2)).astype(np.float32)
    made, image, evaluated = in_int8(
        network(
            (5, 4, 2),
            pool=({"GlobalAveragePooling2D": {"keepdims": True}}, INPUT),
            sum=("Add", INPUT, "pool"),
            relu=("ReLU", "sum"),
            norm=({"LayerNormalization": {"scale": False, "center": False}}, "relu"),
            same=("Add", "norm", "relu"),
            both=("Concatenate", "same", "sum", INPUT),
        ),
        x,
    )
    (got,) = computed(tmp_path, [(made, x, image)])
    np.testing.assert_allclose(got, evaluated, rtol=1e-5, atol=1e-5)
    total = x + x.mean((1, 2), keepdims=True)
    relu = np.maximum(total, 0)
    norm = (relu - relu.mean(-1, keepdims=True)) / np.sqrt(relu.var(-1, keepdims=True) + 1e-3)
    expected = np.concatenate([norm + relu, total, x], -1)
    assert np.median(np.abs(got - expected)) < 0.02 * np.abs(expected).max()
    assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()


def test_int8_needs_images_of_the_training_and_numbers_that_are_finite():
    made = network((2,), relu=("ReLU", INPUT))
    with pytest.raises(UsageError, match=r"^--int8 needs images of the training, and there are none$"):
        in_int8_of_data(Exported(None, {}, [], Meaning.NUMBERS, 1.0), made)
    with pytest.raises(UsageError, match=r"^--int8 needs values that are finite"):
        ranges(made, [np.float32([[1, np.inf]])])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_of_a_dataset_are_scaled_as_in_the_training(dtype):
    x = np.arange(24).reshape(2, 2, 2, 3).astype(dtype)
    per = PerChannel("auto", (1.0, 2.0, 3.0), (0.5, 0.25, 0.0), (0.5, 1.0, 2.0))
    spec = SimpleNamespace(model=SimpleNamespace(input_shape=(2, 2, 3)))
    got = Exported(spec, {}, [], Meaning.NUMBERS, per).prepared(x)
    plain = x / np.float32(255) if dtype == "uint8" else x
    expected = (plain * np.array(per.factor) - np.array(per.mean)) / np.array(per.deviation)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert got.dtype == np.float32


@pytest.mark.parametrize("factor", [1e-30, 2.0**-31, 0.3, 1 - 2.0**-40, 1.0, 7.0, 2.0**29 + 1, 1e30])
def test_factors_are_multipliers_of_31_bits_and_shifts(factor):
    multiplier, shift = fixed(factor)
    assert 0 <= multiplier < 2**31
    assert 1 <= shift <= 62
    if 2.0**-31 <= factor < 2.0**30:
        assert multiplier / 2**shift == pytest.approx(factor, rel=1e-9)


def test_0_is_exact_in_int8():
    for least, most in [(0, 0), (0.1, 3), (-2, -1), (-1, 2.3), (-1e-30, 1e30)]:
        scale = Scale.of(least, most)
        assert scale.numbers(scale.int8(np.zeros(1, np.float32))) == 0
        ends = np.float32([min(least, 0), max(most, 0)])
        np.testing.assert_allclose(scale.numbers(scale.int8(ends)), ends, atol=scale.scale)


class Apply(Layer):
    """An activation by its name in the operations."""

    kind: str = "relu"

    def lower(self, build, *inputs):
        return build.activation(inputs[0], self.kind)


@needs_compiler
def test_activations_are_those_of_the_textbook_far_from_0_too(tmp_path):
    x = np.float32([[-200, -88, -20, *np.linspace(-8, 8, 41), 20, 80]])
    models = [Model(x[0].shape, (Node("f", Apply(kind=kind), (INPUT,)),)) for kind in CONSTANTS]
    for kind, got in zip(CONSTANTS, computed(tmp_path, [(inference(model), x) for model in models]), strict=True):
        expected = getattr(activations, kind)(x.astype(np.float64))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6, err_msg=kind)


def network(shape, **nodes):
    """A network without weights of layers and their inputs: name=(entry, *inputs)."""
    return inference(
        Model(shape, tuple(Node(name, LAYERS.parse(entry), inputs) for name, (entry, *inputs) in nodes.items()))
    )


@needs_compiler
def test_values_stay_in_memory_as_long_as_something_reads_them(tmp_path):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 2)).astype(np.float32)
    relu, flat = np.maximum(x, 0), x.reshape(2, -1)
    cases = [
        (network((3, 4, 2)), x),
        (network((3, 4, 2), flat=("Flatten", INPUT)), flat),
        (network((3, 4, 2), flat=("Flatten", INPUT), relu=("ReLU", "flat")), np.maximum(flat, 0)),
        (network((3, 4, 2), relu=("ReLU", INPUT), flat=("Flatten", "relu")), np.maximum(flat, 0)),
        (network((3, 4, 2), relu=("ReLU", INPUT), sum=("Add", "relu", INPUT)), relu + x),
        (network((3, 4, 2), relu=("ReLU", INPUT), sum=("Add", "relu", "relu")), relu + relu),
        (
            network((3, 4, 2), a=("ReLU", INPUT), b=("Flatten", "a"), c=("Flatten", "a"), d=("Subtract", "b", "c")),
            0 * flat,
        ),
        (
            network(
                (3, 4, 2),
                a=({"Activation": {"activation": "tanh"}}, INPUT),
                b=("ReLU", "a"),
                c=("Softmax", "b"),
                d=("Subtract", "a", "b"),
                e=("Concatenate", "c", "d", "a"),
            ),
            None,
        ),
    ]
    tanh = np.tanh(x)
    e = np.exp(np.maximum(tanh, 0))
    last = np.concatenate([e / e.sum(-1, keepdims=True), tanh - np.maximum(tanh, 0), tanh], -1)
    for (_, expected), got in zip(cases, computed(tmp_path, [(made, x) for made, _ in cases]), strict=True):
        np.testing.assert_allclose(got, last if expected is None else expected, rtol=1e-6, atol=1e-6)


def test_memory_is_used_again():
    """Of a chain of convolutions, two values at a time are in memory."""
    conv = {"Conv2D": {"filters": 2, "kernel_size": 3, "padding": "same"}}
    nodes = [Node(f"c{k}", LAYERS.parse(conv), (f"c{k - 1}" if k else INPUT,)) for k in range(6)]
    model = Model((8, 8, 2), tuple(nodes))
    weights = {name: np.zeros(value.shape, np.float32) for value, name in inference(model).names.items()}
    one = 8 * 8 * 2 * 4
    assert in_c(inference(model, weights), "net").buffers.bytes == 2 * one


def test_shapes_alone_tell_the_memory_of_every_layer_and_of_networks():
    for name, *case in examples():
        one = OneLayer(*case)
        made = in_c(with_normalizations_folded(inference(one.model, one.weights)), "net")
        assert sizes(one.model) == (made.ram, made.code.bytes), name
    for name in ("mnist", "mobilenet_small", "unet"):
        spec = spec_of(ROOT / "configs" / f"{name}.yaml")
        weights = {one.name: np.ones(one.weight.shape, np.float32) for one in lower(spec.model).parameters}
        made = in_c(with_normalizations_folded(inference(spec.model, weights, loss=spec.compile.loss)), "net")
        assert sizes(spec.model, spec.compile.loss) == (made.ram, made.code.bytes), name


class Odd(Layer):
    """An operation of somebody else."""

    def lower(self, build, *inputs):
        return build.emit(Dropout(0.5, 0), *inputs)


def test_an_unknown_operation_is_refused_with_its_layer():
    with pytest.raises(UsageError, match=r"^--format c knows no counterpart of odd \(Odd\)$"):
        in_c(inference(Model((3,), (Node("odd", Odd(), (INPUT,)),))), "net")


def trained(folder, name):
    """A bundled network with random weights."""
    return Trained(Target(model_file(spec_of(ROOT / "configs" / f"{name}.yaml"), folder / f"{name}.safetensors"), None))


def predictions(model, x):
    """Our own."""
    own = model.network
    own.inputs[: len(x)] = x
    own.predict(len(x))
    (found,) = (outputs[: len(x)].copy() for outputs in own.probabilities.values())
    return found


def check_networks(folder, *names):
    """That bundled networks compute in C what they do here."""
    random, cases = np.random.default_rng(1), []
    for name in names:
        model = trained(folder, name)
        x = random.random((3, *model.spec.model.input_shape), np.float32)
        made = inference(model.spec.model, model.file.weights, loss=model.spec.compile.loss)
        cases.append(((with_normalizations_folded(made), x), predictions(model, x)))
    for name, (_, expected), got in zip(names, cases, computed(folder, [case for case, _ in cases]), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=name)


@needs_compiler
def test_small_networks_compute_what_they_do_here(tmp_path):
    check_networks(tmp_path, "mnist", "lenet5", "mobilenet_small")


@needs_compiler
@pytest.mark.long
def test_a_larger_network_computes_what_it_does_here(tmp_path):
    check_networks(tmp_path, "resnet20")


MAIN = """\
#include "digits.h"
#include <stdio.h>

int main(void)
{
    static const char *const names[] = DIGITS_CLASS_NAMES;
    static uint8_t pixels[DIGITS_INPUTS];
    static float output[DIGITS_OUTPUTS];
    for (int k = 0; k < DIGITS_CLASSES; k++)
        fprintf(stderr, "%s|", names[k]);
    while (fread(pixels, sizeof pixels, 1, stdin) == 1) {
        const int best = digits_predict_pixels(pixels, output);
        printf("%d", best);
        for (int k = 0; k < DIGITS_OUTPUTS; k++)
            printf(" %.9g", output[k]);
        printf("\\n");
    }
    return 0;
}
"""
NAMES = ['a"b', "c\\", "d\n*/", "e??/", "f é", "%s", "", "\u202eg", "0", "9\t1"]


@needs_compiler
@pytest.mark.parametrize("int8", [False, True])
def test_the_header_has_all_that_a_program_needs(tmp_path, int8):
    model = trained(tmp_path, "lenet5")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), np.uint8)
    network, image = with_normalizations_folded(inference(model.spec.model, model.file.weights)), None
    expected = predictions(model, pixels / np.float32(255))
    if int8:
        network, image, expected = in_int8(network, pixels / np.float32(255))
    made = NetworkInC(
        Exported(model.spec, model.file.weights, NAMES, Meaning.CLASSES, "auto"), network, "digits", image
    )
    (tmp_path / "digits.c").write_text(made.source())
    (tmp_path / "digits.h").write_text(made.header())
    (tmp_path / "main.c").write_text(MAIN)
    program = compiled(tmp_path, "main.c", "digits.c", optimized="-O2")
    done = subprocess.run(program, input=pixels.tobytes(), capture_output=True, check=True)
    assert done.stderr.decode().split("|")[:-1] == NAMES
    best, *numbers = np.loadtxt(done.stdout.decode().splitlines()).T
    np.testing.assert_allclose(np.transpose(numbers), expected, rtol=1e-5, atol=1e-6)
    assert best.tolist() == expected.argmax(1).tolist()


@needs_compiler
def test_the_program_of_the_documentation_is_one(tmp_path):
    page = (ROOT / "docs" / "export.md").read_text()
    (main,) = re.findall(r"^```c\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "main.c").write_text(main)
    model = trained(tmp_path, "lenet5")
    made = in_c(inference(model.spec.model, model.file.weights), "digits", classes=list("0123456789"))
    (tmp_path / "digits.h").write_text(made.header())
    subprocess.run([COMPILER, *FLAGS, "-c", "main.c"], cwd=tmp_path, check=True)


@needs_compiler
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_nothing_but_the_functions_of_the_header_is_seen_by_other_files(tmp_path):
    export(trained(tmp_path, "lenet5"), tmp_path / "digits.c")
    subprocess.run([COMPILER, "-c", "digits.c"], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["nm", "-g", "--defined-only", "digits.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    names = {line.split()[-1].lstrip("_") for line in listed.stdout.splitlines()}
    assert names == {"digits_predict", "digits_predict_pixels"}


@pytest.mark.parametrize("name", ["model.c", "model", "3 nets.c", "größe.c"])
def test_a_header_lies_beside_the_source(tmp_path, name):
    made = export(trained(tmp_path, "lenet5"), tmp_path / name, "c")
    assert made.read_text().count(f'#include "{made.stem}.h"') == 1
    header = made.with_suffix(".h").read_text()
    (found,) = re.findall(r"int (\w+)_predict\(", header)
    assert re.fullmatch(r"[a-zA-Z]\w*", found, re.A)
    with pytest.raises(UsageError, match="exists"):
        export(trained(tmp_path, "lenet5"), tmp_path / name, "c")


def test_a_header_that_exists_is_kept_too(tmp_path):
    (tmp_path / "model.h").write_text("mine")
    with pytest.raises(UsageError, match=r"model\.h' exists"):
        export(trained(tmp_path, "lenet5"), tmp_path / "model.c")
    assert (tmp_path / "model.h").read_text() == "mine"
    assert not (tmp_path / "model.c").exists()
