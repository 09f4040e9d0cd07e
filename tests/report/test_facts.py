"""What the doctor finds amiss, each with a line that says what to do; and what is fine, without one."""

import platform

import pytest

from cnncli.kernels.jit.target import Machine
from cnncli.report.tables import machine_facts

AVX512 = Machine("znver4", "+avx,+avx2,+fma,+avx512f", 64, 32, True)
AVX2 = Machine("znver4", "+avx,+avx2,+fma,-avx512f", 32, 16, True)
PLAIN = Machine("nehalem", "+sse4.2,-avx,-avx2,-fma", 16, 16, False)


def advice(found):
    return [fact.advice for fact in found if fact.advice]


def value(found, name):
    (fact,) = [fact for fact in found if fact.name == name]
    return fact.value


def test_an_old_python_is_amiss():
    assert advice(machine_facts.software((3, 11, 0), {"numpy": "2.0"})) == []
    assert advice(machine_facts.software((3, 10, 9), {})) == ["Python 3.10.9 is too old: cnncli needs 3.11 or later"]


def test_vectors_narrower_than_the_processors_are_amiss():
    assert advice(machine_facts.processor("cpu", AVX2, AVX2, "widened")) == []
    (line,) = advice(machine_facts.processor("cpu", AVX512, AVX2, "widened"))
    assert line == (
        "kernels use vectors of 256 bits where this processor has 512: unset NUMBA_CPU_NAME and NUMBA_CPU_FEATURES"
    )
    assert value(machine_facts.processor("cpu", AVX512, AVX2, "widened"), "vector_bits") == 256


def test_a_processor_without_avx2_and_fma_is_amiss(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    (line,) = advice(machine_facts.processor("old", PLAIN, PLAIN, "widened"))
    assert "no AVX2 and FMA" in line
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert advice(machine_facts.processor("new", PLAIN, PLAIN, "widened")) == []


@pytest.mark.parametrize(
    ("cores", "allowed", "quota", "used", "told"),
    [
        (8, 8, None, 8, []),
        (8, 2, None, 2, ["this process may use 2 of 8 cores"]),
        (8, 8, 1.5, 2, ["a quota leaves 1.5 of 8 cores"]),
        (8, 8, None, 3, ["NUMBA_NUM_THREADS limits cnncli to 3 of 8 cores"]),
        (2, 2, None, 4, ["NUMBA_NUM_THREADS sets 4 threads for 2 cores"]),
        (
            8,
            4,
            2.0,
            1,
            ["this process may use 4 of 8", "a quota leaves 2 of 4", "NUMBA_NUM_THREADS limits cnncli to 1 of 2"],
        ),
    ],
)
def test_fewer_threads_than_cores_are_amiss_whoever_it_is(cores, allowed, quota, used, told):
    lines = advice(machine_facts.threads(cores, allowed, quota, used))
    assert len(lines) == len(told)
    assert all(line.startswith(begin) and ": " in line for line, begin in zip(lines, told, strict=True))


def test_a_slow_threading_layer_is_amiss():
    assert advice(machine_facts.speed("omp", {1: 1e11, 2: 2e11}, 0.0)) == []
    assert value(machine_facts.speed("omp", {1: 1e11, 2: 2e11}, 0.0), "peak_gflops") == {"1": 100, "2": 200}
    (line,) = advice(machine_facts.speed("workqueue", {1: 1e11}, 0.0))
    assert "install libgomp" in line


def test_of_the_environment_only_what_matters_is_told():
    found = machine_facts.environment(
        {"CNNCLI_OFFLINE": "1", "HOME": "/x", "OMP_NUM_THREADS": "2", "NUMBAX": "", "MKL_X": "y"}
    )
    assert [(fact.name, fact.value) for fact in found] == [
        ("CNNCLI_OFFLINE", "1"),
        ("MKL_X", "y"),
        ("OMP_NUM_THREADS", "2"),
    ]


@pytest.mark.parametrize(
    ("numbers", "shown"), [([0], "0"), ([0, 1], "0-1"), ([0, 2, 3, 4, 9], "0, 2-4, 9"), (range(64), "0-63")]
)
def test_cpus_are_shown_as_ranges(numbers, shown):
    (fact,) = machine_facts.pinning(numbers, 0, 1, 1)
    assert (fact.value, fact.shown) == (list(numbers), shown)


def test_processes_of_a_launcher_are_told_with_their_threads():
    *_, fact = machine_facts.pinning([2, 3], 1, 4, 2)
    assert (fact.value, fact.shown) == (4, "process 1 of 4, which train with 2 threads each")
