"""The page and its sections, each with functions to measure and show it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnncli.report.benchmarks import breakdown, data, growth, machine, narrow, processes, rates
from cnncli.report.benchmarks.figures import Figures

COMMAND = "python -m cnncli.report.benchmarks docs"


class Section(NamedTuple):
    """A chapter of the page: its title, what it says first, what measures it in rounds, what shows its figures."""

    title: str
    about: str
    measure: Callable[[int], Figures]
    render: Callable[[Figures], list[str]]


SECTIONS = {
    "machine": Section("The machine", "", machine.measure, machine.render),
    "training": Section(
        "Training",
        "Whole training steps (forward, backward, update) on all cores, on a batch of random images that is ready in "
        "memory. The fastest way of each counts: of PyTorch's two memory formats, each also with torch.compile where "
        "there is a C++ compiler, and of Keras' steps as a graph or compiled by XLA.",
        rates.measure_training,
        rates.render_training,
    ),
    "networks": Section(
        "Networks",
        "Training steps of the networks of `cnncli init --models` as they are in configs/: on images of 224 × 224 "
        "(Xception: 299 × 299) with 1,000 classes, and of 32 × 32 with 10.",
        rates.measure_networks,
        rates.render_networks,
    ),
    "inference": Section(
        "Inference",
        "The model's outputs for a batch of random images, and for one image. What depends on weights alone is "
        "computed before, as others do when they load a model.",
        rates.measure_inference,
        rates.render_inference,
    ),
    "bf16": Section(
        "Training in bfloat16",
        "Training steps with `--dtype bf16`: against our own float32, as the gain, and against the fastest of "
        "PyTorch's ways in float32 and in bf16 autocast.",
        narrow.measure_training,
        narrow.render_training,
    ),
    "bf16_inference": Section(
        "Inference in bfloat16",
        "The same of inference, against OpenVINO in float32 and in bfloat16.",
        narrow.measure_inference,
        narrow.render_inference,
    ),
    "share": Section(
        "Share of the peak",
        "FLOPs of a whole training step, counted as if nothing were skipped, held against the most multiply-adds that "
        "all cores reach with nothing else to do. Winograd's way of convolving does with fewer than are counted.",
        rates.measure_share,
        rates.render_share,
    ),
    "threads": Section(
        "One thread and two",
        "How many times the images a second of one thread two threads reach, and beside it the same of bare "
        "multiply-adds: as much as the machine itself has to give.",
        rates.measure_threads,
        rates.render_threads,
    ),
    "data": Section(
        "Data",
        "Images on their way into training: what is done to them at random, and how they come from a disk.",
        data.measure,
        data.render,
    ),
    "processes": Section("Start and memory", "Of whole processes, in turns.", processes.measure, processes.render),
    "breakdown": Section(
        "Where the time goes",
        "A training step of 128 images (of 224 × 224 and 160 × 160 pixels: 16) by kind of operation, added over the "
        "layers. Each operation is timed alone, on the whole batch; a real step takes portions of the batch through "
        "several of them and is shorter than their sum.",
        breakdown.measure,
        breakdown.render,
    ),
    "growth": Section(
        "Growth",
        "The time of a training step divided by its images. The ratio is PyTorch's time over cnncli's.",
        growth.measure,
        growth.render,
    ),
}


def page(measured: Mapping[str, Mapping[str, Any]], notes: str) -> str:
    """The whole page in Markdown; `measured`: for each section its "date", "rounds" and "figures", as far as there are.

    `notes`: what is kept by hand and stands at the end.
    """
    lines = [
        "# Benchmarks",
        "",
        "How fast cnncli is, and what it needs, beside others on the same machine. In a checkout this makes it anew:",
        "",
        "```sh",
        "pip install '.[bench]'",
        COMMAND,
        "```",
        "",
        "`--only training,growth` measures just these sections, `--rounds 3` makes short work of it; the measurements "
        "themselves are in benchmarks.json. Do not edit: what is said by hand is in benchmarks_notes.md.",
        "",
        "Everyone works in a process of its own, and while one does the others wait: cnncli, then the other, and so "
        "on, 0.2 to 0.4 seconds each in a round. Figures are medians of the rounds, and a ratio is the median of the "
        "ratios within each. ✓ says that a goal is met, ✗ that it is missed.",
        "",
    ]
    for name, section in SECTIONS.items():
        lines += [f"## {section.title}", "", *([section.about, ""] if section.about else [])]
        if found := measured.get(name):
            lines += section.render(found["figures"])
            rounds = found["rounds"]
            lines += [f"Measured on {found['date']}, {rounds} round{'s' * (rounds != 1)}.", ""]
        else:
            lines += [f"Not measured yet: `{COMMAND} --only {name}`.", ""]
    return "\n".join(lines) + "\n" + notes.strip() + "\n"
