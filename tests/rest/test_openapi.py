"""The description of the routes: valid, complete, and true of real answers."""

import re

import msgspec
import pytest

from cellsmono.gateway.rest.openapi import describe
from cellsmono.gateway.rest.table import ROUTES


@pytest.fixture(scope="module")
def document(server):
    answer = server.call("GET", "/config/discovery/openapi")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json


def test_it_is_openapi(document):
    validator = pytest.importorskip("openapi_spec_validator")
    validator.OpenAPIV31SpecValidator(document).validate()


def test_it_is_what_the_table_says(document):
    assert document == msgspec.json.decode(msgspec.json.encode(describe(ROUTES)))
    described = {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert described == {route.name: (route.method, route.path.replace("*}", "}")) for route in ROUTES}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"].endswith(".")
            assert operation["x-access"] in {"open", "anybody", "users", "standard", "admins"}


def test_every_reference_leads_somewhere(document):
    text = msgspec.json.encode(document).decode()
    for kind, name in set(re.findall(r'"#/components/(\w+)/(\w+)"', text)):
        assert name in document["components"][kind]
    names = re.findall(r"\{(\w+)\}", " ".join(document["paths"]))
    parameters = [
        parameter["name"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "path"
    ]
    assert set(names) == set(parameters)


def test_real_answers_are_as_described(document, flat_site):
    """What the server says of a node has no field that the description does not know, and each of its type."""
    site = flat_site
    alice = site.user("alice")
    site.put("dir/x")
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))
    node = site.call("GET", f"/tree/stat/{slug}/dir/x", site.token(alice)).json["Node"]
    schema = document["components"]["schemas"]["TreeNode"]["properties"]
    kinds = {"string": str, "integer": int, "object": dict}
    assert node.keys() <= schema.keys()
    assert schema["Size"]["format"] == "int64"
    for name, value in node.items():
        if "type" in schema[name]:
            assert isinstance(value, kinds[schema[name]["type"]]), name
