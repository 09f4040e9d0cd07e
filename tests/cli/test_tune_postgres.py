"""Two workers on one PostgreSQL study, as on two machines, of which one is killed."""

import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from cnncli.api.tuning import Tuning
from tests import servers
from tests.cli.test_train import child_environment
from tests.cli.test_tune import SPEC

WORKER = """
import sys
from cnncli.training.search import study
study.HEARTBEAT, study.GRACE = 1, 2
from cnncli.__main__ import main
sys.argv = ["cnncli", "tune", "a.yaml", "--worker", "--threads", "1"]
main()
"""
"""A worker whose death is noticed within seconds instead of a minute."""


def test_a_killed_worker_loses_its_trial_to_another_and_no_trial_is_missing(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    (tmp_path / "a.yaml").write_text(SPEC.replace("epochs: 2", "epochs: 8"))
    with servers.postgres() as url:
        environment = {**child_environment(), "CNNCLI_STORAGE": url, "PYTHONPATH": str(servers.PACKAGES)}

        def worker():
            return subprocess.Popen([sys.executable, "-c", WORKER], cwd=tmp_path, env=environment)

        killed = worker()
        until = monotonic() + 60
        while not (begun := list(tmp_path.glob("runs/shapes/2*/best.safetensors"))) and monotonic() < until:
            sleep(0.01)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        assert worker().wait(60) == 0
        monkeypatch.setattr(sys, "path", [*sys.path, str(servers.PACKAGES)])
        monkeypatch.chdir(tmp_path)
        tuning = Tuning.of(Path("a.yaml"), (), url)
        found = tuning.found(tuning.open())
    assert [(trial.number, trial.state) for trial in found.trials] == [(number, "complete") for number in (1, 2)]
    assert begun[0].parent.relative_to(tmp_path) in [Path(trial.run) for trial in found.trials]
