"""Runs of MLflow: what a server and a folder have after a training, whatever happens to either."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import yaml

from cnncli.errors import CnncliError, InterruptedRun
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.training.events import EpochDone
from cnncli.training.loggers import outbox
from cnncli.training.loggers.mlflow_address import Web, destination
from cnncli.training.loggers.vocabulary import LOGGERS
from tests.training import small
from tests.training.loggers.mlflow_server import server
from tests.training.loggers.training import train, warnings
from tests.training.small import BATCHES, interrupter, outcome

WORDS = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
PASSWORD = "tr0ub4dor"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No environment, and short waits."""
    for word in (*WORDS, "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(word, raising=False)
    monkeypatch.setattr(outbox, "PAUSE", 0.01)
    monkeypatch.setattr(outbox, "FIRST_DELAY", 0.01)


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_server_has_parameters_metrics_by_epoch_and_artifacts(data, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    with server() as (address, runs):
        events = train(small.plan(data), [{"mlflow": {"tracking_uri": address, "update_freq": 3}}], tmp_path / "run")
    run = tmp_path / "run"
    assert warnings(events) == []
    assert outcome(run) == outcome(data / "plain")
    assert runs.experiments == {"small": "1"}
    info = runs.run["info"]
    assert (info["status"], info["run_name"]) == ("FINISHED", "run")
    assert info["end_time"] >= info["start_time"] > 1_600_000_000_000
    for key in ("loss", "val_accuracy"):
        assert runs.points(key) == [(line["epoch"] - 1, line[key]) for line in lines(run)]
    assert [step for step, _ in runs.points("batch_loss")] == list(range(3, 3 * BATCHES + 1, 3))
    result = json.loads((run / "result.json").read_text())
    assert runs.points("test_loss") == [(result["epoch"] - 1, result["test"]["loss"])]
    parameters = {"seed": "3", "fit.epochs": "3", "fit.batch_size": "8", "compile.optimizer": "Adam"}
    assert parameters.items() <= runs.run["params"].items()
    folder = f"1/{info['run_id']}/artifacts"
    assert runs.artifacts[f"{folder}/best.safetensors"] == (run / "best.safetensors").read_bytes()
    assert runs.artifacts[f"{folder}/spec.yaml"] == (run / "spec.yaml").read_bytes()
    assert {headers.get("Authorization") for headers in runs.headers} == {"Basic YWRhOnRyMHViNGRvcg=="}
    assert not any(PASSWORD.encode() in file.read_bytes() for file in run.rglob("*") if file.is_file())


@pytest.mark.parametrize("kind", ["server", "folder"])
def test_an_interrupted_run_goes_on_as_the_same_one_without_duplicates(data, tmp_path, kind):
    plan = small.plan(data)
    with server() as (address, runs):
        logger = {
            "mlflow": {"tracking_uri": address if kind == "server" else str(tmp_path / "mlruns"), "update_freq": 1}
        }
        with pytest.raises(InterruptedRun):
            train(plan, [logger], tmp_path / "run", on_event=interrupter(BATCHES + 2))
        copy = tmp_path / "checkpoint of before"
        shutil.copy(tmp_path / "run" / "last.safetensors", copy)
        if kind == "server":
            assert runs.run["info"]["status"] == "KILLED"
        train(plan, [logger], resume=tmp_path / "run")
        shutil.copy(copy, tmp_path / "run" / "last.safetensors")
        train(plan, [logger], resume=tmp_path / "run")  # trains again what is logged already
        has = runs.points if kind == "server" else lambda key: _points(tmp_path / "mlruns", key)
        assert [step for step, _ in has("loss")] == [0, 1, 2]
        assert [value for _, value in has("val_loss")] == [line["val_loss"] for line in lines(tmp_path / "run")]
        assert [step for step, _ in has("batch_loss")] == list(range(1, 3 * BATCHES + 1))
        if kind == "server":
            assert runs.run["info"]["status"] == "FINISHED"


def _run(root):
    (metrics,) = root.glob("*/*/metrics")
    return metrics.parent


def _points(root, key):
    rows = [line.split() for line in (_run(root) / "metrics" / key).read_text().splitlines()]
    return [(int(step), float(value)) for _, value, step in rows]


def test_a_server_that_dies_and_comes_back_has_everything_after_one_warning(data, tmp_path):
    with server() as (address, runs):

        def die_and_come_back(event):
            if isinstance(event, EpochDone) and event.figures["epoch"] == 1:
                runs.status = 503
                runs.heard.clear()
            elif isinstance(event, EpochDone) and event.figures["epoch"] == 3:
                assert runs.heard.wait(5), "it has refused the points of the first epoch"
                runs.status = 0

        events = train(
            small.plan(data), [{"mlflow": {"tracking_uri": address}}], tmp_path / "run", on_event=die_and_come_back
        )
        assert warnings(events) == [f"MLflow: {address} answers 503; the training is not affected"]
        assert [step for step, _ in runs.points("loss")] == [0, 1, 2]
        assert runs.run["info"]["status"] == "FINISHED"
    assert outcome(tmp_path / "run") == outcome(data / "plain")


@pytest.mark.parametrize("status", [0, 401, 404, 500])
def test_a_server_that_is_none_or_refuses_is_one_warning(data, tmp_path, status, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", PASSWORD)
    with server() as (address, runs), socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        runs.status = status
        address = address if status else f"http://127.0.0.1:{free.getsockname()[1]}"  # noqa: PLW2901
        events = train(small.plan(data), [{"mlflow": {"tracking_uri": address}}, "csv"], tmp_path / "run")
    said = {
        0: "can't be reached",
        401: "answers 401: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        404: "answers 404: refused",
        500: "answers 500",
    }[status]
    assert warnings(events) == [f"MLflow: {address} {said}; the training is not affected"]
    assert outcome(tmp_path / "run") == outcome(data / "plain")
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 4
    assert not (tmp_path / "run" / "mlflow.json").exists()


def test_a_server_that_keeps_artifacts_elsewhere_has_all_the_rest(data, tmp_path):
    with server() as (address, runs):
        runs.root = "s3://bucket"
        events = train(small.plan(data), [{"mlflow": {"tracking_uri": address}}], tmp_path / "run")
        assert len(warnings(events)) == 1
        assert "does not take artifacts (it keeps them at s3" in warnings(events)[0]
        assert len(runs.points("loss")) == 3
        assert runs.run["info"]["status"] == "FINISHED"


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(data, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "PATIENCE", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        events = train(small.plan(data), [{"mlflow": {"tracking_uri": address}}], tmp_path / "run")
    assert warnings(events) == ["MLflow: not all was sent within 0 s; the training is not affected"]
    assert outcome(tmp_path / "run") == outcome(data / "plain")


def test_a_folder_has_the_files_of_mlflows_store(data, tmp_path):
    root = tmp_path / "mlruns"
    logger = {"mlflow": {"tracking_uri": root.as_uri(), "experiment": "Zähler: a/b", "run_name": "first"}}
    assert warnings(train(small.plan(data), [logger], tmp_path / "run")) == []
    run = _run(root)
    meta, experiment = (yaml.safe_load((folder / "meta.yaml").read_text()) for folder in (run, run.parent))
    assert (experiment["name"], experiment["lifecycle_stage"]) == ("Zähler: a/b", "active")
    assert meta["experiment_id"] == experiment["experiment_id"] == run.parent.name
    assert (meta["run_id"], meta["run_name"], meta["status"]) == (run.name, "first", 3)
    assert meta["artifact_uri"] == (run / "artifacts").as_uri()
    assert _points(root, "val_loss") == [(line["epoch"] - 1, line["val_loss"]) for line in lines(tmp_path / "run")]
    assert (run / "params" / "compile.optimizer").read_text() == "Adam"
    assert (run / "tags" / "mlflow.runName").read_text() == "first"
    assert (run / "artifacts" / "best.safetensors").read_bytes() == (tmp_path / "run" / "best.safetensors").read_bytes()
    train(small.plan(data), [logger], tmp_path / "other")
    assert len(list(root.glob("*/meta.yaml"))) == 1, "the second run is in the same experiment"


def test_a_line_that_was_cut_off_by_a_kill_is_written_again(data, tmp_path):
    logger = {"mlflow": {"tracking_uri": str(tmp_path / "mlruns")}}
    train(small.plan(data, epochs=2), [logger], tmp_path / "run")
    file = _run(tmp_path / "mlruns") / "metrics" / "loss"
    whole = _points(tmp_path / "mlruns", "loss")
    file.write_bytes(file.read_bytes()[:-9])
    train(small.plan(data, epochs=2), [logger], resume=tmp_path / "run")
    assert _points(tmp_path / "mlruns", "loss") == whole


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "databricks",
        "databricks://p",
        "http://ada:pw@host",
        "http://",
        "ftp://host",
        "file://host/a",
    ],
)
def test_other_addresses_are_errors_of_the_spec(uri):
    with pytest.raises(ValidationError):
        LOGGERS.parse({"mlflow": {"tracking_uri": uri}})


def test_credentials_are_for_the_server_that_the_environment_names():
    server, own = (
        "https://mlflow.example.org:8080",
        {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "pw"},
    )
    named = {**own, "MLFLOW_TRACKING_URI": server + "/"}
    assert destination(None, {}) == Path("mlruns")
    assert destination("logs", named) == Path("logs")
    assert destination(None, named) == Web(server, "ada", "pw")
    assert destination(server, named) == Web(server, "ada", "pw")
    assert destination("https://example.com", named) == Web("https://example.com")
    assert destination("http://mlflow.example.org:8080", named) == Web("http://mlflow.example.org:8080")
    assert destination(server, own) == Web(server, "ada", "pw")
    assert destination(None, {"MLFLOW_TRACKING_URI": "https://ada:p%40w@host/a/"}) == Web(
        "https://host/a", "ada", "p@w"
    )
    assert destination(server, {"MLFLOW_TRACKING_TOKEN": "t"}) == Web(server, token="t")
    assert "pw" not in repr(destination(None, named))
    with pytest.raises(CnncliError, match=r"^MLFLOW_TRACKING_URI must be an address") as caught:
        destination(None, {"MLFLOW_TRACKING_URI": "mysql://ada:secret@host/db"})
    assert "secret" not in str(caught.value)
