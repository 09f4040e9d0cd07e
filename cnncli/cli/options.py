"""Shared parts of commands: help without arguments, integers as `N` in help, and the end of help texts."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from cnncli.datasets.name_pattern import NamePattern
from cnncli.datasets.section import TableColumns
from cnncli.errors import UsageError
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.training.policy import OTHER_NAMES, POLICIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DOCS = "README.md, docs/reference.md, docs/errors.md (in the source)"
ARGUMENTS = "cnncli.arguments"
"""Key in a context's `meta` for the command-line arguments."""


class Integer(click.IntRange):
    """An integer within bounds. Help shows it as `N`; an error states the bounds."""

    name = "n"

    def _describe_range(self) -> str:
        return ""  # otherwise help shows [0<=x<=9223372036854775807]


class Group(click.Group):
    """A group that shows its help without arguments, and a command's help for `help COMMAND`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Treat `help` as the option."""
        if not args or args[0] == "help":
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)


class DefaultGroup(Group):
    """A group of which `default` names the command that its arguments are for if they begin with no other: `runs NAME`
    is `runs list NAME`.
    """

    default = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command first, unless another is named, or the shell completes the first argument."""
        named = bool(args) and args[0] in (*self.commands, "help", *ctx.help_option_names)
        if not named and (args or not ctx.resilient_parsing):
            args = [self.default, *args]
        return super().parse_args(ctx, args) if args else click.Command.parse_args(self, ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Commands, and what the default command can begin with."""
        command = self.commands[self.default]
        inner = command.make_context(self.default, [], parent=ctx, resilient_parsing=True)
        names = {item.value: item for item in super().shell_complete(ctx, incomplete)}
        arguments = [param for param in command.params if isinstance(param, click.Argument)]
        values = [] if incomplete.startswith("-") else arguments[0].shell_complete(inner, incomplete)
        found = [*values, *command.shell_complete(inner, incomplete)]
        return [*names.values(), *(item for item in found if item.value not in names)]


def example(line: str) -> str:
    """The end of a command's help: an example command line and links to the documentation."""
    return f"\b\nExample:\n  {line}\n\n\b\nDocumentation:\n  {DOCS}"


def _pattern(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Validate a regular expression as `label_from` is. Raises UsageError."""
    try:
        return None if value is None else NamePattern().read(value)
    except ValidationError as error:
        raise UsageError(*(f"--label-from {quote(value or '')}: {detail.text}" for detail in error.details)) from None


class DtypeChoice(click.Choice[str]):
    """float32 or bf16; another name of bfloat16 is told the right one."""

    def __init__(self) -> None:
        super().__init__(list(POLICIES))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in OTHER_NAMES:
            raise UsageError(f"--dtype must be one of {', '.join(POLICIES)}; received '{value}'; did you mean 'bf16'?")
        return super().convert(value, param, ctx)


set_option = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a value of the spec. Repeatable."
)
batch_size_option = click.option("--batch-size", type=Integer(1), help="Number of images in a batch.")
threads_option = click.option("--threads", type=Integer(1), help="Number of threads. Default: the available CPUs.")
dtype_option = click.option(
    "--dtype",
    type=DtypeChoice(),
    help="How activations are stored. Default: as in training.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
junit_option = click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")


def data_option(text: str = "Dataset to train on.") -> "Decorator":
    """The option --data with its help."""
    return click.option("--data", metavar="SOURCE", help=text)


def output_option(text: str, *, metavar: str = "FILE", **settings: Any) -> "Decorator":
    """The option -o with its help and other settings of click."""
    kind = settings.pop("type", click.Path(path_type=Path))
    return click.option("-o", "--output", metavar=metavar, type=kind, help=text, **settings)


def _columns(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> TableColumns | None:
    made: dict[str, list[str]] = {}
    for text in given:
        key, _, name = text.partition("=")
        if key not in TableColumns.keys_known or not name or (key in made and key != "label"):
            raise click.BadParameter(
                f"must be KEY=NAME, with a key of {', '.join(TableColumns.keys_known)}, each once "
                f"(label also several times); received {text}"
            )
        made.setdefault(key, []).append(name)
    return TableColumns({key: names if len(names) > 1 else names[0] for key, names in made.items()}) if made else None


columns_option = click.option(
    "--columns",
    multiple=True,
    metavar="KEY=NAME",
    callback=_columns,
    help="Column of a table of images, such as label=breed.",
)
label_from_option = click.option(
    "--label-from",
    metavar="REGEX",
    callback=_pattern,
    help="The group of this regular expression is the class in the names of images.",
)
layout_option = click.option(
    "--layout",
    type=click.Choice(["auto", "class_folders"]),
    default="auto",
    metavar="NAME",
    help="class_folders: folders are classes, whatever their names.",
)
