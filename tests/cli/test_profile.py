"""`cnncli profile`: its table, JSON and trace; no run is left."""

import json
import re

import pytest

from cnncli.training.resources import benchmark
from tests.cli.test_lr_find import SPEC
from tests.cli.test_train import cnncli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "ROUND", 0.002)
    (tmp_path / "mine.yaml").write_text(SPEC)
    return tmp_path


def test_the_table_sums_to_100_percent_and_no_run_is_left(folder):
    done = cnncli(folder, "profile", "mine.yaml", "--trace", "trace.json")
    assert (done.returncode, done.stderr) == (0, "")
    title, *table, sums, before, file = done.stdout.splitlines()
    assert re.fullmatch(r"mine · 2 batches, 64 images · \d+ threads? · [\d.]+ m?s", title)
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table if line.startswith("│")]
    assert rows[-1][0] == "all"
    assert sum(round(10 * float(row[3].removesuffix(" %"))) for row in rows[:-1]) == 1000
    assert sum(round(10 * float(share)) for share in re.findall(r"([\d.]+) %", sums)) == 1000
    assert re.fullmatch(r"before the epoch: start and data [\d.]+ m?s, kernels [\d.]+ m?s", before)
    assert file == "trace.json"
    assert len(json.loads((folder / "trace.json").read_text())["traceEvents"]) > 10
    assert sorted(path.name for path in folder.iterdir()) == ["mine.yaml", "trace.json"]


def test_json_has_the_parts_and_the_digest_of_the_weights(folder):
    data = json.loads(cnncli(folder, "profile", "mine.yaml", "--steps", 1, "--json").stdout)
    assert (data["batches"], data["images"]) == (1, 32)
    assert sum(part["share"] for part in data["parts"]) == pytest.approx(1)
    lines = cnncli(folder, "train", "mine.yaml", "--set", "fit.steps_per_epoch=1", "--json").stdout.splitlines()
    assert data["weights_digest"] == json.loads(lines[-1])["weights_digest"]
