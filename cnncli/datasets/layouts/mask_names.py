"""What the names of folders and files say of images and their masks."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from cnncli.datasets.layouts.split_names import WORDS, words

IMAGE, MASK = "image", "mask"
IMAGES = {"image", "images", "img", "imgs", "jpegimages", "leftimg8bit", "rgb", "frames", "x"}
MASKS = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "annot", "annots", "gt", "groundtruth"),
    *("segmentation", "segmentations", "segmentationclass", "segmentationclasspng", "segmentationclassaug"),
    *("segmentationobject", "segmentationclassvisualization", "segmentationobjectpng", "trimaps"),
    *("gtfine", "gtcoarse", "manual", "1stmanual", "y"),
}
"""Names of folders without case, digits aside and signs, and without a split's word: train_masks, trainannot."""
NOTHING = {"prepped", "set", "data", "dataset", "folder", "dir", "png"}
"""Words of such names that add nothing."""
PREFERRED = ("segmentationclasspng", "segmentationclass", "gtfine")
"""Folders that are taken where one of the same family lies beside them."""
FAMILIES = ("segmentation", "gt")

_SIGN = r"[-_ .]"
_OWN = r"masks?|labels?|labelids|labeltrainids|segmentation|seg|gt|ground[-_ ]?truth|annot|annotation|manual|l|p"
_MASK_END = re.compile(rf"(?P<bare>.+?){_SIGN}(gt(fine|coarse){_SIGN})?({_OWN})({_SIGN}?\d+)?", re.IGNORECASE)
_MASK_START = re.compile(rf"(masks?|labels?|seg|gt|annot|annotation){_SIGN}?(?P<bare>.+)", re.IGNORECASE)
_IMAGE_END = re.compile(rf"(?P<bare>.+){_SIGN}(leftimg8bit|images?|img|im|rgb|sat|training)", re.IGNORECASE)
_IMAGE_START = re.compile(rf"(images?|imgs?|im|rgb){_SIGN}?(?P<bare>.+)", re.IGNORECASE)
_OTHER = re.compile(
    rf"(?P<bare>.+?){_SIGN}(gt(fine|coarse){_SIGN})?(colou?r|instance(train)?ids|instances?|overlay|vis)", re.IGNORECASE
)


class Meaning(NamedTuple):
    """What a folder's name says: a split or "", and IMAGE, MASK or ""; `word`: by which it says the latter."""

    split: str
    kind: str
    word: str


@cache
def meaning(name: str) -> Meaning:
    """What a folder's name says, if it says nothing else."""
    parts = [part for word in words(name) for part in _apart(word)]
    splits = {WORDS[part] for part in parts if part in WORDS}
    others = [part for part in parts if part not in WORDS]
    for rest in (others, [part for part in others if part not in NOTHING and not part.isdecimal()]):
        word = "".join(rest)
        kind = IMAGE if word in IMAGES else MASK if word in MASKS else ""
        if kind or (not word and len(splits) == 1):
            return Meaning(splits.pop() if len(splits) == 1 else "", kind, word)
    return Meaning("", "", "")


def bare_names(stem: str, kind: str) -> Iterator[str]:
    """A file's name without what says that it is an image or a mask: mask_1 and 1_mask become 1."""
    for pattern in (_MASK_END, _MASK_START) if kind == MASK else (_IMAGE_END, _IMAGE_START):
        if match := pattern.fullmatch(stem):
            yield match["bare"].casefold()


def other_of(stem: str) -> str:
    """The name of the image that a file shows otherwise than by class numbers (1_color, 1_instanceIds); "" for none."""
    match = _OTHER.fullmatch(stem)
    return match["bare"].casefold() if match else ""


def _apart(word: str) -> tuple[str, ...]:
    """ "trainannot" is two words."""
    for split in WORDS:
        if (rest := word.removeprefix(split)) != word and rest in MASKS | IMAGES:
            return split, rest
    return (word,)
