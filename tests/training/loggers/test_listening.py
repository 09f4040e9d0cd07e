"""Loggers only listen: they change no bit of a training, and what they can't write is one warning."""

import os
from pathlib import Path

import pytest

from cnncli.errors import CnncliError, DivergedError, InterruptedRun, SpecError
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.spec.spec import parse
from cnncli.training.events import BatchDone, Ended, EpochDone, RunBegins
from cnncli.training.loggers.listening import logged
from cnncli.training.loggers.logger import Log, Logger
from cnncli.training.loggers.vocabulary import LOGGERS
from cnncli.training.sections import FitSection
from tests.training import small
from tests.training.loggers.training import train, warnings
from tests.training.small import outcome

BOARD = {"tensorboard": {"histogram_freq": 1, "update_freq": "batch", "write_steps_per_second": True}}
ALL = ["csv", BOARD]
METHODS = ("begin", "batch", "epoch", "end", "close")


class Noting(Log):
    """Writes down which of its methods are called; `fails` raises."""

    reads_batches = True

    def __init__(self, fails=""):
        self.fails, self.called = fails, []

    def _note(self, name, about):
        self.called.append(name if name != "close" else f"close {about}")
        if name == self.fails:
            raise RuntimeError("a fault of the logger")


for name in METHODS:
    setattr(Noting, name, lambda self, about, name=name: self._note(name, about))


class Given(Logger):
    """A logger with a log of the test's."""

    def log(self, warn):
        return self.__dict__["made"]


def given(log):
    logger = Given()
    logger.__dict__["made"] = log
    return logger


def test_a_training_with_all_loggers_has_the_bits_of_one_without(data, tmp_path):
    assert {next(iter(one)) if isinstance(one, dict) else one for one in ALL} <= set(LOGGERS.spellings)
    events = train(small.plan(data), ALL, tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(data / "plain")
    assert warnings(events) == []


@pytest.mark.parametrize("method", METHODS)
def test_a_log_that_fails_ends_with_one_warning_and_the_others_go_on(method):
    failing, whole, events = Noting(method), Noting(), []
    with logged([given(failing), given(whole)], events.append) as listen:
        for cls in (RunBegins, BatchDone, EpochDone, Ended) * 3:
            listen(cls(**dict.fromkeys(cls.__dataclass_fields__)))
    assert whole.called == [*METHODS[:4] * 3, "close finished"]
    assert failing.called.count(method) <= 1
    assert warnings(events) == ["Given: the log ends here: a fault of the logger; the training is not affected"]


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (InterruptedRun("stop", 2), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (DivergedError("nan"), "diverged"),
        (CnncliError("full"), "failed"),
    ],
)
def test_logs_are_closed_however_a_training_ends(error, how):
    log = Noting()
    with pytest.raises(type(error)), logged([given(log)], lambda event: None):
        raise error
    assert log.called == [f"close {how}"]


@pytest.mark.parametrize("logger", ALL, ids=["csv", "tensorboard"])
def test_no_room_on_the_disk_costs_the_log_only(data, tmp_path, monkeypatch, logger):
    """Every file that a logger opens to append is /dev/full, on which a flush fails as on a full disk."""
    real = Path.open

    def full(path, mode="r", *rest, **options):
        full_disk = "a" in mode and path.name != "metrics.jsonl"
        return real(Path("/dev/full") if full_disk else path, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", full)
    events = train(small.plan(data), [logger], tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(data / "plain")
    (warning,) = warnings(events)
    assert warning.endswith(f"the log ends here: {os.strerror(28)}; the training is not affected")


@pytest.mark.parametrize("logger", [{"csv": {"filename": "logs/a.csv"}}, "tensorboard"], ids=["csv", "tensorboard"])
def test_nor_does_a_file_where_its_folder_should_be_end_a_training(data, tmp_path, logger):
    plan = small.plan(data, epochs=2)
    small.run(plan, tmp_path / "run")
    (tmp_path / "run" / "logs").write_text("")
    events = train(small.plan(data), [logger], resume=tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(data / "plain")
    assert len(warnings(events)) == 1
    assert str(tmp_path / "run" / "logs") in warnings(events)[0]


@pytest.mark.parametrize("path", ["/tmp/log.csv", "../log.csv", "a/../../b", "spec.yaml", "metrics.jsonl", "", "."])
def test_a_logger_writes_in_the_run_directory_only_and_not_over_the_runs_files(path):
    with pytest.raises(ValidationError):
        LOGGERS.parse({"csv": {"filename": path}})


def test_keras_callbacks_are_loggers():
    callbacks = [
        {"CSVLogger": {"filename": "a.csv", "separator": ";", "append": True}},
        "EarlyStopping",
        {"TensorBoard": {"log_dir": "board", "update_freq": "batch", "profile_batch": 0, "write_images": False}},
    ]
    fit = FitSection(callbacks=callbacks, log=["csv"])
    assert [logger.place for logger in fit.loggers] == ["log.csv", "a.csv", "board"]
    assert [callback.hooks({}).state for callback in fit.callbacks if callback in fit.loggers] == [{}, {}]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"profile_batch": 2}, "`cnncli benchmark` measures"),
        ({"write_images": True}, "`cnncli plot --what filters` draws"),
        ({"embeddings_freq": 1}, "no embeddings"),
    ],
)
def test_what_of_keras_tensorboard_has_no_meaning_here_says_why(given, reason):
    with pytest.raises(ValidationError) as caught:
        FitSection(callbacks=[{"TensorBoard": given}])
    assert reason in caught.value.details[0].text


def test_two_loggers_have_two_places():
    both = FitSection(log=["csv", {"csv": {"filename": "b.csv"}}])
    assert [logger.filename for logger in both.loggers] == ["log.csv", "b.csv"]
    with pytest.raises(ValidationError):
        FitSection(log=["csv", "csv"])


def test_a_spec_with_an_unknown_logger_says_which_there_are():
    text = "data: {dataset: digits}\nmodel: {layers: [Flatten]}\ncompile: {loss: mse}\nfit: {log: [tensorbord]}\n"
    with pytest.raises(SpecError) as caught:
        parse(text, "spec.yaml", check_data=False)
    assert any("unknown logger 'tensorbord'" in one.text for one in caught.value.diagnostics)
