"""The OpenAPI document as one page for people: rendered here, without scripts and without anything
from elsewhere, so that the strictest policy fits it. The document is the only source: what the page
says of a route is what programs are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

STYLE = Path(__file__).with_name("docs.css")
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
frame-ancestors 'none'"

_GROUPS = {
    "jobs": "Jobs",
    "find": "Jobs",
    "blobs": "Code and blobs",
    "code": "Code and blobs",
    "link": "Links",
    "links": "Links",
    "sites": "Links",
}
_WATCHING = "The node"
_PAGES = "The page to look at"
_ORDER = (_WATCHING, "Jobs", "Code and blobs", "Links", _PAGES)
_REF = "#/components/schemas/"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>The HTTP API of Hanse {version}</title>
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<a class="skip" href="#routes">To the routes</a>
<header>
<h1>{title} <small>Hanse {version}</small></h1>
<p>{words}</p>
<p>Try one: <code>curl -H "Authorization: Bearer SECRET" URL/v1/jobs</code>. A token that
<code>hanse token create</code> prints carries the secret. With TLS,
<code>--cacert authority.pem</code> names <a href="/authority.pem">this node's own authority</a>:
take it from the node's directory, not from here, where you cannot trust the way yet. Errors are
problem details (RFC 9457) with a stable <a href="#schema-Problem">code</a>. The same as this page,
for programs: <a href="/openapi.json">openapi.json</a>.</p>
</header>
<nav aria-label="Routes">
{contents}
</nav>
<main id="routes">
{routes}
<section aria-labelledby="schemas">
<h2 id="schemas">What bodies hold</h2>
{schemas}
</section>
</main>
</body>
</html>
"""


def page(document: dict[str, Any]) -> str:
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {name: [] for name in _ORDER}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[_group(path)].append((method.upper(), path, operation))
    shown = [(name, found) for name, found in groups.items() if found]
    info = document["info"]
    return _PAGE.format(
        title=escape(info["title"]),
        version=escape(info["version"]),
        words=escape(info["description"]),
        contents="\n".join(_contents(name, found) for name, found in shown),
        routes="\n".join(_section(name, found) for name, found in shown),
        schemas="\n".join(
            _schema(name, schema)
            for name, schema in sorted(document["components"]["schemas"].items())
        ),
    )


def _group(path: str) -> str:
    if path == "/" or path.startswith("/dash/"):
        return _PAGES
    found = re.match(r"/v1/(\w+)", path)
    return _GROUPS.get(found[1], _WATCHING) if found else _WATCHING


def _contents(name: str, found: list[tuple[str, str, dict[str, Any]]]) -> str:
    rows = "\n".join(
        f'<li><a href="#{escape(operation["operationId"])}">{_route(method, path)}</a></li>'
        for method, path, operation in found
    )
    return f"<h2>{escape(name)}</h2>\n<ul>\n{rows}\n</ul>"


def _route(method: str, path: str) -> str:
    return f'<code><b class="{method.lower()}">{method}</b> {escape(path)}</code>'


def _section(name: str, found: list[tuple[str, str, dict[str, Any]]]) -> str:
    mark = re.sub(r"\W+", "-", name.lower())
    parts = "\n".join(_operation(*each) for each in found)
    return f'<section aria-labelledby="{mark}">\n<h2 id="{mark}">{escape(name)}</h2>\n{parts}\n\
</section>'


def _operation(method: str, path: str, told: dict[str, Any]) -> str:
    parts = [
        f'<article aria-labelledby="{escape(told["operationId"])}">',
        f'<h3 id="{escape(told["operationId"])}">{_route(method, path)}</h3>',
        f"<p><strong>{escape(told['summary'])}.</strong> {escape(told['description'])}</p>",
        *_facts(told),
        "</article>",
    ]
    return "\n".join(parts)


def _facts(told: dict[str, Any]) -> Iterator[str]:
    yield "<dl>"
    for parameter in told["parameters"]:
        where = "in the path" if parameter["in"] == "path" else "in the query, optional"
        yield f"<dt><code>{escape(parameter['name'])}</code></dt>"
        yield f"<dd>{_kind(parameter['schema'])}, {where}</dd>"
    if "requestBody" in told:
        ((media, body),) = told["requestBody"]["content"].items()
        yield f"<dt>takes</dt><dd>{_kind(body['schema'])} <code>{escape(media)}</code></dd>"
    for media, body in told["responses"]["2XX"]["content"].items():
        yield f"<dt>gives</dt><dd>{_kind(body['schema'])} <code>{escape(media)}</code></dd>"
    yield "</dl>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    mark = f"schema-{escape(name)}"
    required = set(schema.get("required", ()))
    rows = "\n".join(
        f"<dt><code>{escape(field)}</code></dt>"
        f"<dd>{_kind(kind)}{'' if field in required else ', optional'}</dd>"
        for field, kind in schema.get("properties", {}).items()
    )
    described = " ".join(schema.get("description", "").split())
    words = f"<p>{escape(described)}</p>" if described else ""
    what = f"<dl>\n{rows}\n</dl>" if rows else f"<p>{_kind(schema)}</p>"
    return f'<article aria-labelledby="{mark}">\n<h3 id="{mark}"><code>{escape(name)}</code></h3>\n\
{words}\n{what}\n</article>'


_NAMES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "nothing",
    "object": "object",
    "array": "list",
}


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in words; in HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(_REF))
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(f"<code>{escape(str(e))}</code>" for e in schema["enum"])
    kind = schema.get("type")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_kind(schema['items'])}"
    if kind == "array" and "prefixItems" in schema:
        return f"list of {', '.join(map(_kind, schema['prefixItems']))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    if schema.get("format") == "binary":
        return "bytes"
    if schema.get("contentEncoding") == "base64":
        return "bytes (in JSON as base64)"
    return _NAMES.get(str(kind), "anything") + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    words = f" from {low}" * (low is not None) + f" to {high}" * (high is not None)
    if "pattern" in schema:
        words += f" like <code>{escape(schema['pattern'])}</code>"
    return words
