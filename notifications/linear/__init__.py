"""Linear: one issue per cause in a team, made once, told on, closed when all that it is about is over.

`linear-api` 0.2.0 is the transport alone. Its models file urgent as "no priority", know no comments and refuse values that they
have not heard of, so the documents and what is read of the answers are ours, held against Linear's published schema by the tests.
"""

from notifications.linear.channel import LinearChannel

__all__ = ["LinearChannel"]
