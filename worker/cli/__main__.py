"""`python -m worker.cli` is `nightshift`."""

from worker.cli import main

main()
