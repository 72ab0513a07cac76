"""From the leaf up, issuer by issuer, within what was sent. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.certificates.reading import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """`certificates` from the leaf up; `positions` says where each was among the `sent`."""

    certificates: tuple[Certificate, ...]
    positions: tuple[int, ...]
    sent: int

    @property
    def in_order(self) -> bool:
        """RFC 5246 section 7.4.2. Certificates that lead nowhere harm nobody if they come last."""
        return self.positions == tuple(range(len(self.positions)))

    @property
    def top(self) -> Certificate:
        return self.certificates[-1]

    @property
    def intermediates(self) -> tuple[Certificate, ...]:
        return tuple(certificate for certificate in self.certificates[1:] if not certificate.self_issued)


def follow(chain: Sequence[Certificate]) -> Path:
    positions = [0]
    while (issuer := _issuer(chain, positions)) is not None:
        positions.append(issuer)
    return Path(certificates=tuple(chain[position] for position in positions), positions=tuple(positions), sent=len(chain))


def _issuer(chain: Sequence[Certificate], taken: Sequence[int]) -> int | None:
    last = chain[taken[-1]]
    if last.self_issued or not last.issuer_der:
        return None
    seen = {chain[position].sha256 for position in taken}
    for position, candidate in enumerate(chain):
        if candidate.subject_der == last.issuer_der and candidate.sha256 not in seen:
            return position
    return None
