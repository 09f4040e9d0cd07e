"""What each of several processes does in the tests: `mpiexec -n N python -m tests.distributed.ranks FOLDER CASE…`.

Trains these cases on the data in FOLDER, into FOLDER/<case>-N, and writes what the first process has found to
FOLDER/found-N.json.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from cnncli.errors import InterruptedRun
from cnncli.graph import network
from cnncli.graph.model import Node
from cnncli.training.distributed.launch import group, together
from cnncli.training.events import BatchDone
from cnncli.training.loop.session import RunOptions, read_data, train
from tests.training import small


def alone_normalized():
    """The small model with batch normalization of each process' own rows."""
    made = small.model()
    own = [
        Node(node.name, node.layer.replace(synchronized=False), node.inputs)
        if node.name == "batch_normalization"
        else node
        for node in made.nodes
    ]
    return replace(made, nodes=tuple(own))


CASES = {
    "synchronized": {},
    "alone": {"model": alone_normalized},
    "sharded": {"shards": 4},
    "augmented": {
        "augment": [{"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2}}, "RandomErasing", "MixUp"]
    },
}


def plan(folder, case):
    """The plan of a case, with 16 rows in a batch."""
    options = dict(CASES[case])
    shards, made = options.pop("shards", None), options.pop("model", None)
    found = small.plan(folder, model=None if made is None else made(), **options)
    return replace(found, fit=found.fit.replace(batch_size=16, shards=shards))


def run(folder, case, name, *, resume=None, report=lambda event: None):
    """Train a case: the digest of the weights, and the history."""
    wanted = plan(folder, case)
    where = RunOptions(resume=resume) if resume else RunOptions(output=folder / name)
    result = train(wanted, read_data(wanted), where, 1, report, group=group())
    return {"digest": result.digest, "figures": dict(result.figures), "test": dict(result.test)}


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
        (folder / f"found-{size}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    with together():
        main(Path(sys.argv[1]), sys.argv[2:])
