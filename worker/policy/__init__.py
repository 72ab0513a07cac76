"""Safe or risky, who may decide, which windows and limits hold. Pure: deny by default, and whatever is unclear denies."""

from worker.policy.contradictions import contradictions
from worker.policy.freezes import Freeze
from worker.policy.globs import matches
from worker.policy.judging import Allowed, Assessment, Denied, assess, judge, within_blast_radius
from worker.policy.model import LEAST_RISK, Hours, Policy, Rule

__all__ = [
    "LEAST_RISK",
    "Allowed",
    "Assessment",
    "Denied",
    "Freeze",
    "Hours",
    "Policy",
    "Rule",
    "assess",
    "contradictions",
    "judge",
    "matches",
    "within_blast_radius",
]
