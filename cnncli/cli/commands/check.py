"""`cnncli check`: validate specs."""

from typing import Any

import click

from cnncli.cli import tell, tell_warnings
from cnncli.cli.options import example, set_option
from cnncli.errors import CnncliError, SpecError
from cnncli.escaping import one_line
from cnncli.graph.model import lower
from cnncli.report.terminal.output import echo_json, echo_lines
from cnncli.spec.spec import Spec, load


@click.command("check", epilog=example("cnncli check mnist.yaml --set fit.epochs=3"))
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path())
@set_option
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object per spec.")
def command(specs: tuple[str, ...], overrides: tuple[str, ...], as_json: bool) -> int:
    """Check specs and report every problem with file:line:column, and what was understood of the data's layout."""
    worst = 0
    for path in specs:
        try:
            spec = load(path, overrides)
            facts, error = _facts(path, spec), None
        except CnncliError as found:
            error, facts = found, _failure(path, found)
            worst = max(worst, found.exit_code)
        if as_json:
            echo_json(facts)
        elif error is not None:
            tell(error)
        else:
            tell_warnings(spec.warnings)
            size = f"{facts['parameters']:,} parameters · {facts['layers']} layer{'s' * (facts['layers'] != 1)}"
            notes = [f"  {one_line(note)}" for note in spec.notes]
            echo_lines([f"{path}: ok · {size} · {facts['dataset']}", *notes])
    return worst


def _facts(path: str, spec: Spec) -> dict[str, Any]:
    parameters = sum(parameter.size for parameter in lower(spec.model).parameters)
    return {
        "spec": path,
        "ok": True,
        "parameters": parameters,
        "layers": len(spec.model.nodes),
        "dataset": spec.data.name,
        "notes": list(spec.notes),
        "problems": [],
        "warnings": [str(warning) for warning in spec.warnings],
    }


def _failure(path: str, error: CnncliError) -> dict[str, Any]:
    problems = (
        [found for found in error.diagnostics if found.level == "error"] if isinstance(error, SpecError) else [error]
    )
    return {"spec": path, "ok": False, "problems": list(map(str, problems))}
