"""The table of settings, for `nightshift settings` and the documentation."""

from dataclasses import dataclass

from worker.settings.load import Loaded, variable
from worker.settings.model import Settings, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `nightshift settings`, and of the table in the documentation (which shows `default`, not `value`)."""

    name: str
    variable: str
    value: str
    default: str
    source: str
    description: str


def settings_table(loaded: Loaded) -> list[Row]:
    """One row a setting, in the order of `Settings`; no value shows a password."""
    shown = loaded.settings.shown()
    return [
        Row(
            name=name,
            variable=variable(name),
            value=shown[name],
            default=_default_text(name),
            source=loaded.sources[name],
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _default_text(name: str) -> str:
    field = Settings.model_fields[name]
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown" in extra:
        return str(extra["shown"])
    return text_of(field.get_default(call_default_factory=True, validated_data={}))
