import pytest
from pydantic import ValidationError

from tasks.certificates import JOB, CertificateEntry, CertificatesParams
from tasks.certificates.renewal.keys import LONGEST_SECONDS, RenewalKeys
from tasks.context import Entry


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("www.example.com", "www.example.com", 443),
        ("www.example.com:8443", "www.example.com", 8443),
        ("WWW.Example.com.:8443", "www.example.com", 8443),
        ("192.0.2.7:8443", "192.0.2.7", 8443),
        ("[2001:db8::7]:8443", "2001:db8::7", 8443),
        ("[2001:db8::7]", "2001:db8::7", 443),
        ("2001:db8::7", "2001:db8::7", 443),
        ("bücher.example:443", "xn--bcher-kva.example", 443),
        ("faß.example", "xn--fa-hia.example", 443),
        ("my_host.internal:443", "my_host.internal", 443),
    ],
)
def test_a_plain_string_is_an_entry_of_that_name(text: str, host: str, port: int) -> None:
    entry = CertificateEntry.model_validate(text)
    assert (entry.name, entry.host, entry.port) == (text, host, port)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("www.example.com:https", "port must be a number from 1 to 65535"),
        ("www.example.com:0", "port must be a number from 1 to 65535"),
        ("www.example.com:65536", "port must be a number from 1 to 65535"),
        ("www.example.com:²", "port must be a number from 1 to 65535"),
        ("https://www.example.com", "is not a host name|port must be"),
        ("www example.com", "is not a host name"),
        ("-www.example.com", "is not a host name"),
        ("a..b", "is not a host name"),
        ("$(id).example.com", "is not a host name"),
        ("a\u2028b.example", "is not a host name"),
        ("x" * 64 + ".example.com", "is not a host name"),
        (".".join(["x" * 60] * 5), "is not a host name"),
        ("", "name"),
    ],
)
def test_what_is_no_place_is_refused_with_what_is_accepted(text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CertificateEntry.model_validate(text)


def test_an_entry_without_a_name_is_called_by_its_place() -> None:
    assert CertificateEntry.model_validate({"host": "www.example.com", "port": 8443}).name == "www.example.com:8443"


def test_pinned_addresses_carry_their_port_or_take_the_entrys() -> None:
    places = ["127.0.0.1:8443", "[::1]:8444", "127.0.0.2", "::1"]
    entry = CertificateEntry.model_validate({"host": "www.example.com", "addresses": places})
    assert entry.pinned() == [("127.0.0.1", 8443), ("::1", 8444), ("127.0.0.2", 443), ("::1", 443)]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("addresses", ["www.example.com:443"], "is not an address; expected one like 192.0.2.7:8443"),
        ("addresses", ["127.0.0.1:99999"], "port must be"),
        ("ca_file", "ca.pem", "is not an absolute path"),
        ("timeout_seconds", 0, "greater than 0"),
        ("port", 70000, "less than or equal to 65535"),
        ("warn_below", 30, "less than 1"),
        ("critical_below", 0, "greater than 0"),
        ("renew_command", ["bin/renew"], "neither an absolute path nor a plain name to find on PATH"),
        ("renew_command", ["/bin/renew", "a\0b"], "NUL"),
        ("certificate_file", "live.pem", "is not an absolute path"),
        ("renew_cwd", "etc", "is not an absolute path"),
        ("renew_env", {"A-B": "x"}, "should match pattern"),
        ("renew_pass_env", ["NIGHTSHIFT_HOME"], "never handed on"),
        ("renew_timeout_seconds", 0, "greater than 0"),
        ("colour", "green", "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_key_is_refused_by_name(key: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        CertificateEntry.model_validate({"name": "x", "host": "www.example.com", key: value})
    assert caught.value.errors()[0]["loc"][0] == key


def test_critical_above_warn_is_refused() -> None:
    with pytest.raises(ValidationError, match="must not exceed warn_below"):
        CertificatesParams(warn_below=0.1, critical_below=0.2)
    with pytest.raises(ValidationError, match="must not exceed warn_below"):
        CertificateEntry(name="x", host="www.example.com", warn_below=0.1, critical_below=0.2)


def test_a_reload_without_a_renewal_is_refused() -> None:
    with pytest.raises(ValidationError, match="does nothing without renew_command"):
        CertificateEntry.model_validate({"name": "x", "host": "www.example.com", "reload_command": ["/bin/true"]})


def test_a_renewal_that_could_outlast_its_run_is_refused() -> None:
    with pytest.raises(ValidationError, match="590 s together; accepted: at most 540"):
        CertificateEntry.model_validate({"name": "x", "host": "www.example.com", "renew_timeout_seconds": 500})
    assert JOB.time_limit.total_seconds() > LONGEST_SECONDS


def test_how_to_renew_is_said_by_the_estate_alone_and_its_secrets_are_for_apply() -> None:
    own = set(RenewalKeys.model_fields) - set(Entry.model_fields)
    assert own <= CertificateEntry.estate_only
    assert CertificateEntry.write_only == {"renew_env"}
