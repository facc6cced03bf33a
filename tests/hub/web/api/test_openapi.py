"""The document: complete, valid in itself, and what the answers really are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hub import routes, serving
from hub.model.access import ACTIONS
from hub.routes import OPERATIONS
from hub.web.api import openapi
from hub.web.api.operation import Operation
from tests.support.api_hub import ApiHub, api_hub

DOCUMENT = openapi.document(OPERATIONS)


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(v) for v in value.values()))
    return set().union(*(references(v) for v in value)) if isinstance(value, list) else set()


async def test_it_is_served_and_is_what_the_operations_say(hub: ApiHub) -> None:
    async with hub.client() as nobody:
        answer = await nobody.get("/api/v2/openapi.json")
    assert answer.json() == json.loads(json.dumps(DOCUMENT))
    assert answer.json()["openapi"].startswith("3.1")


async def test_no_start_of_a_hub_builds_it_and_hubs_share_what_was_built(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, built = openapi.document, list[str]()

    def counted(described: Sequence[Operation], base_path: str = "") -> dict[str, Any]:
        built.append("once")
        return build(described, base_path)

    monkeypatch.setattr(openapi, "document", counted)
    apart = openapi.operations(OPERATIONS)
    monkeypatch.setattr(routes, "EVERYTHING", (*OPERATIONS, *apart))
    monkeypatch.setattr(serving, "api_routes", routes.api_routes.__wrapped__)
    for asked in (0, 2, 2):
        async with api_hub(tmp_path, database_url=sqlite_url) as started, started.client() as nobody:
            assert len(built) == asked
            for operation in apart:
                assert (await nobody.get(f"/api{operation.path}")).status_code == 200
    assert len(built) == 2, "once for itself and once for the page"


def test_every_operation_is_described_with_its_refusals() -> None:
    for operation in OPERATIONS:
        told = DOCUMENT["paths"][f"/api{operation.path}"][operation.method.lower()]
        answered = set(told["responses"])
        if operation.action is not None:
            assert operation.action in ACTIONS
            assert {"401", "403", "429", "503"} <= answered, operation.name
            assert told["security"]
        else:
            assert told["security"] == []
        if operation.names_machine:
            assert "404" in answered
        if operation.body is not None:
            assert {"400", "413", "415", "422"} <= answered
            assert told["requestBody"]["content"]["application/json"].get("example") is not None or (
                operation.name in ("edit_user", "edit_account")
            )
        named = re.findall(r"{(\w+)}", operation.path)
        assert named == [p["name"] for p in told["parameters"] if p["in"] == "path"]


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        assert reference.removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"], reference


def test_names_are_unique_and_patterns_are_portable() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert r"\Z" not in json.dumps(DOCUMENT).replace("\\\\", "\\")


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.example is not None], ids=lambda o: o.name)
def test_every_example_is_accepted_by_what_validates(operation: Any) -> None:
    from hub.web.http.validation import validate

    if operation.read_body is None:
        validate(operation.body, operation.example)
    else:
        assert operation.read_body(operation.example)
