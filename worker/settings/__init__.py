"""Every setting of an instance: a `NIGHTSHIFT_…` variable, or a key of one TOML file. Built once, in `wiring`."""

from worker.settings.load import Loaded, SettingsError, load_settings, machine_timezone
from worker.settings.model import Settings
from worker.settings.table import Row, settings_table

__all__ = ["Loaded", "Row", "Settings", "SettingsError", "load_settings", "machine_timezone", "settings_table"]
