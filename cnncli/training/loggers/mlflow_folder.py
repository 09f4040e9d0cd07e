"""MLflow's store of files: mlruns/EXPERIMENT/RUN with metrics, params, tags and artifacts
(mlflow/store/tracking/file_store.py).
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from cnncli.system import atomic
from cnncli.system.files import read_bounded
from cnncli.training.loggers.mlflow_store import TAGS, Known, Point, Status, Store

META = "meta.yaml"
CODES: Mapping[Status, int] = {"RUNNING": 1, "FINISHED": 3, "FAILED": 4, "KILLED": 5}
LOCAL, LARGEST_META = 4, 1 << 20
"""MLflow's number of a source that is a local program; bytes."""


class Folder(Store):
    """A folder such as mlruns."""

    remote = False

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root, self.shown = root, str(root)
        self.run = root

    def start(self, experiment: str, name: str, time: int) -> str:
        run, number = uuid4().hex, self._experiment(experiment, time)
        self.run = self.root / number / run
        for folder in ("artifacts", "metrics", "params", "tags"):
            (self.run / folder).mkdir(parents=True)
        meta: dict[str, Any] = {
            "run_id": run,
            "run_uuid": run,
            "run_name": name,
            "experiment_id": number,
            "user_id": "",
        }
        meta |= {"start_time": time, "end_time": None, "deleted_time": None, "status": CODES["RUNNING"]}
        meta |= {"source_type": LOCAL, "source_name": "", "source_version": "", "entry_point_name": "", "tags": []}
        artifacts = (self.run / "artifacts").resolve().as_uri()
        _write_meta(self.run, {**meta, "lifecycle_stage": "active", "artifact_uri": artifacts})
        for key, value in {**TAGS, "mlflow.runName": name}.items():
            atomic.write(self.run / "tags" / key, value.encode())
        return run

    def resume(self, run: str) -> bool:
        found = next(self.root.glob(f"*/{run}/{META}"), None)
        if found is None:
            return False
        self.run = found.parent
        steps = {path.name: _last_step(path) for path in (self.run / "metrics").iterdir()}
        self.known = Known({path.name for path in (self.run / "params").iterdir()}, steps)
        self._change(status=CODES["RUNNING"], end_time=None)
        return True

    def artifact(self, name: str, content: bytes | Path) -> None:
        atomic.write(self.run / "artifacts" / name, content if isinstance(content, bytes) else content.read_bytes())

    def finish(self, status: Status, time: int) -> None:
        self._change(status=CODES[status], end_time=time)

    def write_points(self, points: Sequence[Point]) -> None:
        for key, group in groupby(sorted(points, key=lambda point: point.key), lambda point: point.key):
            lines = "".join(f"{point.time} {point.value!r} {point.step}\n" for point in group)
            with (self.run / "metrics" / key).open("a", encoding="utf-8") as file:
                file.write(lines)

    def write_parameters(self, parameters: Mapping[str, str]) -> None:
        for name, value in parameters.items():
            (self.run / "params" / name).write_text(value, encoding="utf-8")

    def _experiment(self, name: str, time: int) -> str:
        """The number of the active experiment of this name, which is made if there is none."""
        for path in self.root.glob(f"*/{META}"):
            meta = _read_meta(path)
            if meta.get("name") == name and meta.get("lifecycle_stage") == "active":
                return path.parent.name
        number = "0" if name == "Default" else str(10**17 + int(sha256(name.encode()).hexdigest(), 16) % (9 * 10**17))
        folder = self.root / number
        folder.mkdir(parents=True, exist_ok=True)
        meta = {"artifact_location": folder.resolve().as_uri(), "experiment_id": number, "name": name}
        _write_meta(folder, {**meta, "creation_time": time, "last_update_time": time, "lifecycle_stage": "active"})
        return number

    def _change(self, **changes: Any) -> None:
        _write_meta(self.run, {**_read_meta(self.run / META), **changes})


def _last_step(path: Path) -> int:
    """The last step in a metric's file, from which a line that was cut off, by a kill or a full disk, is removed."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        atomic.write(path, whole)
    lines = whole.splitlines()
    return int(lines[-1].split()[2]) if lines else -1


def _write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write a meta.yaml: JSON values are YAML."""
    lines = (f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in sorted(meta.items()))
    atomic.write(folder / META, "".join(lines).encode())


def _read_meta(path: Path) -> dict[str, Any]:
    """A meta.yaml; empty if it is none."""
    with suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        found = yaml.safe_load(read_bounded(path, LARGEST_META))
        if isinstance(found, dict):
            return found
    return {}
