"""Jinja2 for the console, in one place: strict about names, everything escaped."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from notifications.render import one_line, plain
from worker.api.console.static import ADDRESSES
from worker.redaction import PROCESS

LONGEST_VALUE = 1500
LONGEST_ON_A_LINE = 100


def render(template: str, **members: object) -> str:
    """The page as HTML, without control characters that could disguise something, and without any known secret."""
    return PROCESS.redact(render_with_secret(template, **members))


def render_with_secret(template: str, **members: object) -> str:
    """The same for the one page that has to carry a secret: the form that spends a sign-in link."""
    members = {"zone": "UTC", "visitor": None, "viewer": None, "brakes": None, "refresh": False, **members}
    return plain(_environment().get_template(template).render(members))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("worker.api.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = ADDRESSES
    environment.filters |= {
        "at": _at,
        "for_long": for_long,
        "value": value_text,
        "one_line": one_line,
        "words": lambda text: re.sub(r"[_.]", " ", str(text)),
        "code": _code,
        "changes": changes,
        "facts": facts,
    }
    return environment


def changes(text: str) -> list[tuple[str, str]]:
    """The lines of a simulation, each with what its first character says of it: `new`, `gone`, `moved` or nothing."""
    kinds = {"+": "new", "-": "gone", "~": "moved"}
    return [(kinds.get(line.lstrip()[:1], ""), line) for line in text.splitlines()]


@pass_context
def _at(context: Context, instant: datetime | None) -> str:
    """An instant in the instance's zone; the script turns it into the reader's."""
    if instant is None:
        return "never"
    local = instant.astimezone(ZoneInfo(context["zone"]))
    iso = instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{} {:%b %H:%M}</time>').format(iso, local.day, local)


def _code(text: str) -> str:
    """`words` in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def for_long(span: timedelta) -> str:
    """`4 s`, `3 min`, `2 h 5 min`, `6 d`."""
    seconds = span.total_seconds()
    if seconds < 10:  # noqa: PLR2004
        return f"{max(seconds, 0):.1f} s"
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 120:  # noqa: PLR2004
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{days} d"  # noqa: PLR2004


def facts(members: object) -> str:
    """`exit code 0, wrote 1`: the members of an object in one line."""
    if not isinstance(members, Mapping):
        return value_text(members)
    return ", ".join(f"{str(name).replace('_', ' ')} {value_text(member, LONGEST_ON_A_LINE)}" for name, member in members.items())


def value_text(value: object, limit: int = LONGEST_VALUE) -> str:
    """A JSON value as a person reads it, cut when it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if not isinstance(value, str) and len(text) > LONGEST_ON_A_LINE:
        text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
