"""What certbot is elsewhere: `python -m worker.demo.renew HOME NAME HOST` has the demo's CA issue a new certificate for HOST
into the file of NAME, key first; `python -m worker.demo.reload HOME NAME` makes the servers take it.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

LIFETIME = timedelta(days=90)
OWN_ALONE = 0o600


def ca_file(home: Path) -> Path:
    """The certificate that everybody in the demo trusts."""
    return home / "demo-ca.pem"


def ca_key_file(home: Path) -> Path:
    """Its key: thrown away with the demo's home."""
    return home / "demo-ca-key.pem"


def certificate_file(home: Path, name: str) -> Path:
    """What the renewal of one entry writes: key and chain, leaf first."""
    return home / "certificates" / f"{name}.pem"


def write_private(path: Path, content: bytes) -> None:
    """All of it or nothing: who reads meanwhile gets the old one."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.new")
    beside.touch(mode=OWN_ALONE)
    beside.write_bytes(content)
    beside.replace(path)


def main(home: Path, name: str, host: str) -> None:
    """Renew the certificate of `name`."""
    import trustme

    ca = trustme.CA.from_pem(ca_file(home).read_bytes(), ca_key_file(home).read_bytes())
    now = datetime.now(UTC)
    leaf = ca.issue_cert(host, not_before=now - timedelta(minutes=5), not_after=now + LIFETIME)
    write_private(certificate_file(home, name), leaf.private_key_and_cert_chain_pem.bytes())
    sys.stdout.write(f"certificate for {host} issued, valid until {now + LIFETIME:%Y-%m-%d}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
