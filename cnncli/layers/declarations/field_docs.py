"""Docstrings of classes and of their fields."""

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache


def one_line_doc(cls: type) -> str:
    """The class docstring on one line; "" without one."""
    return " ".join((cls.__doc__ or "").split())


def first_sentence(text: str) -> str:
    """The first sentence, with a full stop."""
    return text.partition(". ")[0].rstrip(".:") + "."


def field_docs(cls: type) -> dict[str, str]:
    """The docstring below each field of a class and of its bases, by field name.

    Fields without one are omitted, as are classes whose source is not available.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _of_module(base.__module__).get(base.__qualname__, {})
    return found


@cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """The field docstrings of a module, by class and field."""
    module = sys.modules.get(name)
    try:
        tree = ast.parse(inspect.getsource(module)) if module else ast.Module([], [])
    except (OSError, TypeError):  # built in, or shipped without its source
        return {}
    return {node.name: dict(_of_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> list[tuple[str, str]]:
    """(field, text) for each string literal directly below an annotated name."""
    return [
        (field.target.id, " ".join(text.value.value.split()))
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    ]
