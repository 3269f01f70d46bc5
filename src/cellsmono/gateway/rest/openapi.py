"""The description of all routes as OpenAPI 3.1, made from the route table and the structs that it names."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

import cellsmono
from cellsmono.gateway.http import Reply
from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import JSON_TYPE, PROBLEM_TYPE, ErrorBody, ProblemBody
from cellsmono.gateway.rest.routes import BASE, Access, Route

_REF: Final = "#/components/schemas/{name}"
_TOKEN: Final = "token"  # noqa: S105 - the name of the scheme


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The document."""
    types = [each for route in routes for each in (route.takes, route.gives) if each is not None]
    unique = list(dict.fromkeys([*types, ErrorBody, ProblemBody]))
    _, components = msgspec.json.schema_components(unique, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path.replace("*}", "}"), {})[route.method.lower()] = _describe_route(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cellsmono",
            "version": cellsmono.__version__,
            "description": "REST in the words of Pydio Cells. Paths of nodes may hold slashes.",
        },
        "servers": [{"url": BASE}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {_TOKEN: {"type": "http", "scheme": "bearer"}},
            "responses": {"Error": _describe_error()},
        },
    }


def _describe_route(route: Route) -> dict[str, Any]:
    text = (route.handler.__doc__ or "").partition(": ")[2].strip()
    about: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "x-access": route.access.value,
        "security": _describe_access(route.access),
        "responses": {"200": _describe_answer(route), "default": {"$ref": "#/components/responses/Error"}},
    }
    if text:
        about["description"] = " ".join(text.split())
    parameters = [_parameter(name, "query", text) for name, text in route.query.items()]
    if route.parameter:
        parameters.insert(0, _parameter(route.parameter, "path", "Several segments." if route.is_tail else ""))
    if parameters:
        about["parameters"] = parameters
    if route.takes is not None:
        about["requestBody"] = {"content": {JSON_TYPE: {"schema": _ref(route.takes)}}}
    elif route.sends:
        about["requestBody"] = {"required": True, "content": {route.sends: {}}}
    return about


def _describe_access(access: Access) -> list[dict[str, list[str]]]:
    if access is Access.OPEN:
        return []
    return [{}, {_TOKEN: []}] if access is Access.ANYBODY else [{_TOKEN: []}]


def _describe_answer(route: Route) -> dict[str, Any]:
    content = {"schema": _ref(route.gives)} if route.gives is not None else {}
    return {"description": "Done.", "content": {route.media: content}}


def _describe_error() -> dict[str, Any]:
    return {
        "description": "What went wrong.",
        "content": {JSON_TYPE: {"schema": _ref(ErrorBody)}, PROBLEM_TYPE: {"schema": _ref(ProblemBody)}},
    }


def _parameter(name: str, where: str, text: str) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}
    return {**about, "description": text} if text else about


def _ref(kind: Any) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


async def read_document(rest: RestContext, call: Call, body: None) -> Reply:
    """GET /config/discovery/openapi: it is made when it is asked for the first time."""
    if not rest.description:
        rest.description = msgspec.json.encode(describe(rest.routes))
    return Reply(200, [("Content-Type", JSON_TYPE)], rest.description)
