"""Pulumi's property values as plain JSON and back.

The SDK takes no integer, so a number must be a float; and what it calls computed it cannot send, so an unknown value is its text.
"""

from collections.abc import Mapping
from typing import Any

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.rpc import UNKNOWN

Json = Any


def plain(value: PropertyValue) -> Json:
    match value.value:
        case Mapping() as inner:
            return {key: plain(one) for key, one in inner.items()}
        case (list() | tuple()) as inner:
            return [plain(one) for one in inner]
        case float() as number if number.is_integer():
            return int(number)
        case other:
            return other


def plain_map(values: Mapping[str, PropertyValue]) -> dict[str, Json]:
    """Without nulls: the engine says null for what is not there."""
    return {key: one for key, value in values.items() if (one := plain(value)) is not None}


def wrapped(value: Json, *, secret: bool = False) -> PropertyValue:
    match value:
        case dict():
            return PropertyValue({key: wrapped(one) for key, one in value.items()}, secret)
        case list():
            return PropertyValue([wrapped(one) for one in value], secret)
        case bool() | str() | None:
            return PropertyValue(value, secret)
        case _:
            return PropertyValue(float(value), secret)


__all__ = ["UNKNOWN", "plain", "plain_map", "wrapped"]
