"""OpenSSL's verdict on a chain, told apart by what a person must do about it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.certificates.path import Path
from tasks.certificates.trouble import Trouble
from tasks.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """`code` 0: a trusted chain. `own_anchors`: the operator named the anchors, the system's were not asked."""

    code: int = 0
    text: str = ""
    depth: int = 0
    own_anchors: bool = False


def judge_trust(path: Path, trust: Trust) -> Iterator[Trouble]:
    """The numbers are X509_V_ERR of OpenSSL's x509_vfy.h; what is not named keeps OpenSSL's words."""
    match trust.code:
        case 0:
            return
        case 9 | 10:
            # Time is judged by our own clock, but an anchor that was not sent can only be seen through OpenSSL.
            if trust.depth > len(path.intermediates):
                yield _trouble("untrusted_root", "its trust anchor is outside its validity", _issuer_words(path))
        case 18:
            yield _trouble("self_signed", "certificate is self-signed", "nobody vouches for it, and it is no trust anchor here")
        case 19:
            yield _trouble("untrusted_root", f"its root {path.top.subject} is not trusted here")
        case 2 | 20 | 21:
            yield _no_issuer(path, trust)
        case 7:
            yield _trouble("bad_signature", "a signature in the chain is wrong")
        case 26:
            yield _trouble("wrong_purpose", "certificate is not meant for a TLS server")
        case _:
            yield _trouble("untrusted", f"chain is not trusted: {trust.text}", f"X509_V_ERR {trust.code}")


def _no_issuer(path: Path, trust: Trust) -> Trouble:
    """A leaf alone, whose issuer is not an anchor. What is on the wire cannot prove whether that issuer is an intermediate or a
    root, but public CAs sign leaves by intermediates only and say where to fetch them, and who names the anchors means them.
    """
    leaf_alone = len(path.certificates) == 1
    if leaf_alone and (path.top.names_issuer_url or trust.own_anchors):
        return _trouble("missing_intermediate", "server does not send the intermediate certificate", _issuer_words(path))
    return _trouble("untrusted_root", "chain leads to no root that is trusted here", _issuer_words(path))


def _issuer_words(path: Path) -> str:
    return f"issuer {path.top.issuer or '(unreadable)'} is neither sent nor trusted"


def _trouble(reason: str, title: str, detail: str = "") -> Trouble:
    return Trouble(reason, Severity.HIGH, title, detail)
