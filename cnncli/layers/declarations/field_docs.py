"""What a class says of itself and of its fields, in its source."""

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache


def told(cls: type) -> str:
    """Its docstring in one line; nothing where it has none of its own."""
    return " ".join((cls.__doc__ or "").split())


def first_sentence(text: str) -> str:
    """What stands before the first full stop or colon that ends a sentence, with a full stop."""
    return text.partition(". ")[0].rstrip(".:") + "."


def notes(cls: type) -> dict[str, str]:
    """The text that stands below each field of a class and of its bases, by the field's name.

    Fields without one, and all of a class whose source is not at hand, are left out.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _of_module(base.__module__).get(base.__qualname__, {})
    return found


@cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """By class and field, what stands below the fields of a module's classes."""
    module = sys.modules.get(name)
    try:
        tree = ast.parse(inspect.getsource(module)) if module else ast.Module([], [])
    except (OSError, TypeError):  # built in, or shipped without its source
        return {}
    return {node.name: dict(_of_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> list[tuple[str, str]]:
    """(field, text) for each string that stands right below an annotated name."""
    return [
        (field.target.id, " ".join(text.value.value.split()))
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    ]
