"""The configuration: files of the operator's to one validated, hashed revision in the ledger, which every process reads.

`check` reads files and changes nothing; `apply` and `rollback` put a revision in force; `current` is what is in force.
"""

from worker.configuration.changes import Change, diff
from worker.configuration.documents import ConfigurationError
from worker.configuration.files import Watcher, check, fingerprint
from worker.configuration.force import Applied, UnknownRevisionError, apply, current, rollback
from worker.configuration.model import Configuration, Environment, Person
from worker.problems import Problem

__all__ = [
    "Applied",
    "Change",
    "Configuration",
    "ConfigurationError",
    "Environment",
    "Person",
    "Problem",
    "UnknownRevisionError",
    "Watcher",
    "apply",
    "check",
    "current",
    "diff",
    "fingerprint",
    "rollback",
]
