"""The job `certificates`: what every address behind a name presents, and how long it will last. Knows no TLS library."""

from tasks.certificates.check import JOB
from tasks.certificates.entry import CertificateEntry, CertificatesParams

__all__ = ["JOB", "CertificateEntry", "CertificatesParams"]
