"""What a kind of channel accepts in its table: read from the typed keyword arguments of its class."""

import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, ValidationError, create_model
from pydantic_core import InitErrorDetails, PydanticCustomError

from notifications import CHANNELS
from notifications.channel import Channel

ENTRY_POINTS = "nightshift.channels"

_REFERENCE = re.compile(r"(env|file|vault):.+")


def channel_class(kind: str) -> type[Channel]:
    """The class of `kind`: one that ships, an entry point, or `module:Class`. `ValueError` says what is accepted."""
    installed = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    path = kind if ":" in kind else {**installed, **CHANNELS}.get(kind)
    if path is None:
        known = ", ".join(sorted({**CHANNELS, **installed}))
        raise ValueError(f"unknown kind of channel {kind!r}; accepted: {known}, or `module:Class`")
    module, _, name = path.partition(":")
    try:
        found: object = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"channel {path} cannot be loaded: {error}") from error
    if not isinstance(found, type) or not callable(getattr(found, "deliver", None)):
        # A ValueError, for it is the configuration that is wrong.
        raise ValueError(  # noqa: TRY004
            f"{path} is no channel: it has no method `deliver`"
        )
    return found


def addresses_people(kind: str) -> bool:
    """Whether a channel of `kind` can be asked to tell one person; see `Personal`."""
    return callable(getattr(channel_class(kind), "reaches", None))


def check_options(kind: str, given: Mapping[str, object]) -> None:
    """Raise `ValidationError` or `ValueError` unless a channel of `kind` takes `given`, its secrets still references."""
    build(kind, given, lambda reference: reference)


def build(kind: str, given: Mapping[str, object], read_secret: Callable[[str], str]) -> Channel:
    """The channel of `kind`, each reference in `given` read by `read_secret`."""
    cls = channel_class(kind)
    hints = get_type_hints(cls.__init__, include_extras=True)
    try:
        options = _model(cls, hints).model_validate(given)
    except ValidationError as error:
        raise _explained(error, kind, cls, hints) from None
    values = {name: getattr(options, name) for name in options.model_fields_set}
    for name, value in values.items():
        if _is_secret(hints[name]) and isinstance(value, str) and _REFERENCE.fullmatch(value):
            values[name] = SecretStr(read_secret(value))
    return cls(**values)


def _model(cls: type[Channel], hints: Mapping[str, Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, parameter in _parameters(cls).items():
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (_as_given(hints[name]), default)
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", hide_input_in_errors=True), **fields)


def _parameters(cls: type[Channel]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(cls).parameters)


def _as_given(annotation: Any) -> Any:  # noqa: ANN401 - any annotation that pydantic takes
    """What stands in the table for an argument: a reference for a `SecretStr`, or plain text too where `str` is allowed."""
    if not _is_secret(annotation):
        return annotation
    allowed = get_args(annotation) or (annotation,)
    given = str if str in allowed else Annotated[str, AfterValidator(_reference)]
    return given | None if type(None) in allowed else given


def _is_secret(annotation: Any) -> bool:  # noqa: ANN401
    return SecretStr in (annotation, *get_args(annotation))


def _reference(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        raise ValueError("a secret is given by reference; accepted: env:NAME, file:PATH or vault:PATH#KEY")
    return value


def _explained(error: ValidationError, kind: str, cls: type[Channel], hints: Mapping[str, Any]) -> ValidationError:
    """The same faults, saying what is accepted. No fault shows its input where that may be a secret."""
    accepted = ", ".join(_parameters(cls))
    faults: list[InitErrorDetails] = []
    for fault in error.errors(include_url=False):
        key = str(fault["loc"][0])
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = f"unknown key; {kind} accepts: {accepted} (a secret is given by reference)"
        shown = fault["input"] if key in hints and not _is_secret(hints[key]) else "[not shown]"
        if fault["type"] == "missing":
            message = f"is missing; {kind} cannot do without it"
        # A type of our own: to pydantic's own ones a reader adds what the model accepts, and that is `kind` only.
        type_ = PydanticCustomError("channel_option", "{text}", {"text": message})
        faults.append(InitErrorDetails(type=type_, loc=fault["loc"], input=shown))
    return ValidationError.from_exception_data(kind, faults, hide_input=True)
