import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnncli.errors import CnncliError
from cnncli.training.runs import checkpoint
from cnncli.training.runs.checkpoint import ModelFile


def sample(value=1.0):
    weights = {"z/kernel": np.full((3, 4), value, np.float32), "a/bias": np.arange(4, dtype=np.float32)}
    return ModelFile(weights, {"spec": '{"name": "é"}', "state": "{}"}, {"optimizer/m/z/kernel": np.ones((3, 4))})


def test_a_model_file_gives_back_its_tensors_in_model_order_and_its_metadata(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, sample())
    loaded = checkpoint.load(path)
    assert list(loaded.weights) == ["z/kernel", "a/bias"]
    assert loaded.metadata == {"spec": '{"name": "é"}', "state": "{}"}
    assert np.array_equal(loaded.extra["optimizer/m/z/kernel"], np.ones((3, 4)))
    assert loaded.digest == sample().digest
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_digest_is_that_of_name_dtype_shape_and_bytes():
    first = checkpoint.digest([("a", np.zeros((2, 3), np.float32))])
    others = [
        ("b", np.zeros((2, 3), np.float32)),
        ("a", np.zeros((3, 2), np.float32)),
        ("a", np.zeros((2, 3), np.int32)),
        ("a", np.full((2, 3), -0.0, np.float32)),
    ]
    assert first not in {checkpoint.digest([other]) for other in others}
    assert first == checkpoint.digest([("a", np.zeros((2, 3), ">f4"))])


def test_the_same_content_gives_the_same_bytes_in_every_process(tmp_path):
    script = (
        "import sys, numpy as np; from pathlib import Path; from cnncli.training.runs import checkpoint as c;"
        "c.save(Path(sys.argv[1]), c.ModelFile({'a': np.ones(3)}, {f'k{i}': '' for i in range(9)}))"
    )
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path in paths:
        subprocess.run([sys.executable, "-c", script, path], check=True)
    assert len({path.read_bytes() for path in paths}) == 1


def test_any_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, sample())
    content = path.read_bytes()
    for place in [*range(8), *random.Random(0).sample(range(8, len(content)), 300)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            loaded = checkpoint.load(path)
        except CnncliError as error:
            assert str(error).startswith(f"{path}: is ")
            assert "\n" not in str(error)
        else:  # the spaces that pad the header, or a space for another white space
            assert loaded.digest == sample().digest
            assert loaded.metadata == sample().metadata


def test_a_truncated_file_says_so(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, sample())
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(CnncliError, match=f"is truncated: {len(content) - 5:,} of {len(content):,} bytes"):
        checkpoint.load(path)
    path.write_bytes(content[:100])
    with pytest.raises(CnncliError, match=r"is truncated: 100 bytes, not even the header is whole"):
        checkpoint.load(path)
    path.write_bytes(b"")
    with pytest.raises(CnncliError, match=r"is not a safetensors file"):
        checkpoint.load(path)


def test_what_is_no_model_file_is_told_apart(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(CnncliError, match=r"can't be read: No such file"):
        checkpoint.load(path)
    path.write_bytes(b"PK\x03\x04 something else entirely")
    with pytest.raises(CnncliError, match=r"is not a safetensors file"):
        checkpoint.load(path)
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(CnncliError, match=r"is not a model file of cnncli \(no 'cnncli 1' in its metadata\)"):
        checkpoint.load(path)
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{" * 100)
    with pytest.raises(CnncliError, match=r"is not a safetensors file"):
        checkpoint.load(path)


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, sample(1.0))

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CnncliError) as caught:
        checkpoint.save(path, sample(2.0))
    assert str(caught.value) == (f"{path}: can't be written: No space left on device; the existing file is unchanged")
    assert caught.value.exit_code == 1
    assert checkpoint.load(path).digest == sample(1.0).digest
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


KILLED = """
import sys, numpy as np
from pathlib import Path
from cnncli.training.runs import checkpoint
path = Path(sys.argv[1])
for number in range(10**6):
    tensors = {"a": np.full(200_000, number, np.float32)}
    checkpoint.save(path, checkpoint.ModelFile(tensors, {"number": str(number)}))
    print(number, flush=True)
"""


def test_a_process_killed_while_it_writes_leaves_a_file_that_loads(tmp_path):
    path = tmp_path / "m.safetensors"
    for delay in (0.001, 0.004, 0.009, 0.015):
        process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        loaded = checkpoint.load(path)
        assert set(loaded.weights["a"].tolist()) == {float(json.loads(loaded.metadata["number"]))}
