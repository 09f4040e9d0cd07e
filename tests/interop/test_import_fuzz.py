"""Files with flipped bits are imported or refused: no crash, no endless loop, no other file opened.

`--long` imports 1,000 files of each format instead of 25. A process of its own does it, because a parser of HDF5 may
take Python with it.
"""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ARCHIVES = HERE.parent / "fixtures" / "archives"
SECONDS = 30
"""The longest that one file may take."""
SIZES = {"state": (32, 32)}


def archive_with(**members):
    """nested.keras with other members."""
    made = io.BytesIO()
    with zipfile.ZipFile(ARCHIVES / "nested.keras") as archive, zipfile.ZipFile(made, "w") as copy:
        for name in ("config.json", "model.weights.h5"):
            copy.writestr(name, members.get(name.partition(".")[0], archive.read(name)))
    return made.getvalue()


def member(name):
    with zipfile.ZipFile(ARCHIVES / "nested.keras") as archive:
        return archive.read(name)


def onnx():
    from tests.interop.test_import_onnx import classifier

    return classifier()[0]


FORMATS = {
    "archive": ("keras", (ARCHIVES / "nested.keras").read_bytes, lambda content: content),
    "config": ("keras", lambda: member("config.json"), lambda content: archive_with(config=content)),
    "weights": ("keras", lambda: member("model.weights.h5"), lambda content: archive_with(model=content)),
    "onnx": ("onnx", onnx, lambda content: content),
    "hdf5": ("h5", (ARCHIVES / "nested.h5").read_bytes, lambda content: content),
    "state": ("safetensors", (ARCHIVES.parent / "states" / "densenet.safetensors").read_bytes, lambda content: content),
}
"""Ending of the file, what is flipped, and what makes a file of it."""


def flipped(content, seed):
    """The content with one to three bits flipped."""
    generator, made = np.random.default_rng(seed), bytearray(content)
    for place in generator.integers(0, len(made), generator.integers(1, 4)):
        made[place] ^= 1 << generator.integers(0, 8)
    return bytes(made)


def watch(folder):
    """Note every file that is opened outside of the folder from now on."""
    opened = set()

    def heard(event, arguments):
        if event == "open" and isinstance(arguments[0], str):
            opened.add(os.path.realpath(arguments[0]))

    sys.addaudithook(heard)
    known = (str(folder), "/proc/", "/sys/fs/cgroup/", *map(os.path.realpath, sys.path))
    return lambda: {path for path in opened if not path.startswith(known)}


def main(count, folder):
    """In a process of its own: import files with flipped bits; print how many were refused, and what was opened."""
    from cnncli.api.importing import import_model

    for name, (ending, read, make) in FORMATS.items():  # what is imported lazily is by now
        (folder / f"{name}.{ending}").write_bytes(make(read()))
        import_model(folder / f"{name}.{ending}", folder / name, image_size=SIZES.get(name, (8, 8)))
    outside = watch(folder)
    refused = {name: sum(is_refused(name, seed, folder) for seed in range(count)) for name in FORMATS}
    print(json.dumps({"refused": refused, "outside": sorted(outside())}))


def is_refused(name, seed, folder):
    """Whether a file with flipped bits is refused; with a reason, and nothing written."""
    from cnncli.api.importing import import_model
    from cnncli.errors import CnncliError

    ending, read, make = FORMATS[name]
    path, output = folder / f"flipped.{ending}", folder / f"{name}{seed}"
    path.write_bytes(make(flipped(read(), seed)))
    signal.alarm(SECONDS)
    try:
        import_model(path, output, image_size=SIZES.get(name, (8, 8)))
    except CnncliError as error:
        assert str(error), (name, seed)
        assert not output.exists(), (name, seed)
        return True
    finally:
        signal.alarm(0)
    return False


@pytest.mark.long
def test_files_with_flipped_bits_are_imported_or_refused(tmp_path, pytestconfig):
    pytest.importorskip("h5py", reason="needs h5py")
    count = 1000 if pytestconfig.getoption("--long") else 25
    done = subprocess.run(
        [sys.executable, "-m", "tests.interop.test_import_fuzz", str(count), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=HERE.parent.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert all(0 < refused <= count for refused in found["refused"].values())
    assert not found["outside"]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).resolve())
