"""The summary's table and data: blocks, shares, and what is left out where there is no room."""

import io
from pathlib import Path

import pytest

from cnncli.graph.model import lower
from cnncli.report.tables.summary import amount, bar, print_summary, summary_data
from cnncli.spec.spec import load, parse

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def cells(spec, expand=False):
    """The rows of the table away from a terminal, by the heads of its columns."""
    file = io.StringIO()
    print_summary(spec, file, expand=expand)
    lines = [line for line in file.getvalue().splitlines() if line[:1] in "┃│"]
    split = [[cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]] for line in lines]
    heads = [" ".join(filter(None, pair)) for pair in zip(split[0], split[1], strict=True)]
    return [dict(zip(heads, row, strict=True)) for row in split[2:]]


def number(text):
    return int(text.replace(",", "") or 0)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_folded_and_expanded_rows_have_the_totals_of_all_layers(path):
    spec = load(path)
    data = summary_data(spec)
    for expand in (False, True):
        rows = cells(spec, expand)
        assert sum(number(row["Params"]) for row in rows) == data["parameters"]
        assert sum(number(row["FLOPs"]) for row in rows) == data["flops"]
    assert [layer["name"] for layer in data["layers"]] == [node.name for node in spec.model.nodes]
    assert sum(layer["trainable_parameters"] for layer in data["layers"]) == data["trainable_parameters"]
    assert sum(layer["output_bytes"] for layer in data["layers"]) == data["output_bytes"]


def test_a_block_says_how_many_layers_it_has_what_it_sees_and_what_it_puts_out():
    rows = {row["Layer (type)"]: row for row in cells(load(CONFIGS[0].parent / "unet.yaml"))}
    assert rows["up2 (4 layers)"]["Connected to"] == "bottom, down2"
    assert rows["up2 (4 layers)"]["Output shape"] == "16 × 16 × 16"
    assert rows["up2 (4 layers)"]["Receptive field"] == "40 × 40"
    assert rows["up2 (4 layers)"]["Output memory"] == f"{amount(4 * 16 * 16 * (16 + 32 + 16 + 16))}B"
    assert rows["max_pooling2d (MaxPooling2D)"]["Connected to"] == ""


def test_outputs_take_half_in_mixed_precision_except_the_last():
    wide, narrow = (
        summary_data(load(CONFIGS[0].parent / "mnist.yaml", [f"compile.dtype_policy={policy}"]))
        for policy in ("float32", "mixed_bfloat16")
    )
    *hidden, last = ([data["layers"][i]["output_bytes"] for data in (wide, narrow)] for i in range(len(wide["layers"])))
    assert all(before == 2 * after for before, after in hidden)
    assert last == [40, 40]


def test_inputs_within_a_block_are_named_without_it():
    rows = cells(load(CONFIGS[0].parent / "unet.yaml"), expand=True)
    assert [row["Connected to"] for row in rows if row["Connected to"]] == [
        "down2/conv2d_1, conv2d_transpose",
        "down1/conv2d_1, conv2d_transpose",
    ]


def test_trainable_parameters_are_a_column_where_some_are_frozen():
    text = """
model:
  layers:
    - Conv2D: {filters: 2, kernel_size: 3, trainable: false}
    - Flatten
    - Dense: {units: 10, activation: softmax}
data: {dataset: mnist5k}
compile: {loss: categorical_crossentropy, optimizer: adam}
fit: {epochs: 1}
"""
    dense = 26 * 26 * 2 * 10 + 10
    rows = cells(parse(text, "frozen.yaml"))
    assert [(number(row["Params"]), number(row["Trainable"])) for row in rows] == [(20, 0), (0, 0), (dense, dense)]
    assert "Trainable" not in cells(load(CONFIGS[0].parent / "mnist.yaml"))[0]


def test_phases_are_said_below_with_the_memory_of_the_largest():
    path = CONFIGS[0].parent / "mnist.yaml"

    def last(*sets):
        file = io.StringIO()
        print_summary(load(path, sets), file)
        return file.getvalue().splitlines()[-3:]

    whole, parameters = last()[-1], lower(load(path).model).parameters
    head = sum(parameter.size for parameter in parameters if parameter.name.startswith("dense_1/"))
    total = sum(parameter.size for parameter in parameters)
    assert last("model.freeze_until=dense_1", "model.unfreeze_at={epoch: 2, rate_factor: 0.5}") == [
        whole,
        f"epoch 1: {head:,} of {total:,} parameters train",
        f"epochs 2–40: all {total:,} parameters train, at 0.5 × the learning rate",
    ]


def test_bars_are_drawn_with_what_the_encoding_has():
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    print_summary(load(next(path for path in CONFIGS if path.stem == "smoke")), file)
    file.flush()
    assert b"####" in file.buffer.getvalue()


def test_a_bar_is_as_long_as_its_share():
    assert [bar(share, 2) for share in (0, 1 / 16, 0.5, 9 / 16, 1)] == ["  ", "▏ ", "█ ", "█▏", "██"]
