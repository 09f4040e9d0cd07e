"""Throughput: training and inference compared with peers, share of the peak, one and two threads."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from shlex import join
from statistics import median
from typing import Any, NamedTuple

from cnncli.report.benchmarks.figures import Figures, Goal, commands, rate, share, table, times
from cnncli.report.benchmarks.runs import benchmark, compiling
from cnncli.spec.init.networks import MODELS, RATES

TITLES = {"torch": "PyTorch", "tensorflow": "Keras, TensorFlow", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
SHARE = Goal(65, 80, unit="%")
SCALING = Goal(1.75)
SCALED = ("mnist", "vgg_small", "resnet20", "mobilenet_small")
LARGE = 128
WIDE, SIDE = 16, 160
"""Images in a batch of the networks for 224 × 224 pixels, and the height and width of MobileNetV2's here."""
MICRO = 1e6
DISTURBANCE = 0.2
"""CPUs, kept busy by others, from which on figures are to be doubted: the same of which `cnncli benchmark` warns."""


class Match(NamedTuple):
    """A spec of `configs/` at a batch size, and for each opponent what our images a second are to be of its.

    `side`: the height and width of the images, where they are not the spec's.
    """

    spec: str
    batch_size: int
    goals: Mapping[str, Goal] = {}
    side: int | None = None

    @property
    def arguments(self) -> list[str]:
        """Those of `cnncli benchmark`."""
        changed = ["--set", f"model.input_shape=[{self.side}, {self.side}, 3]"] if self.side else []
        against = ["--against", ",".join(self.goals)] if self.goals else []
        return [f"configs/{self.spec}.yaml", *changed, "--batch-size", str(self.batch_size), *against]

    @property
    def title(self) -> str:
        """What the page calls it."""
        return f"{self.spec}, {self.side} × {self.side}" if self.side else self.spec

    @property
    def key(self) -> str:
        """What it is called in the measurements."""
        return f"{self.spec}{f'@{self.side}' if self.side else ''}-{self.batch_size}"


TRAINING = (
    Match("mnist", LARGE, {"torch": Goal(3.5, 5), "tensorflow": Goal(2.5, 4)}),
    Match("mnist", 32, {"torch": Goal(3, 4), "tensorflow": Goal(3, 4)}),
    Match("vgg_small", LARGE, {"torch": Goal(1.4, 1.8)}),
    Match("vgg_small_bn", LARGE, {"torch": Goal(1.3, 1.8)}),
    Match("resnet20", LARGE, {"torch": Goal(1.4, 1.8)}),
    Match("mobilenet_small", 32, {"torch": Goal(2, 3)}),  # the spec's own
    Match("mobilenet_small", LARGE, {"torch": Goal(2, 3)}),
    Match("networks/resnet18", WIDE, {"torch": Goal(1.8)}),
    Match("networks/mobilenetv2", WIDE, {"torch": Goal(2.5)}, side=SIDE),
)
INFERENCE = tuple(
    Match(spec, size, {"onnxruntime": Goal(1.2, 1.5)}, side)
    for spec, batch, side in (
        ("mnist", 256, None),
        ("resnet20", 256, None),
        ("mobilenet_small", 256, None),
        ("vgg_small", 256, None),
        ("networks/resnet18", WIDE, None),
        ("networks/mobilenetv2", WIDE, SIDE),
    )
    for size in (batch, 1)
)
SMALL_IMAGES, LARGE_IMAGES = 32, 4
"""Images in a batch of the networks that people name, for small images and for those of 224 × 224."""
NETWORKS = tuple(
    Match(choice.file, LARGE_IMAGES if choice.file.startswith("networks/") else SMALL_IMAGES, {"torch": Goal(1, 1.8)})
    for choice in MODELS.values()
    if choice.file
)


def measure_training(rounds: int) -> Figures:
    """For each match what `cnncli benchmark` says, without its operations."""
    return _measure(TRAINING, compiling(), rounds)


def measure_inference(rounds: int) -> Figures:
    """The same of inference."""
    return _measure(INFERENCE, ["--inference"], rounds)


def measure_networks(rounds: int) -> Figures:
    """The same of training the networks of `cnncli init --models`."""
    return _measure(NETWORKS, [], rounds)


def render_training(figures: Figures) -> list[str]:
    """A row for each match and opponent; then how long torch.compile took."""
    return [*_render(TRAINING, [], figures, rate, "images/s"), *compilation(TRAINING, figures)]


def render_inference(figures: Figures) -> list[str]:
    """A row for each match; times, since it is one image that people wait for."""
    return _render(INFERENCE, ["--inference"], figures, lambda done: f"{MICRO / done:.1f}", "µs an image")


def render_networks(figures: Figures) -> list[str]:
    """A row for each network."""
    return _render(NETWORKS, [], figures, lambda done: f"{done:,.1f}", "images/s")


def keep_rates(figures: Figures, machine: str) -> None:
    """Write what `cnncli init --models` shows of the networks."""
    keys = {name: match.key for name, choice in MODELS.items() for match in NETWORKS if match.spec == choice.file}
    found = {name: figures[key]["images_per_second"] for name, key in keys.items() if key in figures}
    text = json.dumps({"machine": machine, "images_per_second": found}, indent=1)
    RATES.write_text(f"{text}\n", encoding="utf-8")


def measure_share(rounds: int) -> Figures:
    """What `cnncli benchmark` says of vgg_small, alone on the machine."""
    return {"vgg_small": without_layers(benchmark("configs/vgg_small.yaml", "--batch-size", str(LARGE), rounds=rounds))}


def render_share(figures: Figures) -> list[str]:
    """One row."""
    (spec, found), *_ = figures.items()
    reached = found["gflops"] / found["peak_gflops"]
    cells = [spec, f"{found['gflops']:.1f}", f"{found['peak_gflops']:.1f}", share(reached), *SHARE.cells(reached * 100)]
    columns = ["network", ">GFLOP/s", ">peak, GFLOP/s", ">share", ">goal", ">stretch"]
    command = f"cnncli benchmark configs/{spec}.yaml --batch-size {found['batch_size']}"
    return [*commands(command), *table(columns, [cells]), *disturbance(figures.values())]


def measure_threads(rounds: int) -> Figures:
    """For each spec what `cnncli benchmark` says with 1 and 2 threads, in turns."""
    found: dict[str, dict[str, list[Any]]] = {}
    for spec in SCALED:
        turns: dict[str, list[Any]] = {"1": [], "2": []}
        for _ in range(rounds):
            for threads, said in turns.items():
                options = ("--batch-size", str(LARGE), "--threads", threads)
                said.append(without_layers(benchmark(f"configs/{spec}.yaml", *options, rounds=1)))
        found[spec] = turns
    return found


def render_threads(figures: Figures) -> list[str]:
    """A row for each spec: how many times as many images a second, and bare multiply-adds, two threads do."""
    rows = []
    for spec, turns in figures.items():
        one, two = turns["1"], turns["2"]
        images, bare = _ratio(one, two, "images_per_second"), _ratio(one, two, "peak_gflops")
        rates = [rate(median(turn["images_per_second"] for turn in said)) for said in (one, two)]
        rows.append([spec, *rates, times(images), times(bare), *SCALING.cells(images)[:1]])
    columns = ["network", ">1 thread, images/s", ">2 threads, images/s", ">ratio", ">ratio of the peaks", ">goal"]
    shown = [f"cnncli benchmark configs/mnist.yaml --batch-size {LARGE} --threads {threads}" for threads in (1, 2)]
    turns = [turn for said in figures.values() for some in said.values() for turn in some]
    return [*commands(*shown), *table(columns, rows), *disturbance(turns)]


def disturbance(documents: Iterable[Figures]) -> list[str]:
    """A line on what else ran meanwhile, where that was enough to slow anybody down."""
    most = max((document.get("others_cpus") or 0.0 for document in documents), default=0.0)
    if most < DISTURBANCE:
        return []
    return [f"Other processes kept up to {most:.1f} CPUs busy meanwhile: these figures are worth little.", ""]


def compiled(found: Figures) -> dict[str, float]:
    """The seconds that each variant of PyTorch through torch.compile took to start; empty without --compile."""
    seconds = found["against"].get("torch", {}).get("seconds_to_start", {})
    return {name: taken for name, taken in seconds.items() if name.endswith(", compiled")}


def compilation(matches: Sequence[Match], figures: Figures) -> list[str]:
    """A line on the seconds until the first steps through torch.compile were done: of the slowest way, by network."""
    told = [
        f"{max(seconds.values()):.0f} s ({match.title}, {match.batch_size})"
        for match in matches
        if match.key in figures and (seconds := compiled(figures[match.key]))
    ]
    return [f"torch.compile took {', '.join(told)} until its first steps were done.", ""] if told else []


def _measure(matches: tuple[Match, ...], options: Sequence[str], rounds: int) -> Figures:
    return {match.key: without_layers(benchmark(*match.arguments, *options, rounds=rounds)) for match in matches}


def _render(
    matches: tuple[Match, ...], options: Sequence[str], figures: Figures, formatted: Callable[[float], str], unit: str
) -> list[str]:
    rows, shown = [], []
    for match in matches:
        if (found := figures.get(match.key)) is None:
            continue
        compiles = ["--compile"] if compiled(found) else []
        shown.append(f"cnncli benchmark {join([*match.arguments, *options, *compiles])}")
        for name, goal in match.goals.items():
            theirs = found["against"][name]
            peer = f"{TITLES[name]} ({theirs['variant'].removeprefix('float32, ')})"
            compared = [formatted(found["images_per_second"]), peer, formatted(theirs["images_per_second"])]
            least, most = theirs["ratio_range"]
            ratio = [times(theirs["ratio"]), f"{least:.2f} – {most:.2f}"]
            rows.append([match.title, str(match.batch_size), *compared, *ratio, *goal.cells(theirs["ratio"])])
    columns = ["network", ">batch", f">cnncli, {unit}", "against", f">{unit}", ">ratio", ">in a round", ">goal"]
    return [*commands(*shown), *table([*columns, ">stretch"], rows), *disturbance(figures.values())]


def _ratio(one: list[Any], two: list[Any], key: str) -> float:
    return float(median(second[key] / first[key] for first, second in zip(one, two, strict=True)))


def without_layers(document: dict[str, Any]) -> dict[str, Any]:
    """What `cnncli benchmark` says, without its operations."""
    return {key: value for key, value in document.items() if key != "layers"}
