"""The routes as an OpenAPI 3.1 document, from the types that they take and give."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hanse.decoding import json_schemas
from hanse.node.http.call import BYTES
from hanse.remote.dial import PARCEL
from hanse.wire.api import Problem

if TYPE_CHECKING:
    from hanse.node.http.app import Route

_QUERY: dict[str, dict[str, Any]] = {
    "/v1/jobs": {"limit": {"type": "integer", "minimum": 0, "maximum": 100_000}},
    "/v1/find": {"job": {"type": "string"}},
    "/v1/jobs/{job}/entries": {"first": {"type": "integer", "minimum": 0}},
    "/v1/jobs/{job}/payloads": {
        "entries": {"type": "string", "pattern": "^[0-9]{1,15}(,[0-9]{1,15}){0,63}$"}
    },
    "/v1/jobs/{job}/logs": {
        "first": {"type": "integer", "minimum": 0},
        "item": {"type": "integer", "minimum": 0},
        "follow": {"type": "integer", "minimum": 0, "maximum": 1},
    },
    "/dash/events": {"follow": {"type": "integer", "minimum": 0, "maximum": 1}},
    "/dash/jobs/{job}/leases": {"first": {"type": "integer", "minimum": 0}},
    "/dash/jobs/{job}/log": {"first": {"type": "integer", "minimum": 0}},
    "/v1/jobs/{job}/follow": {
        "first": {"type": "integer", "minimum": 0},
        "feeder": {"type": "integer", "minimum": 0},
    },
}
_PARTS = {
    "job": {"type": "string", "pattern": "^j-[0-9a-f]{12}$"},
    "blob": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "code": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "file": {"type": "string", "pattern": "^[a-z]+[.](js|css|svg)$"},
    "node": {"type": "string", "pattern": "^n-[0-9a-f]{12}$"},
    "link": {"type": "string", "pattern": "^l-[0-9a-f]{8}$"},
}


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    routes = list(routes)
    kinds = [kind for each in routes for kind in (each.takes, each.gives) if kind is not None]
    schemas, components = json_schemas([*kinds, Problem], "#/components/schemas/{name}")
    of = dict(zip(map(repr, [*kinds, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in routes:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hanse node",
            "version": version,
            "description": "Requests and answers of programs are msgpack (see the accept header); "
            "JSON is for people. Bodies that carry values are parcels: the length of a label in 4 "
            "bytes, the label, and the values' bytes.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, of: dict[str, Any]) -> dict[str, Any]:
    words = inspect.cleandoc(route.handler.__doc__ or "")
    summary, _, more = words.replace("\n", " ").partition(". ")
    wrong = {"content": {"application/problem+json": {"schema": of[repr(Problem)]}}}
    answers: dict[str, Any] = {"4XX": wrong | {"description": "What is wrong with the request"}}
    answers |= {"5XX": wrong | {"description": "What failed here"}}
    if route.gives is None:
        binary = {"format": "binary"} if route.media == BYTES else {}
        content = {route.media: {"schema": {"type": "string"} | binary}}
    else:
        content = {"application/json": {"schema": of[repr(route.gives)]}}
    found: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "-", route.method.lower() + route.path).strip("-"),
        "summary": summary.rstrip("."),
        "description": more,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": _PARTS[name]}
            for name in re.findall(r"{(\w+)}", route.path)
        ]
        + [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in _QUERY.get(route.path, {}).items()
            if route.method == "GET"
        ],
        "responses": {"2XX": {"description": "Done", "content": content}} | answers,
    }
    if route.takes is not None:
        schema = of[repr(route.takes)]
        found["requestBody"] = {"required": True, "content": {PARCEL: {"schema": schema}}}
    if route.right is not None:
        found["security"] = [{"token": []}]
        found["description"] = f"{more} Needs a token that may {route.right}.".strip()
    return found
