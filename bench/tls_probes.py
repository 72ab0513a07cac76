"""TLS probes a second on loopback, against the standard library one by one and `openssl s_client`, in one run.

The servers are processes of their own. What is compared is the prober's own processor time ("probes/s/core"): on a
machine with few cores wall time is shared with the servers that it measures.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import trustme
from OpenSSL import SSL

from tasks.certificates import JOB, CertificateEntry, CertificatesParams
from tasks.context import Handshake, Probe
from tasks.providers.tls import OpenSslTls
from tasks.testing import FakeContext
from tests.support.tls_farm import server_context

NAME = "bench.example.test"


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    count: int
    wall_seconds: float
    cpu_seconds: float

    @property
    def per_core(self) -> float:
        return self.count / self.cpu_seconds


def serve(folder: Path, leaves: list[tuple[bytes, bytes]], ready: Connection) -> None:
    """One connection after the other, as fast as one process can, each with the next leaf: no two looks are alike."""
    contexts = cycle([server_context(chain, key, folder) for chain, key in leaves])
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            connection.settimeout(5)
            try:
                next(contexts).wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()


def measured(what: str, count: int, work: Callable[[], None], who: int = resource.RUSAGE_SELF) -> Row:
    before, start = resource.getrusage(who), perf_counter()
    work()
    wall, after = perf_counter() - start, resource.getrusage(who)
    return Row(what, count, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def through_provider(ports: list[int], count: int, anchors: str) -> None:
    probes = [
        Probe(
            address="127.0.0.1",
            port=ports[n % len(ports)],
            server_name=NAME,
            timeout=timedelta(seconds=30),
            trust_anchors_pem=anchors,
        )
        for n in range(count)
    ]
    done = [result for _, result in OpenSslTls().handshakes(probes)]
    assert len(done) == count
    assert all(isinstance(result, Handshake) and result.trust_code == 0 for result in done)


def entries_at(ports: list[int], count: int, ca_file: Path) -> list[CertificateEntry]:
    """As many different names, so that no two probes are one."""
    return [
        CertificateEntry(
            name=f"e{n}", host=NAME, addresses=(f"127.0.0.1:{ports[n % len(ports)]}",), ca_file=str(ca_file),
            server_name=f"w{n}.{NAME}", timeout_seconds=30,
        )
        for n in range(count)
    ]  # fmt: skip


def through_job(entries: list[CertificateEntry]) -> None:
    ctx = FakeContext(job="certificates", selected=entries, tls=OpenSslTls())
    ctx.clock.now = datetime.now(UTC)
    told = list(JOB.check(ctx, CertificatesParams()))
    assert len(told) == len(entries)
    assert {answer.reason for answer in told} == {"ok"}


def one_by_one_stdlib(ports: list[int], count: int, anchors: str) -> None:
    context = ssl.create_default_context(cadata=anchors)
    for n in range(count):
        with (
            socket.create_connection(("127.0.0.1", ports[n % len(ports)])) as raw,
            context.wrap_socket(raw, server_hostname=NAME) as tls,
        ):
            assert tls.getpeercert(binary_form=True)


def one_by_one_pyopenssl(ports: list[int], count: int, ca_file: Path) -> None:
    """The way most scripts do it: a context for every look."""
    for n in range(count):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(str(ca_file))
        with socket.create_connection(("127.0.0.1", ports[n % len(ports)])) as raw:
            tls = SSL.Connection(context, raw)
            tls.set_tlsext_host_name(NAME.encode())
            tls.set_connect_state()
            tls.do_handshake()
            assert tls.get_peer_cert_chain()


def one_by_one_s_client(ports: list[int], count: int, ca_file: Path) -> None:
    for n in range(count):
        argv = [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{ports[n % len(ports)]}",
            "-servername",
            NAME,
            "-CAfile",
            str(ca_file),
        ]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def issue(ca: trustme.CA, count: int) -> list[tuple[bytes, bytes]]:
    """Chains of leaf and intermediate, with their keys."""
    start = datetime.now(UTC) - timedelta(days=1)
    end = start + timedelta(days=90)
    leaves = [ca.issue_cert(NAME, f"*.{NAME}", not_before=start, not_after=end) for _ in range(count)]
    return [(b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes()) for leaf in leaves]


def compare(folder: Path, count: int, servers: int) -> list[Row]:
    ca = trustme.CA()
    ca_file = folder / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    leaves = issue(ca.create_child_ca(), count=300)
    processes, ports = [], []
    for _ in range(servers):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=serve, args=(folder, leaves, theirs), daemon=True)
        process.start()
        ports.append(ours.recv())
        processes.append(process)
    anchors = ca.cert_pem.bytes().decode()
    try:
        through_provider(ports, 100, anchors)
        entries = entries_at(ports, count, ca_file)
        rows = [
            measured("nightshift, provider", count, lambda: through_provider(ports, count, anchors)),
            measured("nightshift, whole job", count, lambda: through_job(entries)),
            measured("stdlib ssl, one by one (leaf only)", count, lambda: one_by_one_stdlib(ports, count, anchors)),
            measured("pyOpenSSL, a context each", count // 4, lambda: one_by_one_pyopenssl(ports, count // 4, ca_file)),
        ]
        if shutil.which("openssl"):
            few = max(count // 40, 10)
            rows.append(
                measured("openssl s_client", few, lambda: one_by_one_s_client(ports, few, ca_file), resource.RUSAGE_CHILDREN)
            )
        return rows
    finally:
        for process in processes:
            process.terminate()
            process.join()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=4000)
    arguments.add_argument("--servers", type=int, default=max((os.cpu_count() or 2) - 1, 1))
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), chosen.count, chosen.servers)
    print(f"{'TLS probes on loopback':<38}{'probes':>8}{'/s wall':>10}{'/s/core':>10}{'ratio':>8}")
    for row in rows:
        ratio = rows[0].per_core / row.per_core
        print(f"{row.what:<38}{row.count:>8}{row.count / row.wall_seconds:>10.0f}{row.per_core:>10.0f}{ratio:>8.2f}")
    print("ratio: how many times as many probes a core our provider makes; goal 1,000 probes/s/core")


if __name__ == "__main__":
    main()
