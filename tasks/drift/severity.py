"""How bad a difference is, by type and path; and which resources hold what cannot be made again. Pure."""

from collections.abc import Sequence

from tasks.drift.classes import Classified
from tasks.drift.entry import SeverityRule
from tasks.drift.globs import fits
from tasks.model import Severity

STATEFUL = (
    "*rds*", "*database*", "*sql*", "*dynamodb*", "*table*", "*bucket*", "*storage*", "*disk*", "*volume*", "*filesystem*",
    "*backup*", "*snapshot*", "*kms*", "*secret*", "*vault*", "*queue*", "*elasticsearch*", "*opensearch*", "*zone*",
)  # fmt: skip
"""Types whose content, or whose name in the world, goes with them. Case does not count."""
_ACCESS = ("*iam*", "*securitygroup*", "*firewall*", "*policy*", "*rolebinding*", "*networkacl*", "*permission*")
_ACCESS_PATHS = ("*public*", "*acl*", "*ingress*", "*egress*", "*cidr*", "*encrypt*", "*password*", "*policy*", "*rules*")
_WORDS_PATHS = ("tags*", "labels*", "description", "displayname", "label")


def is_stateful(kind: str) -> bool:
    return _one_fits(kind, STATEFUL)


def severity(one: Classified, rules: Sequence[SeverityRule]) -> Severity:
    """By the operator's rules, the first that fits; else by ours."""
    for rule in rules:
        if fits(one.resource.type, rule.type) and fits(one.path, rule.path) and rule.gone in (None, one.gone):
            return rule.severity
    if one.gone:
        return Severity.CRITICAL if is_stateful(one.resource.type) else Severity.HIGH
    if _one_fits(one.resource.type, _ACCESS) or _one_fits(one.path, _ACCESS_PATHS):
        return Severity.HIGH
    return Severity.LOW if _one_fits(one.path, _WORDS_PATHS) else Severity.MEDIUM


def worst(found: Sequence[Classified], rules: Sequence[SeverityRule]) -> Severity:
    return max((severity(one, rules) for one in found), key=lambda one: one.rank)


def _one_fits(text: str, globs: Sequence[str]) -> bool:
    return any(fits(text.lower(), glob) for glob in globs)
