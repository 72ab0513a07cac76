"""The test kit for jobs, ours and other people's: a whole `Context` in memory, and a guard that proves a check only reads."""

from tasks.testing.fakes import (
    CancelSwitch,
    FakeApplyContext,
    FakeArtifacts,
    FakeClock,
    FakeCommands,
    FakeContext,
    FakeHistory,
    FakeLedger,
    FakeLog,
    FakeProgress,
    FakeSecrets,
    FakeTls,
    finished,
)
from tasks.testing.guard import ReadOnlyViolation, read_only, run_check
from tasks.testing.stacks import FakeStacks

__all__ = [
    "CancelSwitch",
    "FakeApplyContext",
    "FakeArtifacts",
    "FakeClock",
    "FakeCommands",
    "FakeContext",
    "FakeHistory",
    "FakeLedger",
    "FakeLog",
    "FakeProgress",
    "FakeSecrets",
    "FakeStacks",
    "FakeTls",
    "ReadOnlyViolation",
    "finished",
    "read_only",
    "run_check",
]
