"""Declarations: frozen models whose fields are the YAML keys, with Keras' names and defaults.

A field is written once. Validation, the resolved spec, the JSON schema and the documentation all come from it.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError


class Declaration(BaseModel):
    """The base of all a spec can name. Strict: `"3"` is not 3, `true` is not 1, an unknown key is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names it is known by, besides the class name and its snake_case."""


D = TypeVar("D", bound=Declaration)


class Registry(Generic[D]):
    """The declarations of one kind by name: the class name, its snake_case as Keras spells it, or an alias."""

    def __init__(self, kind: str, base: type[D]) -> None:
        self.kind, self.base = kind, base
        self.classes: dict[str, type[D]] = {}
        self.spellings: dict[str, str] = {}

    def __iter__(self) -> Iterator[type[D]]:
        return iter(self.classes.values())

    def register(self, cls: type[D]) -> type[D]:
        """Add a class (usable as a decorator). Raises ValueError for a name that is taken."""
        for spelling in (cls.__name__, snake_case(cls.__name__), *cls.aliases):
            if self.spellings.setdefault(spelling, cls.__name__) != cls.__name__:
                raise ValueError(f"{self.kind} {spelling!r} is registered already, by {self.spellings[spelling]}")
        self.classes[cls.__name__] = cls
        return cls

    def find(self, name: str) -> type[D] | None:
        """The class known by `name`, or None."""
        return self.classes.get(self.spellings.get(name, ""))

    def parse(self, value: object) -> D:
        """A declaration from a name or a mapping of one name to its arguments.

        Raises PydanticCustomError of type "unknown_name" (context: kind, name, known), "declaration" (kind), or
        "nested" (context: kind, path, errors: those of the arguments, as ValidationError.errors() gives them).
        """
        if isinstance(value, self.base):
            return value
        name, arguments = _name_and_arguments(value)
        if name is None:
            raise PydanticCustomError(
                "declaration", "{kind} must be a name, or one name with its arguments", {"kind": self.kind}
            )
        cls = self.find(name)
        if cls is None:
            context = {"kind": self.kind, "name": name, "known": list(self.classes)}
            raise PydanticCustomError("unknown_name", "unknown {kind} '{name}'", context)
        try:
            return cls.model_validate(arguments)
        except ValidationError as error:
            nested = {"kind": self.kind, "path": [name], "errors": error.errors(include_url=False)}
            raise PydanticCustomError("nested", "the arguments of {path} are wrong", nested) from None

    def dump(self, declaration: D | None) -> str | dict[str, Any] | None:
        """What `parse` reads back: the snake_case name where nothing differs from the defaults."""
        if declaration is None:
            return None
        name, arguments = type(declaration).__name__, declaration.model_dump(exclude_defaults=True)
        return {name: arguments} if arguments else snake_case(name)


def snake_case(name: str) -> str:
    """Keras' automatic names: Conv2D → conv2d, MaxPooling2D → max_pooling2d, HeNormal → he_normal."""
    out = ""
    for i, letter in enumerate(name):
        before, after = name[i - 1 : i], name[i + 1 : i + 2]
        if letter.isupper() and (before.islower() or (i and before != "_" and after.islower())):
            out += "_"
        out += letter.lower()
    return out


def _name_and_arguments(value: object) -> tuple[str | None, object]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, arguments),) = value.items()
        if isinstance(name, str):
            return name, {} if arguments is None else arguments
    return None, None


def _pair(value: object) -> object:
    if isinstance(value, list) and len(value) == 2:
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, tuple):
        return value
    raise PydanticCustomError("pair", "must be a whole number, or a list of two of them [height, width]")


PositiveInt = Annotated[int, Field(gt=0)]
Pair = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_pair)]
"""(height, width), both at least 1; one number stands for both."""
Fraction = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
