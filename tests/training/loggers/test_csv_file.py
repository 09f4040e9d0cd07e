"""The CSV file of a training: as Keras' CSVLogger writes it, and whole after every interruption."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from cnncli.errors import InterruptedRun
from cnncli.training.events import EpochDone
from cnncli.training.loggers.csv_file import CSV
from tests.training import small
from tests.training.loggers.training import begins, train
from tests.training.small import BATCHES, interrupter

CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "csv_logger.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['epochs'])} epochs, {case['separator']!r}")
@pytest.mark.parametrize("resumed_after", [0, 1, 2])
def test_it_is_the_file_that_keras_writes(tmp_path, case, resumed_after):
    figures = [{"epoch": number, **logs} for number, logs in enumerate(case["epochs"], 1)]
    log = CSV(separator=case["separator"]).log(lambda text: None)
    (tmp_path / "log.csv").write_text("what a killed process left: the end of a r")
    log.begin(begins(tmp_path, figures[:resumed_after]))
    for one in figures[resumed_after:]:
        log.epoch(EpochDone(one, 1.0, 1.0))
    log.close("finished")
    assert (tmp_path / "log.csv").read_bytes().decode() == case["file"]


def test_it_has_a_row_for_each_epoch_after_any_interruption(tmp_path):
    small.write_data(tmp_path)
    plan = small.plan(tmp_path)
    train(plan, ["csv"], tmp_path / "whole")
    whole = (tmp_path / "whole" / "log.csv").read_bytes()
    rows = list(csv.DictReader(whole.decode().splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [int(row["epoch"]) for row in rows] == [line["epoch"] - 1 for line in lines] == [0, 1, 2]
    assert [float(row["val_loss"]) for row in rows] == [line["val_loss"] for line in lines]
    for after in (BATCHES, BATCHES + 2):
        run = tmp_path / f"interrupted-{after}"
        with pytest.raises(InterruptedRun):
            train(plan, ["csv"], run, on_event=interrupter(after))
        train(plan, ["csv"], resume=run)
        assert (run / "log.csv").read_bytes() == whole


def test_a_checkpoint_of_before_takes_rows_back(tmp_path):
    small.write_data(tmp_path)
    train(small.plan(tmp_path, epochs=1), ["csv"], tmp_path / "run")
    shutil.copy(tmp_path / "run" / "last.safetensors", tmp_path / "last")
    train(small.plan(tmp_path, epochs=3), ["csv"], resume=tmp_path / "run")
    whole = (tmp_path / "run" / "log.csv").read_bytes()
    shutil.copy(tmp_path / "last", tmp_path / "run" / "last.safetensors")
    train(small.plan(tmp_path, epochs=3), ["csv"], resume=tmp_path / "run")
    assert (tmp_path / "run" / "log.csv").read_bytes() == whole
