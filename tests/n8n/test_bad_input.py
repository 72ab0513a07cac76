"""What a canvas user got wrong comes back on the canvas as a status with a sentence to act on, and the workflow goes on."""

from tests.n8n.stage import Items, Stage

ENTRY = {"entries": ["fine"]}


def refused(stage: Stage, *items: dict[str, object]) -> str:
    """What each item is told, which is the same for all: nothing of a request is begun when one of its items is wrong."""
    said: Items = stage.out(stage.call("Run job", items), "Call")
    assert [(one["item"], one["status"], one["ok"]) for one in said] == [(at, "not_started", False) for at in range(len(items))]
    (message,) = {str(one["message"]) for one in said}
    return message


def test_what_is_asked_for_wrongly_is_told_with_what_would_be_right(stage: Stage) -> None:
    before = stage.ana.get("/v1/runs").json()["runs"]
    unknown = refused(stage, {"job": "comand", "params": ENTRY})
    assert "comand" in unknown
    assert "did you mean 'command'?" in unknown
    wrong = refused(stage, {"job": "command", "params": ENTRY}, {"job": "command", "params": {"entrees": ["fine"]}})
    assert "entrees" in wrong
    assert "entries" in wrong
    elsewhere = refused(stage, {"job": "command", "params": {"entries": ["attic"]}})
    assert "attic" in elsewhere
    assert stage.ana.get("/v1/runs").json()["runs"] == before


def test_a_token_that_is_over_is_told_with_the_way_to_another(stage: Stage) -> None:
    (token_id,) = [row["id"] for row in stage.instance.cli.json("token", "list") if row["name"] == "canvas"]
    stage.instance.cli("token", "revoke", token_id)
    message = refused(stage, {"job": "command", "params": ENTRY})
    assert "token 'canvas' was revoked at" in message


def test_a_credential_that_is_gone_is_named(stage: Stage) -> None:
    for row in stage.n8n.api("GET", "/credentials?limit=250")["data"]:
        stage.n8n.api("DELETE", f"/credentials/{row['id']}")
    assert "credential" in refused(stage, {"job": "command", "params": ENTRY}).lower()
