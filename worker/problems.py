"""What is wrong with what a person wrote: file, line, key, value, and what would be accepted."""

import difflib
import json
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schedules.toml_lines import locate
from worker.redaction import MASK, PROCESS, is_secret_name

Path = tuple[str | int, ...]
LONGEST_VALUE = 80
LONGEST_LIST = 20
_KINDS = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "int_type": "a whole number",
    "list_type": "an array",
    "model_type": "a table",
    "string_type": "a string",
    "tuple_type": "an array",
}
"""What pydantic calls by Python's names, in TOML's."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `value` is what was found there, masked if it may be a secret, empty if nothing was."""

    file: str
    line: int | None
    key: str
    value: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line is not None else self.file
        what = f"{self.key} = {self.value}" if self.value else self.key
        return f"{where}: {what}: {self.message}" if what else f"{where}: {self.message}"


def accepted(known: Collection[str]) -> str:
    """`accepted: a, b, c`, cut when there are very many."""
    if not known:
        return "nothing is accepted here"
    names = sorted(set(known))
    shown = ", ".join(names[:LONGEST_LIST])
    return f"accepted: {shown}" + (f" and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else "")


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The nearest known word as a question, then what is accepted."""
    near = difflib.get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    nearest = next((name for name in known if near and name.lower() == near[0]), None)
    if nearest is None:
        return accepted(known)
    return f"did you mean {nearest}?" + (f" {accepted(known)}" if len(known) <= LONGEST_LIST else "")


def dotted(path: Sequence[str | int]) -> str:
    """`('certificates', 0, 'host')` as `certificates[0].host`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def problem(file: str, text: str, path: Path, value: object, message: str, key: str | None = None) -> Problem:
    """The fault at `path` of the TOML `text`, with its line. Neither value nor message shows what may be a secret."""
    # Where a reference is demanded, what stands there instead is most likely the secret itself.
    secret = "reference" in message or any(isinstance(part, str) and is_secret_name(part) for part in path)
    # So may what stands under a key that is misspelt.
    secret = secret or (isinstance(value, str) and message.startswith("unknown "))
    if secret and isinstance(value, str) and value:
        message = message.replace(value, MASK)
    line = locate(text, path) if text else None
    return Problem(file, line, key or dotted(path), _shown(value, secret=secret), PROCESS.redact(message))


def _shown(value: object, *, secret: bool) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "{…}" if isinstance(value, Mapping) else "[…]"
    if value is None:
        return ""
    if secret:
        return MASK
    spelled = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    text = PROCESS.redact(spelled)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def of_validation(error: ValidationError, model: type[BaseModel], given: object) -> Iterator[tuple[Path, object, str]]:
    """Each fault of `error` as the path in `given`, the value there, and a message that holds no value."""
    for details in error.errors(include_url=False):
        path = _real_path(details["loc"], given)
        value = None if details["type"] == "missing" else value_at(given, path)
        yield path, value, _message(details, model)


def _message(details: ErrorDetails, model: type[BaseModel]) -> str:
    if details["type"] == "extra_forbidden" and details["msg"] == "Extra inputs are not permitted":
        owner = _model_at(model, details["loc"][:-1]) or model
        return f"unknown key; {did_you_mean(str(details['loc'][-1]), list(owner.model_fields))}"
    if details["type"] == "missing":
        field = (_model_at(model, details["loc"][:-1]) or model).model_fields.get(str(details["loc"][-1]))
        return f"is missing; {field.description}" if field and field.description else "is missing"
    if kind := _KINDS.get(details["type"]):
        return f"is not {kind}"
    return details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _real_path(loc: Path, given: object) -> Path:
    """`loc` without what pydantic puts in of its own: the tags of unions, `[key]`."""
    path: list[str | int] = []
    for number, part in enumerate(loc):
        here = value_at(given, tuple(path))
        last = number == len(loc) - 1
        if (isinstance(here, Mapping) and (part in here or (last and part != "[key]"))) or (
            isinstance(here, Sequence) and not isinstance(here, str) and isinstance(part, int)
        ):
            path.append(part)
    return tuple(path)


def value_at(given: object, path: Path) -> object:
    """What stands at `path` of nested tables and arrays; None if nothing does."""
    here = given
    for part in path:
        if isinstance(here, Mapping):
            here = here.get(part)
        elif isinstance(here, Sequence) and not isinstance(here, str) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            return None
    return here


def _model_at(model: type[BaseModel], loc: Path) -> type[BaseModel] | None:
    here = model
    for part in loc:
        if not isinstance(part, str) or part not in here.model_fields:
            continue
        inner = list(_models_in(here.model_fields[part].annotation))
        if len(inner) != 1:
            return None
        here = inner[0]
    return here


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, list, dict, Mapping, Sequence):
        for argument in get_args(annotation):
            yield from _models_in(argument)
