"""Packages that only some uses need."""

from importlib.util import find_spec

from cnncli.errors import UsageError


def require(use: str, title: str, modules: tuple[str, ...], extra: str) -> None:
    """Raise UsageError, with the command that installs them, where one of `modules` is missing. Imports none."""
    if any(find_spec(module) is None for module in modules):
        raise UsageError(f"{use} needs {title}: pip install 'cnncli[{extra}]'")
