"""PyTorch's side of `benchmark --against torch`: a script in a separate process.

It uses the protocol of `rounds`; the network is described by `torch.network.translate`.

The variants, `DTYPE, WAY`, are two memory formats of the same network, PyTorch's default and channels_last, for each of
the dtypes: float32, and bf16 through autocast. With "compile", each also runs through torch.compile.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import product
from typing import Any, NamedTuple

import torch

from cnncli.interop.peers.rounds import Rounds, serve

FORMATS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
JOINS = {
    "add": torch.add,
    "average": torch.add,
    "subtract": torch.subtract,
    "multiply": torch.multiply,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}


class Scale(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not there when types are checked
    """factor · x + offset of each channel."""

    def __init__(self, factors: Sequence[float], offsets: Sequence[float] | None, trained: bool) -> None:
        super().__init__()
        self.factors = torch.nn.Parameter(torch.tensor(factors), requires_grad=trained)
        self.register_buffer("offsets", None if offsets is None else torch.tensor(offsets))

    def forward(self, x: Any) -> Any:
        """Scale the channels of images or vectors."""
        shape = -1, *[1] * (x.dim() - 2)
        y = x * self.factors.view(shape)
        return y if self.offsets is None else y + self.offsets.view(shape)


class ChannelNorm(torch.nn.LayerNorm):  # type: ignore[misc]  # as above
    """LayerNorm over the channels of each pixel."""

    def forward(self, x: Any) -> Any:
        """Normalize with the channels last."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


OWN = {"Scale": Scale, "ChannelNorm": ChannelNorm}


class Network(torch.nn.Module):  # type: ignore[misc]  # as above
    """The described network."""

    def __init__(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.plan = [(node["name"], node["inputs"], node["join"]) for node in nodes]
        self.sequences = torch.nn.ModuleList(
            torch.nn.Sequential(*(module(name)(**arguments) for name, arguments in node["modules"])) for node in nodes
        )

    def forward(self, x: Any) -> Any:
        """Return the output for a batch."""
        values = {"input": x}
        for (name, inputs, join), sequence in zip(self.plan, self.sequences, strict=True):
            output = values[name] = sequence(joined([values[name] for name in inputs], join))
        return output


def joined(inputs: Sequence[Any], join: str | int | None) -> Any:
    """Combine the inputs of a node: by one of JOINS, or along an axis; a single one as it is."""
    if join is None:
        return inputs[0]
    if join not in JOINS:
        return torch.cat(inputs, join)
    x = reduce(JOINS[join], inputs)
    return x / len(inputs) if join == "average" else x


class Variant(NamedTuple):
    """A way to run the network: a dtype, a memory format, and whether it is compiled."""

    dtype: str
    form: str
    compiled: bool

    @property
    def name(self) -> str:
        """What the answers call it."""
        return ", ".join([self.dtype, self.form, *(["compiled"] if self.compiled else [])])


class Runner(Rounds):
    """Runs one variant of the network on random batches."""

    def __init__(self, description: Mapping[str, Any], variant: Variant) -> None:
        self.description, self.memory_format = description, FORMATS[variant.form]
        self.bf16 = variant.dtype == "bf16"
        torch.manual_seed(0)
        self.network = Network(description["nodes"]).to(memory_format=self.memory_format)
        self.forward = torch.compile(self.network) if variant.compiled else self.network
        self.start = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.trains = description["mode"] == "training"
        self.network.train(self.trains)
        if self.trains:
            name, arguments = description["loss"]
            self.loss = getattr(torch.nn, name)(**arguments)
            name, arguments = description["optimizer"]
            self.optimizer = getattr(torch.optim, name)(self.network.parameters(), **arguments)
        super().__init__(description)

    def begin(self) -> None:
        """Restore the initial weights, and set a new batch."""
        self.network.load_state_dict(self.start)
        x = torch.rand(self.description["batch_size"], *self.description["input_shape"])
        self.x = x.to(memory_format=self.memory_format)
        if self.trains:
            self.aim()

    def aim(self) -> None:
        """Draw new targets."""
        with torch.no_grad():
            output = self.network(self.x)
        if self.description["targets"] == "classes":
            self.target = torch.randint(output.shape[1], (output.shape[0], *output.shape[2:]))
        else:
            self.target = torch.rand(output.shape)

    def run(self, steps: int) -> None:
        if self.trains:
            for _ in range(steps):
                self.train()
            return
        with torch.inference_mode(), self.autocast():  # one context for all steps: it casts the weights only once
            for _ in range(steps):
                self.forward(self.x)

    def train(self) -> None:
        """Run one training step."""
        self.optimizer.zero_grad()
        with self.autocast():
            loss = self.loss(self.forward(self.x), self.target)
        loss.backward()
        self.optimizer.step()

    def autocast(self) -> Any:
        """Return a context that computes in bfloat16 where PyTorch recommends it, if the variant does."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)


def module(name: str) -> Any:
    """A class of this script or of torch.nn."""
    return OWN.get(name) or getattr(torch.nn, name)


def ways(description: Mapping[str, Any]) -> Iterator[Variant]:
    """Yield the variants of the described network; a memory format is of images."""
    forms = FORMATS if len(description["input_shape"]) == 3 else ("default",)
    for compiled, dtype, form in product((False, True), description["dtypes"], forms):
        if not compiled or description["compile"]:
            yield Variant(dtype, form, compiled)


def variants(description: Mapping[str, Any]) -> dict[str, Callable[[], Rounds]]:
    """Return what starts each variant."""
    torch.set_num_threads(description["threads"])
    return {variant.name: partial(Runner, description, variant) for variant in ways(description)}


if __name__ == "__main__":
    serve(torch.__version__, variants, lambda message: print(json.dumps(message), flush=True))
