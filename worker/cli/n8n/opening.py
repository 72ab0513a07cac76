"""The n8n that these commands speak to, with the operator's own key."""

import os
from pathlib import Path

from tasks.providers.n8n.api import N8nApi
from tasks.providers.n8n.gateway import IN_FILES
from tasks.providers.n8n.node_types import NodeTypes, load_node_types
from worker.cli.opening import loaded
from worker.cli.refusals import Unavailable
from worker.secrets import Secrets


def n8n_api() -> N8nApi:
    """Raises `Unavailable` when it is not configured."""
    settings = loaded().settings
    if settings.n8n_url is None or settings.n8n_api_key is None:
        raise Unavailable(
            "which n8n? set NIGHTSHIFT_N8N_URL, and NIGHTSHIFT_N8N_API_KEY to where your key of it is (env:NAME or file:PATH); "
            "n8n makes keys under Settings, n8n API"
        )
    secrets = Secrets(environ=os.environ, home=settings.home)
    return N8nApi(settings.n8n_url, secrets(settings.n8n_api_key), gateway=gateway())


def gateway() -> str:
    """Where that n8n reaches ours."""
    return loaded().settings.n8n_gateway_url or IN_FILES


def node_types(path: Path | None) -> NodeTypes | None:
    """Of the file named, else of the setting; None if there is neither."""
    path = path or loaded().settings.n8n_nodes
    return load_node_types(path) if path else None
