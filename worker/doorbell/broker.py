"""How a process finds the broker: by its URL, else by the note that `nightshift up` leaves in the home."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worker.doorbell.home import run_folder
from worker.settings import Settings

Kind = Literal["redis", "filesystem", "url"]
FILESYSTEM_URL = "filesystem://"
_NOTE = "doorbell.json"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the doorbell is. `kind`: one of our own, or `url` for one that somebody else runs."""

    url: str
    kind: Kind


def broker_of(settings: Settings) -> Broker | None:
    """The broker that the settings name, else the embedded one of this home; None when `up` has none running here."""
    if settings.broker_url is not None:
        return Broker(settings.broker_url, "url")
    with contextlib.suppress(OSError, ValueError):
        note = json.loads(_note(settings.home).read_text(encoding="utf-8"))
        return Broker(note["url"], note["kind"])
    return None


def transport_options(url: str, home: Path) -> Mapping[str, object]:
    """What kombu must know besides the URL: for the filesystem transport its folders, for the others nothing."""
    if not url.startswith(FILESYSTEM_URL):
        return {}
    folders = filesystem_folders(home)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "control_folder": str(folders["control"]),
        # Else a message on its way to the worker lies in the temp folder of the whole machine.
        "processed_folder": str(folders["taken"]),
        "store_processed": True,
        "polling_interval": 0.02,
    }


def filesystem_folders(home: Path) -> Mapping[str, Path]:
    """The folders of the filesystem doorbell, by what lies in them."""
    return {name: run_folder(home) / "doorbell" / name for name in ("messages", "control", "taken")}


def leave_note(home: Path, broker: Broker) -> None:
    """Tell other processes of this home where the embedded doorbell is."""
    unfinished = _note(home).with_suffix(".new")
    unfinished.write_text(json.dumps({"url": broker.url, "kind": broker.kind}), encoding="utf-8")
    unfinished.replace(_note(home))


def take_note_away(home: Path) -> None:
    _note(home).unlink(missing_ok=True)


def _note(home: Path) -> Path:
    return run_folder(home) / _NOTE
