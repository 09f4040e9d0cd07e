"""`cnncli warmup`: compile kernels ahead of the first training."""

import sys
from typing import TYPE_CHECKING

import click

from cnncli.cli.options import example, set_option
from cnncli.errors import CnncliError
from cnncli.report.terminal.output import echo
from cnncli.spec.spec import Spec, load
from cnncli.training.resources import threads as cpus

if TYPE_CHECKING:
    from cnncli.kernels.jit.compilations import Compilation


@click.command("warmup", epilog=example("cnncli warmup mnist.yaml"))
@click.argument("spec", type=click.Path())
@set_option
def command(*, spec: str, overrides: tuple[str, ...]) -> None:
    """Compile every function that training, evaluation and prediction of SPEC need, and keep them for later runs.

    On a terminal, each function has its line. The functions depend on the kinds of layers, not on their sizes: other
    specs may find all they need.
    """
    loaded = load(spec, overrides, check_data=False)
    cpus.settle(None)
    from cnncli.kernels.jit import cache, compilations

    if not cache.ENABLED:
        raise CnncliError("compiled kernels can't be cached; set CNNCLI_CACHE_DIR to a writable directory")
    show = _show if sys.stdout.isatty() else _ignore
    for compilation in compilations.done:
        show(compilation)
    with compilations.heard_by(show):
        _run(loaded)
    made = [compilation for compilation in compilations.done if not compilation.cached]
    count, seconds = len(compilations.done), sum(compilation.seconds for compilation in made)
    if made:
        functions = f"{len(made)} function{'s' * (len(made) > 1)}"
        rest = f"; {count - len(made)} were already compiled" if count > len(made) else ""
        echo(f"compiled {functions} in {seconds:.1f} s, kept in {cache.folder()}{rest}")
    else:
        echo(f"all {count} functions were already compiled, in {cache.folder()}")


def _show(compilation: "Compilation") -> None:
    words = [f"{compilation.seconds:6.2f} s ", compilation.name, compilation.dtype, "(cached)" * compilation.cached]
    echo(" ".join(filter(None, words)))


def _ignore(compilation: "Compilation") -> None:
    """Without a terminal, only the final line is printed."""


def _run(spec: Spec) -> None:
    """Run training, evaluation and prediction once on one image."""
    from cnncli.graph.network import Network
    from cnncli.training import class_weight
    from cnncli.training.loop.loop import prepare
    from cnncli.training.optimizers.update import Update

    pixels = class_weight.weighs_pixels(spec.fit.class_weight, spec.data.targets)  # arrays may, too: they are not read
    for phase in spec.phases:
        network = Network(
            *(phase.model, spec.compile.loss),
            batch_size=spec.fit.batch_size,
            policy=spec.compile.dtype_policy,
            weigh_positions=pixels,
        )
        network.initialize(spec.seed)
        Update(network, spec.compile.optimizer)
        prepare(network, 1, spec.data.augment)
        network.predict(1)
