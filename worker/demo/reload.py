"""`python -m worker.demo.reload HOME NAME`: every server of NAME takes the certificate that lies in its file."""

import sys
from pathlib import Path

from worker.demo.renew import certificate_file, write_private


def served_file(home: Path, name: str, number: int) -> Path:
    """What one server of the entry presents."""
    return home / "served" / f"{name}-{number}.pem"


def main(home: Path, name: str) -> None:
    """Reload the servers of `name`."""
    content = certificate_file(home, name).read_bytes()
    servers = sorted((home / "served").glob(f"{name}-[0-9].pem"))
    for served in servers:
        write_private(served, content)
    sys.stdout.write(f"{len(servers)} servers of {name} reloaded\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
