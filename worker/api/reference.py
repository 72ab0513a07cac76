"""`/docs`: the API on one page, made of its own OpenAPI document. Nothing is loaded from elsewhere."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from worker.api.console.render import render

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=HTMLResponse)
def docs(request: Request) -> HTMLResponse:
    document = request.app.openapi()
    operations = [
        _operation(path, method, operation, document)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return HTMLResponse(render("docs.html", operations=operations))


def _operation(path: str, method: str, operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    given = [_parameter(one) for one in operation.get("parameters", ())]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        "method": method.upper(),
        "path": path,
        "told": operation.get("description", operation.get("summary", "")),
        "parameters": given,
        "body": _members(content.get("schema", {}), document),
    }


def _parameter(parameter: dict[str, Any]) -> dict[str, str]:
    return _member(parameter["name"], {**parameter["schema"], **parameter}, required=parameter.get("required", False))


def _members(schema: dict[str, Any], document: dict[str, Any]) -> list[dict[str, str]]:
    for part in (schema, *schema.get("anyOf", ())):
        if "$ref" in part:
            model = document["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
            required = model.get("required", ())
            return [_member(name, member, required=name in required) for name, member in model["properties"].items()]
    return []


def _member(name: str, member: dict[str, Any], *, required: bool) -> dict[str, str]:
    kinds = [part.get("type") or part.get("$ref", "").rsplit("/", 1)[-1] for part in member.get("anyOf", (member,))]
    return {
        "name": name,
        "kind": " or ".join(kind for kind in kinds if kind and kind != "null"),
        "required": "required" if required else "",
        "told": member.get("description", ""),
    }
