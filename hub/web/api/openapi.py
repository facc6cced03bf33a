"""The OpenAPI 3.1 document, from the operations and the types of their bodies; also as a page without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from anyio import to_thread
from starlette.responses import HTMLResponse, Response

from hub.model.access import ACTIONS, OF_ONES_ACCOUNT, OF_THE_FLEET, SIGNED_IN_ONLY, USER_ROLES, role_needed
from hub.web.api.operation import Answer, Call, Operation
from hub.web.auth.origin import CSRF_HEADER
from hub.web.http.problems import MEDIA_TYPE, STATUS_OF, ProblemDocument, Text, language_of, translator
from protocol.version import PRODUCT_VERSION

REF: Final = "#/components/schemas/{name}"
_KIND_OF = {status: kind for kind, status in STATUS_OF.items()}
WHEN: Final[Mapping[str, str]] = {
    "malformed": "The request cannot be read: the body is not JSON, or did not arrive.",
    "not-authenticated": "No credential, or one that is not valid.",
    "forbidden": "The role is too low (named in `detail`), or a change asked for with a cookie lacks its CSRF token.",
    "not-found": "It does not exist, or the caller may not know that it does.",
    "method-not-allowed": "See the Allow header.",
    "conflict": "It does not fit the present state.",
    "precondition-failed": "It was changed since: `If-Match` names another version than the ETag of the answer.",
    "too-large": "The body is over the limit.",
    "unsupported-media-type": "The body is not announced as what is taken here.",
    "invalid": "Members are wrong; `errors` names each one and what would be right.",
    "range-not-satisfiable": "The Range begins behind the end of the file.",
    "too-many-requests": "Too many requests without a valid credential, or by one machine; see Retry-After.",
    "internal": "A mistake of the hub; its log has the number in `detail`.",
    "unavailable": "Not possible right now (the database is away); see Retry-After.",
}
PATH_EXAMPLES: Final = {
    "id": "1", "device_id": "1", "key": "temperature_threshold", "command_id": "1a208a7557d-d0cc93784957c053",
    "user_id": "2", "token_id": "3", "recording_id": "4", "backup_id": "5", "restore_id": "3", "number": "1",
    "session_id": "6", "view_id": "4", "token": "from-the-answer", "code_id": "3", "enrolment_id": "5",
    "trouble_id": "41", "destination_id": "2", "cause": "hot",
}  # fmt: skip
_ANSWER_HEADERS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",), 412: ("ETag",), 429: ("Retry-After",), 503: ("Retry-After",),
}  # fmt: skip
_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    "X-Total-Count": ("integer", "How many there are on all pages."),
    "Link": ("string", 'The next page, `<...>; rel="next"`, when there is one.'),
    "Location": ("string", "Where the new one is."),
    "ETag": ("string", "The version, for If-Match."),
    "Retry-After": ("integer", "Seconds to wait."),
    "WWW-Authenticate": ("string", "Bearer."),
}


def operations(described: Sequence[Operation]) -> tuple[Operation, ...]:
    @cache  # Bound: one document of each hub in this process
    def encoded(base_path: str) -> bytes:
        return msgspec.json.encode(document(described, base_path))

    async def show_document(call: Call) -> Answer:
        encoded_here = await to_thread.run_sync(encoded, call.context.settings.base_path)
        return Answer(Response(encoded_here, media_type="application/json"))

    @cache  # Bound: one a language of each hub in this process
    def page(language: str, base_path: str) -> str:
        return docs_page(described, language, base_path)

    async def show_page(call: Call) -> Answer:
        language = language_of(call.request, call.caller)
        return Answer(HTMLResponse(await to_thread.run_sync(page, language, call.context.settings.base_path)))

    return (
        Operation(
            name="openapi", method="GET", path="/v2/openapi.json", handler=show_document, tag="Hub",
            summary="This document", action=None, answers={200: dict},
        ),
        Operation(
            name="docs", method="GET", path="/v2/docs", handler=show_page, tag="Hub", summary="The API as a page",
            action=None, answers={200: str},
        ),
    )  # fmt: skip


def document(described: Sequence[Operation], base_path: str = "") -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    types = _types(described)
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    for operation in described:
        one = _operation(operation, schema_of)
        paths.setdefault(f"/api{operation.path}", {})[operation.method.lower()] = one
    found: dict[str, Any] = _portable({"paths": paths, "components": {"schemas": components}})
    found["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A user's token, or a machine's api_key."},
        "session": {
            "type": "apiKey", "in": "cookie", "name": "rvm_session",
            "description": "The dashboard's cookie (`__Host-rvm_session` under TLS, `__Secure-rvm_session` below a "
            f"path of a site); changes also need the header {CSRF_HEADER.title()} and our own Origin.",
        },
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MyRVM control plane",
            "version": PRODUCT_VERSION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Times are RFC 3339 in UTC. `{id}` is a machine's integer id or its device_id. Messages "
            "come in the language of Accept-Language (en, id).",
        },
        "servers": [{"url": base_path or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(o.tag for o in described)],
        **found,
    }


def statuses(operation: Operation) -> list[int]:
    found = set(operation.refusals) | {503, 500}
    if operation.body is not None or _query(operation):
        found |= {422}
    if operation.action is not None:
        found |= {401, 403, 429}
    if operation.names_machine:
        found |= {404}
    if operation.body is not None:
        found |= {400, 413, 415}
    if operation.path in ("/health",):
        found = {500}
    return [*operation.answers, *sorted(found - set(operation.answers))]


def who_may(operation: Operation) -> list[str]:
    """Roles, least first, and `machine`; empty: anybody."""
    if operation.action is None:
        return []
    roles = ACTIONS[operation.action]
    return [role for role in (*USER_ROLES, "machine") if role in roles]


def _types(described: Sequence[Operation]) -> list[Any]:
    found: dict[int, Any] = {id(ProblemDocument): ProblemDocument}
    for operation in described:
        wanted = (*operation.answers.values(), operation.body, *(f.type for f in _query(operation)))
        found |= {id(kind): kind for kind in wanted if kind is not None}
    return list(found.values())


def _query(operation: Operation) -> tuple[msgspec.structs.FieldInfo, ...]:
    return _fields(operation.query)


@cache  # Bound: one a query's shape
def _fields(shape: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Its types are found again by identity: read twice, they are others."""
    return msgspec.structs.fields(shape)


def _operation(operation: Operation, schema_of: Mapping[int, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "operationId": operation.name, "summary": operation.summary, "description": _description(operation),
        "tags": [operation.tag], "security": [] if operation.action is None else [{"bearer": []}, {"session": []}],
        "parameters": _parameters(operation, schema_of),
        "responses": {str(s): _response(operation, s, schema_of) for s in statuses(operation)},
    }  # fmt: skip
    if operation.body is not None:
        media: dict[str, Any] = {"schema": schema_of[id(operation.body)]}
        if operation.example is not None:
            media["example"] = operation.example
        spec["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": media},
        }
    if operation.form:
        fields = {name: _FORM_FIELDS[kind] for name, kind in operation.form.items()}
        schema = {"type": "object", "required": [next(iter(fields))], "properties": fields}
        spec["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    return spec


_FORM_FIELDS: Final = {"binary": {"type": "string", "format": "binary"}, "text": {"type": "string"}}


def _description(operation: Operation) -> str:
    if operation.action is None:
        who = "Anyone may."
    else:
        who = f"Who may: {role_needed(operation.action)}" + (
            f" ({', '.join(who_may(operation))})." if len(who_may(operation)) > 1 else "."
        )
        if operation.action in SIGNED_IN_ONLY:
            who += (
                " Signed in, by cookie or REST login: never with an API token, which what is made here would outlive."
            )
        if operation.action in OF_ONES_ACCOUNT:
            who += " Not with a token that may do less than its owner."
        if operation.action in OF_THE_FLEET and not operation.names_machine:
            who += " Not with a token that is limited to machines."
    return " ".join(part for part in (operation.description, who) if part)


def _parameters(operation: Operation, schema_of: Mapping[int, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
            "description": "The machine's integer id or device_id." if name in ("id", "device_id") else "",
            "example": PATH_EXAMPLES[name],
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]  # fmt: skip
    for field in _query(operation):
        schema = schema_of[id(field.type)]
        found.append({"name": field.encode_name, "in": "query", "required": field.required, "schema": schema})
    for name, meaning in operation.parameters.items():
        schema = {"type": "string", "pattern": "^[!-~]{1,100}$"}
        found.append({"name": name, "in": "header", "required": False, "schema": schema, "description": meaning})
    return found


def _response(operation: Operation, status: int, schema_of: Mapping[int, Any]) -> dict[str, Any]:
    if status == 204:
        return {"description": "Done."}
    if status not in operation.answers:
        kind = _KIND_OF[status]
        spec: dict[str, Any] = {
            "description": WHEN[kind],
            "content": {MEDIA_TYPE: {"schema": schema_of[id(ProblemDocument)]}},
        }
        named = _ANSWER_HEADERS.get(status, ())
    else:
        kind_of_data = operation.answers[status]
        schema = {"type": "null"} if kind_of_data is None else schema_of[id(kind_of_data)]
        if operation.name != "openapi":
            schema = _envelope(schema)
        spec = {"description": operation.summary, "content": {"application/json": {"schema": schema}}}
        spec["content"] |= {media: {"schema": {"type": "string"}} for media in operation.other_media}
        named = operation.headers + (("Location",) if status == 201 and operation.name.startswith("add") else ())
    if named:
        spec["headers"] = {
            name: {"schema": {"type": _HEADERS[name][0]}, "description": _HEADERS[name][1]} for name in named
        }
    return spec


def _envelope(data: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["success", "data"],
        "properties": {"success": {"const": True}, "data": data, "message": {"type": "string"}},
    }


def _portable(value: Any) -> Any:
    """Patterns as every regular expression reads them: `\\Z` is Python's only."""
    if isinstance(value, dict):
        return {
            k: v.replace(r"\Z", "$") if k == "pattern" and isinstance(v, str) else _portable(v)
            for k, v in value.items()
        }
    return [_portable(v) for v in value] if isinstance(value, list) else value


_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True,
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


def docs_page(described: Sequence[Operation], language: str, base_path: str = "") -> str:
    api = document(described, base_path)
    translate = translator(language)
    sections = [
        {
            "tag": tag["name"],
            "operations": [_shown_operation(o, api) for o in described if o.tag == tag["name"]],
        }
        for tag in api["tags"]
    ]
    problems = [
        {"kind": kind, "status": status, "title": translate(Text(f"title.{kind}")), "when": WHEN[kind]}
        for kind, status in STATUS_OF.items()
    ]
    schemas = {name: _pretty(schema) for name, schema in sorted(api["components"]["schemas"].items())}
    return _PAGES.get_template("docs.html").render(
        language=language, version=api["info"]["version"], about=api["info"]["description"],
        sections=sections, problems=problems, schemas=schemas, words=_words(language), base_path=base_path,
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
    path = f"/api{operation.path}"
    for name, example in PATH_EXAMPLES.items():
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
    translate = translator(language)
    names = ("heading", "contents", "problems", "schemas", "parameters", "body", "answers", "skip", "try", "json")
    return {name: translate(Text(f"docs.{name}")) for name in names}
