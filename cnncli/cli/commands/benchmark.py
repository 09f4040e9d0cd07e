"""`cnncli benchmark`: time training or inference, in total and per operation."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cnncli.cli.options import DtypeChoice, Integer, batch_size_option, example, json_option, set_option, threads_option
from cnncli.errors import UsageError
from cnncli.hints import suggestion as near
from cnncli.report.terminal.output import echo, emit
from cnncli.report.terminal.progress import Status
from cnncli.spec.spec import Spec, load
from cnncli.training.optimizers.schedules import Schedule
from cnncli.training.policy import DTYPES, POLICIES
from cnncli.training.resources import threads as cpus

if TYPE_CHECKING:
    from cnncli.interop.peers.peer import Peer
    from cnncli.report.tables.benchmark import Benchmark
    from cnncli.training.resources.benchmark import Mode


@click.command("benchmark", epilog=example("cnncli benchmark mnist.yaml --inference --batch-size 1"))
@click.argument("spec", type=click.Path())
@set_option
@click.option("--inference", is_flag=True, help="Time predictions instead of training steps.")
@batch_size_option
@click.option(
    "--dtype",
    type=DtypeChoice(),
    help="How activations are stored; with bf16, --against also times others in it. Default: the spec's.",
)
@threads_option
@click.option(
    "--rounds", type=Integer(1), default=7, show_default=True, help="Number of rounds; each figure is their median."
)
@click.option(
    "--against",
    metavar="NAME[,NAME]",
    callback=lambda _, __, names: [part.strip() for name in names for part in name.split(",")],
    multiple=True,
    help="Also time torch, tensorflow, or (with --inference) onnxruntime, openvino. The fastest way of each counts.",
)
@click.option("--compile", "compiles", is_flag=True, help="Also time torch with torch.compile, which takes minutes.")
@json_option
def command(
    *,
    spec: str,
    overrides: tuple[str, ...],
    inference: bool,
    batch_size: int | None,
    dtype: str | None,
    threads: int | None,
    rounds: int,
    against: list[str],
    compiles: bool,
    as_json: bool,
) -> None:
    """Time training steps of SPEC, or predictions, on random images: whole ones, and each operation of them.

    GFLOP/s are held against the peak of multiply-adds that this machine reaches on as many threads, measured now. An
    operation that is bound by memory also shows how much of it is read and written. A learning-rate schedule stays at
    its first rate.
    """
    environment = dict(os.environ)
    changes = [*overrides, *([f"fit.batch_size={batch_size}"] if batch_size is not None else [])]
    changes += [] if dtype is None else [f"compile.dtype_policy={POLICIES[dtype]}"]
    loaded = _at_first_rate(load(spec, changes, check_data=False))
    mode: Mode = "inference" if inference else "training"
    if compiles and "torch" not in against:
        raise UsageError("--compile needs --against torch")
    starts = {name: _starter(name, loaded, mode, compiles=compiles) for name in dict.fromkeys(against)}
    count = cpus.settle(threads)
    with Status() as notice, ExitStack() as stack:
        peers = {}
        for name, start in starts.items():
            notice.say(f"starting {name} …")
            peers[name] = stack.enter_context(start(count, environment))
        benchmark = _measure(loaded, mode, count, rounds, peers=peers, notice=notice)
    if as_json:
        emit(benchmark.document())
    else:
        benchmark.print(sys.stdout)
    if benchmark.disturbed:
        echo(
            f"notice: other processes kept {benchmark.others:.1f} CPUs busy meanwhile. That slows everyone down, and "
            "most of all threads that spin while they wait, as PyTorch's do: measure again on a quiet machine",
            err=True,
        )


def _at_first_rate(spec: Spec) -> Spec:
    """The spec with a schedule's first learning rate: random images have no epochs, and peers are given a number."""
    rate = spec.compile.optimizer.learning_rate
    if not isinstance(rate, Schedule):
        return spec
    optimizer = spec.compile.optimizer.replace(learning_rate=rate.rate(0, 1))
    return replace(spec, compile=spec.compile.replace(optimizer=optimizer))


def _measure(
    spec: Spec, mode: "Mode", threads: int, rounds: int, *, peers: "Mapping[str, Peer]", notice: Status
) -> "Benchmark":
    from statistics import median

    from cnncli.kernels.jit.peak import peak
    from cnncli.report.tables.benchmark import STEP, Benchmark
    from cnncli.training.resources.benchmark import Bench, duel

    notice.say("compiling kernels …")
    bench = Bench(spec.model, spec.compile, spec.fit.batch_size, threads, mode)
    best = peak(threads)
    timed = bench.time_parts(rounds, progress=_teller(notice, "operations", rounds))
    ours, duels = [], {}
    for name, peer in peers.items():
        images_per_second, duels[name] = duel(bench, peer, rounds, progress=_teller(notice, name, rounds))
        ours.append(images_per_second)
    if not peers:
        notice.say(f"whole {STEP[mode]}s …")
        ours = [bench.round() for _ in range(rounds)]
    best = max(best, peak(threads))
    return Benchmark(
        spec.name,
        mode,
        spec.fit.batch_size,
        DTYPES[spec.compile.dtype_policy],
        threads,
        best,
        timed,
        median(ours),
        duels,
        bench.others,
    )


def _teller(notice: Status, what: str, rounds: int) -> Callable[[int], None]:
    """Callback that shows the current round."""
    return lambda number: notice.say(f"{what}: round {number + 1}/{rounds}")


def _starter(name: str, spec: Spec, mode: "Mode", *, compiles: bool) -> "Callable[[int, Mapping[str, str]], Peer]":
    """Factory that starts the peer with a number of threads. Raises UsageError if missing or unable to run the network.

    The peer gets the user's environment, without cnncli's own thread settings. It may compute in float32, and in the
    spec's dtype.
    """
    from cnncli.interop.peers.peer import FRAMEWORKS, Peer

    if name not in FRAMEWORKS:
        raise UsageError(f"--against must be one of {', '.join(FRAMEWORKS)}; received '{name}'{near(name, FRAMEWORKS)}")
    framework = FRAMEWORKS[name]
    if mode == "training" and not framework.trains:
        raise UsageError(f"--against {name} needs --inference: {framework.title} only infers, it does not train")
    command = framework.command(name)
    network = framework.translate(spec.model, spec.compile if mode == "training" else None)

    def start(threads: int, environment: Mapping[str, str]) -> Peer:
        from cnncli.training.resources.benchmark import ROUND

        about: dict[str, Any] = {
            "mode": mode,
            "batch_size": spec.fit.batch_size,
            "threads": threads,
            "seconds": ROUND,
            "dtypes": list(dict.fromkeys(["float32", DTYPES[spec.compile.dtype_policy]])),
            "compile": compiles,
        }
        return Peer(name, command, {**network, **about}, environment)

    return start
