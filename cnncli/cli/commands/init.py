"""`cnncli init`: create a starter spec, from a template or for given data."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, NamedTuple

import click

from cnncli.api.data import counting
from cnncli.api.importing import Base, open_base
from cnncli.cli.options import columns_option, data_option, example, label_from_option, layout_option, output_option
from cnncli.datasets.describe import find
from cnncli.datasets.files import shipped
from cnncli.datasets.layouts.recognize import name_within
from cnncli.datasets.problems import listed
from cnncli.datasets.section import DataSection, LayoutName, TableColumns
from cnncli.errors import UsageError
from cnncli.escaping import one_line
from cnncli.graph.model import lower
from cnncli.hints import suggestion
from cnncli.report.terminal.output import echo_lines
from cnncli.report.terminal.progress import Status
from cnncli.spec.init.networks import MODELS, rates
from cnncli.spec.init.template import SCHEMA, SEED, Network, template
from cnncli.spec.schema import schema
from cnncli.spec.spec import Spec, load, parse
from cnncli.spec.yaml.writer import scalar
from cnncli.system import atomic

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspect_source import SourceSummary
    from cnncli.spec.init.proposal import Proposal

MOST_CLASSES, MOST_SIZES = 12, 3
SMALL = next(iter(MODELS))


def _specs() -> dict[str, Path]:
    """The bundled specs, by name."""
    return {file.stem: file for file in sorted(shipped("configs").glob("*.yaml"))}


def _names(ctx: click.Context, param: click.Parameter, typed: str) -> list[str]:
    return [name for name in _specs() if name.startswith(typed)]


@click.command("init", epilog=example("cnncli init --data photos/ --model resnet20"))
@click.argument("name", metavar="[NAME]", required=False, shell_complete=_names)
@data_option("A folder of images, a file of arrays or a built-in dataset.")
@click.option(
    "--model",
    type=click.Choice(list(MODELS)),
    metavar="NAME",
    help="Network for the data (see --models). Default: small.",
)
@click.option("--base", metavar="FILE", help="Begin with an imported or trained network, or a file to import.")
@click.option("--freeze", is_flag=True, help="With --base, train the new last layer alone.")
@click.option("--models", is_flag=True, help="List the networks of --model, with their parameters and speed.")
@output_option("Default: NAME.yaml.")
@layout_option
@columns_option
@label_from_option
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    *,
    name: str | None,
    data: str | None,
    model: str | None,
    base: str | None,
    freeze: bool,
    models: bool,
    output: Path | None,
    layout: LayoutName,
    columns: TableColumns | None,
    label_from: str | None,
    force: bool,
) -> None:
    """Create a starter spec, from a template or from your images.

    NAME is a bundled spec, such as mnist. With --data, a commented spec is written for your data.
    """
    if models:
        echo_lines(_networks())
        return
    if data is not None and name is not None:
        raise UsageError(f"init takes the name of a spec or --data, not both; received '{name}' and --data {data}")
    if data is None and (model or base):
        raise UsageError(f"{'--model' if model else '--base'} needs --data: a bundled spec has its own network")
    if (base and model) or (freeze and not base):
        raise UsageError("--base takes the place of --model, and --freeze needs --base")
    if data is None:
        _copy(name, output, force=force)
    else:
        section = DataSection(dataset=data, layout=layout, columns=columns, label_from=label_from)
        given = None if base is None else _Base(base, freeze)
        _propose(section, model or SMALL, output, force=force, base=given)


def _networks() -> Iterator[str]:
    """A line for each network: its name, its parameters and images/s as it is shipped, and what it is."""
    machine, speeds = rates()
    yield f"{'':<17} {'parameters':>13}  {'images/s':>8}"
    for name, choice in MODELS.items():
        file = shipped("configs") / f"{choice.file}.yaml"
        count = f"{_count(load(file, check_data=False)):,}" if choice.file else "by image size"
        speed = speeds.get(name, 0)
        shown = f"{speed:,.{0 if speed >= 100 else 1}f}" if speed else ""
        yield f"{name:<17} {count:>13}  {shown:>8}  {choice.about}"
    yield f"images/s: training on {machine}, as in docs/benchmarks.md; 224 × 224 pixels, the first ones 32 × 32"


def _copy(name: str | None, output: Path | None, *, force: bool) -> None:
    known = _specs()
    names = ", ".join(known)
    if name is None:
        raise UsageError(f"init needs the name of a spec ({names}), or --data SOURCE to write one for")
    stem = name.removesuffix(".yaml")
    if stem not in known:
        data = f"; to write a spec for data: cnncli init --data {quote(name)}" if Path(name).exists() else ""
        raise UsageError(f"there is no spec '{name}' among {names}{suggestion(stem, known)}{data}")
    output = output or Path(f"{stem}.yaml")
    text = known[stem].read_text(encoding="utf-8")
    if output.stem != stem:
        text = re.sub(r"(?m)^name: .*$", lambda _: f"name: {scalar(_stem(output.name))}", text, count=1)
    _write(output, text, force=force)
    spec = load(output)
    echo_lines([f"{output}: {_parameters(spec)} · {spec.data.name}", *_next(output)])


class _Base(NamedTuple):
    """A network to begin with, and whether its layers are frozen."""

    path: str
    freeze: bool


def _propose(data: DataSection, model: str, output: Path | None, *, force: bool, base: _Base | None) -> None:
    """Inspect the data, choose a spec, validate it and write it."""
    source = data.name
    output = output or Path(f"{_stem(source)}.yaml")
    _check_free(output, force=force)
    from cnncli.datasets.inspect.inspect_source import inspect_source
    from cnncli.spec.init.proposal import propose

    with Status() as status:
        seen = inspect_source(data, counting("looking at images", status))
    if seen.masks is not None and model != SMALL:
        raise UsageError(f"{source}: images with masks need a U-Net, which init writes without --model")
    if base is not None and seen.masks is not None:
        raise UsageError(f"{source}: --base is for classes and numbers; the data have masks")
    chosen = propose(seen, SEED, MODELS[model].least)
    network: str | Network = model
    command = ["cnncli", "init", "--data", source, *(["--model", model] if model != SMALL else [])]
    if base is not None:
        command += ["--base", base.path, *(["--freeze"] if base.freeze else [])]
        opened = open_base(base.path, output.with_name(f"{output.stem}.base"))
        seen, chosen, network = _begun(opened, output, seen, chosen, freeze=base.freeze)
    command += ["--layout", data.layout] if data.layout != "auto" else []
    for key, names in (data.columns or {}).items():
        command += [f"--columns={key}={name}" for name in ([names] if isinstance(names, str) else names)]
    command += ["--label-from", data.label_from] if data.label_from else []
    source = name_within(source, find(data, Path())) if seen.kind == "folder" else source
    dataset = _from(output, source, seen.kind)
    remarks = {"file": one_line(quote(str(output))), "command": one_line(join(command))}
    text = template(seen, chosen, model=network, name=_stem(output.name), source=dataset, **remarks)
    spec = parse(text, str(output))
    _write(output, text, force=force)
    _provide_schema(output.with_name(SCHEMA))
    named = model if base is None else f"{Path(base.path).stem}-based"
    echo_lines([*_found(source, seen), *_decided(output, named, spec, seen, chosen.samples), *_next(output)])


def _begun(
    base: Base, output: Path, seen: "SourceSummary", chosen: "Proposal", *, freeze: bool
) -> "tuple[SourceSummary, Proposal, Network]":
    """What was seen and chosen, as a network to begin with needs it: its image size, channels and scaling; and the
    lines of its layers.
    """
    from cnncli.interop.incoming.body import model_lines
    from cnncli.interop.incoming.text import brief

    model, scaling = base.spec.model, ("rescale", "normalize", "color_mode")
    height, width, channels = model.input_shape
    keys = {key: value for key, value in brief(base.spec.data).items() if key in scaling}
    keys = {"color_mode": "grayscale", **keys} if channels == 1 and seen.kind == "folder" else keys
    weights = os.path.relpath(base.file.resolve(), output.resolve().parent)
    seen = replace(seen, channels=channels, keys={**seen.keys, **keys}, levels=False)
    return (
        seen,
        replace(chosen, size=(height, width)),
        lambda last: model_lines(model, weights=weights, freeze=freeze, output=last),
    )


def _provide_schema(file: Path) -> None:
    """Write the schema named in the spec's first line, unless it exists."""
    if not file.exists():
        _write(file, json.dumps(schema(), ensure_ascii=False) + "\n", force=False)


def _stem(source: str) -> str:
    """The name of a spec for `source`."""
    path = Path(source).resolve() if set(source) <= {".", "/"} else Path(source)
    name = (
        path.stem
        if path.suffix in (".npz", ".npy", ".h5", ".hdf5", ".csv", ".tsv", ".jsonl", ".yaml", ".yml")
        else path.name
    )
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "data"


def _from(output: Path, source: str, kind: str) -> str:
    """The data source for the spec: paths are relative to the spec unless given as absolute."""
    path = Path(source)
    if kind not in ("folder", "arrays", "table"):
        return source
    if not path.is_absolute():
        path = Path(os.path.relpath(path.resolve(), output.resolve().parent))
    return f"{path}/" if Path(source).is_dir() else str(path)


def _check_free(output: Path, *, force: bool) -> None:
    if output.exists() and not force:
        raise UsageError(f"'{output}' exists; overwrite it with --force, or choose another name with -o FILE")


def _write(output: Path, text: str, *, force: bool) -> None:
    _check_free(output, force=force)
    atomic.write(output, text.encode())


def _found(source: str, seen: "SourceSummary") -> Iterator[str]:
    yield from _found_classes(source, seen) if not seen.values else _found_values(source, seen)
    sizes = [f"{height} × {width}" for height, width in seen.sizes]
    rest = f" and {len(sizes) - MOST_SIZES:,} more" if len(sizes) > MOST_SIZES else ""
    colour = {1: "grey", 3: "in colour"}.get(seen.channels, f"{seen.channels} channels")
    yield f"  sizes (height × width): {', '.join(sizes[:MOST_SIZES])}{rest}, {colour}"
    if not seen.whole:
        yield (f"  looked at {seen.looked:,} headers alone; `cnncli datasets check {quote(source)}` reads every file")
    if seen.problems:
        count = len(seen.problems)
        yield f"  {count:,} file{'s' * (count > 1)} that can't be used:"
        yield from (f"  {line}" for line in listed(seen.problems))


def _found_values(source: str, seen: "SourceSummary") -> Iterator[str]:
    count, total = len(seen.values), sum(seen.samples.values())
    names = f": {one_line(', '.join(seen.values))}" if seen.listing is not None else ""
    yield f"{source}: {total:,} images, {count:,} value{'s' * (count > 1)} each{names}"
    yield from (f"  {one_line(note)}" for note in seen.notes)


def _found_classes(source: str, seen: "SourceSummary") -> Iterator[str]:
    total = sum(seen.samples.values())
    counts = seen.counts or dict.fromkeys(seen.classes, 0)
    names = [f"{name} {count:,}" if count else name for name, count in counts.items()]
    more = f" and {len(names) - MOST_CLASSES:,} more" if len(names) > MOST_CLASSES else ""
    several = (", any number of them an image" if len(names) > 1 else ", yes or no") if seen.several else ""
    plural = "es" if len(names) != 1 else ""
    of = "" if seen.masks is None else " of pixels"
    where = " in training" if seen.counts and len(seen.samples) > 1 else ""
    yield f"{source}: {total:,} images{' with masks' * bool(of)}, {len(names):,} class{plural}{of}{several}"
    yield from (f"  {one_line(note)}" for note in seen.notes)
    yield f"  classes{where}: {', '.join(names[:MOST_CLASSES])}{more}"


def _decided(output: Path, model: str, spec: Spec, seen: "SourceSummary", samples: dict[str, int]) -> Iterator[str]:
    words = {"train": "training", "validation": "validation", "test": "test"}
    images = ", ".join(f"{samples[name]:,} {word}" for name, word in words.items() if name in samples)
    size = " × ".join(map(str, spec.model.input_shape))
    if spec.fit.class_weight is not None:
        times = f"{seen.imbalance:.1f} times as many images as the smallest"
        yield f"  the largest class has {times}: classes will be weighted to compensate"
    yield f"{output}: {model if seen.masks is None else 'U-Net'} network for {size}, {_parameters(spec)}"
    yield f"  {images}"
    yield f"{output.with_name(SCHEMA)}: JSON Schema: completion and checks in editors"


def _parameters(spec: Spec) -> str:
    return f"{_count(spec):,} parameters"


def _count(spec: Spec) -> int:
    return sum(parameter.size for parameter in lower(spec.model).parameters)


def _next(output: Path) -> Iterator[str]:
    yield f"next  cnncli train {quote(str(output))}"
    yield "      cnncli evaluate"
