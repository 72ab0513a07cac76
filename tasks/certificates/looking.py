"""From a handshake to a judged look: the same for the check and for looking again. Pure."""

from datetime import datetime

from tasks.certificates.answers import Look
from tasks.certificates.entry import CertificateEntry, CertificatesParams
from tasks.certificates.judging import Presented, Thresholds, judge
from tasks.certificates.trust import Trust
from tasks.context import Handshake, Probe


def thresholds(entry: CertificateEntry, params: CertificatesParams) -> Thresholds:
    """The entry's own, else the run's."""
    critical = entry.critical_below or params.critical_below
    return Thresholds(warn_below=entry.warn_below or params.warn_below, critical_below=critical)


def looked(entry: CertificateEntry, probe: Probe, handshake: Handshake, limits: Thresholds, now: datetime) -> Look:
    """What `probe` showed, judged for `entry`."""
    trust = Trust(
        code=handshake.trust_code,
        text=handshake.trust_error or "",
        depth=handshake.trust_depth,
        own_anchors=entry.ca_file is not None,
    )
    presented = Presented(chain_der=handshake.chain_der, protocol=handshake.protocol, trust=trust)
    judgement = judge(presented, name=entry.expected_name, now=now, thresholds=limits)
    return Look(probe=probe, handshake=handshake, judgement=judgement)
