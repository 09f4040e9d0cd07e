"""The scripts and manifests of docs/distributed.md, as far as they can be checked without a cluster."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_the_batch_script_is_valid_bash():
    (script,) = blocks("bash")
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    options = re.findall(r"^#SBATCH --([a-z-]+)=\S+$", script, re.MULTILINE)
    assert options == ["job-name", "nodes", "ntasks-per-node", "cpus-per-task", "signal", "time"]


def test_the_manifest_starts_as_many_processes_as_there_are_workers():
    (manifest,) = [yaml.safe_load(block) for block in blocks("yml")]
    assert (manifest["apiVersion"], manifest["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    spec = manifest["spec"]
    launcher, worker = spec["mpiReplicaSpecs"]["Launcher"], spec["mpiReplicaSpecs"]["Worker"]
    command = launcher["template"]["spec"]["containers"][0]["command"]
    assert command[:3] == ["mpiexec", "-n", str(spec["slotsPerWorker"] * worker["replicas"])]
