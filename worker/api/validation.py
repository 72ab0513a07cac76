"""A request that does not fit its model, told by field, with what is accepted and what was probably meant."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from worker.api.problems import ProblemError
from worker.problems import dotted, of_validation

MODELLED = ("body", "query")
"""Parameters of endpoints of these names are models; a fault in one can be told with the model's fields."""


class Closed(BaseModel):
    """A body or a query that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was sent, before validation
        if not all(map(_keepable, _texts(given))):
            raise PydanticCustomError("unkeepable", "holds a NUL character or half a surrogate pair, which no ledger keeps")
        return given


def of_validation_error(request: Request, error: RequestValidationError) -> ProblemError:
    """The first fault is the problem; `errors` tells them all."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return ProblemError(422, "not_json", f"the body is not JSON: {reason} at character {first['loc'][-1]}", field="body")
    place = str(first["loc"][0])
    model = _model(request, place)
    given = error.body if place == "body" else dict(request.query_params)
    if model is None or not isinstance(given, dict):
        return _plain(first, place, model)
    faults = _faults(model, given) or [(dotted(first["loc"][1:]), first["msg"])]
    field, detail = faults[0][0] or place, faults[0][1]
    accepted = sorted(model.model_fields)
    errors = [{"field": name, "detail": text} for name, text in faults]
    return ProblemError(422, "invalid", f"{field}: {detail}", field=field, accepted=accepted, errors=errors)


def _faults(model: type[BaseModel], given: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        model.model_validate(given)
    except ValidationError as error:
        return [(dotted(path), message) for path, _, message in of_validation(error, model, given)]
    return []


def _texts(given: object) -> Iterator[str]:
    """Every text in it, names of members too; however deep it is."""
    waiting = [given]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case Mapping() as members:
                waiting += [*members.keys(), *members.values()]
            case list() | tuple() as items:
                waiting += items


def _keepable(text: str) -> bool:
    return "\0" not in text and not re.search("[\ud800-\udfff]", text)


def _plain(first: dict[str, Any], place: str, model: type[BaseModel] | None) -> ProblemError:
    if place == "body" and model is not None:
        detail = "the body must be a JSON object, sent with Content-Type: application/json"
        return ProblemError(422, "invalid", detail, field="body", accepted=sorted(model.model_fields))
    field = dotted(first["loc"][1:]) or place
    return ProblemError(422, "invalid", f"{field}: {first['msg']}", field=field)


def _model(request: Request, place: str) -> type[BaseModel] | None:
    if place not in MODELLED:
        return None
    hint = get_type_hints(request.scope["endpoint"]).get(place)
    candidates = [hint, *get_args(hint)]
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)
