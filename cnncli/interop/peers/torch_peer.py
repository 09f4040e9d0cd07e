"""PyTorch's side of `benchmark --against torch`: a script in a separate process that imports no cnncli.

The first line on standard input describes the network (`torch.network.translate`, with "mode", "batch_size", "threads"
and the "seconds" of a round); the answer is `{"version", "variants"}`. Each further line names a variant; the script
runs a round of training or inference steps and answers with `{"images", "seconds"}`. It exits at the end of input.

The variants are two memory formats of the same network: PyTorch's default and channels_last.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from time import perf_counter
from typing import Any

import torch

FORMATS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
JOINS = {
    "add": torch.add,
    "average": torch.add,
    "subtract": torch.subtract,
    "multiply": torch.multiply,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
WARM_UP = 3


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


class Runner:
    """Runs the network in one memory format on random batches."""

    def __init__(self, description: Mapping[str, Any], memory_format: Any) -> None:
        self.description, self.memory_format = description, memory_format
        torch.manual_seed(0)
        self.sequences = torch.nn.ModuleList(
            torch.nn.Sequential(*(module(name)(**arguments) for name, arguments in node["modules"]))
            for node in description["nodes"]
        ).to(memory_format=memory_format)
        self.start = {name: tensor.clone() for name, tensor in self.sequences.state_dict().items()}
        self.trains = description["mode"] == "training"
        self.sequences.train(self.trains)
        if self.trains:
            name, arguments = description["loss"]
            self.loss = getattr(torch.nn, name)(**arguments)
            name, arguments = description["optimizer"]
            self.optimizer = getattr(torch.optim, name)(self.sequences.parameters(), **arguments)
        self.begin()
        self.run(WARM_UP)
        self.steps = 1
        while self.time(self.steps) < description["seconds"] / 2:
            self.steps *= 2

    def begin(self) -> None:
        """Restore the initial weights, and set a new batch."""
        self.sequences.load_state_dict(self.start)
        x = torch.rand(self.description["batch_size"], *self.description["input_shape"])
        self.x = x.to(memory_format=self.memory_format)
        if self.trains:
            self.aim()

    def aim(self) -> None:
        """Draw new targets."""
        with torch.no_grad():
            output = self.forward()
        if self.description["targets"] == "classes":
            self.target = torch.randint(output.shape[1], (output.shape[0], *output.shape[2:]))
        else:
            self.target = torch.rand(output.shape)

    def forward(self) -> Any:
        """Return the output for the batch."""
        values = {"input": self.x}
        for node, sequence in zip(self.description["nodes"], self.sequences, strict=True):
            inputs = [values[name] for name in node["inputs"]]
            x = inputs[0]
            if node["join"] in JOINS:
                x = reduce(JOINS[node["join"]], inputs)
                x = x / len(inputs) if node["join"] == "average" else x
            elif node["join"] is not None:
                x = torch.cat(inputs, node["join"])
            output = values[node["name"]] = sequence(x)
        return output

    def run(self, steps: int) -> None:
        """Run training or inference steps."""
        with torch.inference_mode(not self.trains):
            for _ in range(steps):
                if self.trains:
                    self.optimizer.zero_grad()
                    self.loss(self.forward(), self.target).backward()
                    self.optimizer.step()
                else:
                    self.forward()

    def time(self, steps: int) -> float:
        """Return the seconds of `steps` steps."""
        start = perf_counter()
        self.run(steps)
        return perf_counter() - start

    def round(self) -> dict[str, float]:
        """Run one round; return its images and seconds."""
        self.begin()
        self.run(1)
        return {"images": self.steps * self.description["batch_size"], "seconds": self.time(self.steps)}


def module(name: str) -> Any:
    """A class of this script or of torch.nn."""
    return OWN.get(name) or getattr(torch.nn, name)


def main(answer: Callable[[Mapping[str, Any]], None]) -> None:
    """Serve requests until standard input is closed."""
    description = json.loads(sys.stdin.readline())
    torch.set_num_threads(description["threads"])
    images = len(description["input_shape"]) == 3
    runners = {
        name: Runner(description, memory_format)
        for name, memory_format in FORMATS.items()
        if images or name == "default"
    }
    answer({"version": torch.__version__, "variants": list(runners)})
    for line in sys.stdin:
        answer(runners[json.loads(line)].round())


if __name__ == "__main__":
    main(lambda message: print(json.dumps(message), flush=True))
