"""Declarations: immutable records whose fields are the YAML keys, with Keras' names and defaults.

Each field is declared once; validation, the resolved spec and the documentation are derived from it.

No validation library is used: the rules are few, all errors must be reported at once with their message and place, and
importing pydantic alone took a third of the time of `cnncli check`.
"""

from collections.abc import Callable, Iterator, Mapping
from inspect import get_annotations
from types import MappingProxyType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from cnncli.layers.declarations.field_docs import field_docs, one_line_doc
from cnncli.layers.declarations.field_types import Boolean, Integer, Kind, Maybe, Number, OneOf, Schema, String
from cnncli.layers.declarations.list_types import ListOf, PairOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError

REQUIRED: Any = object()
"""The default of a required field."""


class Field(NamedTuple):
    """A field of a declaration: its type and its default (or REQUIRED)."""

    kind: Kind
    default: Any

    @property
    def required(self) -> bool:
        """Whether the field has no default."""
        return self.default is REQUIRED

    def plain_default(self) -> Any:
        """The default as plain data, or as the name of a declaration with default arguments."""
        value = self.default
        if isinstance(value, Declaration) and value == type(value)():
            return snake_case(type(value).__name__)
        return _plain(value)

    def schema(self, note: str = "") -> Schema:
        """The JSON Schema of the field; `note` begins its description."""
        described = {"description": " · ".join(filter(None, [note, self.kind.rule]))}
        default = {} if self.required else {"default": self.plain_default()}
        return {**described, **default, **self.kind.schema()}


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Declaration:
    """The base class of everything a spec can name: an immutable record whose fields are its annotated names.

    The constructor checks every field and raises ValidationError with all errors.
    """

    fields: ClassVar[Mapping[str, Field]] = MappingProxyType({})
    """The fields by name, a class's own before inherited ones."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Names besides the class name and its snake_case."""
    ignored: ClassVar[Mapping[str, Kind]] = MappingProxyType({})
    """Keys that are validated, but have no effect where they are no fields."""

    def __init_subclass__(cls) -> None:
        annotations = get_annotations(cls)
        if any(isinstance(annotation, str) for annotation in annotations.values()):
            known = get_type_hints(cls, include_extras=True)
            annotations = {name: known[name] for name in annotations}
        own = {
            name: Field(kind_of(annotation, f"{cls.__name__}.{name}"), cls.__dict__.get(name, REQUIRED))
            for name, annotation in annotations.items()
            if not name.startswith("_") and not _is_class_variable(annotation)
        }
        inherited = {name: field for name, field in cls.fields.items() if name not in own}
        cls.fields = MappingProxyType(own | inherited)

    def __init__(self, /, **values: Any) -> None:
        kinds, read = self.kinds(), {}
        details = [ErrorDetail((name,), "unknown_key", "", type(self)) for name in values if name not in kinds]
        for name, kind in kinds.items():
            if name not in values:
                if name in self.fields and self.fields[name].required:
                    details.append(ErrorDetail((name,), "missing", kind.rule, type(self)))
                continue
            try:
                read[name] = kind.read(values[name])
            except ValidationError as error:
                details += [detail.under(name)._replace(owner=detail.owner or type(self)) for detail in error.details]
        self.__dict__.update((name, value) for name, value in read.items() if name in self.fields)
        if not details and (contradiction := self.contradiction()):
            details.append(ErrorDetail((), "contradiction", contradiction, type(self)))
        if details:
            raise ValidationError(details)

    def contradiction(self) -> str:
        """An error message about fields that contradict each other; "" if there is none."""
        return ""

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """What each key takes, in the order of the fields; then the ignored ones."""
        own = {name: field.kind for name, field in cls.fields.items()}
        return own | {name: kind for name, kind in cls.ignored.items() if name not in own}

    @classmethod
    def needs(cls) -> list[str]:
        """The names of the required fields."""
        return [name for name, field in cls.fields.items() if field.required]

    @classmethod
    def schema(cls) -> Schema:
        """The JSON Schema of the arguments; null is allowed if none is required."""
        docs = field_docs(cls)
        return {
            "description": one_line_doc(cls),
            "type": "object" if cls.needs() else ["object", "null"],
            "properties": {
                **{name: kind.schema() for name, kind in cls.ignored.items()},
                **{name: field.schema(docs.get(name, "")) for name, field in cls.fields.items()},
            },
            "required": cls.needs(),
            "additionalProperties": False,
        }

    def settings(self) -> dict[str, Any]:
        """The values of all fields, including defaults."""
        return {name: getattr(self, name) for name in self.fields}

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**self.settings(), **changes})

    def plain(self) -> dict[str, Any]:
        """All fields as plain data (lists, and {Class: {…}} for declarations), which `Registry.parse` can read."""
        return {name: _plain(value) for name, value in self.settings().items()}

    def entry(self) -> Any:
        """Name and arguments as plain data: {Class: {…}}."""
        return {type(self).__name__: self.plain()}

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; {name!r} can't be set")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.settings() == other.settings()

    def __hash__(self) -> int:
        return hash((type(self), *self.settings().values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


def snake_case(name: str) -> str:
    """Keras' automatic names: Conv2D → conv2d, MaxPooling2D → max_pooling2d, HeNormal → he_normal."""
    out = ""
    for i, letter in enumerate(name):
        before, after = name[i - 1 : i], name[i + 1 : i + 2]
        if letter.isupper() and (before.islower() or (i and before != "_" and after.islower())):
            out += "_"
        out += letter.lower()
    return out


D = TypeVar("D", bound=Declaration)


class Registry(Generic[D]):
    """The declarations of one kind by name: the class name, Keras' other spelling of it, or an alias."""

    def __init__(self, kind: str, base: type[D], spell: Callable[[str], str] = snake_case) -> None:
        self.kind, self.base, self.spell = kind, base, spell
        self.classes: dict[str, type[D]] = {}
        self.spellings: dict[str, str] = {}

    def __iter__(self) -> Iterator[type[D]]:
        return iter(self.classes.values())

    def register(self, cls: type[D]) -> type[D]:
        """Add a class (usable as a decorator). Raises ValueError if a name is already registered."""
        for spelling in (cls.__name__, self.spell(cls.__name__), *cls.aliases):
            if self.spellings.setdefault(spelling, cls.__name__) != cls.__name__:
                raise ValueError(f"{self.kind} {spelling!r} is already registered by {self.spellings[spelling]}")
        self.classes[cls.__name__] = cls
        return cls

    def find(self, name: str) -> type[D] | None:
        """The class registered under `name`, or None."""
        return self.classes.get(self.spellings.get(name, ""))

    @property
    def reference(self) -> Schema:
        """The JSON Schema reference to a declaration of this registry; `definitions` has its target."""
        return {"$ref": f"#/$defs/{self.kind}"}

    def definitions(self) -> dict[str, Schema]:
        """The JSON Schema definitions of a declaration and of each class's arguments."""
        bare = [spelling for spelling, name in self.spellings.items() if not self.classes[name].needs()]
        named = {spelling: {"$ref": f"#/$defs/{self.kind}.{name}"} for spelling, name in self.spellings.items()}
        forms = [*([{"enum": bare}] if bare else []), one_of_keys(named)]
        return {
            self.kind: {"anyOf": forms},
            **{f"{self.kind}.{name}": cls.schema() for name, cls in self.classes.items()},
        }

    def parse(self, value: object) -> D:
        """A declaration from a name or a mapping of one name to its arguments. Raises ValidationError."""
        if isinstance(value, self.base):
            return value
        name, arguments = _name_and_arguments(value)
        if name is None:
            raise Named(self).refuse()
        cls = self.find(name)
        if cls is None:
            raise ValidationError([ErrorDetail((), "unknown_name", name, self)])
        if not isinstance(arguments, Mapping):
            raise ValidationError([ErrorDetail((name,), "arguments", "", cls)])
        try:
            return cls(**arguments)
        except ValidationError as error:
            raise ValidationError(detail.under(name) for detail in error.details) from None


class Named(Kind):
    """A declaration of a registry, given by name or as a mapping of its name to arguments; null may stand for one."""

    def __init__(self, registry: Registry[Any], null: type[Declaration] | None = None) -> None:
        self.registry, self.null = registry, null
        article = "an" if registry.kind[0] in "aeiou" else "a"
        self.rule = f"{article} {registry.kind} name or {{name: arguments}}"

    def read(self, value: Any) -> Declaration:
        declaration: Declaration = self.null() if self.null and value is None else self.registry.parse(value)
        return declaration

    @property
    def sample(self) -> Any:
        return self.registry.spell(next(name for name, cls in self.registry.classes.items() if not cls.needs()))

    def schema(self) -> Schema:
        return {"anyOf": [self.registry.reference, {"type": "null"}]} if self.null else self.registry.reference


class Nested(Kind):
    """A declaration of one class, given as a mapping of its fields, or as the value of the field `alone`, if any."""

    def __init__(self, cls: type[Declaration], rule: str, alone: str = "") -> None:
        self.cls, self.rule, self.alone = cls, rule, alone

    def read(self, value: Any) -> Declaration:
        if isinstance(value, self.cls):
            return value
        if isinstance(value, Mapping):
            return self.cls(**value)
        if not self.alone:
            raise self.refuse()
        try:
            return self.cls(**{self.alone: value})
        except ValidationError:
            raise self.refuse() from None

    @property
    def sample(self) -> Any:
        if self.alone:
            return self.cls.fields[self.alone].kind.sample
        return {name: field.plain_default() for name, field in self.cls.fields.items()}

    def schema(self) -> Schema:
        whole = {**self.cls.schema(), "type": "object"}
        return {"anyOf": [self.cls.fields[self.alone].kind.schema(), whole]} if self.alone else whole


def list_of(registry: Registry[Any]) -> ListOf:
    """A list of declarations of a registry."""
    return ListOf(Named(registry), rule=f"a list of {registry.kind}s")


def kind_of(annotation: Any, where: str) -> Kind:
    """The kind of an annotation, given or implied. Raises TypeError for an annotation without one."""
    simple = {bool: Boolean, int: Integer, float: Number, str: String}
    if annotation in simple:
        kind: Kind = simple[annotation]()
        return kind
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated and isinstance(arguments[-1], Kind):
        return arguments[-1]
    if origin is Literal:
        return OneOf(*arguments)
    if origin in (Union, UnionType) and len(arguments) == 2 and type(None) in arguments:
        return Maybe(kind_of(next(option for option in arguments if option is not type(None)), where))
    raise TypeError(f"{where} must be annotated with a kind, like Annotated[…, Kind]; received {annotation}")


def one_of_keys(known: Mapping[str, Schema]) -> dict[str, Any]:
    """The JSON Schema of a mapping with exactly one key, one of `known`."""
    single = {"type": "object", "minProperties": 1, "maxProperties": 1}
    return {**single, "properties": dict(known), "additionalProperties": False}


def _name_and_arguments(value: object) -> tuple[str | None, object]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, arguments),) = value.items()
        if isinstance(name, str):
            return name, {} if arguments is None else arguments
    return None, None


def _is_class_variable(annotation: Any) -> bool:
    origin: Any = get_origin(annotation)
    return annotation is ClassVar or origin is ClassVar


def _plain(value: Any) -> Any:
    if isinstance(value, Declaration):
        return value.entry()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


PositiveInt = Annotated[int, Integer(1)]
Pair = Annotated[tuple[int, int], PairOf(Integer(1))]
"""(height, width), both ≥ 1; one number is used for both."""
Fraction = Annotated[float, Number(0, below=1)]
NonNegative = Annotated[float, Number(0)]
