"""Another framework in a separate process, which blocks on a pipe between requests."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple, Self

from cnncli.errors import CnncliError
from cnncli.extras import require
from cnncli.graph.model import Model
from cnncli.interop.keras.network import translate as to_keras
from cnncli.interop.onnx.network import translate as to_onnx
from cnncli.interop.torch.network import translate as to_torch
from cnncli.system import signals
from cnncli.training.sections import CompileSection

PATIENCE = 10
"""Seconds to wait for a peer to exit before it is killed."""


class Peer:
    """A peer process running the network of `description`; use it as a context manager.

    `version`: the framework's version. `variants`: the ways in which it can run the network, and the seconds that each
    took to start. Raises CnncliError if the process exits or sends an invalid answer.
    """

    def __init__(
        self, name: str, command: Sequence[str], description: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.errors: IO[bytes] = TemporaryFile()  # noqa: SIM115 (closed by `close`); an unread pipe would fill up
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=dict(environment),
            text=True,
            encoding="utf-8",
        )
        signals.undo(self.process.kill)
        try:
            hello = self._ask(description)
            self.version = str(hello["version"])
            self.variants: Mapping[str, float] = {
                str(name): float(seconds) for name, seconds in hello["variants"].items()
            }
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def round(self, variant: str) -> float:
        """Run one round; return images per second."""
        done = self._ask(variant)
        return float(done["images"]) / float(done["seconds"])

    def close(self) -> None:
        """Close the process; kill it if it does not exit within PATIENCE seconds."""
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        signals.keep(self.process.kill)
        self.errors.close()

    def _ask(self, message: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            raise CnncliError(f"{self.name} could not run the network: {self._complaint()}") from None

    def _complaint(self) -> str:
        """Return the last line of its standard error."""
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")


class Framework(NamedTuple):
    """A framework that can be a peer: display name, required modules, script, and translation of a network.

    `translate` takes a model and its training settings, None for inference; without `trains`, only inference is
    supported.
    """

    title: str
    modules: tuple[str, ...]
    script: str
    translate: Callable[[Model, CompileSection | None], dict[str, Any]]
    trains: bool = True

    def command(self, name: str) -> list[str]:
        """Return the command that starts it. Raises UsageError if it is not installed."""
        require(f"--against {name}", self.title, self.modules, "bench")
        # -P: do not import a file torch.py in the working directory as PyTorch.
        return [sys.executable, "-P", str(Path(__file__).with_name(self.script))]


FRAMEWORKS = {
    "torch": Framework("PyTorch", ("torch",), "torch_peer.py", to_torch),
    "tensorflow": Framework("Keras and TensorFlow", ("keras", "tensorflow"), "tensorflow_peer.py", to_keras),
    "onnxruntime": Framework("ONNX Runtime", ("onnx", "onnxruntime"), "onnxruntime_peer.py", to_onnx, trains=False),
    "openvino": Framework(
        "OpenVINO", ("onnx", "openvino"), "openvino_peer.py", partial(to_onnx, peer="openvino"), trains=False
    ),
}
