import os
import sys

import numba
import pytest

from cnncli.errors import UsageError
from cnncli.training.resources import threads

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def groups(root, lines, **files):
    """A machine whose process is in the control groups `lines`, with these files."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("\n".join(lines) + "\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_quota_it_is_the_cpus_of_the_affinity(tmp_path):
    assert threads.available(tmp_path) == CPUS
    assert threads.available(groups(tmp_path, ["0::/a/b"], **{"a/cpu.max": "max 100000\n"})) == CPUS


def test_the_least_quota_of_the_group_and_those_around_it_counts(tmp_path):
    files = {"a/b/cpu.max": "800000 100000\n", "a/cpu.max": "100000 100000\n"}
    assert threads.available(groups(tmp_path, ["0::/a/b"], **files)) == 1


def test_the_first_version_of_control_groups_is_read_too(tmp_path):
    files = {"cpu/box/cpu.cfs_quota_us": "50000\n", "cpu/box/cpu.cfs_period_us": "100000\n"}
    assert threads.available(groups(tmp_path, ["3:cpu,cpuacct:/box", "2:memory:/box"], **files)) == 1


def test_no_quota_in_the_first_version_is_written_as_minus_one(tmp_path):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert threads.available(groups(tmp_path, ["3:cpu:/"], **files)) == CPUS


@pytest.mark.parametrize(
    ("wanted", "variable", "count", "greatest"),
    [(None, None, CPUS, str(CPUS)), (7, None, 7, "7"), (None, "3", 3, "3"), (2, "5", 2, "5"), (9, "5", 9, "9")],
)
def test_numba_is_told_before_it_is_imported(monkeypatch, wanted, variable, count, greatest):
    monkeypatch.setenv(threads.VARIABLE, "") if variable is None else monkeypatch.setenv(threads.VARIABLE, variable)
    if variable is None:
        monkeypatch.delenv(threads.VARIABLE)
    monkeypatch.setattr(threads, "available", lambda: CPUS)
    monkeypatch.delitem(sys.modules, "numba")
    assert threads.settle(wanted) == count
    assert os.environ[threads.VARIABLE] == greatest


def test_with_room_a_later_call_may_ask_for_a_thread_for_each_cpu(monkeypatch):
    monkeypatch.delenv(threads.VARIABLE)
    monkeypatch.setattr(threads, "available", lambda: 8)
    monkeypatch.delitem(sys.modules, "numba")
    assert threads.settle(2, room=True) == 2
    assert os.environ[threads.VARIABLE] == "8"


def test_once_numba_is_imported_its_greatest_number_stands(monkeypatch):
    monkeypatch.setattr(threads, "available", lambda: 99)
    monkeypatch.delenv(threads.VARIABLE)
    most = numba.config.NUMBA_NUM_THREADS
    assert (threads.settle(None), threads.settle(1)) == (most, 1)
    with pytest.raises(UsageError, match=rf"^threads must be at most {most} in this process"):
        threads.settle(most + 1)


@pytest.mark.parametrize("text", ["", "0", "many", "-2"])
def test_a_variable_that_is_no_number_is_an_error(monkeypatch, text):
    monkeypatch.setenv(threads.VARIABLE, text)
    with pytest.raises(UsageError, match=r"NUMBA_NUM_THREADS must be an integer ≥ 1; received"):
        threads.settle(None)


def test_more_threads_than_a_system_gives_are_refused(monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, "1")
    with pytest.raises(UsageError, match=r"at most 4,096; received 100,000"):
        threads.settle(100_000)
