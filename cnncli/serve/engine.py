"""The engine: a thread that owns the model and answers what waits, several images at a time.

A network has one set of buffers, so one thread runs it, on as many cores as the model has threads. What arrives while
it works waits, and is predicted together afterwards: batches grow with the load, and a single image never waits for
others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.api.explanation import Explaining
from cnncli.api.model import Model
from cnncli.datasets.sources.image_files import UnusableError
from cnncli.errors import CnncliError
from cnncli.serve.pictures import png
from cnncli.training.events import Notice, OnEvent, notices_to

if TYPE_CHECKING:
    from PIL.Image import Image

    from cnncli.datasets.images.decode import Form
    from cnncli.datasets.images.inputs import Array, Input
    from cnncli.serve.meters import Meters

MOST_TOGETHER = 32
"""Images of a batch, at most: more gain little, and the first one would wait for the last."""
LOOK = 1.0
"""Seconds between looks at the model's file."""
Answer = Mapping[str, Any]
"""What is answered for an image: as `cnncli predict --json` has it; or its picture, what explains it."""


class OverloadedError(Exception):
    """More images wait than are allowed."""


@dataclass(frozen=True)
class About:
    """The model that is being served: what there is to say of it, and the `form` of its images. `loads`: how many times
    one was loaded.
    """

    document: Mapping[str, Any]
    classes: Sequence[str]
    form: Form | None
    loads: int


@dataclass(frozen=True, eq=False)
class _Job:
    """An image that waits, and what is wanted of it: its prediction, or with `explained` what explains it.

    To be predicted, it has been made into the model's form: a decoded picture may be a thousand times as large.
    """

    image: Input
    invert: bool = False
    explained: bool = False
    future: Future[Answer] = field(default_factory=Future)

    def goes_with(self, other: _Job) -> bool:
        """Whether both can be in one batch."""
        return self.invert == other.invert and not self.explained and not other.explained


class Engine:
    """Serves the model that `load` returns; `start` it before it is asked, `stop` it in the end.

    `most_waiting`: images that may wait. `watched`: the model's file; when it has changed, the model is loaded again,
    between two batches. One that can't be loaded is told as a warning, and the old one stays.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        *,
        most_waiting: int,
        meters: Meters,
        watched: Path | None = None,
        on_event: OnEvent = lambda event: None,
    ) -> None:
        self.load, self.most_waiting, self.watched = load, most_waiting, watched
        self.meters, self.on_event = meters, on_event
        self.about = About({}, (), None, 0)
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Load the model and compile its kernels. Raises CnncliError as loading and predicting do."""
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Answer what waits, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def predict(self, images: Sequence[Array], *, invert: bool = False) -> list[Future[Answer]]:
        """The answers to come for images in the model's form. Raises OverloadedError if not all of them may wait."""
        return self._put([_Job(image, invert) for image in images])

    def explain(self, image: Image, *, invert: bool = False) -> Future[Answer]:
        """What explains the prediction of an image. Raises OverloadedError."""
        return self._put([_Job(image, invert, explained=True)])[0]

    def _put(self, jobs: list[_Job]) -> list[Future[Answer]]:
        with self._changed:
            if self._stopping or len(self._jobs) + len(jobs) > self.most_waiting:
                raise OverloadedError
            self._jobs.extend(jobs)
            self.meters.waiting.set(len(self._jobs))
            self._changed.notify()
        return [job.future for job in jobs]

    def _work(self) -> None:
        seen = self._stamp()  # before the file is read: what is written meanwhile is newer
        try:
            served = _Served(self.load())
            self._begin(served)
        except BaseException as error:  # raised again where the engine was started
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        while (jobs := self._next()) is not None:
            if jobs:
                _answer(served, jobs, self.meters)
            if (now := self._stamp()) not in (None, seen):
                seen, served = now, self._reloaded(served)

    def _stamp(self) -> tuple[int, int, int] | None:
        """What changes when the watched file is written again; None without one, and while it is not there."""
        if self.watched is not None:
            with suppress(OSError):
                found = self.watched.stat()
                return found.st_mtime_ns, found.st_ino, found.st_size
        return None

    def _begin(self, served: _Served) -> None:
        """Make a model the one that is served, once it has predicted an image: its kernels are compiled then."""
        served.warm_up()
        self.about = About(served.document, served.classes, served.model.form, self.about.loads + 1)
        self.meters.loads.inc()

    def _reloaded(self, old: _Served) -> _Served:
        try:
            new = _Served(self.load())
            self._begin(new)
        except CnncliError as error:
            self.on_event(Notice(f"the model stays as it is: {error}", "warning"))
            return old
        self.on_event(Notice(f"loaded again: {new.model.path}, epoch {new.model.epoch}"))
        return new

    def _next(self) -> list[_Job] | None:
        """Wait for jobs and take those of one batch; none if the model's file is to be looked at, None at the end.

        As many as a power of two: a network plans each number of images once.
        """
        with self._changed:
            while not self._jobs:
                if self._stopping:
                    return None
                if not self._changed.wait(LOOK if self.watched else None):
                    return []
            first = self._jobs[0]
            count = next((n for n, job in enumerate(self._jobs) if n and not job.goes_with(first)), len(self._jobs))
            count = 1 << (min(count, MOST_TOGETHER).bit_length() - 1)
            taken = [self._jobs.popleft() for _ in range(count)]
            self.meters.waiting.set(len(self._jobs))
        return [job for job in taken if job.future.set_running_or_notify_cancel()]


class _Served:
    """A model that is being served."""

    def __init__(self, model: Model) -> None:
        self.model, self.reader = model, model.reader()
        self.explaining: dict[bool, Explaining] = {}
        self.classes = tuple(self.reader.classes)
        self.document = {
            "name": model.spec.name,
            "model": model.path.name,
            "epoch": model.epoch,
            "digest": model.file.digest,
            "input_shape": list(model.spec.model.input_shape),
            "output_shape": list(model.output_shape),
            "classes": list(self.classes),
            "meaning": model.meaning.name.lower(),
            "calibrated": model.decision is not None,
        }

    def warm_up(self) -> None:
        """Predict a black image. Raises CnncliError for a model that does not take image files."""
        from PIL import Image

        if self.model.form is None:
            shape = " × ".join(map(str, self.model.spec.model.input_shape))
            raise CnncliError(f"{self.model.path}: serve needs a model of images; its input is {shape}")
        for prediction in self.model.stream([Image.new("RGB", (8, 8))]):
            if prediction.output is None:
                raise CnncliError(f"{self.model.path}: {prediction.image.problem}")

    def predict(self, images: Sequence[Input], *, invert: bool) -> list[Answer]:
        """The answers for images, in order; those of unusable ones have an "error"."""
        found: list[Answer] = []
        for prediction in self.model.stream(images, invert=invert):
            usable = prediction.output is not None
            found.append(self.reader.answer(prediction).document if usable else {"error": prediction.image.problem})
        return found

    def explain(self, image: Input, *, invert: bool) -> Answer:
        """What the network saw and Grad-CAM of the predicted class, as PNG. Raises CnncliError, UnusableError."""
        from cnncli.report.plots.explanation import grayed, heat, input_pixels

        if invert not in self.explaining:
            self.explaining[invert] = Explaining(self.model, methods=["gradcam"], invert=invert)
        found = self.explaining[invert].explain(image)
        seen = input_pixels(found)
        cams = [{"layer": layer, "image": png(heat(grayed(seen), cam))} for layer, cam in found.gradcam.items()]
        return {
            "input": png(seen),
            "gradcam": cams,
            "class": None if found.cls is None else found.classes[found.cls],
        }


def _answer(served: _Served, jobs: Sequence[_Job], meters: Meters) -> None:
    """Set the results of jobs that can be in one batch."""
    first = jobs[0]
    try:
        with notices_to(lambda event: None):
            if first.explained:
                first.future.set_result(served.explain(first.image, invert=first.invert))
                return
            answers = served.predict([job.image for job in jobs], invert=first.invert)
    except (CnncliError, UnusableError) as error:
        for job in jobs:
            job.future.set_exception(error)
        return
    except Exception as error:  # a fault of ours must not end the thread: the next request may fare better
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)
        return
    meters.batches.observe(len(jobs))
    for job, answer in zip(jobs, answers, strict=True):
        (meters.unusable if "error" in answer else meters.images).inc()
        job.future.set_result(answer)
