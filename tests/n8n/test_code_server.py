"""The n8n of the tests keeps what it promises to the other tests."""

import pytest

from tests.servers import N8nServer


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_reset_database_has_no_workflow_and_knows_its_owner(n8n_server: N8nServer) -> None:
    body = {"name": "Gone", "nodes": [], "connections": {}, "settings": {}}
    n8n_server.api("POST", "/workflows", body)
    n8n_server.kill9()
    n8n_server.start()
    assert [raw["name"] for raw in n8n_server.api("GET", "/workflows")["data"]] == ["Gone"]
    n8n_server.reset_database()
    assert n8n_server.api("GET", "/workflows")["data"] == []
