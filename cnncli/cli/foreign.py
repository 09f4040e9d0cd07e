"""Options and commands of other training tools (Keras, PyTorch, Ultralytics, …), and their equivalents."""

from collections.abc import Sequence
from shlex import join, quote
from typing import NamedTuple


class Instead(NamedTuple):
    """Equivalent of an option. `{}` is replaced by the given value, or else by `example`.

    `commands`: the commands it applies to; if empty, every command that has the option.
    """

    text: str
    example: str = ""
    commands: tuple[str, ...] = ()


DEVICE = Instead("cnncli computes on the CPU; --threads sets the number of threads")
PRECISION = Instead("cnncli computes in float32 only")
VERBOSE = Instead("progress is shown by default; --quiet shows the closing lines only", "", ("train",))
SPEC = Instead("the spec is an argument: cnncli {command} SPEC", "", ("train", "check", "benchmark", "warmup"))
INPUT = Instead("images are arguments: cnncli predict MODEL {}", "IMAGE", ("predict",))
MODEL = Instead("the model is an argument: cnncli {command} {}", "MODEL", ("predict", "evaluate", "summary"))

OPTIONS: dict[str, Instead] = {
    **dict.fromkeys(("lr", "lr0", "learning-rate"), Instead("--set compile.optimizer.learning_rate={}", "0.01")),
    **dict.fromkeys(("optimizer", "optim", "opt"), Instead("--set compile.optimizer={}", "adam")),
    "loss": Instead("--set compile.loss={}", "categorical_crossentropy"),
    "metrics": Instead("--set compile.metrics=[{}]", "accuracy"),
    "momentum": Instead("--set compile.optimizer.momentum={}", "0.9"),
    **dict.fromkeys(("weight-decay", "wd"), Instead("--set compile.optimizer.weight_decay={}", "0.0005")),
    **dict.fromkeys(("data", "dataset", "data-dir"), Instead("--set data.dataset={}", "photos/")),
    **dict.fromkeys(("validation-split", "val-split"), Instead("--set data.validation_split={}", "0.1")),
    "test-split": Instead("--set data.test_split={}", "0.1"),
    **dict.fromkeys(("image-size", "img-size", "imgsz"), Instead("--set data.image_size=[{0},{0}]", "64")),
    **dict.fromkeys(("name", "run-name", "experiment"), Instead("--set name={}", "mine")),
    "shuffle": Instead("--set fit.shuffle={}", "true"),
    "class-weight": Instead("--set fit.class_weight={}", "balanced"),
    **dict.fromkeys(
        ("patience", "early-stopping"), Instead("--set fit.callbacks=[{{EarlyStopping: {{patience: {}}}}}]", "5")
    ),
    **dict.fromkeys(("batch", "bs", "b"), Instead("--batch-size {}", "32")),
    **dict.fromkeys(("num-epochs", "n-epochs", "max-epochs", "e"), Instead("--epochs {}", "10")),
    **dict.fromkeys(("workers", "num-workers", "num-threads", "n-jobs", "j"), Instead("--threads {}", "2")),
    **dict.fromkeys(("random-seed", "random-state", "manual-seed"), Instead("--seed {}", "1")),
    **dict.fromkeys(("k-fold", "kfold", "n-splits", "cv"), Instead("--folds {}", "5")),
    **dict.fromkeys(("project", "save-dir", "out-dir", "output-dir", "log-dir", "logdir"), Instead("-o {}", "DIR")),
    **dict.fromkeys(("pretrained", "checkpoint", "ckpt", "init-weights"), Instead("--weights {}", "RUN")),
    **dict.fromkeys(("device", "gpu", "gpus", "cuda", "accelerator"), DEVICE),
    **dict.fromkeys(("amp", "fp16", "bf16", "half", "precision", "mixed-precision"), PRECISION),
    **dict.fromkeys(("verbose", "v", "progress"), VERBOSE),
    **dict.fromkeys(("config", "cfg", "spec", "c"), SPEC),
    **dict.fromkeys(("source", "image", "images", "input"), INPUT),
    "model": MODEL,
    **dict.fromkeys(("topk", "top-k"), Instead("--top {}", "5")),
    "debug": Instead("CNNCLI_DEBUG=1 before the command shows the traceback of an error"),
}
"""By name: lower case, without leading dashes, with dashes for underscores."""

COMMANDS: dict[str, str] = {
    "fit": "train SPEC",
    **dict.fromkeys(("test", "eval", "val", "validate", "score"), "evaluate MODEL"),
    **dict.fromkeys(("infer", "inference", "detect", "classify", "run"), "predict MODEL IMAGE"),
    "resume": "train --resume RUN",
    **dict.fromkeys(("new", "create", "generate"), "init NAME"),
    **dict.fromkeys(("lint", "verify"), "check SPEC"),
    **dict.fromkeys(("describe", "show", "info"), "summary SPEC"),
    **dict.fromkeys(("list", "ls", "history"), "runs"),
    "download": "datasets download NAME",
    "preview": "datasets preview SPEC",
    "compile": "warmup SPEC",
    "deploy": "serve MODEL",
    **dict.fromkeys(("convert", "from-keras", "from-onnx"), "import FILE -o DIR"),
    **dict.fromkeys(("bench", "speed"), "benchmark SPEC"),
    "clean": "doctor --clean",
}
"""Equivalent of a command; words in capitals are placeholders for the given arguments."""


def option(word: str, value: str | None, command: str, known: Sequence[str]) -> str:
    """Suggestion for the option `word` (`--lr`) of `command`, whose options are `known`; empty if unknown.

    `value`: the argument after it, if any.
    """
    found = OPTIONS.get(word.lstrip("-").lower().replace("_", "-"))
    if found is None or (found.commands and command not in found.commands):
        return ""
    first, _, argument = found.text.partition(" ")
    text = (argument if first.startswith("-") else found.text).format(value or found.example, command=command)
    if not first.startswith("-"):
        return f"; {text}"
    return f"; write {first} {quote(text)}" if first in known else ""


def command(words: Sequence[str]) -> str:
    """Suggestion for a command line that begins with another tool's command; empty if unknown."""
    name = words[0].lower()
    if name not in COMMANDS:
        return ""
    own = [word for word in COMMANDS[name].split() if not (words[1:] and word.isupper())]
    return f"; write `{join(['cnncli', *own, *words[1:]])}`"
