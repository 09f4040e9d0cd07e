"""The command line: imports a command only to run it, and maps errors to exit codes.

Results go to standard output, errors and notices to standard error. Exit codes: 0 success, 1 runtime error, 2 invalid
usage or spec, 3 diverged, 4 `expect` not met, 128 + its number after a signal.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import click

from cnncli import notices
from cnncli.cli.annotations import annotate, annotate_all
from cnncli.cli.options import ARGUMENTS, DOCS, Group
from cnncli.cli.unread import unbroken
from cnncli.errors import CnncliError, Diagnostic, InterruptedRun, SpecError
from cnncli.report.terminal.output import echo, echo_lines
from cnncli.system import signals, streams
from cnncli.training.distributed.launch import works_alone
from cnncli.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": ("cnncli.cli.commands.init", "Create a starter spec, from a template or from your images."),
    "import": ("cnncli.cli.commands.import_model", "Import a network of Keras, ONNX or PyTorch with its weights."),
    "train": ("cnncli.cli.commands.train", "Train the model of a spec."),
    "tune": ("cnncli.cli.commands.tune", "Search for good values of a spec's keys."),
    "lr-find": ("cnncli.cli.commands.lr_find", "Find a learning rate."),
    "evaluate": ("cnncli.cli.commands.evaluate", "Evaluate a trained model on test data."),
    "calibrate": ("cnncli.cli.commands.calibrate", "Make probabilities honest, and choose decision thresholds."),
    "predict": ("cnncli.cli.commands.predict", "Predict the classes of images."),
    "serve": ("cnncli.cli.commands.serve", "Answer requests with a trained model, over HTTP."),
    "explain": ("cnncli.cli.commands.explain", "Draw what a prediction depends on."),
    "export": ("cnncli.cli.commands.export", "Write a trained model for another program."),
    "summary": ("cnncli.cli.commands.summary", "Show a model layer by layer: shapes, parameters, FLOPs."),
    "plot": ("cnncli.cli.commands.plot", "Draw layers, curves, confusion matrix and more."),
    "check": ("cnncli.cli.commands.check", "Check a spec and report every problem."),
    "verify-resume": (
        "cnncli.cli.commands.verify_resume",
        "Prove that an interrupted training resumes to the same bits.",
    ),
    "runs": ("cnncli.cli.commands.runs", "List, show, annotate and remove past runs."),
    "compare": ("cnncli.cli.commands.compare", "Compare runs: specs, curves and figures."),
    "report": ("cnncli.cli.commands.report", "Write a report of runs, as one HTML page."),
    "layers": ("cnncli.cli.commands.layers", "Explain a layer, loss or optimizer, or list all."),
    "schema": ("cnncli.cli.commands.schema", "Print the JSON Schema of specs, for editors."),
    "datasets": ("cnncli.cli.commands.datasets", "List and download datasets; check and preview data."),
    "benchmark": ("cnncli.cli.commands.benchmark", "Benchmark a model, operation by operation."),
    "profile": ("cnncli.cli.commands.profile", "Show where the time of an epoch goes."),
    "warmup": ("cnncli.cli.commands.warmup", "Compile the kernels of a spec before its first run."),
    "doctor": ("cnncli.cli.commands.doctor", "Show hardware, settings and caches, and report problems."),
}
"""Command name → module with its `command`, and its one-line summary."""
TOGETHER = (["train"], ["doctor"])
"""Commands that all processes of a launcher run; others are run by the first one."""
GROUPS = {
    "Train": ("init", "import", "lr-find", "tune", "train", "evaluate", "calibrate", "predict", "export", "serve"),
    "Look": ("check", "summary", "plot", "explain", "runs", "compare", "report"),
    "Data": ("datasets",),
    "Learn": ("layers", "schema"),
    "Machine": ("benchmark", "profile", "warmup", "verify-resume", "doctor"),
}
"""Sections of `--help`, in order."""


class Commands(Group):
    """A command group that imports its commands lazily."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Treat `version` as the option, and store the arguments."""
        ctx.meta[ARGUMENTS] = list(args)
        if not ctx.resilient_parsing and args[:1] not in TOGETHER and not works_alone():
            ctx.exit()
        return super().parse_args(ctx, ["--version"] if args == ["version"] else args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Command names, in the order of `--help`."""
        return [name for names in GROUPS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries, without importing them."""
        longest = max(map(len, COMMANDS))
        for group, names in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(longest), COMMANDS[name][1]) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete command names without importing them, so that the Tab key responds quickly."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name][1]) for name in names), *options]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the command; for an unknown name, suggest the nearest."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from cnncli.cli.usage import no_command

            ctx.fail(no_command(args, ctx))
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run the command line; print errors on standard error and exit with their exit code."""
        kwargs["standalone_mode"] = False
        if not standalone_mode:
            return super().main(*args, **kwargs)
        notices.show = lambda text: echo(f"warning: {text}", err=True)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # replace characters that the encoding lacks
        with unbroken():
            code = exit_code_of(lambda: super(Commands, self).main(*args, **kwargs))
        signals.ignore()
        streams.drop_unwritten()
        sys.exit(code)


def exit_code_of(run: Callable[[], Any]) -> int:
    """Run it, print the error (if any) on standard error and return the exit code."""
    try:
        done = run()
        sys.stdout.flush()
        code = done if isinstance(done, int) else 0
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except click.ClickException as error:
        _tell_usage(error)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        echo("error: interrupted", err=True)
        code = 130
    except CnncliError as error:
        if isinstance(error, InterruptedRun):
            signals.ignore()  # everything is saved: ignore further Ctrl-C
        tell(error)
        code = error.exit_code
    except Exception as error:
        try:
            code = _tell_foreign(error)
        except MemoryError:  # not even for this
            signals.write("error: there is not enough memory\n")
            code = 1
    return code


def tell(error: CnncliError) -> None:
    """Print the error on standard error: the problems of a spec and their number, or one line."""
    if isinstance(error, SpecError):
        count = len(error.problems)
        echo("\n".join(error.problems), err=True)
        echo(f"error: {count} problem{'s' * (count > 1)} in the spec; nothing was done", err=True)
    else:
        echo(f"error: {error}", err=True)
    annotate(error)


def tell_warnings(warnings: Sequence[Diagnostic]) -> None:
    """Print the warnings of a spec on standard error."""
    for warning in warnings:
        echo(warning.text, err=True)
    annotate_all(warnings)


def _tell_usage(error: click.ClickException) -> None:
    """Print a usage error."""
    from cnncli.cli import usage

    echo_lines([f"error: {usage.usage_message(error)}"], err=True)


def _tell_foreign(error: Exception) -> int:
    """Print an error of the system or another package; anything else is reported as a bug. Returns the exit code."""
    from cnncli.cli import failures

    known = failures.as_cnncli_error(error)
    if known is None or os.environ.get("CNNCLI_DEBUG") == "1":
        _report_bug(error)
        return 1
    echo(f"error: {known}", err=True)
    return known.exit_code


def _report_bug(error: Exception) -> None:
    if os.environ.get("CNNCLI_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    message = " ".join(str(error).split())
    echo(
        f"error: a bug in cnncli: {type(error).__name__}: {message}; please report it with the traceback that "
        "CNNCLI_DEBUG=1 shows",
        err=True,
    )


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nHelp for a command:\n  cnncli help train\n\n\b\nDocumentation:\n  {DOCS}",
)
@click.version_option(__version__, message="cnncli %(version)s")
def main() -> None:
    """Train convolutional networks from one YAML file, on the CPU you already have."""
