"""The examinations of `doctor n8n`: what answers there, and the variables that it was started with. None changes anything."""

from collections.abc import Iterator
from pathlib import Path

from tasks.providers.n8n.advisories import affecting, floor, parsed
from tasks.providers.n8n.api import TESTED_VERSIONS, N8nApi
from worker.cli.health import Check
from worker.cli.n8n.opening import n8n_api
from worker.cli.n8n.variables import EXAMINATIONS, read_variables
from worker.cli.opening import loaded
from worker.cli.refusals import told
from worker.settings import Settings

_NOT_LOOKED = "cannot tell: n8n's variables were not looked at"
_HOW = "name them with --environ: /proc/PID/environ of n8n, a file of NAME=value lines, or - for what `env` prints there"


def examine(environ: Path | None) -> list[Check]:
    """Everything; what could not be looked at says so and is never `ok`."""
    settings = loaded().settings
    variables = read_variables(environ) if environ else None
    checks = [*_answering(settings)]
    for name, look in EXAMINATIONS.items():
        checks.append(Check(name, "warn", _NOT_LOOKED, _HOW) if variables is None else look(name, variables, settings))
    return checks


def _answering(settings: Settings) -> Iterator[Check]:
    if settings.n8n_url is None:
        yield Check("n8n", "fail", "no n8n is named", "set NIGHTSHIFT_N8N_URL")
        return
    try:
        with N8nApi(settings.n8n_url, "") as api:
            version, in_production = api.version(), api.in_production()
    except Exception as error:
        said = told(error)
        if said is None:
            raise
        yield Check("n8n", "fail", said[0], "start it, or correct NIGHTSHIFT_N8N_URL")
        return
    yield Check("n8n", "ok", f"answers at {settings.n8n_url}")
    yield _tested(version)
    yield _advised(version)
    yield _key(settings)
    if in_production:
        yield Check("n8n production mode", "ok", "errors of webhooks show no stack trace")
    else:
        yield Check(
            "n8n production mode", "fail", "errors of webhooks show callers a stack trace", "start n8n with NODE_ENV=production"
        )


def _tested(version: str | None) -> Check:
    name, tested = "n8n tested version", ", ".join(TESTED_VERSIONS)
    if version is None:
        return Check(name, "warn", "it does not tell its version", f"tested: {tested}; on any other `push` refuses")
    if version in TESTED_VERSIONS:
        return Check(name, "ok", version)
    return Check(name, "warn", f"{version} is not tested", f"everything that reads works, `push` refuses; tested: {tested}")


def _advised(version: str | None) -> Check:
    name, wanted = "n8n advised floor", " or ".join(floor())
    release = parsed(version) if version else None
    if release is None:
        return Check(name, "warn", f"cannot tell: version {version or 'unknown'}", f"advised: {wanted}, or newer")
    faults = affecting(release)
    if not faults:
        return Check(name, "ok", f"no fault known to us affects {version}")
    told_faults = "; ".join(f"{each.id}: {each.means}" for each in faults)
    advice = (
        f"advised: {wanted}, or newer; until one of them is tested, only people whom you would give n8n's machine may edit "
        "workflows, and no key goes to anybody else. Nightshift holds against an n8n that is somebody else's"
    )
    return Check(name, "warn", f"{version} has {told_faults}", advice)


def _key(settings: Settings) -> Check:
    if settings.n8n_api_key is None:
        return Check("n8n API key", "warn", "none is set", "set NIGHTSHIFT_N8N_API_KEY to env:NAME or file:PATH")
    try:
        with n8n_api() as api:
            api.tags()
    except Exception as error:
        said = told(error)
        if said is None:
            raise
        return Check("n8n API key", "fail", said[0], "make one in n8n under Settings, n8n API")
    return Check("n8n API key", "ok", "n8n takes it")
