"""Arguments that are not a spec: what they are, and the command that was probably meant."""

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from shlex import quote

from cnncli import hints
from cnncli.datasets.describe import EMBEDDED
from cnncli.datasets.files import shipped
from cnncli.datasets.layouts.recognize import located
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.datasets.sources.image_names import ENDINGS
from cnncli.errors import CnncliError

NOT_SPECS = {
    ".safetensors": "a model file: use `cnncli summary` or `cnncli evaluate`",
    **dict.fromkeys((".npz", ".h5", ".hdf5"), "a data file: `cnncli init --data {}` creates a spec for it"),
}
"""Files by extension that are passed instead of a spec."""
MOST_LOOKED_AT = 1000
"""Maximum number of files in a folder to search for an image."""


def missing(path: Path) -> str:
    """The error for a missing file, with the bundled spec, dataset or file that was probably meant."""
    found = list(hints.specs(path.parent))
    name = path.stem if path.suffix in hints.SPEC_ENDINGS else str(path)
    if not any(spec.stem == name for spec in found):
        if (shipped("configs") / f"{name}.yaml").is_file():
            return f"there is no file '{path}'; `cnncli init {name}` creates it from the bundled spec"
        if name in (*EMBEDDED, *KNOWN):
            return f"there is no file '{path}'; `cnncli init --data {name}` creates a spec for this dataset"
    said = hints.missing(path, "file", found)
    return said if "; " in said or path.is_symlink() else said + _listed(found)


def folder(path: Path) -> str:
    """The error for a folder passed as a spec: a run, specs, data or something else, with the command for it."""
    if hints.is_run(path):
        return f"'{path}' is a run: its spec is '{path / 'spec.yaml'}'; `cnncli train --resume {path}` resumes it"
    specs = sorted(file for file in path.glob("*.y*ml") if file.suffix in hints.SPEC_ENDINGS)
    if specs:
        return f"'{path}' is a folder{_listed(specs)}"
    if _holds_data(path):
        return f"'{path}' is a data folder: `cnncli init --data {quote(str(path))}` creates a spec for it"
    beside = path.with_name(f"{path.name}.yaml")
    near = f"; did you mean '{beside}'?" if beside.is_file() else ""
    return f"'{path}' is a folder{near}"


def _holds_data(path: Path) -> bool:
    try:
        found = located(DataSection(dataset=str(path)), Path())
    except CnncliError:
        return False
    if found is None or found.kind != "folder":
        return found is not None
    files = chain.from_iterable(path.glob(depth) for depth in ("*", "*/*", "*/*/*"))
    return any(file.suffix.lower() in ENDINGS for file in islice(files, MOST_LOOKED_AT))


def _listed(found: Sequence[Path]) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"; specs there: {', '.join(map(str, found[:5]))}{more}" if found else ""
