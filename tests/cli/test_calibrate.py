"""`cnncli calibrate`, and what `predict` and resumed trainings make of its decisions."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import cnncli as library
from cnncli import notices
from cnncli.errors import CnncliError
from cnncli.training.runs import checkpoint
from tests.cli.test_prediction_kinds import FLAT
from tests.cli.test_prediction_kinds import SPEC as KINDS
from tests.cli.test_train import SPEC, cnncli


def bars(count, seed=5):
    """Bars that lie (class 1) or stand in noise that hides some: uint8 (N, 8, 8), int64 (N,)."""
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 150, (count, 8, 8)).astype(np.uint8), random.integers(0, 2, count)
    for image, label in zip(x, y, strict=True):
        place = random.integers(1, 7)
        image[(place, slice(None)) if label else (slice(None), place)] += 70
    return x, y


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run, its spec and data, and more images of the same kind."""
    path = tmp_path_factory.mktemp("bars")
    x, y = bars(400)
    np.savez(path / "bars.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    np.savez(path / "unsplit.npz", x_train=x[:300], y_train=y[:300])
    more, labels = bars(200, seed=9)
    np.savez(path / "more.npz", x_test=more, y_test=labels)
    np.save(path / "images.npy", x[300:])
    spec = SPEC.replace("validation_split: 0.1", "validation_split: 0.4")
    (path / "bars.yaml").write_text(spec.replace("optimizer: adam", "optimizer: {Adam: {learning_rate: 0.01}}"))
    assert cnncli(path, "train", "bars.yaml", "--epochs", 15, "--output", "run").returncode == 0
    return path


@pytest.fixture
def place(trained, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(trained, tmp_path / "place")


def done(folder, *arguments, code=0):
    found = cnncli(folder, *arguments)
    assert found.returncode == code, found.stderr
    return found


def calibrated(folder, *options):
    return json.loads(done(folder, "calibrate", "run", *options, "--json").stdout)["decision"]


def predictions(folder, *options, model="run"):
    return json.loads(done(folder, "predict", model, "images.npy", *options, "--json").stdout)["predictions"]


def shares(found):
    return np.array([one["probabilities"] for one in found])


def heated(raw, temperature):
    powers = raw ** (1 / temperature)  # softmax(log p / T)
    return powers / powers.sum(1, keepdims=True)


def test_the_temperature_is_fitted_on_the_validation_images_and_kept_in_the_model_file(place):
    before = checkpoint.load(place / "run/best.safetensors")
    raw = shares(predictions(place))
    decision = calibrated(place)
    assert (decision["fitted"]["split"], decision["fitted"]["samples"]) == ("validation", 120)
    assert decision["after"]["nll"] < decision["before"]["nll"]
    after = checkpoint.load(place / "run/best.safetensors")
    assert (after.digest, after.metadata["epoch"]) == (before.digest, before.metadata["epoch"])
    assert set(after.metadata) - set(before.metadata) == {"decision"}
    assert decision["fitted"]["weights"] == before.digest
    np.testing.assert_allclose(shares(predictions(place)), heated(raw, decision["temperature"]), rtol=1e-4)
    assert (shares(predictions(place, "--raw")) == raw).all()


def test_the_likelihood_is_the_best_of_all_temperatures(place):
    """The validation images are the last of a shuffled split: they are found through the library's own answer."""
    with np.load(place / "more.npz") as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    decision = calibrated(place, "--data", "more.npz")
    assert (decision["fitted"]["split"], decision["fitted"]["samples"]) == ("test", 200)
    raw = library.load(place / "run").predict(x, raw=True).probabilities.astype(np.float64)

    def nll(temperature):
        return -np.log(heated(raw, temperature)[np.arange(len(y)), y]).mean()

    assert decision["before"]["nll"] == pytest.approx(nll(1), rel=1e-6)
    assert decision["after"]["nll"] == pytest.approx(nll(decision["temperature"]), rel=1e-6)
    assert decision["after"]["nll"] <= min(map(nll, np.exp(np.linspace(-3, 3, 601)))) + 1e-9


def test_where_all_samples_are_right_a_notice_says_that_the_temperature_stays_1(place):
    images = np.load(place / "images.npy")
    labels = np.array(library.load(place / "run").predict(images).labels).astype(int)
    np.savez(place / "right.npz", x_test=images, y_test=labels)
    found = done(place, "calibrate", "run", "--data", "right.npz", "--json")
    assert json.loads(found.stdout)["decision"]["temperature"] == 1
    assert "no temperature fits these 100 samples best: it stays 1" in found.stderr


def test_people_get_the_figures_before_and_after_and_where_it_was_saved(place):
    lines = done(place, "calibrate", "run", "--thresholds", "precision=0.6").stdout.splitlines()
    assert lines[0].startswith("temperature ")
    assert "(120 validation samples of /" in lines[0]
    assert lines[0].endswith("/bars.npz)")
    assert [line.split()[0] for line in lines[1:3]] == ["before", "after"]
    assert lines[-1] == "saved  run/best.safetensors"
    assert any(line.split() == ["class", "threshold", "precision", "recall"] for line in lines)


def test_unknown_is_answered_everywhere(place):
    decision = calibrated(place, "--unknown", "precision=0.9")
    assert decision["after"]["precision"] >= 0.9
    assert 0 < decision["after"]["coverage"] < 1
    found = predictions(place)
    expected = [
        str(row.argmax()) if np.float32(row.max()) >= decision["unknown"] else "unknown" for row in shares(found)
    ]
    assert [one["class"] for one in found] == expected
    assert {"unknown", "0", "1"} == set(expected)
    assert all(one["probability"] == max(one["probabilities"]) for one in found)
    lines = done(place, "predict", "run", "images.npy").stdout.splitlines()
    assert [line.split("\t")[1] for line in lines] == expected
    done(place, "predict", "run", "images.npy", "--output", "found.csv")
    with (place / "found.csv").open() as file:
        assert [row["predicted"] for row in csv.DictReader(file)] == expected
    assert list(library.load(place / "run").predict(np.load(place / "images.npy")).labels) == expected
    assert "unknown" not in [one["class"] for one in predictions(place, "--raw")]


def test_evaluate_compares_without_and_with_the_decision(place):
    plain = json.loads(done(place, "evaluate", "run", "--json").stdout)
    assert "decision" not in plain
    decision = calibrated(place, "--unknown", "precision=0.9")
    found = json.loads(done(place, "evaluate", "run", "--json").stdout)
    before, after = found["decision"]["before"], found["decision"]["after"]
    assert (found["loss"], found["confusion"]) == (plain["loss"], plain["confusion"])
    assert before["nll"] == pytest.approx(plain["loss"], rel=1e-5)
    assert (before["accuracy"], before["ece"]) == (plain["accuracy"], pytest.approx(plain["ece"]))
    with np.load(place / "bars.npz") as arrays:
        truth = arrays["y_test"]
    p = shares(predictions(place))
    answered = p.max(1) >= decision["unknown"]
    assert after["nll"] == pytest.approx(-np.log(p[np.arange(len(p)), truth]).mean(), rel=1e-5)
    assert after["coverage"] == answered.mean()
    assert after["precision"] == (p.argmax(1) == truth)[answered].mean()
    line = done(place, "evaluate", "run").stdout.splitlines()[1]
    assert line.startswith(f"calibrated  nll {before['nll']:.4f} → {after['nll']:.4f}  ece ")
    assert line.endswith(f"coverage {after['coverage']:.4f}  precision {after['precision']:.4f}")
    assert library.load(place / "run").evaluate().decided == (before, after)


def test_what_is_not_reached_is_said_and_nothing_is_changed(place):
    before = (place / "run/best.safetensors").read_bytes()
    failed = done(place, "calibrate", "run", "--thresholds", "recall=1", code=1)
    assert failed.stderr.startswith(
        "error: recall=1 for class '0' is reached by no threshold: the highest recall is 0."
    )
    assert failed.stdout == ""
    assert (place / "run/best.safetensors").read_bytes() == before


def test_costs_choose_the_cheapest_answer(place):
    (place / "costs.csv").write_text("true,0,1,unknown\n0,0,9,1\n1,1,0,1\n")
    decision = calibrated(place, "--costs", "costs.csv")
    assert decision["costs"] == [[0, 9, 1], [1, 0, 1]]
    assert decision["after"]["cost"] < decision["before"]["cost"]
    found = predictions(place)
    for one, (first, second) in zip(found, shares(found), strict=True):
        expected = [second, 9 * first, 1.0]
        assert one["class"] == ["0", "1", "unknown"][int(np.argmin(expected))]


def test_reset_gives_the_file_back_as_it_was_and_output_leaves_it(place):
    before = (place / "run/best.safetensors").read_bytes()
    assert done(place, "calibrate", "run", "-o", "new.safetensors").stdout.endswith("saved  new.safetensors\n")
    assert (place / "run/best.safetensors").read_bytes() == before
    assert (shares(predictions(place, model="new.safetensors")) != shares(predictions(place))).any()
    calibrated(place)
    assert (place / "run/best.safetensors").read_bytes() != before
    assert done(place, "calibrate", "run", "--reset").stdout == "reset  run/best.safetensors\n"
    assert (place / "run/best.safetensors").read_bytes() == before


def test_without_validation_images_one_line_says_what_to_do(place):
    (place / "unsplit.yaml").write_text((place / "bars.yaml").read_text().replace("  validation_split: 0.4\n", ""))
    done(place, "train", "unsplit.yaml", "--epochs", 1, "--output", "other")
    failed = done(place, "calibrate", "other", code=1)
    assert failed.stderr == (
        f"error: {place}/bars.npz: no validation images to calibrate on; name others with --data, images that the "
        "model was not trained on, or train with data.validation_split\n"
    )
    assert done(place, "calibrate", "other", "--data", "unsplit.npz", code=1).stderr.startswith(
        f"error: {place}/unsplit.npz: no "
    )
    done(place, "calibrate", "other", "--data", "more.npz")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--thresholds", "precison=1"),
            "--thresholds must be precision=SHARE or recall=SHARE, such as precision=0.95; received 'precison=1'; ",
        ),
        (
            ("--unknown", "recall=0.5"),
            "--unknown must be precision=SHARE, such as precision=0.95; received 'recall=0.5'",
        ),
        (("--costs", "c.csv", "--unknown", "precision=0.9"), "--costs decides alone: it takes neither --thresholds "),
        (("--reset", "--thresholds", "recall=1"), "--reset removes all decisions: it takes no option that fits some"),
        (("--output", "new.npz"), "--output must be a file ending in .safetensors; received new.npz"),
    ],
)
def test_wrong_use_is_one_line(trained, arguments, said):
    failed = done(trained, "calibrate", "run", *arguments, code=2)
    assert failed.stderr.startswith(f"error: {said}")
    assert failed.stderr.count("\n") == 1


def damaged(place, change):
    """What predict says of the run's decision once `change` was done to its document."""
    path = place / "run/best.safetensors"
    file = checkpoint.load(path)
    document = json.loads(file.metadata["decision"])
    change(document)
    file.metadata["decision"] = json.dumps(document)
    checkpoint.save(path, file)
    failed = cnncli(place, "predict", "run", "images.npy")
    assert (failed.returncode, failed.stdout) == (1, "")
    return failed.stderr


def test_a_damaged_decision_is_one_line_that_names_the_file_and_can_be_ignored_or_removed(place):
    calibrated(place)
    assert damaged(place, lambda document: document.update(temperature=-1)) == (
        "error: run/best.safetensors: decision must have a temperature between 0.001 and 1e+06\n"
    )
    calibrated(place)
    assert damaged(place, lambda document: document.update(classes=3)) == (
        "error: run/best.safetensors: its decision is that of a model with other outputs\n"
    )
    calibrated(place)
    assert damaged(place, lambda document: document["fitted"].update(weights="sha256:0")) == (
        "error: run/best.safetensors: its decision is that of other weights: run calibrate again\n"
    )
    assert len(predictions(place, "--raw")) == 100
    done(place, "calibrate", "run", "--reset")
    assert len(predictions(place)) == 100


def test_a_resumed_training_keeps_the_decision_of_the_same_weights_and_says_that_others_have_none(place):
    decision = calibrated(place)
    done(place, "train", "--resume", "run")
    assert json.loads(checkpoint.load(place / "run/best.safetensors").metadata["decision"]) == decision
    changed = done(place, "train", "--resume", "run", "--epochs", 30)
    file = checkpoint.load(place / "run/best.safetensors")
    assert file.digest != decision["fitted"]["weights"]
    assert "decision" not in file.metadata
    assert "best.safetensors has new weights, without the decisions of the last ones" in changed.stderr
    assert "`cnncli calibrate run` fits new ones" in changed.stderr


def test_the_checkpoint_of_a_run_can_be_calibrated_and_still_be_resumed(place):
    done(place, "calibrate", "run", "--weights", "last")
    assert "decision" in checkpoint.load(place / "run/last.safetensors").metadata
    done(place, "train", "--resume", "run", "--epochs", 16)
    assert "decision" not in checkpoint.load(place / "run/last.safetensors").metadata


def test_a_decision_fitted_to_other_views_gets_a_warning(place, monkeypatch):
    decision = calibrated(place)
    warning = "warning: the decisions of run/best.safetensors were fitted without --tta: calibrate with the views that "
    for command in (("predict", "run", "images.npy"), ("evaluate", "run")):
        monkeypatch.setattr(notices, "_shown", set())
        assert done(place, *command, "--tta", "shift").stderr.startswith(warning)
        assert done(place, *command).stderr == ""
    assert done(place, "predict", "run", "images.npy", "--tta", "shift", "--raw").stderr == ""
    averaged = calibrated(place, "--tta", "shift,flip")
    assert averaged["fitted"]["views"] == ["flip", "shift"]
    assert averaged["temperature"] != decision["temperature"]
    raw, found = (shares(predictions(place, "--tta", "flip,shift", *more)) for more in (("--raw",), ()))
    np.testing.assert_allclose(found, heated(raw, averaged["temperature"]), rtol=1e-4)
    assert done(place, "predict", "run", "images.npy", "--tta", "flip,shift").stderr == ""
    assert "fitted with --tta flip,shift: calibrate" in done(place, "predict", "run", "images.npy").stderr


def test_the_library_calibrates_saves_and_resets(place):
    model = library.load(place / "run")
    raw = model.predict(np.load(place / "images.npy")).probabilities
    decision = model.calibrate(place / "more.npz", thresholds="precision=0.6")
    assert model.decision == decision
    found = model.predict(np.load(place / "images.npy"))
    assert library.load(place / "run").decision is None
    path = model.save(place / "own.safetensors")
    assert library.load(path).decision == decision
    assert (library.load(path).predict(np.load(place / "images.npy")).probabilities == found.probabilities).all()
    model.reset()
    assert (model.predict(np.load(place / "images.npy")).probabilities == raw).all()


def test_weights_that_a_training_wrote_meanwhile_are_not_overwritten(place):
    model = library.load(place / "run")
    model.calibrate()
    done(place, "train", "--resume", "run", "--epochs", 30)
    trained = (place / "run/best.safetensors").read_bytes()
    with pytest.raises(CnncliError, match="has other weights than when it was read: nothing was written; try again"):
        model.save()
    assert (place / "run/best.safetensors").read_bytes() == trained
    assert library.load(model.save(place / "own.safetensors")).decision == model.decision


def test_an_explanation_is_that_of_the_network_itself(place):
    model, image = library.load(place / "run"), np.load(place / "images.npy")[0]
    plain = model.explain(image)
    model.calibrate(unknown="precision=0.9")
    found = model.explain(image)
    assert (found.probabilities == plain.probabilities).all()
    assert (found.probabilities == model.predict(image, raw=True).probabilities[0]).all()
    assert (found.occlusion == plain.occlusion).all()


def test_of_many_classes_without_a_threshold_the_first_are_named(tmp_path):
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (200, 4, 5)).astype(np.uint8), np.arange(200) % 100
    np.savez(tmp_path / "made.npz", x_train=x[:100], y_train=y[:100], x_val=x[100:], y_val=y[100:])
    loss = "sparse_categorical_crossentropy"
    spec = KINDS.format(name="many", data="", layers=FLAT.format(units=100, activation="softmax"), loss=loss)
    (tmp_path / "many.yaml").write_text(spec)
    done(tmp_path, "train", "many.yaml", "--output", "run")
    said = done(tmp_path, "calibrate", "run", "--thresholds", "recall=1", code=1).stderr.splitlines()
    assert len(said) == 21
    assert all("for class '" in line for line in said[:20])
    assert not any("never the most probable where" in line for line in said)
    assert said[20].startswith("and ")
    assert said[20].endswith(" more classes")


KINDS_OF_OUTPUT = {
    "binary": (1, "sigmoid", "binary_crossentropy", (90,)),
    "logit": (1, "linear", "{binary_crossentropy: {from_logits: true}}", (90,)),
    "labels": (3, "sigmoid", "binary_crossentropy", (90, 3)),
    "logits": (3, "linear", "{sparse_categorical_crossentropy: {from_logits: true}}", (90,)),
    "numbers": (2, "linear", "mean_squared_error", (90, 2)),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """By the kind: a folder with a run on noise, and its raw probabilities of the training images."""
    found, random = {}, np.random.default_rng(3)
    for name, (units, activation, loss, shape) in KINDS_OF_OUTPUT.items():
        path = tmp_path_factory.mktemp(name)
        x = random.integers(0, 256, (90, 4, 5)).astype(np.uint8)
        y = random.integers(0, 2, shape)
        np.savez(path / "made.npz", x_train=x, y_train=y.astype(np.float32) if len(shape) > 1 else y)
        layer = FLAT.format(units=units, activation=activation)
        data = ", validation_split: 0.5"
        (path / "spec.yaml").write_text(KINDS.format(name=name, data=data, layers=layer, loss=loss))
        done(path, "train", "spec.yaml", "--output", "run")
        found[name] = path, library.load(path / "run").predict(x).probabilities, x
    return found


@pytest.mark.parametrize("name", ["binary", "logit", "labels", "logits"])
def test_an_evaluation_of_the_data_it_was_fitted_on_has_the_figures_it_was_fitted_with(kinds, name):
    path, _, _ = kinds[name]
    model = library.load(path / "run")
    decision = model.calibrate()
    before, after = model.evaluate().decided
    assert before == pytest.approx(decision.before, rel=1e-5)
    assert after == pytest.approx(decision.after, rel=1e-5)


@pytest.mark.parametrize("name", ["binary", "logit"])
def test_a_threshold_replaces_one_half_for_a_single_output(kinds, name):
    path, raw, x = kinds[name]
    decision = json.loads(done(path, "calibrate", "run", "--thresholds", "recall=0.9", "--json").stdout)["decision"]
    (threshold,) = decision["thresholds"]
    assert threshold["recall"] >= 0.9
    found = library.load(path / "run").predict(x)
    odds = np.log(raw / (1 - raw)) / decision["temperature"]
    np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp(-odds)), rtol=1e-4)
    assert list(found.labels) == [str(int(p >= threshold["threshold"])) for p in found.probabilities[:, 0]]


def test_each_label_has_its_threshold(kinds):
    path, _, x = kinds["labels"]
    decision = json.loads(done(path, "calibrate", "run", "--thresholds", "recall=0.8", "--json").stdout)["decision"]
    levels = [one["threshold"] for one in decision["thresholds"]]
    found = library.load(path / "run").predict(x)
    for labels, row in zip(found.labels, found.probabilities, strict=True):
        assert set(labels) == {str(k) for k in range(3) if row[k] >= levels[k]}
    failed = done(path, "calibrate", "run", "--unknown", "precision=0.5", code=2)
    assert failed.stderr == "error: --unknown and --costs need one class per image; for labels, give --thresholds\n"


def test_logits_are_divided_themselves(kinds):
    path, raw, x = kinds["logits"]
    decision = json.loads(done(path, "calibrate", "run", "--json").stdout)["decision"]
    np.testing.assert_allclose(
        library.load(path / "run").predict(x).probabilities, heated(raw, decision["temperature"]), rtol=1e-4
    )


def test_outputs_that_are_no_probabilities_are_refused(kinds):
    path, _, _ = kinds["numbers"]
    assert done(path, "calibrate", "run", code=2).stderr == (
        "error: calibrate needs a model whose outputs are the probabilities of classes or labels of an image\n"
    )


def test_a_class_named_unknown_can_not_be_told_from_an_unknown_answer(tmp_path):
    x, y = bars(60)
    names = np.where(y, "unknown", "cat")
    rows = [f"{name},{','.join(map(str, image.ravel()))}\n" for image, name in zip(x, names, strict=True)]
    (tmp_path / "bars.csv").write_text("".join(rows))
    (tmp_path / "bars.yaml").write_text(SPEC.replace("bars.npz", "bars.csv").replace("0.1", "0.5"))
    done(tmp_path, "train", "bars.yaml", "--output", "run")
    failed = done(tmp_path, "calibrate", "run", "--unknown", "precision=0.5", code=2)
    assert failed.stderr == "error: the model has a class named 'unknown': an unknown answer can't be told from it\n"
    done(tmp_path, "calibrate", "run")


def test_outputs_that_are_not_finite_are_refused_in_one_line(place):
    path = place / "run/best.safetensors"
    file = checkpoint.load(path)
    weights = {name: np.full_like(weight, 1e38) for name, weight in file.weights.items()}
    checkpoint.save(path, replace(file, weights=weights))
    failed = done(place, "calibrate", "run", code=1)
    assert failed.stderr == "error: a model whose outputs are not finite can't be calibrated\n"
