"""The reference as pages: everything is there, every link leads somewhere, nothing is foreign."""

import pytest

from actors.domain.events import EVENT_TYPES
from actors.gateway.operations import OPERATIONS
from actors.gateway.pages.schemas import kind, members, rules, schema_of
from actors.gateway.problem_table import PROBLEMS
from actors.topology import topology
from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World


@pytest.mark.parametrize("path", ["/docs/api", "/docs/events", "/problems", "/problems/forbidden"])
async def test_every_link_leads_somewhere_and_the_footer_leads_here(
    world: World, browser: BrowserClient, path: str
) -> None:
    page = await browser.get(path)
    assert page.status == 200
    ids = {node.attributes["id"] for node in page.root.walk() if "id" in node.attributes}
    assert len([n for n in page.root.walk() if "id" in n.attributes]) == len(ids), "an id twice"
    links = {node.attributes["href"] for node in page.root.all("a")}
    assert {"/docs/api", "/docs/events", "/problems"} <= links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in ids, link
        else:
            assert link.startswith("/"), "no other place"
            assert (await world.call("GET", link)).status == 200, link


async def test_every_operation_is_shown_with_its_problems(browser: BrowserClient) -> None:
    page = await browser.get("/docs/api")
    for row in OPERATIONS:
        section = page.root.one("section", id=row.id)
        assert row.path in section.text
        for slug in row.problems:
            assert slug in section.text
        for name in row.parameters:
            assert name in section.text
    item = page.root.one("section", id="schema-Item")
    assert "1 to 99" in item.text


async def test_every_message_queue_and_body_is_shown(browser: BrowserClient) -> None:
    page = await browser.get("/docs/events")
    for row in EVENT_TYPES.values():
        assert page.root.all("section", id=f"schema-{row.body.__name__}")
        if row.exchange:
            section = page.root.one("section", id=row.message_type)
            assert row.routing_key in section.text
            assert row.app_id in section.text
    assert "x-order-correlation" in page.text
    for queue in topology((1, 5), "quorum").queues:
        assert queue.name in page.text


async def test_every_problem_is_listed(browser: BrowserClient) -> None:
    page = await browser.get("/problems")
    rows = page.root.one("tbody").all("tr")
    assert [row.one("code").text for row in rows] == list(PROBLEMS)


async def test_the_documents_are_served(world: World) -> None:
    answer = await world.call("GET", "/asyncapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["asyncapi"] == "3.0.0"


def test_a_schema_is_put_into_words() -> None:
    schema = schema_of(
        {
            "type": "object",
            "required": ["sku"],
            "properties": {
                "sku": {"type": "string", "minLength": 1, "maxLength": 40, "pattern": "^A$"},
                "item": {"anyOf": [{"$ref": "#/components/schemas/Item"}, {"type": "null"}]},
                "codes": {"type": "array", "items": {"enum": ["a", 1]}, "maxItems": 3},
                "table": {"type": "object", "additionalProperties": {"type": "integer"}},
                "fixed": {"const": True},
            },
        }
    )
    told = {
        row.name: ("".join(piece.text for piece in row.kind), row.rules, row.required)
        for row in members(schema)
    }
    assert told == {
        "sku": ("string", "1 to 40 characters, like ^A$", True),
        "item": ("Item or null", "", False),
        "codes": ('list of one of "a", 1', "3 items at most", False),
        "table": ("table of integer", "", False),
        "fixed": ("true", "", False),
    }
    assert kind(schema.properties["item"])[0].place == "#schema-Item"
    assert rules(schema_of({"type": "integer", "minimum": 0})) == ["0 or more"]
