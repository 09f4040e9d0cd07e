"""Layouts: detection sets, the content of whose boxes is classified."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.layouts import shapes
from tests.layouts.layout import Layout, random, save, text
from tests.layouts.shapes import COUNTS, NAMES, SIDE

HEIGHT, WIDTH = SIDE + 8, 2 * SIDE + 16


class Mark(NamedTuple):
    """An object: the number of its class, and its box in pixels."""

    number: int
    left: int
    top: int
    width: int
    height: int


def scenes(folder: Path, split: str) -> Iterator[tuple[str, list[Mark]]]:
    """Write images of two shapes each into a folder; their names without endings, and what is marked in them."""
    generator = random(len(split))
    x, y = shapes.arrays(split)
    for i in range(COUNTS[split] * len(NAMES) // 2):
        canvas = generator.integers(120, 180, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        marks = []
        for place in range(2):
            left, top = place * (SIDE + 8) + int(generator.integers(8)), int(generator.integers(8))
            canvas[top : top + SIDE, left : left + SIDE] = x[2 * i + place]
            marks.append(Mark(int(y[2 * i + place]), left, top, SIDE, SIDE))
        name = f"{split[0]}{i:03}"
        save(folder / f"{name}.jpg", canvas)
        yield name, marks


def coco(root: Path) -> None:
    for split in ("train", "val"):
        images, annotations = [], []
        for number, (name, marks) in enumerate(scenes(root / f"traffic/{split}2017", split)):
            images.append({"id": number, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT})
            annotations += [{"image_id": number, "category_id": own + 1, "bbox": box} for own, *box in marks]
        numbered = [{**annotation, "id": i, "iscrowd": 0} for i, annotation in enumerate(annotations)]
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)]
        told = {"images": images, "annotations": numbered, "categories": categories}
        text(root / f"traffic/annotations/instances_{split}2017.json", json.dumps(told))


def voc_boxes(root: Path) -> None:
    for name, marks in scenes(root / "traffic/JPEGImages", "train"):
        lines = ["<annotation>", f"  <filename>{name}.jpg</filename>"]
        for number, left, top, width, height in marks:
            sides = {"xmin": left + 1, "ymin": top + 1, "xmax": left + width, "ymax": top + height}
            lines += ["  <object>", f"    <name>{NAMES[number]}</name>", "    <bndbox>"]
            lines += [f"      <{side}>{value}</{side}>" for side, value in sides.items()]
            lines += ["    </bndbox>", "  </object>"]
        text(root / f"traffic/Annotations/{name}.xml", *lines, "</annotation>")


def yolo(root: Path) -> None:
    for split in ("train", "val"):
        for name, marks in scenes(root / f"traffic/images/{split}", split):
            lines = [
                f"{number} {(left + width / 2) / WIDTH:.4f} {(top + height / 2) / HEIGHT:.4f} {width / WIDTH:.4f} "
                f"{height / HEIGHT:.4f}"
                for number, left, top, width, height in marks
            ]
            text(root / f"traffic/labels/{split}/{name}.txt", *lines)
    names = [f"  {i}: {name}" for i, name in enumerate(NAMES)]
    text(root / "traffic/data.yaml", "train: images/train", "val: images/val", "names:", *names)


LAYOUTS = (
    Layout(
        "coco",
        "COCO",
        "A file of JSON for each split.",
        coco,
        "traffic",
    ),
    Layout("voc_boxes", "Boxes of Pascal VOC", "A file of XML for each image.", voc_boxes, "traffic"),
    Layout("yolo", "YOLO", "A text file for each image; `data.yaml` has the names of the classes.", yolo, "traffic"),
)
