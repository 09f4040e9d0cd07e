"""The parameters of a search and its study: draws, repetitions, budgets and fronts, with trainings that are made up."""

import errno
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cnncli.api import tuning as tuning_module
from cnncli.api.runs import Run
from cnncli.api.tuning import Tuning
from cnncli.errors import CnncliError, DivergedError, InterruptedRun, PrunedRun, UsageError
from cnncli.spec.spec import load
from cnncli.training.search.space import Choice, Numbers, Option, changes, flat, grid, short_names
from cnncli.training.search.storage import hidden, storage_errors, together
from tests.cli.test_train import cnncli

optuna = pytest.importorskip("optuna")

SPEC = """\
data: {dataset: mnist5k, validation_split: 0.1}
model: {layers: [Flatten, Dense: {units: 16}, Dense: {units: 10, activation: softmax}]}
compile: {optimizer: SGD, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 3}
tune:
  trials: 6
  pruner: none
  compile.optimizer:
    choice:
      - value: SGD
        with: {compile.optimizer.SGD.momentum: {uniform: [0, 0.9]}}
      - value: Adam
        with: {compile.optimizer.Adam.learning_rate: {log_uniform: [1e-4, 1e-1]}}
  model.layers.dense.units: {int: [8, 32, 8]}
"""


class Trainings:
    """Stands in for trainings: the loss is a function of the spec, and some trials end otherwise."""

    def __init__(self):
        self.specs, self.runs, self.ends = [], [], {}

    def __call__(self, spec, around, *, run=None, supervision=None):
        number = len(self.specs)
        self.specs.append(spec)
        self.runs.append(run)
        place = run or Path(f"runs/made-up/{number}")
        place.mkdir(parents=True, exist_ok=True)
        (place / "spec.yaml").write_text(spec.to_yaml())
        (place / "last.safetensors").touch()
        (place / "environment.json").write_text(json.dumps({**around.origin, "study": "a"}))
        supervision.begins(place)
        if number in self.ends:
            raise self.ends[number]
        loss = abs(spec.model.nodes[1].layer.units - 20) / 10
        for epoch in (1, 2, 3):
            figures = {"epoch": epoch, "val_loss": loss + 1 / epoch}
            if why := supervision.gives_up(figures):
                raise PrunedRun(why)
        return Run(place, spec, 3, "", figures, None)


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(SPEC)
    made, memory = Trainings(), optuna.storages.InMemoryStorage()
    monkeypatch.setattr("cnncli.training.search.study._storage", lambda url: memory)
    monkeypatch.setattr(tuning_module, "train_spec", made)
    monkeypatch.setattr(tuning_module, "resumed_spec", lambda run, epochs, data: tuning_module.load(run / "spec.yaml"))
    return made


def study_of(*changed, study=None):
    tuning = Tuning.of(Path("a.yaml"), changed, study=study)
    return tuning, tuning.open()


def worked(*changed, study=None):
    tuning, opened = study_of(*changed, study=study)
    tuning.work(opened, threads=None, offline=None)
    return tuning.found(opened)


def params(found):
    return [dict(trial.params) for trial in found.trials]


def test_a_search_draws_the_same_again_and_another_seed_something_else(trainings):
    first, again, other = worked(), worked(study="again"), worked("tune.seed=1", study="other")
    assert params(first) == params(again) != params(other)
    assert [trial.state for trial in first.trials] == ["complete"] * 6
    best = min(first.trials, key=lambda trial: (trial.values, trial.number))
    assert first.best == [best.number]
    assert {spec.search for spec in trainings.specs} != {None}


def test_values_reach_the_spec_and_those_of_other_options_do_not(trainings):
    for trial, spec in zip(worked().trials, trainings.specs, strict=True):
        optimizer = spec.compile.optimizer
        assert type(optimizer).__name__ == trial.params["compile.optimizer"]
        assert spec.model.nodes[1].layer.units == trial.params["model.layers.dense.units"] in (8, 16, 24, 32)
        rest = {name: value for name, value in trial.params.items() if "optimizer." in name}
        assert rest in (
            {"compile.optimizer.SGD.momentum": optimizer.plain().get("momentum")},
            {"compile.optimizer.Adam.learning_rate": optimizer.learning_rate},
        )


@pytest.mark.parametrize("sampler", ["random", "cmaes"])
def test_a_study_that_goes_on_draws_what_it_would_have_drawn(trainings, sampler):
    pytest.importorskip("cmaes")
    whole = worked(f"tune.sampler={sampler}", study="whole")
    worked(f"tune.sampler={sampler}", "tune.trials=2")
    assert params(worked(f"tune.sampler={sampler}")) == params(whole)


def test_an_interrupted_trial_is_repeated_in_its_run_and_changes_no_other(trainings):
    whole = worked(study="whole")
    begun = len(trainings.specs)
    trainings.ends = {begun + 2: InterruptedRun("Ctrl-C", 2)}
    with pytest.raises(InterruptedRun):
        worked(study="a")
    found = worked(study="a")
    assert params(found) == params(whole)
    assert trainings.runs[begun + 3] == Path(f"runs/made-up/{begun + 2}")
    assert [run for run in trainings.runs if run] == trainings.runs[begun + 3 : begun + 4]


def test_a_run_that_belongs_to_another_study_is_not_resumed(trainings):
    trainings.ends = {1: InterruptedRun("Ctrl-C", 2)}
    with pytest.raises(InterruptedRun):
        worked(study="b")
    worked(study="b")
    assert trainings.runs == [None] * 7


def test_a_worker_that_died_loses_its_trial_and_nothing_else(trainings):
    from cnncli.training.search.study import bury, this_worker

    tuning, opened = study_of()
    trial = opened.ask()
    trial.set_user_attr("worker", this_worker())
    assert bury(opened, "elsewhere:1") == []
    assert bury(opened, this_worker()) == [0]
    tuning.work(opened, threads=None, offline=None)
    found = tuning.found(opened)
    assert [trial.number for trial in found.trials] == [1, 2, 3, 4, 5, 6]


def test_a_trial_with_which_every_worker_dies_is_given_up(trainings):
    from cnncli.training.search.study import bury, this_worker

    tuning, opened = study_of("tune.trials=1")
    for _ in range(4):
        opened.ask().set_user_attr("worker", this_worker())
        bury(opened, this_worker())
    assert [(trial.number, trial.state) for trial in tuning.found(opened).trials] == [(3, "failed")]


def test_a_diverged_trial_counts_as_pruned_and_a_failed_one_ends_nothing(trainings):
    trainings.ends = {1: DivergedError("the loss is nan"), 3: CnncliError("no room")}
    found = worked()
    assert [trial.state for trial in found.trials] == [
        "complete",
        "pruned",
        "complete",
        "failed",
        "complete",
        "complete",
    ]
    assert [trial.reason for trial in found.trials if trial.reason] == ["the loss is nan", "no room"]


def test_trial_after_trial_that_fails_ends_the_search(trainings):
    trainings.ends = dict.fromkeys(range(6), CnncliError("no data"))
    with pytest.raises(CnncliError, match="no data"):
        worked()
    assert len(trainings.specs) == 3


@pytest.mark.parametrize("memory", [False, True])
def test_an_error_of_the_machine_ends_the_search_and_its_trial_is_repeated(trainings, memory):
    def full():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            return CnncliError("can't be written"), error

    error, error.__context__ = full()
    whole = worked(study="whole")
    begun = len(trainings.specs)
    trainings.ends = {begun + 1: MemoryError() if memory else error}
    with pytest.raises(type(trainings.ends[begun + 1])):
        worked()
    assert len(trainings.specs) == begun + 2
    found = worked()
    assert [trial.state for trial in found.trials] == ["complete"] * 6
    assert params(found) == params(whole)


def test_a_trial_that_no_memory_suffices_for_is_given_up(trainings):
    trainings.ends = dict.fromkeys(range(4), MemoryError())
    for _ in range(4):
        with pytest.raises(MemoryError):
            worked("tune.trials=2")
    found = worked("tune.trials=2")
    assert [trial.state for trial in found.trials] == ["failed", "complete"]


@pytest.mark.parametrize(
    ("ends", "said", "code"),
    [
        ([DivergedError("nan in dense")] * 2, "2 diverged; trial 1: nan in dense", 3),
        ([CnncliError("bad"), CnncliError("worse")], "2 failed; trial 1: worse", 1),
        ([CnncliError("bad"), DivergedError("nan in dense")], "1 failed, 1 diverged; trial 0: bad", 1),
    ],
)
def test_where_no_trial_is_complete_the_exit_code_tells_why(trainings, ends, said, code):
    trainings.ends = dict(enumerate(ends))
    assert worked("tune.trials=2").best == []
    done = cnncli(Path(), "tune", "a.yaml", "--trials", 2)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1] == f"error: no trial is complete: {said}"
    assert "" not in done.stderr.splitlines()


def test_trials_beyond_the_budget_are_given_up(trainings):
    tuning, opened = study_of("tune.trials=1")
    worked("tune.trials=1")
    tuning_module._Worker(tuning, opened, None, None).trial()
    assert len(trainings.specs) == len(tuning.found(opened).trials) == 1


def test_a_grid_has_each_combination_once(trainings):
    Path("a.yaml").write_text(SPEC.replace("{uniform: [0, 0.9]}", "{uniform: [0, 0.9, 0.3]}"))
    Path("a.yaml").write_text(Path("a.yaml").read_text().replace("log_uniform: [1e-4, 1e-1]", "choice: [0.1, 0.01]"))
    found = worked("tune.sampler=grid", "tune.trials=1000")
    points = [tuple(sorted(point.items(), key=lambda item: item[0])) for point in params(found)]
    assert len(points) == len(set(points)) == (4 + 2) * 4


def test_bad_trials_are_pruned_once_there_are_enough_to_tell(trainings):
    found = worked("tune.pruner=median", "tune.trials=20")
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.number >= 5 and trial.epoch > 1 for trial in pruned)  # Optuna's default of five trials
    assert all(trial.params["model.layers.dense.units"] in (8, 32) for trial in pruned)


def test_several_objectives_have_a_front(trainings):
    found = worked("tune.objectives=[val_loss, parameters]", "tune.trials=8")
    values = {trial.number: trial.values for trial in found.trials}
    dominated = {
        number
        for number, (loss, size) in values.items()
        for other in values.values()
        if other != (loss, size) and other[0] <= loss and other[1] <= size
    }
    assert set(found.best) == values.keys() - dominated
    assert [values[number][0] for number in found.best] == sorted(values[number][0] for number in found.best)
    (folder := Path("runs/a/front")).mkdir()
    (folder / "trial-99.yaml").touch()  # of an earlier front
    command = ("tune", "a.yaml", "--set", "tune.objectives=[val_loss, parameters]", "--trials", 8)
    done = cnncli(Path(), *command)
    specs = [str(folder / f"trial-{trial.number}.yaml") for trial in found.front]
    assert len(specs) > 1
    assert done.stdout.splitlines()[-len(specs) - 2 : -1] == [*specs, "runs/a/best.yaml"]
    assert sorted(map(str, folder.iterdir())) == sorted(specs)
    worked("tune.objectives=[val_loss, parameters]", "tune.trials=8", study="b/c d")
    other = cnncli(Path(), *command, "--study", "b/c d")
    assert other.stdout.splitlines()[-1] == "next       cnncli train 'runs/a/best-b%2Fc d.yaml'"
    assert sorted(path.name for path in Path("runs/a").iterdir() if not path.name[0].isdigit()) == [
        "best-b%2Fc d.yaml", "best.yaml", "front", "front-b%2Fc d", "study-b%2Fc d.svg", "study.svg",
    ]  # fmt: skip
    assert sorted(map(str, folder.iterdir())) == sorted(specs)
    units = [load(Path(spec)).model.nodes[1].layer.units for spec in specs]
    assert units == [trial.params["model.layers.dense.units"] for trial in found.front]


def test_a_study_of_another_search_is_refused(trainings):
    worked("tune.trials=1")
    with pytest.raises(UsageError, match="the study 'a' has trials with other objectives: --study NAME begins another"):
        study_of("tune.objectives=[val_accuracy]")
    with pytest.raises(UsageError, match="other values of the spec"):
        study_of("fit.epochs=4")


def test_passwords_of_storages_are_not_told(trainings):
    assert hidden("--storage postgresql://me:s3c:r@t@host/db?password=x&a=b") == (
        "--storage postgresql://me:***@host/db?password=***&a=b"
    )
    assert hidden("sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_a_storage_that_can_not_be_opened_is_named_without_its_password(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(SPEC)
    with pytest.raises(CnncliError, match=r"--storage mysql\+nothing://me:\*\*\*@host/db can't be opened") as caught:
        Tuning.of(Path("a.yaml"), (), "mysql+nothing://me:secret@host/db").open()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://localhost:1", "--storage redis://localhost:1 can't be opened: use sqlite:///FILE, postgresql://"),
        (
            "nosuch://x",
            "--storage nosuch://x can't be opened: use sqlite:///FILE, postgresql://USER@HOST/DATABASE or my",
        ),
        ("postgresql://me:secret@h:port/db", "--storage postgresql://me:***@h:port/db can't be opened: use sqlite"),
        ("study.db", "--storage must be sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"),
        ("mysql+nope://h/d", "--storage mysql+nope://h/d can't be opened: use sqlite"),
    ],
)
def test_a_storage_of_no_known_kind_is_an_error_of_usage(tmp_path, monkeypatch, url, said):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(SPEC)
    with pytest.raises(UsageError) as caught:
        Tuning.of(Path("a.yaml"), (), url).open()
    assert str(caught.value).startswith(said)


def test_a_driver_that_is_missing_is_named_with_its_package():
    with (
        pytest.raises(UsageError, match=r"needs psycopg\[binary\]: pip install 'psycopg\[binary\]'$"),
        storage_errors("postgresql://h/d"),
    ):
        raise_in("sqlalchemy", ModuleNotFoundError("no", name="psycopg"))


def raise_in(package, error):
    """Raise an error as a package does."""
    exec("raise error", {"__name__": f"{package}.inner", "error": error})


@pytest.mark.parametrize("error", [IndexError("beyond"), KeyError("x"), ValueError("x"), OSError("x")])
def test_errors_of_the_storage_are_no_bugs_and_others_pass(error):
    with pytest.raises(CnncliError, match=r"--storage sqlite:///a\.db"), storage_errors("sqlite:///a.db"):
        raise_in("optuna", error)
    with pytest.raises(type(error)), storage_errors("sqlite:///a.db"):
        raise type(error)("x")


def test_several_begin_a_new_study_at_once_and_its_damage_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(
        SPEC[: SPEC.index("  pruner")] + "  sampler: grid\n  fit.batch_size: {choice: [8, 16, 32]}\n"
    )
    tuning = Tuning.of(Path("a.yaml"), (), f"sqlite:///{tmp_path}/a.db")
    with ThreadPoolExecutor(3) as pool:
        studies = list(pool.map(lambda _: tuning.open(), range(3)))
    for study in studies:
        points = [trial.system_attrs["fixed_params"] for trial in study.get_trials()]
        assert points == [{"fit.batch_size": size} for size in ("8", "16", "32")]
    studies[0].ask().suggest_categorical("fit.batch_size", ["8", "16", "32"])
    with sqlite3.connect("a.db") as database:
        database.execute("UPDATE trial_params SET param_value = 7")
    with pytest.raises(CnncliError, match=r"--storage .*a\.db: the study is damaged") as caught:
        tuning.open()
    assert caught.value.exit_code == 1


def test_what_another_process_creates_is_tried_again_and_nothing_else(monkeypatch):
    monkeypatch.setattr("cnncli.training.search.storage.WAITS", (0, 0))
    said = iter(["table studies already exists", "UNIQUE constraint failed: alembic_version.version_num"])

    def create():
        if (why := next(said, None)) is not None:
            raise RuntimeError(why)
        return 3

    assert together(create) == 3
    said = iter(["connection refused"])
    with pytest.raises(RuntimeError, match="refused"):
        together(create)
    said = iter(["duplicate key"] * 4)
    with pytest.raises(RuntimeError, match="duplicate key"):
        together(create)
    assert list(said) == ["duplicate key"]


def test_choices_and_ranges_as_grids_changes_and_names():
    inner = Numbers("fit.epochs", "fit.epochs", "int", 1, 3)
    choice = Choice("a.b.c", "a.b.c", (Option("x", "x", (inner,)), Option({"Y": 1}, "Y")))
    number = Numbers("d.c", "d.c", "log_int", 4, 4)
    assert [one.name for one in flat((choice, number))] == ["a.b.c", "fit.epochs", "d.c"]
    assert list(grid((choice, number))) == [
        *({"a.b.c": "x", "fit.epochs": epochs, "d.c": 4} for epochs in (1, 2, 3)),
        {"a.b.c": "Y", "d.c": 4},
    ]
    values = {"a.b.c": "Y", "d.c": 4}
    assert changes((choice, number), lambda one: values[one.name]) == {"a.b.c": {"Y": 1}, "d.c": 4}
    assert short_names((choice, number)) == {"a.b.c": "b.c", "fit.epochs": "epochs", "d.c": "d.c"}
