"""Any script as a check: its exit code and its JSON lines become findings. See `docs/add-a-script.md`."""

from tasks.command.check import JOB, CommandParams
from tasks.command.entry import CommandEntry

__all__ = ["JOB", "CommandEntry", "CommandParams"]
