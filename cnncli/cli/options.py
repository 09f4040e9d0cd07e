"""What commands share: help without arguments, numbers as `N` in help, and the lines that help ends with."""

import click

DOCS = "README.md, docs/reference.md, docs/errors.md (in the source)"
ARGUMENTS = "cnncli.arguments"
"""The key of a context's `meta` under which the command line's arguments are."""


class Integer(click.IntRange):
    """An integer within bounds. Help shows it as `N`; an error states the bounds."""

    name = "n"

    def _describe_range(self) -> str:
        return ""  # else help says [0<=x<=9223372036854775807]


class Group(click.Group):
    """A group that shows its help without arguments, and that of a command for `help COMMAND`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Understand `help` as the option."""
        if not args or args[0] == "help":
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)


def example(line: str) -> str:
    """The end of a command's help: a command line to copy, and where the documentation is."""
    return f"\b\nExample:\n  {line}\n\n\b\nDocumentation:\n  {DOCS}"
