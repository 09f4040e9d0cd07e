"""TensorBoard's event files: the bytes of TensorBoard's own messages, and the points of a training without gaps or
duplicates.
"""

import base64
import io
import json
import shutil
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.errors import InterruptedRun
from cnncli.graph.model import Model, Node
from cnncli.layers.vocabulary import LAYERS
from cnncli.protobuf import content, fields, text
from cnncli.training.events import EpochDone
from cnncli.training.loggers import event_file, summaries
from cnncli.training.loggers.event_file import EventFile, masked_crc, message, point, record, records
from cnncli.training.loggers.update_freq import is_due
from tests.fixtures.tensorboard_messages_cases import HPARAMS, VALUES
from tests.training import small
from tests.training.loggers.training import train
from tests.training.small import BATCHES, interrupter

MADE = json.loads((Path(__file__).parents[2] / "fixtures" / "tensorboard_messages.json").read_text())
BOARD = {"tensorboard": {"histogram_freq": 2, "update_freq": 2}}
LOWERED = {"ReduceLROnPlateau": {"monitor": "loss", "min_delta": 100.0, "patience": 1, "factor": 0.5}}
"""At the end of the second epoch, of which the log has the rate before."""
NEEDS = pytest.mark.skipif(find_spec("tensorboard") is None, reason="reads with tensorboard, which is not installed")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A plan, and a run of it that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    small.write_data(folder)
    plan = small.plan(folder, callbacks=[LOWERED])
    train(plan, [BOARD], folder / "run")
    return plan, folder / "run"


def made(name):
    return base64.b64decode(MADE[name])


def file_of(folder):
    (found,) = folder.glob("events.out.tfevents.*")
    return found


def messages(folder):
    return list(records(file_of(folder).read_bytes()))


def points(folder):
    """The values by tag and step, as bytes: a list, in case there are several for one."""
    found = {}
    for data in messages(folder):
        if point(data) is None:
            continue
        (step, _), event = point(data), dict(fields(memoryview(data)))
        for _, value in fields(content(event[5])):
            parts = dict(fields(content(value)))
            tensor = dict(fields(content(parts.get(8, memoryview(b"")))))
            found.setdefault((text(parts[1]), step), []).append(bytes(tensor.get(5, tensor.get(4, b""))))
    return found


def scalars(run, folder, prefix):
    read = points(run / "logs" / folder)
    return {key: struct.unpack("<f", value)[0] for key, (value,) in read.items() if key[0].startswith(prefix)}


def test_the_checksum_is_that_of_rfc_3720_masked():
    for data, crc in ((b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (b"123456789", 0xE3069283)):
        rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
        assert masked_crc(data) == (rotated + 0xA282EAD8) % 2**32


def test_messages_are_those_of_tensorboard():
    assert record(made("event")) == made("record")
    assert summaries.scalar("epoch_loss", 0.1) == made("scalar")
    assert summaries.histogram("dense/kernel/histogram", np.array(VALUES)) == made("histogram")
    assert summaries.session_start("run", dict(sorted(HPARAMS.items())), 1.5) == made("start")
    assert summaries.session_end(2.5, success=True) == made("end")
    flat = Model((4, 4, 1), (Node("flatten", LAYERS.parse("Flatten"), ("input",)),))
    assert summaries.graph(flat) == made("graph")


def test_an_event_is_that_of_tensorboard_but_for_its_time(monkeypatch):
    monkeypatch.setattr(event_file.time, "time", lambda: 1.25)
    assert message(event_file.FILE_VERSION, "brain.Event:2", 300) == made("event")
    assert message(event_file.SESSION, event_file.START).replace(b"\x10\0", b"", 1) == made("session")


def test_a_histogram_has_only_finite_values():
    odd = summaries.histogram("w", np.array([np.nan, np.inf, *VALUES], np.float32))
    assert odd == summaries.histogram("w", np.array(VALUES, np.float32))
    for values in ([], [np.nan], [3.0, 3.0]):
        assert len(summaries.histogram("w", np.array(values, np.float32))) > 30 * 24


def test_images_are_png_files_with_their_titles():
    from cnncli.training.events import WrongImage

    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 4
    value = dict(fields(memoryview(summaries.images("mistakes", [WrongImage(pixels, "1 predicted as 0")] * 2, "…"))))
    width, height, *files = [bytes(item) for key, item in fields(content(value[8])) if key == 8]
    assert len(files) == 2
    image = Image.open(io.BytesIO(files[0]))
    assert image.size == (int(width), int(height)) == (192, 192 + summaries.LINE)
    assert image.getpixel((24 * 3 + 5, summaries.LINE + 24 * 2 + 5)) == (4 * 19,) * 3
    assert min(image.crop((0, 0, 192, summaries.LINE)).convert("L").tobytes()) < 64, "the title is drawn"


def test_train_and_validation_have_the_same_tags_so_that_one_chart_has_both(whole):
    _, run = whole
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for folder, prefix in (("train", ""), ("validation", "val_")):
        read = scalars(run, folder, "epoch_")
        for name in ("loss", "accuracy"):
            expected = {(f"epoch_{name}", line["epoch"] - 1): np.float32(line[prefix + name]) for line in lines}
            assert {key: value for key, value in read.items() if key[0] == f"epoch_{name}"} == expected
    rates = {step: value for (tag, step), value in scalars(run, "train", "epoch_learning_rate").items()}
    assert rates == {0: np.float32(0.001), 1: np.float32(0.001), 2: np.float32(0.0005)}


def test_what_else_there_is(whole):
    _, run = whole
    batches = scalars(run, "train", "batch_loss")
    assert [step for _, step in batches] == list(range(2, 3 * BATCHES + 1, 2))
    read = points(run / "logs" / "train")
    for tag in ("dense/kernel/histogram", "dense/kernel/gradient", "batch_normalization/moving_mean/histogram"):
        assert [step for other, step in read if other == tag] == [0, 2]
    final = scalars(run, "", "final/")
    result = json.loads((run / "result.json").read_text())
    assert final["final/test_loss", result["epoch"] - 1] == np.float32(result["test"]["loss"])
    written = messages(run / "logs")
    assert [b"session_start_info" in one for one in written].count(True) == 1
    assert b"session_end_info" in written[-1]
    graphs = [one for one in messages(run / "logs" / "train") if 4 in dict(fields(memoryview(one)))]
    assert len(graphs) == 1


def test_interrupted_anywhere_and_resumed_it_has_the_same_points(whole, tmp_path):
    plan, run = whole
    for after in (BATCHES, BATCHES + 3):
        path = tmp_path / f"interrupted-{after}"
        with pytest.raises(InterruptedRun):
            train(plan, [BOARD], path, on_event=interrupter(after))
        train(plan, [BOARD], resume=path)
        for folder in ("train", "validation"):
            expected = points(run / "logs" / folder)
            if after == BATCHES:  # no batch of that epoch was trained by the process that resumed
                expected = {key: value for key, value in expected.items() if key[1] != 0 or "gradient" not in key[0]}
            assert points(path / "logs" / folder) == expected, (after, folder)
        assert scalars(path, "", "final/") == scalars(run, "", "final/")


def test_killed_anywhere_and_resumed_it_has_the_same_points(whole, tmp_path):
    """The state on disk of a process that is killed: after the checkpoint and before the log, or in the middle of
    writing a record, with points that the checkpoint does not have.
    """
    plan, run = whole
    kept, epoch = tmp_path / "kept", 0

    def keep(event):
        nonlocal epoch
        if isinstance(event, EpochDone):  # the log does not have this epoch yet, the checkpoint has
            epoch += 1
            shutil.copytree(tmp_path / "run", kept / str(epoch))

    train(plan, [BOARD], tmp_path / "run", on_event=keep)
    for number in (1, 2):
        for folder in ("train", "validation"):
            old = file_of(kept / str(number) / "logs" / folder)
            ahead = [record(message(5, _summary("batch_loss"), 100)), record(message(5, _summary("epoch_loss"), 7))]
            old.write_bytes(old.read_bytes() + b"".join(ahead) + record(b"x" * 50)[:-9])
        train(plan, [BOARD], resume=kept / str(number))
        for folder in ("train", "validation"):
            now, before = points(kept / str(number) / "logs" / folder), points(run / "logs" / folder)
            lasting = [key for key in before if not key[0].endswith("/gradient")]  # a resumed run has no last batch
            assert {key: now.get(key) for key in lasting} == {key: before[key] for key in lasting}
            assert now.keys() <= before.keys()
            assert all(len(values) == 1 for values in now.values())


def _summary(tag):
    from cnncli.protobuf import put_bytes

    return put_bytes(1, summaries.scalar(tag, 9.0))


def test_a_resumed_file_makes_a_live_reader_start_again_and_a_damaged_one_keeps_what_is_whole(tmp_path):
    first = EventFile(tmp_path, lambda step, tag: True)
    for step in range(3):
        first.write(message(5, _summary("epoch_loss"), step))
    first.close()
    name = file_of(tmp_path).name
    data = bytearray(file_of(tmp_path).read_bytes())
    data[-len(record(message(5, _summary("epoch_loss"), 2))) + 9] ^= 1  # the checksum of the last one's length
    file_of(tmp_path).write_bytes(data)
    second = EventFile(tmp_path, lambda step, tag: True)
    second.close()
    assert file_of(tmp_path).name > name, "TensorBoard reads a folder's files in this order"
    assert second.last == {"epoch_loss": 1}
    read = [dict(fields(memoryview(one))) for one in messages(tmp_path)]
    assert [sorted(one) for one in read] == [[1, 2, 3], [1, 2, 7], [1, 2, 5], [1, 2, 5]]
    assert read[1][2] == 0, "the step from which on a reader forgets what it has"


@pytest.mark.parametrize(
    ("given", "due"), [("epoch", []), ("batch", [1, 2, 3, 4, 5, 6]), (1, [1, 2, 3, 4, 5, 6]), (3, [3, 6])]
)
def test_update_freq_counts_batches_as_keras_does(given, due):
    assert [step for step in range(1, 7) if is_due(given, step)] == due


@NEEDS
def test_tensorboard_reads_it(whole):
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    _, run = whole
    for folder, plugin in (("train", "scalars"), ("validation", "scalars")):
        reader = EventAccumulator(str(run / "logs" / folder), {"tensors": 0})
        reader.Reload()
        read = {
            ("epoch_loss", event.step): tensor_util.make_ndarray(event.tensor_proto).item()
            for event in reader.Tensors("epoch_loss")
        }
        assert read == scalars(run, folder, "epoch_loss")
        assert reader.SummaryMetadata("epoch_loss").plugin_data.plugin_name == plugin


@NEEDS
def test_tensorboard_that_runs_on_while_a_run_is_killed_and_resumed_shows_no_point_twice(tmp_path):
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    first = EventFile(tmp_path, lambda step, tag: True)
    for step in range(5):
        first.write(message(5, _summary("epoch_loss"), step))
    reader = EventAccumulator(str(tmp_path), {"tensors": 0})
    reader.Reload()
    first.file.write(record(b"x" * 50)[:-9])
    first.close()
    second = EventFile(tmp_path, lambda step, tag: step < 3)
    for step in range(3, 6):
        second.write(message(5, _summary("epoch_loss"), step))
    reader.Reload()
    second.close()
    assert list(tmp_path.iterdir()) == [second.path]
    assert [event.step for event in reader.Tensors("epoch_loss")] == list(range(6))
