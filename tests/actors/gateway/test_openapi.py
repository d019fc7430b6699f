"""The description: complete, without a dangling reference, and true of the running API."""

from collections.abc import Iterator

import pytest

from actors.gateway.console.routes import CONSOLE
from actors.gateway.openapi import PARAMETERS
from actors.gateway.operation import COMMON
from actors.gateway.operations import OPERATIONS
from actors.gateway.pages.routes import PAGES
from actors.gateway.problem_table import PROBLEMS
from tests.harness.gateway import World


def _nodes(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _nodes(child)
    elif isinstance(node, list):
        for child in node:
            yield from _nodes(child)


@pytest.fixture
async def document(world: World) -> dict[str, object]:
    answer = await world.call("GET", "/openapi.json")
    assert answer.status == 200
    return answer.json


async def test_every_route_that_is_no_page_is_described(
    world: World, document: dict[str, object]
) -> None:
    pages = {page.id for page in (*PAGES, *CONSOLE)}
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in world.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD"}
        if rule.endpoint not in pages
    }
    described = {(path, method) for path, row in document["paths"].items() for method in row}
    assert routes == described
    assert len(routes) == len(OPERATIONS)


async def test_every_reference_resolves_and_every_schema_is_used(
    document: dict[str, object],
) -> None:
    schemas = document["components"]["schemas"]
    refs = [node["$ref"] for node in _nodes(document) if "$ref" in node]
    assert len(refs) > 50
    names = {str(ref).removeprefix("#/components/schemas/") for ref in refs}
    assert names == set(schemas)


async def test_operations_are_named_once_and_answer_with_known_problems(
    document: dict[str, object],
) -> None:
    operations = [row for path in document["paths"].values() for row in path.values()]
    names = [row["operationId"] for row in operations]
    assert len(set(names)) == len(names)
    slugs = {slug for row in OPERATIONS for slug in row.problems}
    assert slugs <= set(PROBLEMS)
    for row in operations:
        declared = [(parameter["in"], parameter["name"]) for parameter in row["parameters"]]
        assert len(set(declared)) == len(declared)


def test_every_problem_and_parameter_belongs_to_an_operation() -> None:
    used = {slug for row in OPERATIONS for slug in row.problems}
    general = {*COMMON, "method-not-allowed", "transition-refused"}
    assert set(PROBLEMS) - used == general
    names = {name for row in OPERATIONS for name in row.parameters}
    in_path = {part[1:-1] for row in OPERATIONS for part in row.path.split("/") if "{" in part}
    assert set(PARAMETERS) == names | in_path | {"If-None-Match"}


async def test_schemas_say_what_the_decoder_checks(document: dict[str, object]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["PlaceRequest"]["additionalProperties"] is False
    assert schemas["Item"]["properties"]["quantity"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 99,
    }
    assert len(schemas["EventJson"]["properties"]["data"]["anyOf"]) == 12


async def test_replies_have_the_members_that_are_described(
    world: World, document: dict[str, object]
) -> None:
    schemas = document["components"]["schemas"]
    placed = await world.place()
    assert set(placed.reply) == set(schemas["PlacedReply"]["required"])
    events = (await world.call("GET", f"{placed.path}/events", headers=placed.auth)).json
    assert set(events["data"][0]) == set(schemas["EventJson"]["required"])
    problem = (await world.call("GET", "/nowhere")).json
    assert set(problem) >= set(schemas["ProblemBody"]["required"])
