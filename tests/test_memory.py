"""How much memory a process may use: the machine's, its control groups' and what `ulimit` says."""

import os
import subprocess
import sys

from cnncli.system import memory
from tests.training.test_threads import groups

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
LIMITED = """
import resource, sys
from pathlib import Path
from cnncli.system.memory import limit
resource.setrlimit(resource.RLIMIT_AS, (900_000_000, 900_000_000))
print(limit(Path(sys.argv[1])))
"""


def test_without_a_limit_it_is_the_memory_of_the_machine(tmp_path):
    assert memory.limit(tmp_path) == MACHINE
    assert memory.limit(groups(tmp_path, ["0::/a"], **{"a/memory.max": "max\n"})) == MACHINE


def test_the_least_limit_of_the_group_and_those_around_it_counts(tmp_path):
    files = {"a/b/memory.max": "2000\n", "a/memory.max": "1000\n"}
    assert memory.limit(groups(tmp_path, ["0::/a/b"], **files)) == 1000


def test_the_first_version_of_control_groups_is_read_too(tmp_path):
    assert memory.limit(groups(tmp_path, ["4:memory:/box"], **{"memory/box/memory.limit_in_bytes": "3000\n"})) == 3000


def test_a_limit_of_the_shell_counts(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 900_000_000
