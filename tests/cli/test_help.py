"""Help: whole at 80 columns, with an example that is a valid command line."""

import re
import shlex

import click
import pytest

from cnncli.cli import main
from tests.cli.test_commands import cnncli


def everything(group, context, path=()):
    """Every command below a group, with its words."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from everything(command, context, (*path, name))


ALL = dict(everything(main, click.Context(main)))


def shown(words):
    """The help of a command as an 80 columns wide terminal shows it."""
    context = click.Context(main, info_name="cnncli", terminal_width=80)
    command = main
    for word in words:
        command = command.get_command(context, word)
        context = click.Context(command, parent=context, info_name=word)
    return command.get_help(context)


@pytest.mark.parametrize("words", [(), *ALL], ids=" ".join)
def test_help_fits_80_columns_with_nothing_cut_off_and_no_command_broken(words):
    text = shown(words)
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"(?<![A-Z\]])(\.\.\.|…$)", text, re.MULTILINE)
    assert "INTEGER" not in text
    for line in text.splitlines():
        assert line.count("`") % 2 == 0, line
        assert not line.endswith((" cnncli", "--set"))


@pytest.mark.parametrize(("words", "command"), ALL.items(), ids=map(" ".join, ALL))
def test_every_command_has_an_example_that_its_parser_takes(words, command):
    example = re.search(r"Example:\n +cnncli (.*)\n", shown(words))[1]
    arguments = shlex.split(example)
    if isinstance(command, click.Group):
        words = tuple(arguments[: len(words) + 1])
        command = ALL[words]
    assert tuple(arguments[: len(words)]) == words
    command.make_context(" ".join(words), arguments[len(words) :])


@pytest.mark.parametrize(("words", "command"), ALL.items(), ids=map(" ".join, ALL))
def test_o_means_output_wherever_there_is_one(words, command):
    for option in command.params:
        assert ("--output" in option.opts) == ("-o" in option.opts)


def test_without_arguments_and_with_help_it_shows_help():
    bare = cnncli()
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == cnncli("--help").stdout == cnncli("help").stdout
    assert cnncli("help", "train").stdout == cnncli("train", "--help").stdout
    assert cnncli("datasets").stdout == cnncli("help", "datasets").stdout
    assert cnncli("datasets").returncode == 0
    assert cnncli("help", "datasets", "list").stdout == cnncli("datasets", "help", "list").stdout
    assert cnncli("version").stdout == cnncli("--version").stdout
    wrong = cnncli("help", "trian")
    assert (wrong.returncode, wrong.stderr) == (2, "error: there is no command 'trian'; did you mean 'train'?\n")
