"""Published faults of n8n that matter to whoever pairs it with Nightshift. Tested is one thing, advised another."""

from dataclasses import dataclass

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Advisory:
    """One published fault, and the first release without it on each line of releases that was mended."""

    id: str
    means: str
    mended: tuple[Version, ...]

    def affects(self, version: Version) -> bool:
        """A line without a mended release of its own has the fault until the newest of the mended ones."""
        own = [first for first in self.mended if first[:2] == version[:2]]
        return version < (own[0] if own else max(self.mended))


ADVISORIES = (
    # https://github.com/advisories/<id>
    Advisory("CVE-2026-21858", "anybody who reaches a form or webhook reads files and takes n8n over", ((1, 121, 0),)),
    Advisory("CVE-2026-42226", "whoever shares a workflow can use others' credentials", ((1, 123, 33), (2, 17, 5))),
    Advisory("CVE-2026-49444", "a Python Code node runs anything on the host", ((1, 123, 48), (2, 21, 8), (2, 22, 4))),
    Advisory("GHSA-h3jj-5f3v-3685", "an API key that may only read can retry executions", ((2, 25, 7), (2, 26, 2))),
)


def parsed(version: str) -> Version | None:
    """None for what is no release, such as a nightly."""
    parts = version.split(".")
    if len(parts) != len(("major", "minor", "patch")) or not all(part.isdigit() for part in parts):
        return None
    major, minor, patch = map(int, parts)
    return major, minor, patch


def affecting(version: Version) -> tuple[Advisory, ...]:
    return tuple(each for each in ADVISORIES if each.affects(version))


def floor() -> tuple[str, ...]:
    """The oldest releases, one for each line of releases, that none of them affects."""
    mended = sorted({first for each in ADVISORIES for first in each.mended})
    return tuple(".".join(map(str, first)) for first in mended if not affecting(first))
