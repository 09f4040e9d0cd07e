"""`cnncli schema`: the JSON Schema of a spec, for editors."""

import json
from pathlib import Path

import click

from cnncli.cli.options import example, output_option
from cnncli.report.terminal.output import echo
from cnncli.spec.schema import schema
from cnncli.system import atomic


@click.command("schema", epilog=example("cnncli schema -o spec.schema.json"))
@output_option("Write to this file.")
def command(*, output: Path | None) -> None:
    """Print the JSON Schema of a spec: with it, editors complete and check specs as they are written.

    A spec names it in its first line:

    \b
      # yaml-language-server: $schema=spec.schema.json
    """
    text = json.dumps(schema(), indent=1, ensure_ascii=False)
    if output is None:
        echo(text)
        return
    atomic.write(output, f"{text}\n".encode())
    echo(f"schema  {output}")
    echo(f"next    # yaml-language-server: $schema={output}    as the first line of a spec beside it")
