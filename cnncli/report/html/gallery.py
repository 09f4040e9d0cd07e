"""Misclassified samples as thumbnails: the worst of all, and the worst of each pair of classes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, islice, zip_longest

from cnncli.report.html.page import Gallery, Pair, Thumbnail
from cnncli.report.html.thumbnails import Room, as_image, bounds, shown_size
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.mistakes import Mistake

WORST = 24
"""Mistakes that are shown first."""
MOST = 300
"""Thumbnails of mistakes."""


def gallery(evaluation: Evaluation, room: Room, prefix: str) -> Gallery | None:
    """The gallery of an evaluation; None without mistakes. `prefix`: what its ids begin with."""
    mistakes, pairs = evaluation.mistakes, _pairs(evaluation)
    if not mistakes or evaluation.data is None:
        return None
    chosen = list(islice(_by_urgency(pairs), MOST))
    images = [evaluation.image(mistakes[number].position) for number in chosen]
    low, high = bounds(images)
    thumbnails: dict[int, Thumbnail] = {}
    for number, pixels in zip(chosen, images, strict=True):
        image = as_image(pixels, low, high)
        uri = room.uri(image)
        if not uri:
            break
        about = _about(mistakes[number])
        worst = number < WORST
        thumbnails[number] = Thumbnail(uri, about[0], about[1:], *shown_size(image), pairs[number], "", worst)
    shown = _with_ids([thumbnails[number] for number in sorted(thumbnails)], prefix)
    return Gallery(len(mistakes), shown, _listed(shown, evaluation, prefix) if any(pairs) else ())


def _pairs(evaluation: Evaluation) -> list[str]:
    """The cell of the confusion matrix that each mistake is in, as "3-5"; empty in multi-label models."""
    labels, predicted = evaluation.labels, evaluation.predicted
    if evaluation.multi_label or labels is None or predicted is None:
        return [""] * len(evaluation.mistakes)
    places = [mistake.position for mistake in evaluation.mistakes]
    return [f"{true}-{given}" for true, given in zip(labels[places].tolist(), predicted[places].tolist(), strict=True)]


def _by_urgency(pairs: Sequence[str]) -> Iterator[int]:
    """Numbers of mistakes: the worst, then the worst that is left of each pair, then the next of each …"""
    left: dict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs[WORST:], WORST):
        left[pair].append(number)
    seen = set(pairs[:WORST])
    in_turn = (
        number for turn in zip_longest(*sorted(left.values(), key=lambda of: pairs[of[0]] in seen)) for number in turn
    )
    return chain(range(min(WORST, len(pairs))), (number for number in in_turn if number is not None))


def _about(mistake: Mistake) -> list[str]:
    """The text for those who can't see the image, and the lines below it."""
    sure = f"{100 * mistake.probability:.1f} %"
    name = mistake.file or f"row {mistake.index}"
    true, given = mistake.label or "none", mistake.predicted or "none"
    return [f"{true} taken for {given} with {sure}, {name}", f"true: {true}", f"predicted: {given}", f"{sure} · {name}"]


def _with_ids(thumbnails: Sequence[Thumbnail], prefix: str) -> list[Thumbnail]:
    """The first of each pair gets an id."""
    seen = {""}
    found = []
    for thumbnail in thumbnails:
        new = thumbnail.pair not in seen
        seen.add(thumbnail.pair)
        found.append(thumbnail._replace(id=f"{prefix}{thumbnail.pair}") if new else thumbnail)
    return found


def _listed(thumbnails: Sequence[Thumbnail], evaluation: Evaluation, prefix: str) -> list[Pair]:
    """The pairs that are shown, the most frequent first."""
    assert evaluation.confusion is not None
    found = []
    for pair in dict.fromkeys(thumbnail.pair for thumbnail in thumbnails):
        true, given = map(int, pair.split("-"))
        text = f"{evaluation.classes[true]} taken for {evaluation.classes[given]}"
        found.append(Pair(f"{prefix}{pair}", pair, text, int(evaluation.confusion[true, given])))
    return sorted(found, key=lambda pair: -pair.total)
