"""A real n8n on loopback: quiet, offline, with an owner and an API key; everything in a folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers.n8n_install import PROGRAM, TEMPLATE, node, only_one
from tests.servers.process import Server, free_port

OWNER = {"email": "owner@example.test", "firstName": "Olga", "lastName": "Owner", "password": "Owner-passw0rd!"}
_ENCRYPTION_KEY = "an-encryption-key-for-tests-only"
# Asks nobody anything: no telemetry, no news, no templates; and answers errors as a production n8n does, without a stack trace.
_QUIET = {
    "EXECUTIONS_DATA_PRUNE": "false",
    "GENERIC_TIMEZONE": "UTC",
    "N8N_COMMUNITY_PACKAGES_ENABLED": "false",
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_DYNAMIC_BANNERS_ENABLED": "false",
    "N8N_ENCRYPTION_KEY": _ENCRYPTION_KEY,
    "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS": "true",
    "N8N_HIRING_BANNER_ENABLED": "false",
    "N8N_HOST": "127.0.0.1",
    "N8N_LISTEN_ADDRESS": "127.0.0.1",
    "N8N_LOG_LEVEL": "info",
    "N8N_PERSONALIZATION_ENABLED": "false",
    "N8N_PROTOCOL": "http",
    "N8N_SECURE_COOKIE": "false",
    "N8N_TEMPLATES_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "NODE_ENV": "production",
    "NO_COLOR": "1",
    "TZ": "UTC",
}


class N8nServer(Server):
    """n8n with SQLite. Starts in some five seconds from a copy of a home whose owner is set up.

    `fresh=True` starts with an empty home instead: first boot, no owner, no key. The set-up calls (`/rest/…`) belong to the
    tests; the code under test uses the documented API alone.
    """

    name = "n8n"

    def __init__(self, *, fresh: bool = False) -> None:
        self.node = node()
        template = None if fresh else _template()
        super().__init__()
        self.home = self.folder / "home"
        if template is None:
            self.home.mkdir(mode=0o700)
        else:
            shutil.copytree(template, self.home)
        key = self.home / "api_key"
        self.api_key = key.read_text() if key.exists() else ""
        self.port, self.broker_port = free_port(), free_port()
        self.more_environment: dict[str, str] = {}
        """For the next start: e.g. `N8N_SSRF_PROTECTION_ENABLED`."""
        self._session = httpx.Cookies()
        """Of the owner, once signed in: n8n takes five sign-ins a minute."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> Mapping[str, str]:
        return {
            **_QUIET,
            "N8N_PORT": str(self.port),
            "N8N_RUNNERS_BROKER_PORT": str(self.broker_port),
            "N8N_USER_FOLDER": str(self.home),
            "PATH": f"{self.node.parent}{os.pathsep}{os.environ['PATH']}",
            "WEBHOOK_URL": f"{self.url}/",
            **self.more_environment,
        }

    def argv(self) -> Sequence[str]:
        return [str(self.node), str(PROGRAM), "start"]

    def ready(self) -> bool:
        # Healthy long before its routes are mounted; the settings are served when the editor is.
        try:
            answer = httpx.get(f"{self.url}/rest/settings", timeout=20, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK and answer.headers["content-type"].startswith("application/json")

    def command(self, *args: str, code: int = 0) -> str:
        """Run n8n's own command line on the same home (`export:workflow --all`, …). Returns its standard output."""
        broker = {"N8N_RUNNERS_BROKER_PORT": str(free_port())}
        done = subprocess.run(
            [str(self.node), str(PROGRAM), *args],
            cwd=self.folder,
            env={"HOME": str(self.folder), "LC_ALL": "C.UTF-8", **self.environment(), **broker},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == code, f"n8n {' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def api(self, method: str, path: str, body: object = None) -> Any:
        """One call of the public API with the owner's key; fails unless it succeeds."""
        headers = {"X-N8N-API-KEY": self.api_key}
        answer = httpx.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=90, trust_env=False)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    @contextmanager
    def as_owner(self) -> Iterator[httpx.Client]:
        """The editor's own calls (`/rest/…`), signed in."""
        with httpx.Client(base_url=self.url, headers={"browser-id": "tests"}, timeout=90, trust_env=False) as client:
            client.cookies = self._session
            if client.get("/rest/login").status_code != httpx.codes.OK:
                answer = client.post("/rest/login", json={"emailOrLdapLoginId": OWNER["email"], "password": OWNER["password"]})
                assert answer.status_code == httpx.codes.OK, answer.text
                self._session = client.cookies
            yield client

    def set_up_owner(self) -> None:
        """What a person does on the first page of a fresh n8n; and one API key with every scope."""
        with httpx.Client(base_url=self.url, timeout=90, trust_env=False) as client:
            assert client.post("/rest/owner/setup", json=OWNER).status_code == httpx.codes.OK
        self.api_key = self.new_api_key("tests")
        (self.home / "api_key").write_text(self.api_key)

    def new_api_key(self, label: str, *scopes: str) -> str:
        """An API key with these scopes; with none named: all there are."""
        with self.as_owner() as owner:
            wanted = list(scopes) or owner.get("/rest/api-keys/scopes").json()["data"]
            answer = owner.post("/rest/api-keys", json={"label": label, "scopes": wanted, "expiresAt": None})
            assert answer.status_code == httpx.codes.OK, answer.text
            return str(answer.json()["data"]["rawApiKey"])

    def add_credential(self, name: str, header: str, value: str, kind: str = "httpHeaderAuth") -> str:
        """A header credential; returns its id. n8n accepts a name twice."""
        body = {"name": name, "type": kind, "data": {"name": header, "value": value}}
        return str(self.api("POST", "/credentials", body)["id"])

    def wipe(self) -> None:
        """Every workflow, credential and tag gone, without a restart."""
        for what in ("workflows", "credentials", "tags"):
            for row in self.api("GET", f"/{what}?limit=250")["data"]:
                self.api("DELETE", f"/{what}/{row['id']}")

    def reset_database(self) -> None:
        """As if the volume had been lost and the owner set up again: stopped, a fresh home, started. Execution ids restart."""
        if self.running:
            self.stop()
        shutil.rmtree(self.home)
        shutil.copytree(_template(), self.home)
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if number is signal.SIGKILL and self.running:
            # Its task runner is a child, which a kill of the server alone would leave behind; the group is ours alone.
            os.killpg(self.pid, signal.SIGKILL)
        super()._end(number)


def _template() -> Path:
    """A home as after the first boot, made once per machine."""
    with only_one("n8n-home"):
        if not (TEMPLATE / "api_key").exists():
            with N8nServer(fresh=True) as server:
                server.set_up_owner()
                server.stop()
                part = Path(tempfile.mkdtemp(dir=TEMPLATE.parent, prefix="n8n-home-"))
                shutil.copytree(server.home, part / "home")
                (part / "home").rename(TEMPLATE)
                part.rmdir()
    return TEMPLATE


def exported(server: N8nServer, folder: Path) -> list[dict[str, Any]]:
    """Every workflow as `n8n export:workflow --backup` writes it."""
    server.command("export:workflow", "--backup", f"--output={folder}")
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
