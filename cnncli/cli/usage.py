"""One-line messages for usage errors: the rule, the value received, and a suggestion.

They are built from click's exceptions; only a value rejected by a type is parsed from the message.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from cnncli import hints
from cnncli.cli import foreign
from cnncli.cli.options import ARGUMENTS
from cnncli.hints import suggestion


def usage_message(error: click.ClickException) -> str:
    """The message for an error from click."""
    context: click.Context | None = getattr(error, "ctx", None)
    command = context.command_path if context else "cnncli"
    if isinstance(error, click.NoSuchOption) and context:
        word, value = _as_written(error.option_name, context.find_root().meta.get(ARGUMENTS, []))
        return f"{command} has no option '{word}'{_option(word, value, context)}"
    if isinstance(error, click.MissingParameter):
        return f"{command} needs {_written(error.param)}: see {command} --help"
    if isinstance(error, click.BadOptionUsage):
        wants = "is a switch: it takes no value" if "not take" in error.message else "needs a value after it"
        return f"{error.option_name} {wants}"
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _value(error.param, error)
    return _plain(error, command, context)


def _plain(error: click.ClickException, command: str, context: click.Context | None) -> str:
    """The message for exceptions of which click gives only a text."""
    extra = re.search(r"extra arguments? \((.*)\)", error.message)
    if extra:
        return f"{command} takes no further argument; received '{extra[1]}': see {command} --help"
    wanted = re.search(r"[Nn]o such command '(.*?)'", error.message)
    if wanted and context:
        return f"there is no command '{wanted[1]}' under {command}{_among(wanted[1], context)}"
    return error.format_message()


def no_command(words: Sequence[str], context: click.Context) -> str:
    """Message for an unknown command: a spec or model path, another tool's command, or a typo."""
    word = words[0]
    path = Path(word)
    if path.suffix in hints.SPEC_ENDINGS:
        return f"a command must come before '{word}': `cnncli train {word}` trains it"
    if path.suffix == hints.MODEL_ENDING or hints.is_run(path):
        return f"a command must come before '{word}': `cnncli evaluate {word}` measures it"
    return f"there is no command '{word}'{foreign.command(words) or _among(word, context)}"


def _among(word: str, context: click.Context) -> str:
    names = context.command.list_commands(context) if isinstance(context.command, click.Group) else []
    return suggestion(word, names) or f"; there are {', '.join(names)}"


def _option(name: str, value: str | None, context: click.Context) -> str:
    """Suggestion for an unknown option: an equivalent, the commands that have it, or the nearest option."""
    top = context.find_root()
    assert isinstance(top.command, click.Group)
    instead = foreign.option(name, value, context.info_name or "", list(_options(context.command)))
    if instead:
        return instead
    owners = [command for command, option in _everywhere(top.command, top) if option == name]
    if owners:
        return f"; it belongs to {', '.join(owners)}"
    return suggestion(name, _options(context.command)) or f": see {context.command_path} --help"


def _as_written(name: str, arguments: Sequence[str]) -> tuple[str, str | None]:
    """The option as written in the arguments, and its value: for `-lr 0.01`, click reports only -l."""
    for argument, after in zip(arguments, [*arguments[1:], "-"], strict=True):
        word, equals, value = argument.partition("=")
        if word == name or (not word.startswith("--") and len(name) == 2 and word.startswith(name)):
            return word, value if equals else None if after.startswith("-") else after
    return name, None


def _everywhere(group: click.Group, context: click.Context, before: str = "") -> Iterator[tuple[str, str]]:
    """All commands of a group with their options. Imports all commands, which is slow but only happens on errors."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _everywhere(command, context, f"{before}{name} ")
        elif command is not None:
            yield from ((f"{before}{name}", option) for option in _options(command))


def _options(command: click.Command) -> Iterator[str]:
    for param in command.params:
        if isinstance(param, click.Option):
            yield from (*param.opts, *param.secondary_opts)


def _value(param: click.Parameter, error: click.BadParameter) -> str:
    """Message with the rule of the parameter's type and the rejected value."""
    locked = re.search(r"'(.*)' is not (readable|writable)", error.message)
    if locked:
        can = "read" if locked[2] == "readable" else "written"
        return f"{_written(param)}: '{locked[1]}' can't be {can}: Permission denied"
    received = re.match(r"'?(.*?)'? is not ", error.message)
    rule = _rule(param.type)
    if not rule or not received:
        return f"{_written(param)}: {error.message}"
    near = suggestion(received[1], param.type.choices) if isinstance(param.type, click.Choice) else ""
    return f"{_written(param)} must be {rule}; received '{received[1]}'{near}"


def _rule(kind: "click.ParamType[Any]") -> str:
    """The rule for values of a type; empty if unknown."""
    if isinstance(kind, click.IntRange | click.FloatRange):
        what = "an integer" if isinstance(kind, click.IntRange) else "a number"
        if kind.min is None or kind.max is None:
            return f"{what} ≥ {kind.min}" if kind.min is not None else f"{what} ≤ {kind.max}"
        return f"{what} from {kind.min} to {kind.max}"
    if isinstance(kind, click.Choice):
        return f"one of {', '.join(map(str, kind.choices))}"
    named = {"integer": "an integer", "float": "a number", "boolean": "yes or no, written as 1 or 0"}
    return named.get(kind.name, "")


def _written(param: click.Parameter | None) -> str:
    """The parameter as written on the command line, with its environment variable if it was read from one."""
    if param is None:
        return "an argument"
    if isinstance(param, click.Argument):
        return _metavar(param)
    variable = f" ({param.envvar})" if isinstance(param.envvar, str) else ""
    return f"{max(param.opts, key=len)}{variable}"


def _metavar(param: click.Parameter) -> str:
    return re.sub(r"^\[\w+\] ", "", param.metavar or (param.name or "").upper()).strip("[].")
