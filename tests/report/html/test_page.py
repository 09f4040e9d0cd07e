"""The page of runs of every kind: sound HTML that shows what there is and says what is missing."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from math import nan

import numpy as np
import pytest

from cnncli.datasets.dataset import Dataset, Split
from cnncli.report.html import make
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.examples import Example, Examples
from cnncli.training.phases import Unfreezing
from tests.report.html.pages import HISTORY, checked, evaluation, html, trained

HOSTILE = "<script>alert(1)</script>"


def test_a_page_has_all_parts():
    found = checked(html(trained()))
    titles = [text for level, text in found.headings if level == 2]
    assert titles == [
        *("Summary", "Curves", "Evaluation on the test split", "Mistakes", "Data", "Model"),
        *("Time and environment", "Reproduce", "Spec"),
    ]
    assert "test accuracy 0.7500" in found.text
    assert "✓ met test_accuracy >= 0.5: 0.7500" in found.text
    assert "cnncli train made-up.yaml" in found.text
    assert "sha256:1234" in found.text
    assert [name.split(",")[0].split(" (")[0] for name in found.tables] == [
        *("All epochs; * has the final weights", "Confused classes", "Scores by class"),
        *("Images by class and split", "Layers"),
    ]


def test_the_policy_allows_the_script_of_the_page_and_nothing_else():
    text = html(trained())
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert checked(text).policy == (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_a_hostile_class_name_is_text():
    made = html(trained((HOSTILE, "a & b", "\x00\x1b[31m'\"")))
    found = checked(made)
    assert found.tags.count("script") == 1
    assert HOSTILE in found.text
    assert "\\x00\\x1b[31m'\"" in found.text
    assert "\x00" not in made
    assert "alert(1)</script>" not in made


@pytest.mark.parametrize("key", ["name", "run", "reason"])
def test_hostile_facts_are_text(key):
    found = checked(html(trained(facts={key: HOSTILE, "state": "failed"}, missing=[HOSTILE], unjudged=HOSTILE)))
    assert found.tags.count("script") == 1
    assert HOSTILE in found.text


def test_a_cell_with_mistakes_leads_to_the_images_of_exactly_these():
    run = trained()
    text = html(run)
    links = re.findall(r'<a href="#run1-pair-(\d)-(\d)">', text)
    wrong = {(true, given) for true, given in zip(*np.nonzero(run.evaluation.confusion), strict=True) if true != given}
    assert {(int(true), int(given)) for true, given in links} == wrong
    for true, given in wrong:
        tiles = re.findall(rf'data-pair="{true}-{given}"', text)
        assert len(tiles) == run.evaluation.confusion[true, given]
    assert re.findall(r'<li id="run1-pair-', text)


def test_the_worst_mistake_is_first():
    run = trained()
    worst = run.evaluation.mistakes[0]
    first = next(image for image in checked(html(run)).images)
    assert first["alt"] == (
        f"{worst.label} taken for {worst.predicted} with {100 * worst.probability:.1f} %, row {worst.index}"
    )


@pytest.mark.parametrize(("classes", "count"), [(("no", "yes"), 1), (("a", "b", "c"), 0)])
def test_two_classes_have_curves_of_thresholds(classes, count):
    text = html(trained(classes))
    assert [text.count(f'aria-label="{title} (test)"') for title in ("Calibration", "ROC", "Precision and recall")] == [
        *(1, count, count)
    ]


def test_a_thousand_classes_have_a_matrix_of_the_most_confused_and_all_scores():
    classes = [f"class {number}" for number in range(1000)]
    text = html(trained(classes, count=3000, side=32))
    found = checked(text)
    assert "the 40 of 1,000 classes with the most mistakes" in found.text
    assert "class 999" in found.text
    assert len(re.findall(r"<tr>", text)) > 2000  # scores, and images by class
    tiles = len(re.findall(r"data-pair=", text))
    assert 24 <= tiles <= 300


def test_thumbnails_end_where_their_room_does():
    random = trained(count=3000, side=112)  # noise is what a JPEG can't make small
    text = html(random)
    found = checked(text)
    shown, total = map(int, re.search(r"(\d+) of (\d+) misclassified images are shown", found.text).groups())
    assert 24 <= shown < min(300, total)
    assert total == len(random.evaluation.mistakes)
    pairs = re.findall(r'<a href="#(run1-pair-\d-\d)">', text)
    assert pairs
    assert set(pairs) <= set(found.ids)


def test_without_evaluation_the_page_says_why():
    found = checked(html(trained(evaluation=None, dataset=None, missing=["The data can't be read: they are gone"])))
    assert "Note: The data can't be read: they are gone" in found.text
    assert "Images by split" in found.tables
    assert "3,600 training, 400 validation, 1,000 test" in found.text
    assert not any(text.startswith("Evaluation") for _, text in found.headings)


def test_the_epoch_at_which_layers_are_unfrozen_is_said():
    run = trained()
    spec = replace(run.spec, unfreezing=Unfreezing(2, ("dense",)))
    assert "unfrozen at epoch" not in checked(html(run)).text
    assert re.search(r"unfrozen at epoch\s+2", checked(html(trained(spec=spec))).text)


def test_of_many_epochs_the_best_is_among_those_that_are_shown():
    history = [{"epoch": epoch, "loss": 1 / epoch} for epoch in range(302, 713)]  # `initial_epoch: 301`
    text = checked(html(trained(history=history, facts={"epoch": 303}))).text
    assert re.search(r"\b303 \*", text)
    assert re.search(r"Epochs: 139 of 411", text)


def test_nothing_but_a_spec_that_can_not_be_read_is_a_page():
    facts = {"state": "killed", "epochs": 0, "planned_epochs": None, "epoch": None, "figures": {}, "test": None}
    bare = trained(
        facts=facts, spec=None, history=[], environment={}, sizes={}, digest="", dataset=None, evaluation=None, text="{"
    )
    assert "Attention: This run ended without a result" in checked(html(bare)).text


def test_a_diverged_run_says_so_first_and_its_curves_are_interrupted():
    history = [*HISTORY[:2], {"epoch": 3, "loss": nan, "accuracy": 0.1, "val_loss": nan}]
    run = trained(facts={"state": "diverged", "reason": "the loss is nan in epoch 3, batch 2"}, history=history)
    text = html(run)
    found = checked(text)
    assert "Attention: This run diverged" in found.text
    assert "the loss is nan in epoch 3, batch 2" in found.text
    assert found.text.index("Attention") < found.text.index("test accuracy")
    cursor = json.loads(re.search(r'data-cursor="(.*?)"', text)[1].replace("&#34;", '"'))
    assert cursor["values"] == [["1.5000", "0.7000", None], ["1.4000", "0.6000", None]]
    assert (cursor["at"], cursor["best"]) == (["1", "2", "3"], [1])


def test_scores_that_are_no_numbers_are_a_page():
    run = trained()
    scores = np.full_like(run.evaluation.scores, nan)
    checked(html(trained(evaluation=replace(run.evaluation, scores=scores))))


def test_without_validation_the_head_has_the_training_figures():
    history = [{"epoch": 1, "loss": 1.5, "accuracy": 0.25}]
    facts = {"figures": {"loss": 1.5, "accuracy": 0.25}, "test": None, "epochs": 1, "epoch": 1}
    found = checked(html(trained(facts=facts, history=history, evaluation=None)))
    assert "accuracy 0.2500 loss 1.5000" in found.text
    assert "not checked test_accuracy >= 0.5: –" in found.text


def examples(shape, scores):
    """Two examples with outputs of `scores` channels."""
    random = np.random.default_rng(1)

    def one(position):
        fed, target, output = (random.random((*shape, channels)) for channels in (3, scores, scores))
        return Example(position, fed, target, output, 0.25)

    return Examples([one(0)], [one(1)], 30)


def test_masks_are_laid_over_their_images():
    classes = ["background", HOSTILE]
    confusion = np.array([[50, 10], [5, 35]])
    found = Evaluation("test", 2, {"loss": 0.5}, classes, confusion, [], "pixels")
    split = Split(np.zeros((2, 8, 8, 3), np.uint8), np.ones((2, 8, 8), np.uint8), "folder", "test")
    data = Dataset("folder", split, None, split, tuple(classes), "sha256:0")
    made = checked(html(trained(evaluation=found, dataset=data, examples=examples((8, 8), 2))))
    assert "Worst: 25 % of the pixels wrong" in made.text
    assert "2 of 30 that were compared" in made.text
    told = [image["alt"] for image in made.images]
    assert told[0] == "the input"
    assert re.fullmatch(r"true mask: .* \d+ %, .* \d+ %", told[1])
    assert "Pixels by class and split" in made.tables
    assert "IoU" in made.text
    assert "0.700" in made.text  # of the second class: 35 / (35 + 10 + 5)


def test_an_auto_encoder_shows_inputs_and_outputs():
    found = Evaluation("test", 30, {"loss": 0.01}, [], None, [])
    split = Split(np.zeros((30, 8, 8, 3), np.uint8), None, "made", "x_test")
    data = Dataset("made", split, None, split, (), "sha256:0")
    made = checked(html(trained(evaluation=found, dataset=data, examples=examples((8, 8), 3))))
    assert "Worst: mean squared error 0.2500" in made.text
    assert [image["alt"] for image in made.images][:3] == ["the input", "the output", "the absolute difference"]
    assert not any("Scores" in caption for caption in made.tables)


def test_several_labels_at_once_have_scores_but_no_matrix():
    found, data = evaluation(["x", "y"], 20)
    labels = (np.arange(40).reshape(20, 2) % 3 == 0).astype(np.uint8)
    scores = np.linspace(0.05, 0.95, 40, dtype=np.float32).reshape(20, 2)
    several = replace(found, confusion=None, labels=labels, scores=scores, mistakes=[])
    split = replace(data.train, y=labels.astype(np.float32))
    data = replace(data, train=split, validation=None, test=None)
    made = checked(html(trained(evaluation=several, dataset=data)))
    assert any(caption.startswith("Scores by class") for caption in made.tables)
    assert "Confusion matrix" not in [text for _, text in made.headings]
    assert "micro average" in made.text


def test_a_page_that_would_be_too_large_has_fewer_images(monkeypatch):
    run = trained(count=3000, side=112)
    whole = html(run)
    monkeypatch.setattr(make, "LARGEST", 400_000)
    small = html(run)
    assert len(small) <= 400_000 < len(whole)
    assert 0 < small.count("<img ") < whole.count("<img ")


def test_eight_runs_of_a_thousand_classes_are_a_page():
    classes = [f"class {number}" for number in range(1000)]
    found = checked(html(*[trained(classes, count=2000, side=32, facts={"name": f"run {n}"}) for n in range(8)]))
    assert "the 125 of 1,000 classes with the lowest F1" in " ".join(found.tables)


def test_a_thousand_epochs_are_drawn_in_part_and_the_table_has_some_of_them():
    lines = [{"epoch": number, "loss": 1 / number, "val_loss": 2 / number} for number in range(1, 2001)]
    text = html(trained(history=lines, facts={"epochs": 2000, "epoch": 1777}))
    found = checked(text)
    assert "drawn: 1 of 4 epochs" in found.text
    assert "Epochs: 202 of 2,000; * has the final weights" in found.tables
    assert "1777 *" in found.text
    assert len(text) < 400_000


def test_a_long_spec_is_cut():
    run = trained()
    found = checked(html(replace(run, text=run.text + "# note\n" * 100_000)))
    assert "more characters: see spec.yaml of the run" in found.text


def test_several_runs_are_compared_with_the_first():
    other = trained(facts={"name": "other", "test": {"loss": 0.65, "accuracy": 0.5}}, count=30)
    other = replace(other, text=other.text.replace("epochs: 3", "epochs: 4"))
    found = checked(html(trained(), other))
    assert "test accuracy 0.7500 0.5000 (−0.2500)" in found.text
    assert "test loss 0.6500 0.6500 (±0)" in found.text
    assert "-fit: {epochs: 3} +fit: {epochs: 4}" in found.text
    assert [text.split()[0] for level, text in found.headings if level == 2] == ["Comparison", "made-up", "other"]


def test_equal_specs_are_called_equal():
    assert "The specs are equal." in checked(html(trained(), trained(facts={"run": "runs/made-up/2"}))).text
