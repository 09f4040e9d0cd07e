"""`python -m cnncli.report.benchmarks.feeding`: what augmented batches cost, in turns; prints JSON.

With a SPEC: whole training steps with and without the augmentation. Without: batches alone, and those that PyTorch's
DataLoader makes of the same images by the like.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from cnncli.datasets.augment.augmentation import AUGMENTATIONS
from cnncli.datasets.batches import Feed, order
from cnncli.datasets.dataset import Split
from cnncli.datasets.load import load
from cnncli.graph.network import Network
from cnncli.layers.losses import CategoricalCrossentropy
from cnncli.spec.spec import load as load_spec
from cnncli.training.optimizers.update import Update

BATCH, IMAGES, SIZE, SHIFT, PADDING = 128, 4096, 32, 3, 2
WORKERS = (0, 2)


def augmentation(size: int) -> list[Any]:
    """Flip, translation by a tenth and crop out of a frame of two pixels, for images of that many pixels each way."""
    entries: list[dict[str, dict[str, object]]] = [
        {"RandomFlip": {"mode": "horizontal"}},
        {"RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}},
        {"RandomCrop": {"height": size, "width": size, "padding": PADDING}},
    ]
    return [AUGMENTATIONS.parse(entry) for entry in entries]


def steps(path: str) -> dict[str, Callable[[], int]]:
    """An epoch of whole training steps of a spec's model, without and with augmentation; each gives its images."""
    spec = load_spec(Path(path))
    train = load(spec.data, Path(path).parent).train
    assert train is not None
    network = Network(spec.model, spec.compile.loss, batch_size=BATCH)
    network.initialize(0)
    update, count = Update(network, spec.compile.optimizer, 1), [0]

    def epoch(feed: Feed) -> int:
        rows = order(len(train), 0, count[0], shuffle=True)
        whole = len(rows) // BATCH * BATCH
        for start in range(0, whole, BATCH):
            count[0] += 1
            feed.fill(rows[start : start + BATCH], count[0])
            network.train_step(BATCH, 0, count[0])
            update.run(count[0])
        return whole

    arrays = network.loss, network.inputs, network.targets
    feeds = {
        name: Feed(train, "auto", *arrays, augment=augment)
        for name, augment in (("plain", ()), ("augmented", augmentation(network.inputs.shape[1])))
    }
    return {name: partial(epoch, feed) for name, feed in feeds.items()}


def loaders() -> dict[str, Callable[[], int]]:
    """An epoch of augmented batches, ours and PyTorch's with each number of workers."""
    from torch.utils.data import DataLoader

    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)
    y = generator.integers(0, 10, IMAGES)
    inputs, targets = np.zeros((BATCH, SIZE, SIZE, 3), np.float32), np.zeros((BATCH, 10), np.float32)
    split = Split(x, y, "made", "x_train")
    feed = Feed(split, "auto", CategoricalCrossentropy(), inputs, {"output": targets}, augment=augmentation(SIZE))
    count = [0]

    def ours() -> int:
        rows = order(IMAGES, 0, count[0], shuffle=True)
        for start in range(0, IMAGES, BATCH):
            count[0] += 1
            feed.fill(rows[start : start + BATCH], count[0])
        return IMAGES

    def theirs(loader: Any) -> int:
        return sum(len(labels) for _, labels in loader)

    data = _Images(x, y)
    made: dict[str, Callable[[], int]] = {"cnncli": ours}
    for workers in WORKERS:
        loader: Any = DataLoader(data, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
        made[f"torch-{workers}"] = partial(theirs, loader)
    return made


class _Images:
    """The same images for DataLoader, with the like done to each in PyTorch."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        import torch
        from torch.nn.functional import pad

        image = torch.from_numpy(self.x[row]).permute(2, 0, 1).float().div_(255)
        if torch.rand(1).item() < 0.5:
            image = image.flip(2)
        image = pad(image, (SHIFT,) * 4, mode="reflect")
        down, across = torch.randint(0, 2 * SHIFT + 1, (2,)).tolist()
        image = pad(image[:, down : down + SIZE, across : across + SIZE], (PADDING,) * 4)
        down, across = torch.randint(0, 2 * PADDING + 1, (2,)).tolist()
        return image[:, down : down + SIZE, across : across + SIZE], int(self.y[row])


def in_turns(work: dict[str, Callable[[], int]], rounds: int) -> Iterator[dict[str, float]]:
    """Images a second of each, round after round; the first one, in which kernels are compiled, does not count."""
    for number in range(rounds + 1):
        found = {}
        for name, epoch in work.items():
            start = perf_counter()
            images = epoch()
            found[name] = images / (perf_counter() - start)
        if number:
            yield found


def main(arguments: Sequence[str]) -> None:
    """`ROUNDS [SPEC]`."""
    rounds, *spec = arguments
    print(json.dumps(list(in_turns(steps(*spec) if spec else loaders(), int(rounds)))))


if __name__ == "__main__":
    main(sys.argv[1:])
