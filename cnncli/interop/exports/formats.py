"""The formats by name: a module with `export`, and a line here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from cnncli.errors import UsageError
from cnncli.extras import require
from cnncli.interop.exports.exported import Exported, ExportOptions

Files = bytes | Mapping[str, bytes]
"""The content of a file, or of the files of a folder by name."""


class Format(NamedTuple):
    """A format. `about`: what is written. `module`: of this package, with `export(exported, options) -> Files`.

    `suffixes`: of its files; none: it is a folder. `options`: those that it obeys. `package`: a module that it needs,
    and the extra that installs it. `several`: it is a file for each suffix, which have one name.
    """

    title: str
    about: str
    module: str
    suffixes: Sequence[str] = ()
    options: Sequence[str] = ()
    package: tuple[str, str] = ("", "")
    several: bool = False

    def files(self, path: Path) -> list[Path]:
        """The files, or the folder, that are written as `path`."""
        if not self.several:
            return [path]
        stem = path.with_suffix("") if path.suffix in self.suffixes else path
        return [stem.with_name(stem.name + suffix) for suffix in self.suffixes]

    def check(self, options: ExportOptions) -> None:
        """Raise UsageError for options that it does not have, and if a package is missing."""
        for field in fields(options):
            if field.name not in self.options and getattr(options, field.name) != field.default:
                raise UsageError(f"{FLAGS[field.name]} is not for {self.title}")
        module, extra = self.package
        if module:
            require(f"exporting {self.title}", f"the package {module}", (module,), extra)

    def export(self, exported: Exported, options: ExportOptions) -> Files:
        """Return the file or files. Raises UsageError for a model that the format can't express."""
        make: Callable[[Exported, ExportOptions], Files] = import_module(f"{__package__}.{self.module}").export
        return make(exported, options)


FLAGS = {"fold": "--no-fold", "nhwc": "--nhwc", "preprocessing": "--with-preprocessing", "int8": "--int8"}
FORMATS = {
    "c": Format(
        "C", "a C99 header and source, without dependencies", "c_files", (".c", ".h"), ("fold", "int8"), several=True
    ),
    "keras": Format(
        "Keras",
        "a compiled model for keras.saving.load_model",
        "keras_archive",
        (".keras",),
        package=("h5py", "keras"),
    ),
    "numpy": Format(
        "NumPy", "a folder with predict.py, which needs NumPy and Pillow only", "numpy_folder", options=("fold",)
    ),
    "onnx": Format(
        "ONNX",
        "a graph for ONNX Runtime, OpenVINO and others",
        "onnx_file",
        (".onnx",),
        ("fold", "nhwc", "preprocessing"),
        ("onnx", "onnx"),
    ),
    "safetensors": Format("safetensors", "the weights under Keras' names", "safetensors_file", (".safetensors",)),
    "torch": Format("PyTorch", "a folder with model.py, an nn.Module, and its state_dict", "torch_folder"),
}
CONVERTED = {
    "openvino": ((".xml",), "ovc model.onnx", "openvino"),
    "tflite": ((".tflite",), "onnx2tf -i model.onnx", "onnx2tf"),
}
"""Formats that other programs make of ONNX files: suffixes, the command, and the package that has it."""


def format_of(path: Path, name: str | None) -> Format:
    """The format with this name, or that of the suffix. Raises UsageError if there is none."""
    suffix = path.suffix.lower()
    if name is None:
        known = {end: key for key, known in FORMATS.items() for end in known.suffixes}
        known |= {end: key for key, (ends, *_) in CONVERTED.items() for end in ends}
        name = known.get(suffix)
    if name in CONVERTED:
        _, command, package = CONVERTED[name]
        raise UsageError(
            f"{name} is made of ONNX: `cnncli export MODEL -o model.onnx`, then `{command}` (pip install {package})"
        )
    if name not in FORMATS:
        raise UsageError(
            f"'{path}' has no suffix of a format ({', '.join(sorted(_suffixes()))}); --format says another: "
            f"{', '.join(FORMATS)}"
        )
    found = FORMATS[name]
    if suffix not in found.suffixes and suffix in _suffixes():
        raise UsageError(f"'{path}' has the suffix of another format than --format {name}")
    return found


def _suffixes() -> set[str]:
    return {suffix for known in FORMATS.values() for suffix in known.suffixes}
