"""Pages of made-up runs, and what an HTML parser finds in a page."""

from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np

from cnncli.datasets.dataset import Dataset, Split
from cnncli.report.html import make
from cnncli.report.html.trained import Trained
from cnncli.spec.spec import parse
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.mistakes import find_mistakes
from cnncli.training.metrics.statistics import class_numbers, confusion_matrix

APART = {"dt", "dd", "td", "th", "li", "p", "h2", "h3", "h4"}
VOID = {"meta", "img", "br", "input", "link", "hr"}
SPEC = """\
name: made-up
data: {{dataset: made.npz, validation_split: 0.1}}
model: {{input_shape: [8, 8, 1], layers: [Flatten, Dense: {{units: {classes}, activation: softmax}}]}}
compile: {{optimizer: adam, loss: categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: 3}}
expect: {{test_accuracy: ">= 0.5"}}
"""
HISTORY = [
    {"epoch": 1, "loss": 1.5, "accuracy": 0.3, "val_loss": 1.4, "val_accuracy": 0.4, "seconds": 0.5},
    {"epoch": 2, "loss": 0.7, "accuracy": 0.7, "val_loss": 0.6, "val_accuracy": 0.8, "seconds": 0.25},
    {"epoch": 3, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.9, "val_accuracy": 0.6, "seconds": 0.25},
]
FACTS = {
    "run": "runs/made-up/1",
    "name": "made-up",
    "began": "2026-01-02T03:04:05",
    "state": "finished",
    "reason": None,
    "epochs": 3,
    "planned_epochs": 3,
    "epoch": 2,
    "figures": {"loss": 0.7, "val_loss": 0.6, "val_accuracy": 0.8},
    "test": {"loss": 0.65, "accuracy": 0.75},
    "bytes": 1000,
}


def evaluation(classes, count=60, seed=0, side=8):
    """An evaluation of random scores that lean to the true class, and its dataset."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    scores = random.random((count, len(classes))).astype(np.float32)
    scores[np.arange(count), labels] += 0.7
    scores /= scores.sum(1, keepdims=True)
    x = random.integers(0, 256, (count, side, side, 1)).astype(np.uint8)
    split = Split(x, labels, "made.npz", "x_test")
    matrix = confusion_matrix(labels, class_numbers(scores), len(classes))
    mistakes = find_mistakes(classes, scores, labels, split)
    figures = {"loss": 0.65, "accuracy": 0.75}
    found = Evaluation("test", count, figures, classes, matrix, mistakes, "samples", scores, labels, split)
    return found, Dataset("made.npz", split, split, split, tuple(classes), "sha256:0")


def trained(classes=("a", "b", "c"), *, facts=None, count=60, side=8, **changes):
    """A run of these classes; `changes` of the fields of Trained."""
    found, dataset = evaluation(list(classes), count, side=side)
    text = SPEC.format(classes=len(classes))
    known = {
        "facts": {**FACTS, **(facts or {})},
        "text": text,
        "history": HISTORY,
        "environment": {"cnncli": "0.1.0", "command": "cnncli train made-up.yaml", "data_digest": "sha256:0"},
        "sizes": {"train": 3600, "validation": 400, "test": 1000},
        "spec": parse(text, str(Path("made-up.yaml").resolve()), check_data=False),
        "digest": "sha256:1234",
        "missing": [],
        "unjudged": "",
        "dataset": dataset,
        "evaluation": found,
    }
    return Trained(**{**known, **changes})


def html(*runs):
    """The page of these runs."""
    return make.html(runs, "Made by a test")


class Parsed(HTMLParser):
    """What is in a page. `links`: all href and src; `headings`: (level, text); `tables`: captions."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.images, self.links, self.headings, self.tables, self.labels = [], [], [], [], [], []
        self.open, self.texts, self.policy, self.tags = [], [], "", []
        self.feed(text)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.append(tag)
        self.texts += [" "] if tag in APART else []
        assert len(known) == len(attrs), f"an attribute of {tag} is there twice"
        self.ids += [known["id"]] if "id" in known else []
        self.links += [known[name] for name in ("href", "src") if name in known]
        self.labels += [known["aria-labelledby"]] if "aria-labelledby" in known else []
        if tag == "img":
            self.images.append(known)
        elif tag == "table":
            self.tables.append("")
        elif tag == "meta" and known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"]
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside in ("style", "script"):
            return
        self.texts.append(data)
        if inside == "caption":
            self.tables[-1] += data
        if self.headings and inside[:1] == "h" and inside[1:].isdigit():
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def checked(text):
    """The parsed page, which must be sound: one file, unique ids, alternatives for images, captions, no requests."""
    found = Parsed(text)
    assert len(text.encode()) <= 2_000_000
    assert len(set(found.ids)) == len(found.ids)
    assert all(link.startswith(("#", "data:image/")) for link in found.links)
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))
    assert set(found.labels) <= set(found.ids)
    assert all(image.get("alt") and image["src"].startswith("data:image/") for image in found.images)
    assert all(found.tables), "every table has a caption"
    assert [level for level, _ in found.headings].count(1) == 1
    levels = [level for level, _ in found.headings]
    assert all(after <= before + 1 for before, after in pairwise(levels)), "no level is left out"
    assert "default-src 'none'" in found.policy
    assert {"header", "nav", "main", "footer"} <= set(found.tags)
    return found
