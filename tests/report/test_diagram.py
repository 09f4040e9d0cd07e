"""Layer diagrams: what is in them, where it is placed, and as text."""

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.report.diagram.diagram import Box, Diagram, DiagramOptions, Edge, Frame, boxes_of
from cnncli.report.diagram.drawing import box_size, draw_diagram, frames_of, title_size
from cnncli.report.diagram.from_model import diagram_of
from cnncli.report.diagram.layout import laid_out
from cnncli.report.diagram.text import dot, mermaid
from cnncli.report.pictures.svg import svg
from cnncli.spec.spec import load, parse

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
SPECS = {path.stem: load(path) for path in CONFIGS}
DIRECTIONS = ("TB", "BT", "LR", "RL")
CASES = [(name, expand) for name in SPECS for expand in (False, True)]


def diagram(name, **options):
    return diagram_of(SPECS[name], DiagramOptions(**options))


def placed(made):
    return laid_out(made, box_size, title_size)


def sizes(made):
    """Each box's id, title, number of layers and of repetitions."""
    return [(box.title, len(box.layers), box.times) for box in made.boxes]


# What is in a diagram


@pytest.mark.parametrize(("name", "expand"), CASES)
def test_every_layer_is_in_exactly_one_box_and_edges_are_those_of_the_model(name, expand):
    made, model = diagram(name, expand_blocks=expand), SPECS[name].model
    assert [layer for box in made.boxes for layer in box.layers] == [node.name for node in model.nodes]
    owner = {layer: box.id for box in made.boxes for layer in box.layers} | {"input": "input"}
    pairs = {(owner[source], owner[node.name]) for node in model.nodes for source in node.inputs}
    assert {(edge.source, edge.target) for edge in made.edges} == {pair for pair in pairs if pair[0] != pair[1]}
    order = [box.id for box in made.boxes]
    assert all(order.index(edge.source) < order.index(edge.target) for edge in made.edges)
    assert len(set(order)) == len(order)


def test_blocks_are_folded_and_equal_ones_in_a_row_are_one_box():
    assert sizes(diagram("resnet20")) == [
        ("Input", 0, 1), ("conv_bn", 2, 1), ("ReLU", 1, 1), ("stage1", 21, 3), ("conv_block", 9, 1),
        ("stage2", 14, 2), ("conv_block_1", 9, 1), ("stage3", 14, 2), ("GlobalAveragePooling2D", 1, 1), ("Dense", 1, 1),
    ]  # fmt: skip
    separable = [(box.title, box.times) for box in diagram("mobilenet_small").boxes if box.kind == "block"][1:]
    assert separable == [
        ("separable", 1), ("separable_1", 1), ("separable_2", 1), ("separable_3", 1), ("separable_4 … separable_5", 2),
    ]  # fmt: skip


def test_a_block_of_one_layer_is_that_layer():
    assert sizes(diagram("residual"))[1] == ("Conv2D", 1, 1)


def test_a_repeated_block_whose_output_is_read_elsewhere_is_not_hidden():
    layers = """
        - twice: {name: a, repeat: 2}
        - Add: {inputs: [a_1, a_2]}
        - Flatten
        - Dense: {units: 10, activation: softmax}"""
    assert [title for title, _, times in sizes(diagram_of(written(layers)))][1:3] == ["a_1", "a_2"]


def written(layers):
    return parse(
        f"""
model:
  blocks:
    twice:
      layers: [{{Conv2D: {{filters: 1, kernel_size: 3, padding: same}}}}, ReLU]
  layers:{layers}
data: {{dataset: mnist5k}}
compile: {{loss: categorical_crossentropy, optimizer: adam}}
fit: {{epochs: 1}}
""",
        "written.yaml",
    )


def test_a_box_says_what_is_asked_for():
    layers = """
        - Conv2D: {name: first, filters: 8, kernel_size: [3, 1], strides: 2, activation: relu, trainable: false}
        - MaxPooling2D
        - Flatten
        - Dense: {units: 10, activation: softmax}"""
    spec = written(layers)
    assert diagram_of(spec).boxes[1].lines == ["3 × 1, 8 filters, strides 2 × 2"]
    everything = DiagramOptions(
        show_shapes=True, show_dtype=True, show_layer_names=True, show_layer_activations=True, show_trainable=True
    )
    first = diagram_of(spec, everything).boxes[1]
    assert first.title == "first (Conv2D)"
    assert first.lines == [
        "3 × 1, 8 filters, strides 2 × 2", "activation: relu", "28 × 28 × 1 → 13 × 14 × 8", "float32", "frozen"
    ]  # fmt: skip
    assert (first.kind, first.trainable) == ("convolution", False)
    pool = diagram_of(spec, everything).boxes[2]
    assert pool.lines == ["2 × 2", "13 × 14 × 8 → 6 × 7 × 8", "float32"]


def test_a_folded_block_counts_its_layers_and_parameters():
    box = diagram("resnet20", show_shapes=True, show_trainable=True).boxes[3]
    each = 2 * (3 * 3 * 16 * 16) + 2 * 4 * 16
    assert box.lines == [
        "2×Conv2D, 2×BatchNormalization,", "2×ReLU, Add", "32 × 32 × 16 → 32 × 32 × 16",
        f"{3 * each:,} parameters", "trainable",
    ]  # fmt: skip


def test_expanded_blocks_are_frames_within_frames():
    made = diagram("unet", expand_blocks=True)
    titles = [(frame.title, len(list(boxes_of(frame.parts)))) for frame in frames_of(made.parts)]
    assert titles == [
        ("down1", 2), ("down2", 2), ("bottom", 2), ("up2", 4), ("double_conv", 2), ("up1", 4), ("double_conv", 2)
    ]  # fmt: skip


def test_the_resolved_spec_of_a_model_file_has_the_same_diagram():
    spec = SPECS["unet"]
    again = parse(spec.to_yaml(), "again.yaml")
    assert diagram_of(again) == diagram("unet")
    assert diagram_of(again, DiagramOptions(expand_blocks=True)) == diagram("unet", expand_blocks=True)


def test_a_diagram_and_its_texts_need_neither_numpy_nor_numba():
    code = (
        "import sys\nfrom cnncli.spec.spec import load\nfrom cnncli.report.diagram.from_model import diagram_of\n"
        "from cnncli.report.diagram import text\nfrom cnncli.report.diagram.drawing import draw_diagram\n"
        f"made = diagram_of(load({str(CONFIGS[0])!r}))\ntext.mermaid(made), text.dot(made), draw_diagram(made)\n"
        "print({'numpy', 'numba'} & sys.modules.keys())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# Where it is placed


def test_configs_are_laid_out_without_overlaps():
    for name, expand in CASES:
        for direction in DIRECTIONS:
            straight = check(diagram(name, expand_blocks=expand, rankdir=direction, show_shapes=True))
            assert straight == (name not in ("unet", "segmentation")), name


def test_a_chain_is_one_straight_line():
    areas = placed(diagram("mnist")).boxes.values()
    assert len({round(area.x + area.width / 2, 6) for area in areas}) == 1
    assert all(above.y + above.height < below.y for above, below in pairwise(areas))


def test_the_trunk_of_a_residual_block_is_straight_and_the_skip_beside_it():
    made = placed(diagram("residual", expand_blocks=True))
    centers = {made.boxes[f"stage1/{name}"] for name in ("conv/conv2d", "conv_1/conv2d", "add", "activation")}
    assert len({round(area.x + area.width / 2, 3) for area in centers}) == 1
    skip = max((route for route in made.routes if route.target == "stage1/add"), key=lambda route: len(route.points))
    passed = made.boxes["stage1/conv_1/conv2d"]
    assert max(x for x, _ in skip.points) > passed.x + passed.width


@pytest.mark.parametrize("expand", [False, True])
def test_a_network_that_goes_down_and_up_is_a_u_whose_skips_lead_across(expand):
    made = placed(diagram("unet", expand_blocks=expand))
    areas = made.frames if expand else made.boxes
    for down, up in (("down1/", "up1/"), ("down2/", "up2/")):
        assert areas[down].x + areas[down].width < areas[up].x
        assert areas[down].y + areas[down].height == pytest.approx(areas[up].y + areas[up].height)
    assert areas["up1/"].y + areas["up1/"].height < areas["up2/"].y


def test_a_long_chain_is_divided_into_columns_that_fit_a_screen():
    boxes = [
        Box(f"b{i}", "Conv2D", ["3 × 3, 64 filters"], "convolution", (f"b{i}",), ("convolution",)) for i in range(100)
    ]
    edges = [Edge(a.id, b.id) for a, b in pairwise(boxes)]
    for direction in DIRECTIONS:
        made = Diagram("long", boxes, edges, direction)
        check(made)
        assert 1 < placed(made).width / placed(made).height < 2.3


def test_the_same_model_gives_the_same_picture():
    assert svg(draw_diagram(diagram("unet"))) == svg(draw_diagram(diagram("unet")))


def box(name, title="B", lines=()):
    return Box(name, title, lines, "merge", (name,), ("merge",))


@st.composite
def diagrams(draw):
    """Boxes with edges from earlier ones, some of them in frames, and in frames within these."""
    count = draw(st.integers(1, 14))
    boxes = [box(f"b{i}", "B" * draw(st.integers(1, 30)), ["x"] * draw(st.integers(0, 3))) for i in range(count)]
    edges = []
    for number in range(1, count):
        sources = draw(st.lists(st.integers(0, number - 1), min_size=0, max_size=4, unique=True))
        edges += [Edge(f"b{source}", f"b{number}") for source in sources]
    parts = list(boxes)
    for frame in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(parts) - 1))
        end = draw(st.integers(start + 1, len(parts)))
        parts[start:end] = [Frame(f"f{frame}", "F" * draw(st.integers(1, 30)), tuple(parts[start:end]))]
    return Diagram("any", parts, edges, draw(st.sampled_from(DIRECTIONS)))


@settings(max_examples=200, deadline=None)
@given(diagrams())
def test_any_diagram_is_laid_out_without_overlaps(made):
    check(made)


def check(made):
    """Boxes and frames are apart, frames hold what is theirs, and edges lead from box to box beside all others."""
    found = placed(made)
    assert found.boxes.keys() == {box.id for box in made.boxes}
    areas = list(found.boxes.values())
    for area in [*areas, *found.frames.values()]:
        assert min(area.x, area.y) >= -0.01
        assert area.x + area.width <= found.width + 0.01
        assert area.y + area.height <= found.height + 0.01
    for a, b in combinations(areas, 2):
        assert not overlap(a, b)
    for frame in frames_of(made.parts):
        inside = {box.id for box in boxes_of(frame.parts)}
        for name, area in found.boxes.items():
            assert within(area, found.frames[frame.id]) if name in inside else not overlap(area, found.frames[frame.id])
    assert {(route.source, route.target) for route in found.routes if route.arrow} == {
        (edge.source, edge.target) for edge in made.edges
    }
    axis, sign = (0 if made.direction in ("LR", "RL") else 1), (1 if made.direction in ("TB", "LR") else -1)
    order = [box.id for box in made.boxes]
    against = set()
    for route in found.routes:
        end = found.boxes.get(route.target)
        if route.arrow:
            way = 1 if route.points[-1][axis] > route.points[-2][axis] else -1
            assert abs(route.points[-1][axis] - ((end.x, end.y)[axis] + (way < 0) * end[2 + axis])) < 0.01
            assert abs(route.points[-1][1 - axis] - route.points[-2][1 - axis]) < 0.01, "an arrow arrives straight"
            against |= {route.target} if way != sign else set()
        for point in on_curve(route.points):
            assert -0.01 <= point[0] <= found.width + 0.01
            assert -0.01 <= point[1] <= found.height + 0.01
            assert not any(holds(area, point) for area in areas), f"the edge {route[:2]} passes a box"
    if against:  # the second arm of a U: all that comes after the first one that is entered against the direction
        first = min(map(order.index, against))
        assert {edge.target for edge in made.edges if order.index(edge.target) >= first} == against
        assert len(arcs(made)) > 1
    return not against


def arcs(made):
    """The edges that pass boxes of a chain."""
    order = [box.id for box in made.boxes]
    return [edge for edge in made.edges if order.index(edge.target) > order.index(edge.source) + 1]


def on_curve(points):
    for i in range(0, len(points) - 1, 3):
        for step in range(13):
            t = step / 12
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield tuple(sum(w * p[k] for w, p in zip(weights, points[i : i + 4], strict=True)) for k in (0, 1))


def overlap(a, b):
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def within(inner, outer):
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


def holds(area, point):
    return area.x + 0.1 < point[0] < area.x + area.width - 0.1 and area.y + 0.1 < point[1] < area.y + area.height - 0.1


# As text


NASTY = 'a"]; x -> y [label="\\n<b>#quot;`|{}\n\\'


def nasty():
    parts = [box("end", NASTY, [NASTY]), Frame("graph", NASTY, [replace(box(NASTY), kind="block", times=2)])]
    return Diagram(NASTY, parts, [Edge("end", NASTY)])


def shown(text):
    """A name as it may be shown: its line break is escaped."""
    return text.replace("\n", "\\n")


def test_mermaid_texts_are_escaped():
    lines = mermaid(nasty()).splitlines()
    assert lines[0] == "flowchart TB"
    labels = [re.fullmatch(r'\s*(?:subgraph )?n\d+[\[(]*"([^"]*)"[\])]*(?::::\w+)?', line) for line in lines[1:4]]
    texts = [re.sub(r"#(\d+);", lambda found: chr(int(found[1])), found[1]).split("<br/>") for found in labels]
    assert texts == [[shown(NASTY), shown(NASTY)], [shown(NASTY)], ["B ×2"]]
    assert not [found for found in labels if re.search(r"[<>#](?!br/>|/|\d+;)(?<!r/>)", found[1])]
    assert [line.strip() for line in lines[4:6]] == ["end", "n0 --> n2"]


def test_dot_texts_are_escaped_and_statements_are_whole():
    statements = dot(nasty())
    tokens = list(shlex.shlex(statements.replace("->", "\u2192"), posix=True, punctuation_chars="{}[];=\u2192"))
    assert tokens.count("{") == tokens.count("}") == 2
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', statements)
    assert quoted[0] == re.sub(r'["\\]', lambda found: "\\" + found[0], shown(NASTY))
    assert "n0 -> n2;" in statements
    assert [line for line in statements.splitlines() if line.count('"') % 2 and "\\" not in line] == []


@pytest.mark.parametrize(("name", "expand"), CASES)
def test_both_texts_have_every_box_frame_and_edge(name, expand):
    made = diagram(name, expand_blocks=expand)
    frames = list(frames_of(made.parts))
    chart, graph = mermaid(made), dot(made)
    assert chart.count(" --> ") == graph.count(" -> ") == len(made.edges)
    assert chart.count("subgraph ") == graph.count("subgraph cluster_") == len(frames)
    assert (
        len(re.findall(r"^ *n\d+[\[(]", chart, re.M)) == len(re.findall(r"^ *n\d+ \[", graph, re.M)) == len(made.boxes)
    )
    assert chart.splitlines().count("  end") + len(re.findall(r"^ {3,}end$", chart, re.M)) == len(frames)
