"""Programs that are not in the tests' own environment, because both MPIs bring an `mpiexec`: CNNCLI_SERVERS_PYTHON is
the Python of one with openmpi, pgserver and psycopg[binary].
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

PYTHON = os.environ.get("CNNCLI_SERVERS_PYTHON", "")
FOLDER = Path(PYTHON).parents[1] if PYTHON else Path()
PACKAGES = next(FOLDER.glob("lib/python*/site-packages"), Path()) if PYTHON else Path()
NOBODY = 65534


def launcher(name):
    """The command of an MPI launcher, mpich or openmpi, and the variables that it needs. Skips where it is missing."""
    pytest.importorskip("mpi4py")
    folder = Path(sys.prefix) if name == "mpich" else FOLDER
    command = folder / "bin" / "mpiexec"
    if not command.exists() or (name == "openmpi" and not PYTHON):
        pytest.skip(f"{name} is not installed ({'CNNCLI_SERVERS_PYTHON' if name == 'openmpi' else 'extra test'})")
    if name == "mpich":
        return [command], {}
    as_root = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1")
    return [command, "--oversubscribe", "--bind-to", "none"], {
        "MPI4PY_LIBMPI": str(folder / "lib" / "libmpi.so.40"),
        **as_root,
    }


@contextmanager
def postgres():
    """A PostgreSQL server, new and empty: its URL, as `--storage` has it. Skips where it is missing."""
    installed = PACKAGES / "pgserver" / "pginstall"
    if not PYTHON or not installed.exists():
        pytest.skip("PostgreSQL is not installed (CNNCLI_SERVERS_PYTHON)")
    with tempfile.TemporaryDirectory(prefix="postgres-") as place:
        folder, owner = Path(place), {}
        if os.geteuid() == 0:  # the server refuses root: another user needs its own copy of the programs
            for part in ("bin", "lib", "share"):
                shutil.copytree(installed / part, folder / "pgserver" / "pginstall" / part)
            shutil.copytree(PACKAGES / "pgserver.libs", folder / "pgserver.libs")
            installed, owner = folder / "pgserver" / "pginstall", {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(folder, NOBODY, NOBODY)
        data, port = folder / "data", _free_port()
        made = ["-D", data, "-U", "tester", "--auth", "trust", "--no-sync", "--no-locale", "-E", "UTF8"]
        subprocess.run([installed / "bin" / "initdb", *made], check=True, capture_output=True, cwd=place, **owner)
        options = ["-D", data, "-p", str(port), "-k", place, "-h", "127.0.0.1", "-F"]
        server = subprocess.Popen(
            [installed / "bin" / "postgres", *options], cwd=place, stderr=subprocess.DEVNULL, **owner
        )
        try:
            _wait_for(port)
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for clients
            server.wait()


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait_for(port):
    until = monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if monotonic() > until:
                raise
            sleep(0.02)
