"""A shop whose servers read their certificate from a file each, and the small programs that renew and reload it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from tasks.certificates import JOB, CertificateEntry, CertificatesParams
from tasks.certificates.renewal.remedy import Renewal
from tasks.context import ApplyContext, Commands
from tasks.model import Finding, Plan, Receipt, Simulation, Step, Verification
from tasks.providers.process import LocalCommands
from tasks.providers.tls import OpenSslTls
from tasks.testing import FakeApplyContext, FakeClock, FakeContext, FakeSecrets, read_only, run_check
from tests.support.tls_farm import Validity
from worker.demo.farm import TlsServer, serve_file

NAME = "shop.example.test"


@dataclass
class Time:
    """A clock for waiting that only sleeping moves; `then` happens at the first sleep."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Shop:
    """`live` is what the renewal writes; each server serves its own copy of it, taken when it is reloaded."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.live = folder / "live.pem"
        self.served: list[Path] = []
        self.servers: list[TlsServer] = []
        self._close = servers
        self.time = Time()
        self.remedy = Renewal(pause=timedelta(seconds=1), monotonic=self.time.monotonic, sleep=self.time.sleep)

    def issue(self, path: Path, validity: Validity, name: str = NAME) -> Path:
        """A key and a chain in one file, as many servers take it."""
        leaf = self.ca.issue_cert(name, not_before=validity[0], not_after=validity[1])
        path.write_bytes(leaf.private_key_pem.bytes() + b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return path

    def serve(self, *validities: Validity) -> None:
        """One more address for each; the last is also what lies in `live`."""
        for validity in validities:
            path = self.issue(self.folder / f"served-{len(self.served)}.pem", validity)
            server = TlsServer(serve_file(path))
            self._close.callback(server.close)
            self.served.append(path)
            self.servers.append(server)
            self.live.write_bytes(path.read_bytes())

    @property
    def addresses(self) -> list[str]:
        return [server.place for server in self.servers]

    def entry(self, renew: str, reload: str | None = "all", **keys: object) -> CertificateEntry:
        """`renew` is a shell script; `reload`: copy `live` to every server, to the `first`, or a script of one's own."""
        table: dict[str, object] = {
            "name": "shop",
            "host": NAME,
            "addresses": self.addresses,
            "ca_file": str(self.ca_file),
            "timeout_seconds": 20,
            "renew_command": ["/bin/sh", "-c", renew],
            "certificate_file": str(self.live),
            "renew_cwd": str(self.folder),
            "verify_timeout_seconds": 3,
        }
        if reload is not None:
            table["reload_command"] = ["/bin/sh", "-c", self._reload(reload)]
        return CertificateEntry.model_validate(table | keys)

    def _reload(self, which: str) -> str:
        copies = [f"cp live.pem {path.name}" for path in self.served]
        return {"all": " && ".join(copies), "first": copies[0]}.get(which, which)

    def context(self, entry: CertificateEntry, **keys: Any) -> FakeContext:
        given: dict[str, Any] = {"clock": FakeClock(datetime.now(UTC)), "tls": OpenSslTls()} | keys
        return FakeContext(job="certificates", selected=[entry], **given)

    def findings(self, entry: CertificateEntry) -> list[Finding]:
        found = [answer for answer in run_check(JOB, self.context(entry)) if isinstance(answer, Finding)]
        return [finding for finding in found if finding.cause == "renewal_due"]

    def plan(self, entry: CertificateEntry, findings: Sequence[Finding] | None = None) -> tuple[Plan, Simulation]:
        made = self.maybe_plan(entry, findings)
        assert made is not None
        return made

    def maybe_plan(self, entry: CertificateEntry, findings: Sequence[Finding] | None = None) -> tuple[Plan, Simulation] | None:
        given = self.findings(entry) if findings is None else findings
        ctx = self.context(entry)
        with read_only(ctx):
            return self.remedy.plan(ctx, CertificatesParams(), given)

    def apply_context(
        self, entry: CertificateEntry, secrets: dict[str, str] | None = None, commands: Commands | None = None
    ) -> FakeApplyContext:
        return FakeApplyContext(
            job="certificates",
            selected=[entry],
            clock=FakeClock(datetime.now(UTC)),
            tls=OpenSslTls(),
            commands=commands or LocalCommands(grace=timedelta(seconds=0.2)),
            secrets=FakeSecrets(secrets or {}),
        )

    def apply(self, entry: CertificateEntry, step: Step, ctx: ApplyContext | None = None) -> Receipt:
        return self.remedy.apply(ctx or self.apply_context(entry), step)

    def verify(self, entry: CertificateEntry, plan: Plan) -> Verification:
        ctx = self.context(entry)
        with read_only(ctx):
            return self.remedy.verify(ctx, plan, [])

    def carry_out(self, entry: CertificateEntry) -> Verification:
        """The whole cycle, without anybody asked."""
        plan, _ = self.plan(entry)
        for step in plan.steps:
            self.apply(entry, step)
        return self.verify(entry, plan)
