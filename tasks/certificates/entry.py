"""What the operator writes down about a TLS server, and what a run may be told."""

import re
from ipaddress import ip_address
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Self

import idna
from pydantic import AfterValidator, Field, field_validator, model_validator

from tasks.certificates.renewal.keys import RenewalKeys
from tasks.job import Params

# RFC 1123 labels, and the underscore that internal names carry all the same.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NAME_LIMIT = 253
_PORTS = range(1, 65536)
Fraction = Annotated[float, Field(gt=0, lt=1)]


def host_name(text: str) -> str:
    """`text` as it goes on the wire: lower case, A-labels (IDNA 2008), no final dot; or an address literal."""
    bare = text.strip().removesuffix(".")
    literal = bare.removeprefix("[").removesuffix("]")
    if is_address(literal):
        return str(ip_address(literal))
    try:
        name = bare.lower() if bare.isascii() else idna.encode(bare, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        message = f"{text!r} is not a host name: {error}"
        raise ValueError(message) from None
    if len(name) > _NAME_LIMIT or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        message = f"{text!r} is not a host name; expected one like www.example.com, 192.0.2.7 or 2001:db8::7"
        raise ValueError(message)
    return name


def is_address(text: str) -> bool:
    if ":" not in text and not text[-1:].isdecimal():  # the common case, at a fraction of the price
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def split_place(text: str, default_port: int) -> tuple[str, int]:
    """`host`, `host:port`, `192.0.2.7:443`, `2001:db8::7` or `[2001:db8::7]:443` as host and port."""
    place = text.strip()
    if is_address(place):
        return place, default_port
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        return place, default_port
    if not port.isascii() or not port.isdecimal() or int(port) not in _PORTS:
        message = f"{text!r}: the port must be a number from 1 to 65535, as in www.example.com:443 or [2001:db8::7]:443"
        raise ValueError(message)
    return host, int(port)


HostName = Annotated[str, AfterValidator(host_name)]


class CertificateEntry(RenewalKeys):
    """One TLS server: a name, and all the addresses behind it. A plain `"host:port"` is an entry of that name."""

    host: HostName = Field(description="Name or address literal; an international name may be written as people read it.")
    port: int = Field(443, ge=1, le=65535)
    addresses: tuple[str, ...] = Field(
        (), max_length=200, description='Look exactly here instead of resolving: `["192.0.2.7:8443", "[2001:db8::7]:8443"]`.'
    )
    server_name: HostName | None = Field(None, description="Name for SNI and to find in the certificate; `host` if unset.")
    ca_file: str | None = Field(None, description="Absolute path of a PEM file: trust only that, not the system's anchors.")
    timeout_seconds: float = Field(5.0, gt=0, le=60, description="For resolving, and again for connect and handshake together.")
    warn_below: Fraction | None = Field(None, description="Fraction of its lifetime; overrides the run's.")
    critical_below: Fraction | None = Field(None, description="Fraction of its lifetime; overrides the run's.")

    estate_only: ClassVar[frozenset[str]] = RenewalKeys.estate_only | {"ca_file"}

    @model_validator(mode="before")
    @classmethod
    def _from_place(cls, value: Any) -> Any:  # noqa: ANN401 - whatever was written, before validation
        if isinstance(value, str):
            host, port = split_place(value, 443)
            return {"name": value.strip(), "host": host, "port": port}
        if isinstance(value, dict) and "name" not in value and isinstance(value.get("host"), str):
            return {**value, "name": f"{value['host']}:{value.get('port', 443)}"}
        return value

    @field_validator("addresses")
    @classmethod
    def _address_literals(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            host, _ = split_place(text, 443)
            if not is_address(host.removeprefix("[").removesuffix("]")):
                message = f"{text!r} is not an address; expected one like 192.0.2.7:8443 or [2001:db8::7]:8443"
                raise ValueError(message)
        return value

    @field_validator("ca_file")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is not None and not PurePath(value).is_absolute():
            message = f"{value!r} is not an absolute path"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn_below and self.critical_below and self.critical_below > self.warn_below:
            message = f"critical_below ({self.critical_below}) must not exceed warn_below ({self.warn_below})"
            raise ValueError(message)
        return self

    @property
    def place(self) -> str:
        """`host:port`: the subject of findings, the same whatever the addresses of the night."""
        return join_place(self.host, self.port)

    @property
    def expected_name(self) -> str:
        return self.server_name or self.host

    def pinned(self) -> list[tuple[str, int]]:
        """The addresses to look at instead of resolving, each with its port."""
        places = [split_place(text, self.port) for text in self.addresses]
        return [(host_name(host), port) for host, port in places]


def join_place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class CertificatesParams(Params):
    """When to speak up, as fractions of a certificate's own lifetime: right for 6 days and for 398."""

    warn_below: Fraction = Field(
        0.3, description="Speak up when less than this fraction of the lifetime is left. Agents renew at one third left."
    )
    critical_below: Fraction = Field(0.1, description="Page when less than this fraction of the lifetime is left.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.critical_below > self.warn_below:
            message = f"critical_below ({self.critical_below}) must not exceed warn_below ({self.warn_below})"
            raise ValueError(message)
        return self
