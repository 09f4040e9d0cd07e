"""One copy of the data for all processes of a machine: who reads, what the others have, and what it saves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.images import image_cache
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.synthetic import Synthetic
from cnncli.training.distributed import sharing
from cnncli.training.distributed.group import ALONE
from tests import servers
from tests.distributed.test_group import Threads, in_threads


class Machines(Threads):
    """Processes on a machine of their own each."""

    machine = ALONE


@pytest.fixture
def source(tmp_path, request):
    """A section of data whose source is of a kind."""
    place = tmp_path / "data"
    place.mkdir()
    x, y = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 1), np.uint8), np.arange(40) % 2
    if request.param == "npz":
        np.savez(place / "a.npz", x_train=x, y_train=y)
    if request.param == "npy":
        np.save(place / "x_train.npy", x)
        np.save(place / "y_train.npy", y)
    if request.param == "csv":
        rows = [f"{label},{','.join(map(str, image.ravel()))}" for label, image in zip(y, x, strict=True)]
        (place / "a.csv").write_text("\n".join([",".join(["label", *map(str, range(30))]), *rows]))
    if request.param == "folder":
        for number, (image, label) in enumerate(zip(x, y, strict=True)):
            (place / str(label)).mkdir(exist_ok=True)
            Image.fromarray(image[..., 0]).save(place / str(label) / f"{number}.png")
    names = {"npz": "a.npz", "csv": "a.csv"}
    shape = {"image_shape": [8, 8, 1], "classes": 2, "train": 40, "test": 8}
    made = Synthetic(**shape) if request.param == "synthetic" else str(place / names.get(request.param, ""))
    size = {"image_size": [6, 5]} if request.param == "folder" else {}
    return DataSection(dataset=made, validation_split=0.25, **size)


KINDS = pytest.mark.parametrize("source", ["npz", "npy", "csv", "folder", "synthetic"], indirect=True)


@KINDS
@pytest.mark.parametrize("kind", [Threads, Machines])
def test_one_process_decodes_and_every_process_has_the_same_data(source, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))
    decode, decoded, began = image_cache.decode, [], []
    monkeypatch.setattr(image_cache, "decode", lambda path, form: decoded.append(path) or decode(path, form))

    def work(group):
        def read():
            began.append(group.rank)
            return load(source, tmp_path, input_shape=(6, 5, 1), outputs=2)

        return sharing.read_once(group, read)

    one, alone = in_threads(2, work, kind), load(source, tmp_path, input_shape=(6, 5, 1), outputs=2)
    assert len(set(decoded)) == len(decoded)
    private = not sharing.memmap.is_mapped(alone.train.x)
    assert began == ([0] if private and kind is Threads else [0, 1])
    for found in one:
        assert (found.digest, found.sizes, found.classes) == (alone.digest, alone.sizes, alone.classes)
        for name, split in found.splits.items():
            for mine, theirs in ((split.x, alone.splits[name].x), (split.y, alone.splits[name].y)):
                assert (mine.dtype, mine.tobytes()) == (theirs.dtype, theirs.tobytes())
            assert split.x.flags.writeable == (private and kind is Machines)
            assert split.numbers.tolist() == alone.splits[name].numbers.tolist()


@pytest.mark.parametrize("failing", ["memfd_create", "_taken"])
def test_a_process_that_can_not_share_reads_its_own(monkeypatch, failing):
    def refuse(name):
        raise OSError("no room")

    if failing == "_taken":
        monkeypatch.setattr(sharing, "_taken", lambda offer: None)
    else:
        monkeypatch.setattr(os, "memfd_create", refuse)
    began = []

    def read_in(group):
        began.append(group.rank)
        return Dataset("", Split(np.full((4, 2, 2, 1), 7.0), None, "", "x"), None, None, (), "")

    both = in_threads(2, lambda group: sharing.read_once(group, lambda: read_in(group)).train.x.sum())
    assert (both, began) == ([112, 112], [0, 1])


MEMORY = """
import numpy as np
from pathlib import Path
from cnncli.datasets.dataset import Dataset, Split
from cnncli.training.distributed.launch import group, together
from cnncli.training.distributed.sharing import read_once

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) // 1024

with together():
    before, reads = private(), []
    def read():
        reads.append(1)
        return Dataset("", Split(np.ones((64, 1024, 1024, 1), np.uint8), None, "", "x"), None, None, (), "")
    found = read_once(group(), read)
    total = int(found.train.x.sum(dtype=np.int64))
    group().gather(None)  # until then, pages that the other has not read are this one's alone
    print(group().gather((len(reads), total, private() - before < 16)))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system does not tell private memory")
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_processes_have_no_memory_of_their_own_for_data(mpi):
    launcher, variables = servers.launcher(mpi)
    done = subprocess.run(
        [*launcher, "-n", "2", sys.executable, "-c", MEMORY],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", f"{[(1, 64 << 20, True), (0, 64 << 20, True)]}\n")
