"""The estate table of the job: which n8n, which folder, and which of the two is right where they differ."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from tasks.context import Entry
from tasks.providers.n8n.gateway import IN_FILES


class CanvasEntry(Entry):
    """One n8n, and the folder of workflows that it should hold. Without `mend` its drift is told, and that is all."""

    url: str = Field(pattern="^https?://", description="Of the n8n.")
    api_key: str = Field(
        description="An API key of it that only reads (workflow:list, workflow:read, credential:list, tag:list): "
        "env:NAME or file:PATH."
    )
    folder: Path = Field(description="Workflow files, as the workers read them: a checkout of git.")
    tag: str | None = Field(None, description="Workflows with this tag that no file tells of are findings, too.")
    gateway_url: str = Field(IN_FILES, description="How that n8n reaches this gateway.")
    mend: Literal["push", "adopt"] | None = Field(
        None,
        description="What people are asked for when n8n differs: `push` the file to n8n, or `adopt` n8n's version as a branch in "
        "git. Unset: nothing.",
    )
    write_api_key: str | None = Field(
        None, description="For `push`: an API key of the n8n that may write workflows, tags too; read by an approved step alone."
    )

    estate_only: ClassVar[frozenset[str]] = frozenset({"api_key", "folder", "gateway_url", "mend", "url", "write_api_key"})
    write_only: ClassVar[frozenset[str]] = frozenset({"write_api_key"})

    @model_validator(mode="after")
    def _push_has_a_key_of_its_own(self) -> Self:
        if self.mend == "push" and self.write_api_key is None:
            message = "mend = 'push' needs `write_api_key`, a key that may write workflows"
            raise ValueError(message)
        if self.write_api_key == self.api_key:
            message = "`write_api_key` must be another key than `api_key`: checks and plans only read"
            raise ValueError(message)
        return self
