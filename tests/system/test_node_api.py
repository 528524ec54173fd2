"""What a node says of itself is true: its OpenAPI document, its metrics, its errors."""

from __future__ import annotations

import http.client
import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.checks import not_a_server_error
from system.nodes import Node

from hanse.payloads.parcel import wrap
from hanse.remote.dial import PARCEL


@schemathesis.serializer(PARCEL)
def parcel(_, value):
    """What the document says a body is about, in a parcel that holds no values."""
    try:
        return b"".join(wrap(value))
    except (OverflowError, UnicodeEncodeError):  # nothing that msgpack can carry
        return b"\x00\x00\x00\x01\xc1"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = Node(tmp_path_factory.mktemp("node") / "there").start()
    with started.connect() as client:
        list(client.map(abs, range(1000), name="done"))
        list(client.map(fails, range(3), on_error="collect"))
    yield started
    started.close()


def fails(x):
    raise ValueError(x)


def get(node, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    told = {"authorization": f"Bearer {node.address.secret}"}
    try:
        connection.request("GET", path, headers=told | headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read()
    finally:
        connection.close()


def test_every_route_answers_as_its_document_says_whatever_it_is_given(node):
    document = json.loads(get(node, "/openapi.json")[2])
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=node.url)
    secret = {"Authorization": f"Bearer {node.address.secret}"}
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/orders"):
            continue  # goes on for ever once a site has said hello; test_links reads it

        @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case):
            nonlocal tried
            tried += 1
            if case.path == "/dash/events":
                case.query = {}  # followed, it has no end
            answer = case.call(headers=secret, timeout=60)
            case.validate_response(answer, checks=[not_a_server_error])
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == ["application/problem+json"], answer.text
                assert json.loads(answer.content)["status"] == answer.status_code
            assert node.address.secret.encode() not in answer.content

        check()
    assert tried > 100


def test_metrics_are_what_prometheus_reads_and_count_what_happened(node):
    status, kind, body = get(node, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert found["hanse_items_ended_total", "done"] == 1000
    assert found["hanse_items_ended_total", "failed"] == 3
    assert found["hanse_jobs_ended_total", "done"] == 2
    assert found["hanse_jobs_running",] == 0
    assert found["hanse_cpus",] == 2
    assert found["process_resident_memory_bytes",] > 1e6


def test_people_get_json_and_programs_msgpack(node):
    status, kind, body = get(node, "/v1/find?job=done")
    assert (status, kind) == (200, "application/json")
    head = json.loads(body)
    assert (head["done"], head["state"]) == (1000, "done")
    assert get(node, f"/v1/jobs/{head['id']}", accept="application/msgpack")[1].endswith("msgpack")
    listed = json.loads(get(node, "/v1/jobs?limit=1")[2])
    assert len(listed) == 1
    status, kind, body = get(node, "/v1/find?job=nowhere")
    assert (status, kind) == (404, "application/problem+json")
    assert json.loads(body)["code"] == "no-such-job"


@pytest.mark.parametrize(("path", "said"), [("/healthz", "ok"), ("/readyz", "ready")])
def test_whoever_watches_needs_no_token(node, path, said):
    assert json.loads(get(node, path, authorization="")[2]) == said
