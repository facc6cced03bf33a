"""/api/v2/docs: the OpenAPI document as a page to read, rendered here; no script and nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from anyio import to_thread
from starlette.responses import HTMLResponse

from hub.web.api import openapi
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import STATUS_OF, Text, language_of, sayer

_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page_operations(described: Sequence[Operation]) -> tuple[Operation, ...]:
    """The operation that answers the page, which is built by the first who asks in that language."""

    # Bound: one a language.
    @cache
    def body(language: str) -> str:
        return docs_page(described, language)

    async def show(call: Call) -> Answer:
        return Answer(HTMLResponse(await to_thread.run_sync(body, language_of(call.request, call.caller))))

    return (
        Operation(
            name="docs", method="GET", path="/v2/docs", handler=show, tag="Hub", summary="The API as a page",
            action=None, answers={200: str},
        ),
    )  # fmt: skip


def docs_page(described: Sequence[Operation], language: str) -> str:
    """The whole page."""
    document = openapi.document(described)
    say = sayer(language)
    sections = [
        {
            "tag": tag["name"],
            "operations": [_shown_operation(o, document) for o in described if o.tag == tag["name"]],
        }
        for tag in document["tags"]
    ]
    problems = [
        {"kind": kind, "status": status, "title": say(Text(f"title.{kind}")), "when": openapi.WHEN[kind]}
        for kind, status in STATUS_OF.items()
    ]
    schemas = {name: _pretty(schema) for name, schema in sorted(document["components"]["schemas"].items())}
    return _PAGES.get_template("docs.html").render(
        language=language, version=document["info"]["version"], about=document["info"]["description"],
        sections=sections, problems=problems, schemas=schemas, words=_words(language),
    )  # fmt: skip


def _shown_operation(operation: Operation, document: Mapping[str, Any]) -> dict[str, Any]:
    spec = document["paths"][f"/api{operation.path}"][operation.method.lower()]
    body = spec.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        "id": operation.name,
        "method": operation.method,
        "path": f"/api{operation.path}",
        "summary": spec["summary"],
        "description": spec["description"],
        "parameters": [
            {
                "name": p["name"], "where": p["in"], "required": p["required"], "schema": _brief(p["schema"]),
                "description": p.get("description", ""),
            }
            for p in spec["parameters"]
        ],
        "body": _pretty(body["schema"]) if body else "",
        "body_ref": _reference(body.get("schema", {})),
        "curl": curl(operation),
        "responses": [
            {"status": status, "description": r["description"], "ref": _answered(r)}
            for status, r in spec["responses"].items()
        ],
    }  # fmt: skip


def curl(operation: Operation) -> str:
    """A command line that does it."""
    path = f"/api{operation.path}"
    for name, example in openapi.PATH_EXAMPLES.items():
        path = path.replace("{" + name + "}", example)
    parts = ["curl"] + ([] if operation.method == "GET" else ["-X", operation.method])
    parts.append(f"http://127.0.0.1:8001{path}")
    if operation.action is not None:
        parts.append('\\\n  -H "Authorization: Bearer $TOKEN"')
    if operation.body is not None:
        example = json.dumps(operation.example if operation.example is not None else {}, ensure_ascii=False)
        parts.append(f"\\\n  -H 'Content-Type: application/json' \\\n  -d '{example}'")
    return " ".join(parts)


def _brief(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " | ".join(_brief(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    limits = [f"{word} {schema[key]:g}" for key, word in _LIMITS if key in schema]
    return " ".join([str(schema.get("type", "")), *limits]).strip()


_LIMITS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))


def _reference(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _answered(response: Mapping[str, Any]) -> str:
    schema = next(iter(response.get("content", {"": {"schema": {}}}).values()))["schema"]
    data = schema.get("properties", {}).get("data", schema)
    return _reference(data) or _reference(data.get("items", {}))


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _words(language: str) -> dict[str, str]:
    say = sayer(language)
    names = ("heading", "contents", "problems", "schemas", "parameters", "body", "answers", "skip", "try", "json")
    return {name: say(Text(f"docs.{name}")) for name in names}
