"""Optional dependencies."""

from importlib.util import find_spec

from cnncli.errors import UsageError


def require(use: str, title: str, modules: tuple[str, ...], extra: str) -> None:
    """Raise UsageError with the install command if one of `modules` is missing. Does not import them."""
    if any(find_spec(module) is None for module in modules):
        raise UsageError(f"{use} needs {title}: pip install 'cnncli[{extra}]'")
