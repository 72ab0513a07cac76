"""The keys of an estate entry that say how its certificate is renewed. Only the operator may write them."""

from pathlib import PurePath
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from tasks.context import Entry
from tasks.programs import PASSED_ON, Argv, Name, PassedName, Text

LONGEST_SECONDS = 540
"""A run has ten minutes, and must not be ended in the middle of a renewal."""


class RenewalKeys(Entry):
    """Without `renew_command` nothing is ever asked for: the findings of the entry are told, and that is all."""

    renew_command: Argv = Field((), description="Program and arguments that renew the certificate; no shell. Empty: no repair.")
    reload_command: Argv = Field((), description="Program and arguments that make the server take the new certificate.")
    renew_env: dict[Name, Text] = Field(
        default_factory=dict, description="Values for both commands. `env:NAME` and `file:PATH` are read for them alone."
    )
    renew_pass_env: tuple[PassedName, ...] = Field(
        PASSED_ON, description="Names taken from the environment of the worker that carries out, if set."
    )
    renew_cwd: str | None = Field(None, description="Absolute path of the folder both commands run in; unset: the root folder.")
    renew_timeout_seconds: float = Field(300.0, gt=0, description="Then the renewal is ended, in seconds.")
    reload_timeout_seconds: float = Field(60.0, gt=0, description="Then the reload is ended, in seconds.")
    renew_memory_mb: int | None = Field(None, ge=16, description="Address space each command may use, in MiB.")
    renew_output_limit_kb: int = Field(1024, ge=1, le=8192, description="What each command may print, in KiB.")
    certificate_file: str | None = Field(
        None, description="Absolute path of the PEM file that the renewal writes, leaf first; readable by the workers."
    )
    verify_timeout_seconds: float = Field(
        30.0, gt=0, description="How long the servers may take to show the new certificate, in seconds."
    )

    estate_only: ClassVar[frozenset[str]] = frozenset({
        "renew_command", "reload_command", "renew_env", "renew_pass_env", "renew_cwd", "renew_timeout_seconds",
        "reload_timeout_seconds", "renew_memory_mb", "renew_output_limit_kb", "certificate_file", "verify_timeout_seconds",
    })  # fmt: skip
    write_only: ClassVar[frozenset[str]] = frozenset({"renew_env"})

    @field_validator("renew_cwd", "certificate_file")
    @classmethod
    def _absolute_path(cls, value: str | None) -> str | None:
        if value is not None and not PurePath(value).is_absolute():
            message = f"{value!r} is not an absolute path"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _ends_within_its_run(self) -> Self:
        together = self.renew_timeout_seconds + self.reload_timeout_seconds + self.verify_timeout_seconds
        if together > LONGEST_SECONDS:
            message = f"renew, reload and verify time-outs are {together:g} s together; accepted: at most {LONGEST_SECONDS}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _reload_needs_renewal(self) -> Self:
        if self.reload_command and not self.renew_command:
            message = "reload_command does nothing without renew_command"
            raise ValueError(message)
        return self
