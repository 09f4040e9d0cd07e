"""What each of several processes does in the tests: `mpiexec -n N python -m tests.distributed.ranks FOLDER CASE…`.

Trains these cases on the data in FOLDER, into FOLDER/<case>-N, and writes what the first process has found to
FOLDER/found-N.json.
"""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

from cnncli.errors import InterruptedRun
from cnncli.graph import network
from cnncli.graph.model import Node
from cnncli.training.distributed.launch import group, together
from cnncli.training.events import BatchDone
from cnncli.training.loop.plan import RunOptions
from cnncli.training.loop.session import read_data, train
from tests.training import small


def changed(name, **changes):
    """The small model with another layer of this name."""
    made = small.model()
    nodes = [
        Node(node.name, node.layer.replace(**changes), node.inputs) if node.name == name else node
        for node in made.nodes
    ]
    return replace(made, nodes=tuple(nodes))


OF_BATCH = {"model": ("dense", {"activation": "sigmoid"}), "loss": ["binary_crossentropy", "dice", "squared_hinge"]}
"""Losses that need sums over the whole batch, of outputs whose sum is not that of the targets."""
CASES = {
    "synchronized": OF_BATCH,
    "alone": {"model": ("batch_normalization", {"synchronized": False})},
    "sharded": {"shards": 4, **OF_BATCH},
    "augmented": {
        "augment": [{"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2}}, "RandomErasing", "MixUp"]
    },
}


def plan(folder, case):
    """The plan of a case, with 16 rows in a batch."""
    options = dict(CASES[case])
    shards, loss, change = (options.pop(name, None) for name in ("shards", "loss", "model"))
    found = small.plan(folder, model=change and changed(change[0], **change[1]), **options)
    changes = {"metrics": ["accuracy", "AUC", "precision", "recall"], **({"loss": loss} if loss else {})}
    return replace(found, compile=found.compile.replace(**changes), fit=found.fit.replace(batch_size=16, shards=shards))


def run(folder, case, name, *, resume=None, report=lambda event: None):
    """Train a case: the digest of the weights, the figures of all epochs, and those of the test."""
    wanted = plan(folder, case)
    where = RunOptions(resume=resume) if resume else RunOptions(output=folder / name)
    result = train(wanted, read_data(wanted), where, 1, report, group=group())
    found = {"digest": result.digest, "test": dict(result.test)}
    return found | ({"epochs": small.outcome(Path(result.run))["epochs"]} if group().first else {})


def interrupted_by(rank):
    """A listener that interrupts one process after the first batch of the second epoch."""

    def report(event):
        if isinstance(event, BatchDone) and (event.epoch, event.batch) == (2, 1) and group().rank == rank:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def main(folder, cases):
    network.BUCKET, size = 64, group().size  # so that even these gradients are sent in several buckets
    found = {case: run(folder, case, f"{case}-{size}") for case in cases}
    try:
        run(folder, "sharded", f"interrupted-{size}", report=interrupted_by(size - 1))
    except InterruptedRun as error:
        found["interrupted"] = str(error)
    if group().first:
        shutil.copytree(folder / f"interrupted-{size}", folder / f"resumed-{size}")
    found["resumed"] = run(folder, "sharded", "", resume=folder / f"resumed-{size}")
    if group().first:
        (folder / f"found-{size}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    with together():
        main(Path(sys.argv[1]), sys.argv[2:])
