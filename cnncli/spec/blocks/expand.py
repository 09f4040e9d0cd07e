"""Expands blocks and repeats into a flat list of layers, each with its name and inputs."""

from dataclasses import dataclass, field

from cnncli.hints import suggestion
from cnncli.layers.declarations.declaration import snake_case
from cnncli.layers.layer import LAYERS
from cnncli.spec.blocks.entries import REPORTED, LayerEntry, flat, parse_entry, suggest
from cnncli.spec.blocks.signatures import PARAMETER, Block, declared
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree, is_null, size

MOST_LAYERS = 10_000
MOST_ENTRIES = 2 * MOST_LAYERS
"""Layers and uses of blocks, including invalid ones: nested blocks multiply."""
MOST_VALUES = 300_000
"""Values in all layers and their arguments: parameters multiply, too."""
DEEPEST_BLOCKS = 30


@dataclass(slots=True)
class _Scope:
    """A scope of names: the model, or one use of a block.

    `names` maps local names to names of flat layers, or to "" if that layer's problem has been reported; `previous`
    likewise, or None if there is no entry above and no single input.
    """

    prefix: str
    names: dict[str, str]
    previous: str | None
    note: str = ""
    block: Block | None = None
    arguments: dict[str, Tree] = field(default_factory=dict)
    chain: tuple[str, ...] = ()
    taken: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def automatic(self, kind: str) -> str:
        """Keras' name for an unnamed entry: conv2d, conv2d_1, …; names in use are skipped."""
        stem = snake_case(kind)
        while True:
            count = self.counts.get(stem, 0)
            self.counts[stem] = count + 1
            name = f"{stem}_{count}" if count else stem
            if name not in self.taken:
                return name


def expand(layers: Sequence, blocks: Tree | None, problems: Problems) -> tuple[Sequence, str | None]:
    """The flat list, and the name of the output layer.

    Entries with reported problems may be missing from the list; the name is None if the last entry is missing.
    """
    known = declared(blocks, problems) if blocks is not None and not is_null(blocks) else {}
    expander = _Expander(known, problems)
    try:
        output = expander.layers(layers, _Scope("", {"input": "input"}, "input"))
    except _TooManyError as error:
        problems.add(error.entry.place, str(error))
        return Sequence(layers.place, ()), None
    return Sequence(layers.place, tuple(expander.flat)), output


class _TooManyError(Exception):
    def __init__(self, entry: LayerEntry, what: str = f"{MOST_LAYERS:,} layers") -> None:
        super().__init__(f"a model must not have more than {what}")
        self.entry = entry


class _Expander:
    def __init__(self, blocks: dict[str, Block], problems: Problems) -> None:
        self.blocks, self.problems = blocks, problems
        self.flat: list[Mapping] = []
        self.taken: set[str] = set()
        self.entries = self.values = 0

    def layers(self, sequence: Sequence, scope: _Scope) -> str | None:
        """Expand a list of entries; the name of the last one's output."""
        entries = [
            parse_entry(_with_note(item, scope.note), self.problems, lambda tree: self._resolved(tree, scope))
            for item in sequence.items
        ]
        whole = [entry for entry in entries if entry is not None]
        if sum(entry.repeat or 1 for entry in whole) > MOST_LAYERS:
            raise _TooManyError(whole[-1])
        scope.taken |= {name for entry in whole if entry.name for name in _names(entry)}
        later = {str(entry.name.value) for entry in whole if entry.name}
        output: str | None = None
        for entry in entries:
            output = None if entry is None else self._place(entry, scope, later)
            scope.previous = output or ""
        return output

    def _place(self, entry: LayerEntry, scope: _Scope, later: set[str]) -> str | None:
        sources = self._inputs(entry, scope, later)
        kind, output = str(entry.kind.value), None
        repeat = entry.repeat or 1
        if repeat > 1 and sources is not None and len(sources) > 1:
            self.problems.add(entry.place, f"{kind} must have one input to be repeated; received {len(sources)}")
            repeat = 1
        for i in range(repeat):
            if entry.name is None:
                local = scope.automatic(kind)
            else:
                local = f"{entry.name.value}_{i + 1}" if entry.repeat else str(entry.name.value)
            if local in scope.names or scope.prefix + local in self.taken:
                place = entry.name.place if entry.name else entry.place
                self.problems.add(place, f"the name '{local}' is already used by an earlier entry")
                return None
            output = self._one(entry, scope, local, sources)
            scope.names[local] = output or ""
            sources = None if output is None else [output]
        if entry.name is not None:
            scope.names[str(entry.name.value)] = output or ""
        return output

    def _one(self, entry: LayerEntry, scope: _Scope, local: str, sources: list[str] | None) -> str | None:
        kind, name = str(entry.kind.value), scope.prefix + local
        self.entries += 1
        if len(self.flat) == MOST_LAYERS or self.entries > MOST_ENTRIES:
            raise _TooManyError(entry)
        block = self.blocks.get(kind)
        if block is not None:
            return self._use(block, entry, scope, name, sources)
        if kind[:1].islower():
            self.problems.add(entry.place, self._unknown_block(kind))
            return None
        self._count(entry.arguments, entry)
        self.flat.append(flat(entry, name, sources or []))
        self.taken.add(name)
        return None if sources is None else name

    def _count(self, tree: Tree, entry: LayerEntry) -> None:
        self.values += size(tree, MOST_VALUES - self.values)
        if self.values > MOST_VALUES:
            raise _TooManyError(entry, f"{MOST_VALUES:,} values after expanding blocks")

    def _unknown_block(self, kind: str) -> str:
        cls = LAYERS.find(kind)
        if cls is not None:
            return f"layer names are CamelCase: write {cls.__name__}, not {kind}"
        return f"unknown block '{kind}'{suggestion(kind, LAYERS.classes) or suggest(kind, list(self.blocks))}"

    def _use(self, block: Block, entry: LayerEntry, scope: _Scope, name: str, sources: list[str] | None) -> str | None:
        kind = str(block.name.value)
        if kind in scope.chain or len(scope.chain) >= DEEPEST_BLOCKS:
            chain = " → ".join((*scope.chain[-4:], kind))
            self.problems.add(entry.place, f"a block must not use itself; received {chain}")
            return None
        arguments = self._arguments(block, entry)
        if arguments is None or sources is None:
            return None
        if len(sources) != max(1, len(block.inputs)):
            expected = f"{len(block.inputs)} inputs ({', '.join(block.inputs)})" if block.inputs else "1 input"
            self.problems.add(entry.place, f"block '{kind}' takes {expected}; received {len(sources)}")
            return None
        for tree in (block.layers, *arguments.values()):
            self._count(tree, entry)
        place = entry.place
        note = f" … in block '{kind}', used at {self.problems.at(place)}{place.note}"
        names = dict(zip(block.inputs or ["input"], sources, strict=True))
        inner = _Scope(
            f"{name}/",
            names,
            sources[0] if len(sources) == 1 else None,
            note,
            block,
            {
                key: _with_note(value, note) if key not in entry.arguments.names() else value
                for key, value in arguments.items()
            },
            (*scope.chain, kind),
        )
        if len(sources) == 1:
            inner.names.setdefault("input", sources[0])
        before = len(self.problems)
        output = self.layers(block.layers, inner)
        if len(self.problems) == before:
            self._unused(block, inner, note)
        return output

    def _unused(self, block: Block, scope: _Scope, note: str) -> None:
        place = Place(block.name.place.line, block.name.place.column, note)
        for name in block.inputs:
            if len(block.inputs) > 1 and name not in scope.read:
                self.problems.add(place, f"the block does not use its input '{name}'")
        for name in block.parameters:
            if name not in block.used:
                self.problems.add(place, f"the block does not use its parameter '{name}' (as ${name})")

    def _arguments(self, block: Block, entry: LayerEntry) -> dict[str, Tree] | None:
        arguments = {name: default for name, default in block.parameters.items() if default is not None}
        kind, before = block.name.value, len(self.problems)
        for given in entry.arguments:
            if given.name in block.parameters:
                arguments[given.name] = given.value
            else:
                known = suggest(given.name, list(block.parameters))
                self.problems.add(given.key.place, f"unknown parameter '{given.name}' of block '{kind}'{known}")
        for name in block.parameters:
            if name not in arguments:
                declared = self.problems.at(block.places[name])
                message = f"block '{kind}' requires the parameter '{name}' … declared at {declared}"
                self.problems.add(entry.place, message)
        return arguments if len(self.problems) == before else None

    def _inputs(self, entry: LayerEntry, scope: _Scope, later: set[str]) -> list[str] | None:
        if entry.inputs is None:
            if scope.previous is None and scope.block is not None:
                self.problems.add(entry.place, self._ambiguous_input(scope.block))
            return [scope.previous] if scope.previous else None
        sources: list[str] = []
        failed = False
        for given in entry.inputs:
            name = str(given.value)
            if name == "previous":
                source = scope.previous or ""
                if scope.previous is None and scope.block is not None:
                    self.problems.add(given.place, self._ambiguous_input(scope.block))
            elif name in scope.names:
                source = scope.names[name]
                scope.read.add(name)
            else:
                if name == "input" and scope.block is not None:
                    message = self._ambiguous_input(scope.block)
                elif name in later:
                    message = f"inputs must name earlier entries; '{name}' comes after this one"
                else:
                    message = f"there is no earlier entry '{name}'{suggest(name, [*scope.names, 'previous'])}"
                self.problems.add(given.place, message)
                failed = True
                continue
            failed |= not source
            sources.append(source)
        return None if failed else sources

    def _ambiguous_input(self, block: Block) -> str:
        names = ", ".join(block.inputs)
        return f"block '{block.name.value}' has several inputs: set `inputs` to one of {names}"

    def _resolved(self, tree: Tree, scope: _Scope) -> Tree:
        """The tree with `$name` replaced by the block's arguments."""
        if isinstance(tree, Mapping):
            entries = tuple(Entry(entry.key, self._resolved(entry.value, scope)) for entry in tree)
            return Mapping(tree.place, entries)
        if isinstance(tree, Sequence):
            return Sequence(tree.place, tuple(self._resolved(item, scope) for item in tree.items))
        if not isinstance(tree.value, str) or not tree.value.startswith("$"):
            return tree
        name = tree.value[1:]
        if not PARAMETER.fullmatch(name):
            self.problems.add(tree.place, f"$name must be the whole value, without arithmetic; received {tree.value!r}")
        elif scope.block is None:
            self.problems.add(tree.place, f"${name} can be used only inside a block")
        elif name in scope.block.parameters:
            scope.block.used.add(name)
            return scope.arguments[name]
        else:
            known = suggest(name, list(scope.block.parameters))
            self.problems.add(tree.place, f"block '{scope.block.name.value}' has no parameter '{name}'{known}")
        return Scalar(tree.place, REPORTED)


def _names(entry: LayerEntry) -> set[str]:
    name = str(entry.name.value) if entry.name else ""
    return {name} | {f"{name}_{i + 1}" for i in range(entry.repeat or 0)}


def _with_note(tree: Tree, note: str) -> Tree:
    """The tree with `note` added to every place."""
    if not note:
        return tree
    place = Place(tree.place.line, tree.place.column, note, tree.place.override)
    if isinstance(tree, Mapping):
        entries = (Entry(Scalar(_with_note(e.key, note).place, e.key.value), _with_note(e.value, note)) for e in tree)
        return Mapping(place, tuple(entries))
    if isinstance(tree, Sequence):
        return Sequence(place, tuple(_with_note(item, note) for item in tree.items))
    return Scalar(place, tree.value)
