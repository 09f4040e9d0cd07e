"""`python -m cnncli.report.benchmarks FOLDER`: measure, and write benchmarks.md with its pictures into the folder."""

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from cnncli.errors import CnncliError
from cnncli.report.benchmarks.page import SECTIONS, page
from cnncli.report.benchmarks.rates import keep_rates
from cnncli.report.terminal.output import echo


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--only", metavar="SECTION[,SECTION]", help=f"Measure just these of: {', '.join(SECTIONS)}; '' for none.")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="What figures are the median of.")
def main(folder: Path, only: str | None, rounds: int) -> None:
    """Measure cnncli and its peers, one at a time, and write FOLDER/benchmarks.md.

    Run it in a checkout, with the extra `bench` installed, on a machine with nothing else to do. A section that is not
    measured anew, or that failed, keeps the figures that FOLDER/benchmarks.json has of it.
    """
    names = list(SECTIONS) if only is None else [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in SECTIONS:
            raise click.BadParameter(f"must be of {', '.join(SECTIONS)}; received '{name}'", param_hint="--only")
    raw = folder / "benchmarks.json"
    measured: dict[str, Any] = json.loads(raw.read_text(encoding="utf-8")) if raw.exists() else {}
    failed = False
    for name in names:
        echo(f"measuring {name} …", err=True)
        try:
            figures = SECTIONS[name].measure(rounds)
        except CnncliError as error:
            echo(f"error: {name} keeps the figures it had: {error}", err=True)
            failed = True
            continue
        kept = measured.get(name, {}).get("figures", {})
        measured[name] = {"date": date.today().isoformat(), "rounds": rounds, "figures": {**kept, **figures}}
        raw.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write(folder, measured)
    sys.exit(1 if failed else 0)


def write(folder: Path, measured: dict[str, Any]) -> None:
    """The page, its pictures, and the rates that `cnncli init --models` shows."""
    notes = folder / "benchmarks_notes.md"
    text = page(measured, notes.read_text(encoding="utf-8") if notes.exists() else "")
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    if "networks" in measured and "machine" in measured:
        machine = measured["machine"]["figures"]
        keep_rates(measured["networks"]["figures"], f"{machine['cores']} cores, {machine['cpu']}")
    if "growth" in measured:
        # Only here: Pillow would make this process a larger one, which counts as part of those that it starts.
        from cnncli.report.benchmarks.plots import draw_growth

        for name, documents in measured["growth"]["figures"].items():
            draw_growth(name, documents, folder / f"benchmarks_{name}.svg")


if __name__ == "__main__":
    main()
