"""`cnncli layers`: explain the names used in specs."""

import sys

import click
from click.shell_completion import CompletionItem

from cnncli.cli.options import example
from cnncli.errors import UsageError
from cnncli.report.terminal.output import echo_json


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from cnncli.layers.declarations.field_docs import first_sentence
    from cnncli.report.tables.vocabulary import words

    return [
        CompletionItem(word.name, help=first_sentence(word.about))
        for word in words()
        if word.name.casefold().startswith(incomplete.casefold())
    ]


@click.command("layers", epilog=example("cnncli layers Conv2D"))
@click.argument("name", required=False, shell_complete=_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str | None, as_json: bool) -> None:
    """Explain NAME: a layer, activation, optimizer, loss, augmentation, … or a section of a spec, like fit.

    Shows its arguments, their values and an entry to copy. Without NAME, lists everything.
    """
    from cnncli.report.tables.vocabulary import find, unknown, words
    from cnncli.report.tables.vocabulary_text import print_list, print_word

    known = words()
    found = known if name is None else find(name, known)
    if name is not None and not found:
        raise UsageError(unknown(name, known))
    if as_json:
        echo_json([word.document() for word in found])
    elif name is None:
        print_list(found, sys.stdout)
    else:
        print_word(found, sys.stdout)
