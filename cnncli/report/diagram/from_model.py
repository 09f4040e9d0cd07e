"""From a model to its diagram. Blocks are recognized by the names of their layers: "stage1_2/conv2d"."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from textwrap import wrap

from cnncli.graph.blocks import Block, grouped
from cnncli.graph.model import INPUT, Model, Node, Parameter, lower
from cnncli.layers.layer import Layer
from cnncli.ops.ir import Shape
from cnncli.report.diagram.diagram import Box, Diagram, DiagramOptions, Edge, Frame, Kind, Part, boxes_of
from cnncli.spec.spec import Spec

LONGEST_LINE = 34
"""Letters in a line that lists layers."""
KINDS: Sequence[tuple[str, Kind]] = (
    ("Conv", "convolution"),
    ("Pool", "pooling"),
    ("Normalization|Rescaling", "normalization"),
    ("Dense", "dense"),
    ("Activation|ReLU|ELU|Softmax", "activation"),
    ("Dropout|Noise", "dropout"),
)
"""Kinds by words in names of layers, as Keras and packages with further layers choose them."""


def diagram_of(spec: Spec, options: DiagramOptions | None = None) -> Diagram:
    """The diagram of a spec's model."""
    options = options or DiagramOptions()
    return _Maker(spec.model, options).diagram(spec.name)


def kind_of(layer: Layer) -> Kind:
    """What a layer does, by its name; a layer with several inputs merges them."""
    if layer.arity != (1, 1):
        return "merge"
    name = type(layer).__name__
    return next((kind for words, kind in KINDS if re.search(words, name)), "shape")


class _Maker:
    def __init__(self, model: Model, options: DiagramOptions) -> None:
        self.model, self.options, lowered = model, options, lower(model)
        self.shapes = {name: value.shape for name, value in lowered.outputs.items()}
        self.dtype = lowered.input.dtype
        self.weights: dict[str, list[Parameter]] = defaultdict(list)
        for parameter in lowered.parameters:
            self.weights[parameter.name.rpartition("/")[0]].append(parameter)
        self.readers: dict[str, set[str]] = defaultdict(set)
        for node in model.nodes:
            for name in node.inputs:
                self.readers[name].add(node.name)
        self.ids: set[str] = {INPUT}

    def diagram(self, title: str) -> Diagram:
        """The input, then a part for each layer or block."""
        parts = [self._input(), *self._parts(self.model.nodes, 0)]
        owner = {INPUT: INPUT} | {layer: box.id for box in boxes_of(parts) for layer in box.layers}
        pairs = [(owner[name], owner[node.name]) for node in self.model.nodes for name in node.inputs]
        edges = [Edge(*pair) for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]
        return Diagram(title, parts, edges, self.options.rankdir)

    def _input(self) -> Box:
        return Box(INPUT, "Input", self._facts([], self.model.input_shape), "input", (), ("input",))

    def _parts(self, nodes: Sequence[Node], depth: int) -> list[Part]:
        parts: list[Part] = []
        run: list[Block] = []
        for found in grouped(nodes, depth):
            if isinstance(found, Block) and not self.options.expand_blocks:
                if run and not self._continues(run, found):
                    parts.append(self._folded(run))
                    run = []
                run.append(found)
                continue
            if run:
                parts.append(self._folded(run))
                run = []
            if isinstance(found, Node):
                parts.append(self._layer(found))
            else:
                name = self._id(found.name + "/")
                parts.append(Frame(name, found.name.split("/")[-1], self._parts(found.nodes, depth + 1)))
        return [*parts, self._folded(run)] if run else parts

    def _layer(self, node: Node) -> Box:
        layer, options = node.layer, self.options
        kind = type(layer).__name__
        title = f"{node.name} ({kind})" if options.show_layer_names else kind
        lines = [line for line in [_geometry(layer)] if line]
        if options.show_layer_activations and (activation := getattr(layer, "activation", "")):
            lines.append(f"activation: {activation}")
        inputs = [self.shapes[name] for name in node.inputs]
        lines += self._facts(inputs, self.shapes[node.name])
        trainable = self._trainable([node])
        if options.show_trainable and trainable is not None:
            lines.append("trainable" if trainable else "frozen")
        return Box(self._id(node.name), title, lines, kind_of(layer), (node.name,), (kind_of(layer),), trainable)

    def _folded(self, run: Sequence[Block]) -> Box:
        """One box for a block, or for equal blocks that follow each other."""
        block, nodes = run[0], [node for block in run for node in block.nodes]
        counts = Counter(type(node.layer).__name__ for node in block.nodes)
        layers = ", ".join(f"{count}×{kind}" if count > 1 else kind for kind, count in counts.items())
        lines = wrap(layers, LONGEST_LINE, break_long_words=False)
        inputs = [self.shapes[name] for name in block.sources]
        lines += self._facts(inputs, self.shapes[nodes[-1].name])
        size = sum(parameter.size for node in nodes for parameter in self.weights[node.name])
        lines += [f"{size:,} parameters"] * bool(size)
        trainable = self._trainable(nodes)
        if self.options.show_trainable and trainable is not None:
            frozen = {self._trainable([node]) for node in nodes} >= {True, False}
            lines.append("partly trainable" if frozen else "trainable" if trainable else "frozen")
        names, kinds = tuple(node.name for node in nodes), tuple(kind_of(node.layer) for node in block.nodes)
        title = _run_title([block.name.split("/")[-1] for block in run])
        return Box(self._id(block.name + "/"), title, lines, "block", names, kinds, trainable, len(run))

    def _facts(self, inputs: Sequence[Shape], output: Shape) -> list[str]:
        """Lines about shapes and dtype, if wanted."""
        lines = []
        if self.options.show_shapes:
            given = ", ".join(dict.fromkeys(map(_shape, inputs)))
            lines.append(f"{given} → {_shape(output)}" if given else _shape(output))
        return [*lines, self.dtype] if self.options.show_dtype else lines

    def _trainable(self, nodes: Sequence[Node]) -> bool | None:
        weights = [p.weight.trainable for node in nodes for p in self.weights[node.name]]
        return any(weights) if weights else None

    def _continues(self, run: Sequence[Block], block: Block) -> bool:
        """Whether the block equals those of the run, and reads only the last one, which nothing else does."""
        last = run[-1]
        private = all(self.readers[name] <= last.names | block.names for name in last.names)
        return block.sources == [last.nodes[-1].name] and private and last.structure() == block.structure()

    def _id(self, name: str) -> str:
        """The name, or if it is taken already the name with a number."""
        count, found = 1, name
        while found in self.ids:
            count += 1
            found = f"{name}#{count}"
        self.ids.add(found)
        return found


def _run_title(names: Sequence[str]) -> str:
    """`stage1` for stage1_1 … stage1_3, which are all of a repeated block; else the first and the last name."""
    stem = names[0].removesuffix("_1")
    if len(names) == 1 or list(names) == [f"{stem}_{number + 1}" for number in range(len(names))]:
        return names[0] if len(names) == 1 else stem
    return f"{names[0]} … {names[-1]}"


def _geometry(layer: Layer) -> str:
    """`3 × 3, 64 filters, strides 2 × 2`: what tells layers of one type apart."""
    values = layer.settings()
    window = values.get("kernel_size") or values.get("pool_size")
    parts = [_shape(window)] if window else []
    parts += [f"{values[name]} {name}" for name in ("filters", "units") if name in values]
    if values.get("strides") not in (None, (1, 1), values.get("pool_size")):
        parts.append(f"strides {_shape(values['strides'])}")
    if values.get("dilation_rate", (1, 1)) != (1, 1):
        parts.append(f"dilation {_shape(values['dilation_rate'])}")
    return ", ".join(parts)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
