"""Where workflows reach the gateway: one address in the files, another one in each n8n."""

from collections.abc import Mapping

from tasks.model import Json

IN_FILES = "http://127.0.0.1:8321"
"""The gateway's default address. Files keep it, so that they are the same for every n8n."""
_REQUEST = "n8n-nodes-base.httpRequest"


def moved(kind: str, parameters: Mapping[str, Json], old: str, new: str) -> Mapping[str, Json]:
    """The parameters of a node of type `kind` with `new` where its URL begins with the address `old`."""
    url = parameters.get("url")
    if kind != _REQUEST or not isinstance(url, str):
        return parameters
    lead = "=" if url.startswith("=") else ""
    rest = url.removeprefix(lead)
    old = old.rstrip("/")
    if old == new.rstrip("/") or not (rest == old or rest.startswith(f"{old}/")):
        return parameters
    return {**parameters, "url": f"{lead}{new.rstrip('/')}{rest.removeprefix(old)}"}
