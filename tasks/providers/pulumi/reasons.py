"""From what Pulumi and cloud providers say to stable reason codes. First match wins; what matches nothing is `failed`.

Exit codes of the CLI: https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/cmd/pulumi/cmd/exit_codes.go
"""

import re
from typing import Final

_AUTHENTICATION_EXIT, _STACK_EXIT = 3, 6
_FLAGS: Final = re.IGNORECASE | re.DOTALL

_CREDENTIALS = (
    r"expired ?token|token (has |is )?expired|credentials? (have |has |is |are )?expired|security token included in the request"
    r"|invalidclienttokenid|unrecognizedclient|authfailure|invalid_grant|invalid_client|aadsts\d+|no valid credential"
    r"|unable to locate credentials|could not find default credentials|failed to refresh cached credentials"
    r"|no EC2 IMDS role"
    r"|\b401\b.{0,40}unauthori[sz]ed|unauthenticated|authentication (failed|required)|invalid (api|access) (key|token)"
    r"|bad credentials"
)
_PLUGIN = (
    r"no (resource|language|analyzer|converter) plugin|could not (find|load) plugin|failed to load (language )?plugin"
    r"|plugin .{0,80}(not found|is not installed)|failed to locate .{0,20}language host|unknown language"
    r"|executable file not found in \$PATH"
)
_PROGRAM = (
    r"running program|program failed|exited with (non-zero )?(code|status)|failed to (parse|load|compile)|syntax ?error|yaml: "
    r"|unresolved|unable to evaluate|traceback \(most recent call last\)|error TS\d+|resource .{0,80}not found in package"
    r"|an unhandled error"
)
_WHOLE = [
    ("wrong_passphrase", r"incorrect passphrase|message authentication failed"),
    ("passphrase_missing", r"passphrase must be set|PULUMI_CONFIG_PASSPHRASE"),
    ("stack_missing", r"no stack named|stack '[^']*' not found|could not find stack"),
    ("program_missing", r"no Pulumi\.ya?ml project file found|unable to find the project|no Pulumi project found"),
    ("plugin_missing", _PLUGIN),
    (
        "config_missing",
        r"missing required configuration|required configuration (variable|value)|is not a valid configuration key",
    ),
    ("config_missing", r"validating stack config|Stack '[^']*' (is missing|missing) configuration|requires configuration"),
    (
        "state_corrupt",
        r"snapshot integrity failure|unmarshal.{0,40}checkpoint|failed to (load|deserialize) (checkpoint|snapshot)",
    ),
    ("state_corrupt", r"could not deserialize deployment|invalid checkpoint|deserializing"),
    ("credentials_expired", _CREDENTIALS),
    ("backend_credentials", r"PULUMI_ACCESS_TOKEN|\[(401|403)\]|invalid access token|please run `?pulumi login"),
    ("backend_unreachable", r"unable to (open|check if) (bucket|state store|the)|error listing stacks|could not list bucket"),
    ("backend_unreachable", r"failed to (connect|ping)|getting stack configuration.{0,200}(refused|timeout|no such host)"),
    ("program_failed", _PROGRAM),
]
_READS = [
    ("read_failed", r"exited prematurely"),  # a provider that died: what gRPC says beside it is not about the cloud
    ("credentials_expired", _CREDENTIALS),
    ("read_throttled", r"thrott|rate ?(limit|exceeded)|too many requests|\b429\b|slow ?down|requestlimitexceeded"),
    ("read_denied", r"access ?denied|forbidden|\b403\b|not authori[sz]ed|unauthori[sz]ed|permission"),
    ("read_timed_out", r"time[d -]?out|deadline exceeded|context canceled"),
    (
        "read_unreachable",
        r"connection (refused|reset)|(could not|unable to) connect|no such host|network|unavailable|\b50[0234]\b|EOF",
    ),
]


def reason_of(said: str, exit_code: int | None) -> str:
    """Why a whole command failed."""
    if exit_code == _STACK_EXIT:
        return "stack_missing"
    found = _first(_WHOLE, said)
    if exit_code == _AUTHENTICATION_EXIT and found == "failed":
        return "backend_credentials"
    return found


def reason_of_read(said: str) -> str:
    """Why one resource could not be read."""
    found = _first(_READS, said)
    return "read_failed" if found == "failed" else found


def _first(rules: list[tuple[str, str]], said: str) -> str:
    return next((reason for reason, pattern in rules if re.search(pattern, said, _FLAGS)), "failed")
