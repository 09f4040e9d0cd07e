"""Another framework in a process of its own, which works when it is told to and otherwise waits at a pipe."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
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
"""Seconds in which a peer that has nothing more to do ends by itself."""


class Peer:
    """A peer at work on the network of `description`; use it as a context manager.

    `version`: of the framework. `variants`: the ways in which it can run the network. Raises CnncliError where the
    process ends or says what nobody asked for.
    """

    def __init__(
        self, name: str, command: Sequence[str], description: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.errors: IO[bytes] = TemporaryFile()  # noqa: SIM115 (closed by `close`); a pipe that nobody reads would fill up
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
            self.version, self.variants = str(hello["version"]), list(map(str, hello["variants"]))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def round(self, variant: str) -> float:
        """Work for a while; images a second."""
        done = self._ask(variant)
        return float(done["images"]) / float(done["seconds"])

    def close(self) -> None:
        """End the process; after a while by force."""
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
        """The last line it wrote on standard error."""
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")


class Framework(NamedTuple):
    """One that can be a peer: what users call it, the modules it needs, its script, what describes a network to it.

    `translate` takes a model and how it is trained; None for inference, which is all that one without `trains` does.
    """

    title: str
    modules: tuple[str, ...]
    script: str
    translate: Callable[[Model, CompileSection | None], dict[str, Any]]
    trains: bool = True

    def command(self, name: str) -> list[str]:
        """What starts it. Raises UsageError where it is not installed."""
        require(f"--against {name}", self.title, self.modules, "bench")
        # -P: a file torch.py in the working directory is not PyTorch.
        return [sys.executable, "-P", str(Path(__file__).with_name(self.script))]


FRAMEWORKS = {
    "torch": Framework("PyTorch", ("torch",), "torch_peer.py", to_torch),
    "tensorflow": Framework("Keras and TensorFlow", ("keras", "tensorflow"), "tensorflow_peer.py", to_keras),
    "onnxruntime": Framework("ONNX Runtime", ("onnx", "onnxruntime"), "onnxruntime_peer.py", to_onnx, trains=False),
}
