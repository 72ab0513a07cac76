"""The check: resolve, probe everything at once, and answer entry by entry as each is complete."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from tasks.certificates.answers import Look, answers, failures
from tasks.certificates.entry import CertificateEntry, CertificatesParams
from tasks.certificates.evidence import leaf_fact, subject_at
from tasks.certificates.judging import Thresholds
from tasks.certificates.looking import looked, thresholds
from tasks.certificates.renewal.remedy import Renewal
from tasks.certificates.targets import Target, targets
from tasks.context import Context, Handshake, Probe, ProbeFailure
from tasks.job import Job
from tasks.model import Answer


@dataclass(slots=True, kw_only=True)
class _Watched:
    """One entry while its probes come back."""

    entry: CertificateEntry
    thresholds: Thresholds
    outstanding: int
    looks: list[Look] = field(default_factory=list)
    failures: list[tuple[Probe, ProbeFailure]] = field(default_factory=list)


def check(ctx: Context, params: CertificatesParams) -> Iterator[Answer]:
    entries = ctx.entries(CertificateEntry)
    done = 0
    wanted: dict[Probe, list[_Watched]] = {}
    for target in targets(ctx, entries):
        if target.blocked:
            done += 1
            ctx.progress(done, len(entries), target.entry.name)
            yield target.blocked
        _want(wanted, target, params)
    for probe, result in ctx.tls.handshakes(wanted, cancelled=ctx.cancelled):
        for watched in wanted[probe]:
            _note(ctx, watched, probe, result)
            if watched.outstanding == 0:
                done += 1
                ctx.progress(done, len(entries), watched.entry.name)
                yield from _complete(ctx, watched)
        ctx.checkpoint()
    ctx.checkpoint()


def _want(wanted: dict[Probe, list[_Watched]], target: Target, params: CertificatesParams) -> None:
    entry = target.entry
    watched = _Watched(entry=entry, thresholds=thresholds(entry, params), outstanding=len(target.probes))
    for probe in target.probes:
        wanted.setdefault(probe, []).append(watched)


def _note(ctx: Context, watched: _Watched, probe: Probe, result: Handshake | ProbeFailure) -> None:
    watched.outstanding -= 1
    if isinstance(result, ProbeFailure):
        watched.failures.append((probe, result))
        return
    look = looked(watched.entry, probe, result, watched.thresholds, ctx.clock())
    watched.looks.append(look)
    ctx.history.record(subject_at(watched.entry, probe), "leaf", leaf_fact(look.judgement.leaf))


def _complete(ctx: Context, watched: _Watched) -> Iterator[Answer]:
    yield from answers(watched.entry, sorted(watched.looks, key=lambda look: look.where), ctx.clock())
    yield from failures(watched.entry, watched.failures)


JOB = Job(
    name="certificates",
    summary="Looks at every address behind a TLS name: expiry, trust, name and chain of what it presents.",
    check=check,
    params=CertificatesParams,
    entry=CertificateEntry,
    entries_per_run=100,
    time_limit=timedelta(minutes=10),
    ad_hoc=True,
    remedy=Renewal(),
    examples={
        "one name": '{"targets": [{"host": "www.example.com"}]}',
        "only what burns": '{"warn_below": 0.1, "critical_below": 0.05}',
    },
)
