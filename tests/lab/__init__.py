"""A drift laboratory: a Pulumi provider of our own over a fake cloud in a folder. Knows nothing of the worker.

`Lab` builds stacks with the real CLI, `Cloud` is what lies out there: change it
behind Pulumi's back, turn its knobs, read its books.
"""

from tests.lab.cloud import Cloud, Counts, Knobs
from tests.lab.events import Ran
from tests.lab.lab import Lab, LabStack, Running
from tests.lab.program import Program, Resource, secret

__all__ = ["Cloud", "Counts", "Knobs", "Lab", "LabStack", "Program", "Ran", "Resource", "Running", "secret"]
