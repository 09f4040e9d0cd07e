"""Folders of images with masks, paired by name.

    photos/images/park/1.jpg     photos/masks/park/1.png: or img, JPEGImages, … and labels, SegmentationClass, …
    photos/train/images/1.jpg    photos/train/masks/1.png: `train`, `val`, `test` and the like are splits
    photos/images/train/1.jpg    photos/masks/train/1_mask.png: also within, and with a usual affix in the name
    photos/train/1.jpg           photos/trainannot/1.png, or photos/train_masks/1.png

Of a folder with lists of its splits only the images that they name are taken.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnncli.datasets.layouts import class_table, mask_names, split_lists
from cnncli.datasets.layouts.mask_names import IMAGE, MASK, bare_names, meaning, other_of
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.layouts.split_folders import EMPTY, files_below, is_image
from cnncli.datasets.layouts.table_columns import TABLE
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found, Listing, Sample
from cnncli.datasets.sources.image_names import LOSSLESS, READ_AS_MASKS, entries, is_picture
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError

RANK = 2
IMAGES, MASKS = "images", "masks"
"""What the folders are called where errors say what is expected."""
LOSSY = f"a mask must be {READ_AS_MASKS}: lossy formats change class numbers"
MISSING = Problem(".", f"there must be the folders {IMAGES} and {MASKS}, also in each of train, val, test")
UNASKED = Problem(".", "holds images and masks, not classes: set `targets: masks` under `data`")
ORDER = ("train", "validation", "test")
_Name = tuple[str, tuple[str, ...]]
"""A split, and the folders and the name of a file without an ending."""


class _Placed(NamedTuple):
    """A file, and what its folders say: `kind`, by the folder `above` of the family `word`; the rest is its `name`.

    `split`: of a folder around or, where all are called so, right `within` that of its kind.
    """

    file: str
    kind: str
    split: str
    word: str
    above: str
    name: tuple[str, ...]

    @property
    def within(self) -> str:
        """The split that the first folder of its name says."""
        said = meaning(self.name[0]) if len(self.name) > 1 else None
        return said.split if said and not said.kind else ""

    def below(self) -> "_Placed":
        """The same where that folder is a split's."""
        return self._replace(split=self.within, above=f"{self.above}/{self.name[0]}", name=self.name[1:])


@dataclass
class _Pairs:
    """Images and masks of a folder, and what is to be told of the others."""

    images: list[_Placed]
    masks: list[_Placed]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    mask_of: dict[str, str] = field(default_factory=dict)


def recognize(place: Place) -> Iterator[Yes | No]:
    """A folder with folders of images and of their masks; where classes are asked for, an answer to that."""
    data = place.data
    if data.targets not in ("masks", "labels") or data.layout != "auto" or data.crop_boxes or not names_masks(place):
        return
    listing, asked = read(place.path, data), data.targets == "masks"
    if listing.masks and (asked or 2 * len(listing.masks) >= len(_pictures(place.path))):
        reader = (lambda: listing) if asked else partial(_refused, place.path)
        named = len(listing.splits) > 1 or "train" not in listing.splits
        yield Yes(Found(str(place.path), "folder", place.path, listing=reader, names_splits=named), RANK)


def names_masks(place: Place) -> bool:
    """Whether the names of folders say that there are masks, and no table says otherwise."""
    if not place.is_folder or any(name == TABLE for name, _ in place.entries):
        return False
    outer = [name for name, is_folder in place.entries if is_folder]
    splits = [name for name in outer if meaning(name).split and not meaning(name).kind]
    inner = [name for split in splits for name, is_folder in entries(place.path / split) if is_folder]
    return MASK in {meaning(name).kind for name in (*outer, *inner)}


def read(root: Path, data: DataSection) -> Listing:
    """List the images of a folder and their masks.

    Raises CnncliError where it can't be read, or masks may lie in either of two folders.
    """
    pairs = _paired(root)
    split_of = {placed.file: placed.split for placed in pairs.images}
    listed = None if any(split_of.values()) else split_lists.lists(root, split_of)
    if listed is not None:
        split_of = dict(listed.split_of)
        used = {*split_of, *(placed.file for placed in pairs.masks)}
        pairs.problems = [*listed.problems, *(problem for problem in pairs.problems if problem.file in used)]
        pairs.notes.insert(0, listed.note)
    splits = _by_split(split_of)
    faults = () if splits else (EMPTY,)
    found = Listing(root, (), splits, False, pairs.problems, faults, notes=pairs.notes)
    return paired(found, pairs.mask_of, pairs.problems)


def read_images(root: Path) -> Listing | None:
    """List the images of a folder without their masks; None where it has no such pairs."""
    pairs = _paired(root)
    if not pairs.mask_of:
        return None
    splits = _by_split({placed.file: placed.split for placed in pairs.images})
    notes = [left_out([placed.file for placed in pairs.masks])]
    return Listing(root, (), splits, False, (), () if splits else (EMPTY,), notes=notes)


def left_out(masks: Sequence[str]) -> str:
    """What to tell of masks where images alone are asked for."""
    return f"{len(masks):,} masks are left out, such as {masks[0]}: train on them with `targets: masks`"


def _by_split(split_of: Mapping[str, str]) -> dict[str, list[Sample]]:
    splits: defaultdict[str, list[Sample]] = defaultdict(list)
    for image, split in split_of.items():
        splits[split or "train"].append(Sample(image))
    return {name: sorted(splits[name]) for name in ORDER if name in splits}


def paired(found: Listing, masks: Mapping[str, str], problems: Sequence[Problem]) -> Listing:
    """The listing of those images that have masks."""
    kept = {name: [sample for sample in part if sample.file in masks] for name, part in found.splits.items()}
    splits = {name: part for name, part in kept.items() if part}
    bare = [name for name in found.splits if name not in splits] if "train" in splits else []
    left = {sample.file for name in bare for sample in found.splits[name]}
    table = class_table.read(found.root)
    return replace(
        found,
        splits=splits,
        problems=tuple(problem for problem in problems if problem.file not in left),
        faults=(*found.faults, *(() if splits else (MISSING,))),
        masks={sample.file: masks[sample.file] for part in splits.values() for sample in part},
        colors=table.colors,
        pixel_classes=table.names,
        notes=[*found.notes, *map(_bare, bare), *table.notes],
    )


def _refused(root: Path) -> Listing:
    return Listing(root, (), {}, False, (), (UNASKED,))


def _bare(split: str) -> str:
    """What to tell of a split without any mask."""
    return f"the images of {split} are left out, because they have no masks: predict them with `cnncli predict`"


def _pictures(root: Path) -> list[str]:
    return [file for file in files_below(root, "") if is_picture(file)]


def _placed(file: str) -> _Placed:
    """What the folders of a file say."""
    folder, _, name = file.rpartition("/")
    said = _of_folder(folder)
    return said._replace(file=file, name=(*said.name, composed(name.rpartition(".")[0] or name)))


@lru_cache(1024)
def _of_folder(path: str) -> _Placed:
    """What a folder says of its files, with the names of folders below as their `name`."""
    given = path.split("/") if path else []
    folders = [composed(folder) for folder in given]
    split = ""
    for depth, folder in enumerate(folders):
        said = meaning(folder)
        if said.kind:
            deeper = depth + 1
            while said.kind == MASK and deeper < len(folders) and meaning(folders[deeper]).word == "trimaps":
                deeper += 1
            above = "/".join(given[:deeper])
            return _Placed("", said.kind, said.split or split, said.word, above, tuple(folders[deeper:]))
        if not said.split:
            break
        split = said.split
    depth = 1 if split else 0
    return _Placed("", "", split, "", "/".join(given[:depth]), tuple(folders[depth:]))


def _paired(root: Path) -> _Pairs:
    """Find the images and masks of a folder and pair them. Raises CnncliError as `read` does."""
    found: defaultdict[str, list[_Placed]] = defaultdict(list)
    problems: list[Problem] = []
    for file in files_below(root, ""):
        placed = _placed(file)
        if (is_picture(file) or placed.kind == IMAGE or not file.isprintable()) and is_image(file, problems):
            found[placed.kind].append(placed)
    if not found[IMAGE] and found[MASK]:  # train beside trainannot, train beside masks
        found[IMAGE] = [placed for placed in found[""] if placed.split]
        found[""] = [placed for placed in found[""] if not placed.split]
    pairs = _Pairs(_with_inner_splits(found[IMAGE]), _with_inner_splits(found[MASK]), problems)
    problems += [Problem(placed.file, f"must be in {IMAGES} or {MASKS}") for placed in found[""]]
    _choose_masks(root, pairs)
    _pair(pairs)
    return pairs


def _with_inner_splits(files: Sequence[_Placed]) -> list[_Placed]:
    """Images or masks, divided by the folders right in theirs where all of these are splits'."""
    inside = all(placed.within and not placed.split for placed in files)
    return [placed.below() for placed in files] if inside else list(files)


def _choose_masks(root: Path, pairs: _Pairs) -> None:
    """Keep the masks of one kind of folder. Raises CnncliError where it can't be told which."""
    folders = {placed.word: placed.above for placed in reversed(pairs.masks)}
    if len(folders) < 2:
        return
    chosen = next((word for word in mask_names.PREFERRED if word in folders), "")
    family = next((name for name in mask_names.FAMILIES if chosen.startswith(name)), None)
    if family is None or not all(word.startswith(family) for word in folders):
        raise CnncliError(
            f"{root}: masks may be those in {' or '.join(sorted(folders.values()))}: "
            "move the folder that is not meant out of the dataset"
        )
    others = sorted(folder for word, folder in folders.items() if word != chosen)
    pairs.masks = [placed for placed in pairs.masks if placed.word == chosen]
    pairs.notes.append(f"masks are those in {folders[chosen]}; {' and '.join(others)} is left out")


def _pair(pairs: _Pairs) -> None:
    """Find the image of each mask. What has no partner, or more than one, is added to the problems."""
    images, problems = _by_name(pairs), pairs.problems
    exact = all((placed.split, placed.name) in images for placed in pairs.masks)
    bare = {} if exact else _by_bare_name(images)
    splits = {split for split, _ in images}
    others, lone, names = [], [], {file: name for name, file in images.items()}
    for placed in pairs.masks:
        *folders, stem = placed.name
        keys = [placed.split] if placed.split else sorted(splits)
        if not placed.file.lower().endswith(LOSSLESS):
            problems.append(Problem(placed.file, LOSSY))
            continue
        partners = {images[key, placed.name] for key in keys if (key, placed.name) in images}
        for name in bare_names(stem, MASK):
            partners = partners or {file for key in keys for file in bare.get((key, (*folders, name)), ())}
        other = "" if partners else other_of(stem)
        if other and any((key, (*folders, other)) in bare for key in keys):
            others.append(placed.file)
        elif len(partners) > 1:
            problems.append(Problem(placed.file, f"a mask must have one image; it may be of {_both(partners)}"))
        elif not partners:
            lone.append(placed.file)
        else:
            _add(pairs, partners.pop(), placed)
    problems += [
        Problem(file, f"an image must have a mask, {_expected(name, pairs.masks)}")
        for file, name in names.items()
        if file not in pairs.mask_of
    ]
    problems += [Problem(file, f"a mask must have an image in {IMAGES}") for file in lone]
    if others:
        pairs.notes.append(f"{len(others):,} files that show masks otherwise are left out, such as {others[0]}")


def _by_bare_name(images: Mapping[_Name, str]) -> dict[_Name, set[str]]:
    """The images by split and name, in small letters, and without what says that they are images."""
    bare: defaultdict[_Name, set[str]] = defaultdict(set)
    for (split, (*folders, stem)), file in images.items():
        for name in (stem.casefold(), *bare_names(stem, IMAGE)):
            bare[split, (*folders, name)].add(file)
    return dict(bare)


def _by_name(pairs: _Pairs) -> dict[_Name, str]:
    """The images by split and name."""
    images: dict[_Name, str] = {}
    for placed in pairs.images:
        first = images.setdefault((placed.split, placed.name), placed.file)
        if first != placed.file:
            pairs.problems.append(Problem(placed.file, f"there must be one file of this name; there is {first}"))
    return images


def _add(pairs: _Pairs, image: str, mask: _Placed) -> None:
    """Add a pair, unless the image has another mask. Of Cityscapes' two, that of the trained classes is taken."""
    first = pairs.mask_of.setdefault(image, mask.file)
    if first == mask.file:
        return
    stems = [PurePosixPath(file).stem for file in (first, mask.file)]
    trained = [stem.lower().endswith("labeltrainids") for stem in stems]
    if any(trained):
        pairs.mask_of[image] = (first, mask.file)[trained.index(True)]
    elif len(set(stems)) == 1:
        pairs.problems.append(Problem(mask.file, f"there must be one file of this name; there is {first}"))
    else:
        pairs.problems.append(Problem(mask.file, f"an image must have one mask; {image} has {first}"))


def _expected(name: _Name, masks: Iterable[_Placed]) -> str:
    """The file that would be an image's mask."""
    split, parts = name
    folder = next((placed.above for placed in masks if placed.split in ("", split)), "")
    return f"{'/'.join((folder or MASKS, *parts))}.png"


def _both(files: Iterable[str]) -> str:
    return " or ".join(sorted(files)[:2])
