"""Process benchmarks: startup time and memory of a training."""

from pathlib import Path
from shlex import join
from statistics import median
from tempfile import TemporaryDirectory

from cnncli.report.benchmarks.figures import Figures, Goal, commands, table, times
from cnncli.report.benchmarks.runs import Usage, usage

START = Goal(0.5, below=True)
MEMORY = Goal(0.45, below=True)
FIRST_STEP = ("-m", "cnncli.report.benchmarks.first_step")
TRAIN = ("-m", "cnncli", "train")
TORCH = Path(__file__).parents[2] / "interop" / "torch" / "digits.py"
EPOCHS = ("--epochs", "2", "--batch-size", "128", "--set", "data.augment=[]", "--set", "expect.test_accuracy=>= 0")
MEGA = 1e6


def measure(rounds: int) -> Figures:
    """Of each round: seconds to the first training step and of importing PyTorch; bytes of training in both.

    The first turn of each, in which kernels are compiled and files come from the disk, does not count.
    """
    seconds: dict[str, list[float]] = {"cnncli": [], "torch": []}
    memory: dict[str, list[int]] = {"cnncli": [], "torch": []}
    for number in range(rounds + 1):
        start = {"cnncli": _train(*FIRST_STEP), "torch": usage("-c", "import torch")}
        whole = {"cnncli": _train(*TRAIN, options=EPOCHS), "torch": usage("-P", str(TORCH))}
        if number:
            for name in ("cnncli", "torch"):
                seconds[name].append(start[name].seconds)
                memory[name].append(whole[name].memory)
    return {"seconds": seconds, "memory": memory}


def render(figures: Figures) -> list[str]:
    """A row for each of the two."""
    seconds = {name: median(turns) for name, turns in figures["seconds"].items()}
    memory = {name: median(turns) for name, turns in figures["memory"].items()}
    sooner, smaller = seconds["cnncli"] / seconds["torch"], memory["cnncli"] / memory["torch"]
    rows = [
        [
            "from the start of the process to the end of the first training step of configs/mnist.yaml, kernels "
            "compiled before; against `import torch` alone",
            *(f"{seconds[name]:.2f} s" for name in ("cnncli", "torch")),
            times(sooner),
            *START.cells(sooner)[:1],
        ],
        [
            "most memory while the network of configs/mnist.yaml trains for 2 epochs of 3,600 digits in batches of 128",
            *(f"{memory[name] / MEGA:.0f} MB" for name in ("cnncli", "torch")),
            times(smaller),
            *MEMORY.cells(smaller)[:1],
        ],
    ]
    note = (
        "The first step is that of `cnncli train` itself, which is ended when it reports the first batch as done: the "
        "spec is checked, the digits are read and the run is begun by then. For the memory PyTorch trains on random "
        "digits; it need not validate, test or save, as `cnncli train` does."
    )
    shown = [
        f"time python {' '.join(FIRST_STEP)} configs/mnist.yaml",
        "time python -c 'import torch'",
        f"/usr/bin/time -v cnncli train configs/mnist.yaml {join(EPOCHS)}",
        "/usr/bin/time -v python cnncli/interop/torch/digits.py",
    ]
    return [*commands(*shown), *table(["", ">cnncli", ">PyTorch", ">ratio", ">goal"], rows), note, ""]


def _train(*program: str, options: tuple[str, ...] = ()) -> Usage:
    """`train` of configs/mnist.yaml into a folder that is removed."""
    with TemporaryDirectory() as folder:
        return usage(*program, "configs/mnist.yaml", "--quiet", "--output", f"{folder}/run", *options)
