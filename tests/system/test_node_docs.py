"""What a node shows people, and what every answer of it says to browsers."""

from __future__ import annotations

import http.client
import json
import socket
from html.parser import HTMLParser

import pytest
from system.nodes import Node
from system.test_node_secure import METHODS, ROUTES, real


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = Node(tmp_path_factory.mktemp("node") / "there").start()
    yield started
    started.close()


def answer(node, method, path, secret=""):
    """Status, headers by name in lower case, and body."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    try:
        told = {"authorization": f"Bearer {secret}"} if secret else {}
        connection.request(method, path, headers=told)
        got = connection.getresponse()
        return got.status, {k.lower(): v for k, v in got.getheaders()}, got.read()
    finally:
        connection.close()


def check(headers, where):
    """No script, no frame, no other site, no guess at what it is, nothing kept."""
    policy = headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'", where
    assert "frame-ancestors 'none'" in policy, where
    assert "unsafe" not in headers["content-security-policy"], where
    assert headers["x-content-type-options"] == "nosniff", where
    assert headers["cross-origin-resource-policy"] == "same-origin", where
    assert headers["referrer-policy"] == "no-referrer", where
    assert headers["cache-control"] == "no-store", where
    assert "access-control-allow-origin" not in headers, where
    assert "server" not in headers, where


def test_every_answer_of_every_route_and_method_has_the_headers_that_browsers_obey(node):
    paths = {real(each.path) for each in ROUTES} | {"/", "/nowhere", "/v1/jobs/%0a", "/docs/"}
    for path in sorted(paths):
        for method in METHODS:
            for secret in ("", node.address.secret, "5e" * 32):
                status, headers, _ = answer(node, method, path, secret)
                check(headers, (method, path, status))


def test_what_is_no_request_is_answered_with_the_same_headers(node):
    for begun in (b"\x16\x03\x01 hello\r\n\r\n", b"GET /" + b"a" * 100_000):
        with socket.create_connection(("127.0.0.1", node.port), timeout=60) as line:
            line.sendall(begun)
            got = http.client.HTTPResponse(line)
            got.begin()
            assert got.status in (400, 431)
            check({k.lower(): v for k, v in got.getheaders()}, begun[:10])


class Read(HTMLParser):
    """What is in a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.text = [], [], [], ""
        self.attributes = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "action"):
                self.links.append(value)

    def handle_data(self, data):
        self.text += data


def test_the_page_tells_of_every_route_and_holds_to_its_own_policy(node):
    status, headers, body = answer(node, "GET", "/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = Read(body.decode())
    document = json.loads(answer(node, "GET", "/openapi.json")[2])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page.text
            assert operation["operationId"] in page.ids
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not {"script", "style", "img", "iframe", "form"} & set(page.tags)
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert link in document["paths"], link  # of this node, and there
    assert node.address.secret not in body.decode()
    status, headers, _ = answer(node, "GET", "/docs.css")
    assert (status, headers["content-type"]) == (200, "text/css; charset=utf-8")


def test_hostile_words_in_the_document_are_shown_and_not_obeyed():
    from hanse.node.http.docs import page

    hostile = "<script>alert(1)</script>\"'&"
    operation = {
        "operationId": hostile, "summary": hostile, "description": hostile, "parameters": [
            {"name": hostile, "in": "query", "schema": {"type": "string", "pattern": hostile}}],
        "responses": {"2XX": {"content": {hostile: {"schema": {"enum": [hostile]}}}}},
    }  # fmt: skip
    schema = {"description": hostile, "properties": {hostile: {"$ref": hostile}}}
    told = page({
        "info": {"title": hostile, "version": hostile, "description": hostile},
        "paths": {"/" + hostile: {"get": operation}},
        "components": {"schemas": {hostile: schema}},
    })  # fmt: skip
    assert "script" not in Read(told).tags
    assert "\"'" not in told.replace("&quot;", "").replace("&#x27;", "")
