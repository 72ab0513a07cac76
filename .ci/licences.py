"""Fails when a package of the environment has a licence that we may not load into the process.

Allowed are permissive licences, weak copyleft (MPL) and the LGPL, which Python's imports satisfy. AGPL, plain GPL,
source-available and unknown licences are refused, each by name.
"""

import subprocess
import sys
from pathlib import Path

ALLOWED = (
    "0BSD", "Apache", "BSD", "CC0", "HPND", "ISC", "LGPL", "Lesser General Public", "MIT", "MPL", "Mozilla Public", "PSF",
    "Python Software Foundation", "Unlicense", "Zope Public",
)  # fmt: skip
OURS_AND_PIP = ("nightshift", "pip", "setuptools")

command = [Path(sys.executable).parent / "pip-licenses", "--from=mixed", "--partial-match", f"--allow-only={';'.join(ALLOWED)}"]
listing = subprocess.run([*command, "--ignore-packages", *OURS_AND_PIP], capture_output=True, text=True, check=False)
if listing.returncode:
    sys.exit(listing.stderr.strip())
