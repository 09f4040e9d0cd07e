"""Datasets: a table of all, a page about one."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from cnncli.report.terminal.console import console_on
from cnncli.report.terminal.output import echo


def print_datasets(rows: Sequence[Mapping[str, Any]]) -> None:
    """One row per dataset, on standard output."""
    table = Table(box=box.SIMPLE)
    table.add_column("name")
    for name in ("images", "shape", "classes", "size"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for row in rows:
        size = megabytes(row["bytes"]) if row["bytes"] else ""
        images = f"{sum(row['images'].values()):,}"
        state = "bundled" if not row["bytes"] else "downloaded" if row["here"] else "not downloaded"
        table.add_row(row["name"], images, _shape(row["shape"]), str(row["classes"]), size, state)
    console_on(sys.stdout).print(table)
    echo("cnncli datasets info NAME shows where a dataset is, or will be")


def print_dataset(facts: Mapping[str, Any]) -> None:
    """Details of one dataset, one line each."""
    images = ", ".join(f"{count:,} {split}" for split, count in facts["images"].items())
    lines = {
        "images": f"{images}, each {_shape(facts['shape'])}",
        "classes": str(facts["classes"]),
        "here": facts["place"] if facts["here"] else f"no; would be in {facts['place']}",
    }
    if "files" in facts:
        lines["classes"] += f": {', '.join(facts['class_names'])}"
        lines["home"] = facts["home"]
    echo(f"{facts['name']}{': ' + facts['about'] if 'about' in facts else ''}")
    for name, text in lines.items():
        echo(f"  {name:8} {text}")
    for file in facts.get("files", []):
        echo(f"  {file['name']}  {file['bytes']:,} bytes  {file['checksum']}")
        for url in file["from"]:
            echo(f"    {url}")


def megabytes(count: int) -> str:
    """`11.6 MB`."""
    return f"{count / 1e6:,.1f} MB"


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
