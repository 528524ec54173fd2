"""Spans, as a collector gets them from a real node and from real programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from system.command import SRC, environment
from system.nodes import Node
from system.otlp import Collector
from system.real import until

from hanse.model.trace import FIRST_ITEMS, is_sampled
from hanse.runtime.tracing import sampled

PROGRAM = """
import pathlib, sys, time
import hanse
from opentelemetry import trace

def provided():
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    return trace.get_tracer('mine')

def work(place, x):
    with provided().start_as_current_span('inside', attributes={'x': x}):
        pathlib.Path(place, f'begun-{x}').touch()
        while x > 1 and not pathlib.Path(place, 'go').exists():
            time.sleep(0.01)
    if x == 1:
        raise ValueError('the password is hunter2')
    return x

if __name__ == '__main__':
    with hanse.connect() as client, provided().start_as_current_span('outside'):
        list(client.map(work, [sys.argv[1]] * 4, [0, 1, 2, 3], on_error='collect', name='traced'))
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def variables(collector):
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_SERVICE_NAME": "",
    }  # fmt: skip


def program(tmp_path, text, *args, **env):
    file = tmp_path / "program.py"
    file.write_text(text)
    return subprocess.Popen(
        [sys.executable, file, *map(str, args)], stderr=subprocess.PIPE, text=True,
        env=environment(tmp_path / "away", PYTHONPATH=str(SRC), **env),
    )  # fmt: skip


def ended(process):
    with process:
        _, told = process.communicate()
    assert process.returncode == 0, told
    return told


def test_one_trace_goes_from_the_program_through_a_node_that_is_killed_into_its_tasks(
    tmp_path, collector, variables
):
    node = Node(tmp_path / "there").start(**variables, OTEL_RESOURCE_ATTRIBUTES="service.name=lab")
    try:
        running = program(tmp_path, PROGRAM, tmp_path, **variables, **node.env)
        until(lambda: len(collector.named("item work")) == 2)
        until((tmp_path / "begun-2").exists)
        node.kill()
        node.start(**variables, OTEL_RESOURCE_ATTRIBUTES="service.name=lab")
        (tmp_path / "go").touch()
        ended(running)
        until(lambda: collector.named("job work"))
        until(lambda: len({s.about["hanse.item.index"] for s in collector.named("item work")}) == 4)
        assert node.end() == 0
    finally:
        node.close()
    (outside,), (job,) = collector.named("outside"), collector.named("job work")
    assert {span.trace for span in collector.spans} == {outside.trace}
    assert job.parent == outside.id
    assert job.service == "lab"
    assert job.about["hanse.job.name"] == "traced"
    assert (job.about["hanse.items.done"], job.about["hanse.items.failed"]) == ("3", "1")
    leases = {span.id: span for span in collector.named("lease work")}
    assert {span.parent for span in leases.values()} == {job.id}
    items = {span.id: span for span in collector.named("item work")}
    for item in items.values():
        assert item.start_ns <= item.end_ns
        lease = leases.get(item.parent)  # of the node that was killed some are lost
        assert lease is None or lease.start_ns <= item.start_ns
    assert [s.about["error.type"] for s in items.values() if s.failed] == ["ValueError"]
    inside = {span.about["x"]: span for span in collector.named("inside")}
    for x in "0123":
        assert items[inside[x].parent].about["hanse.item.index"] == x
    ours = [span for span in collector.spans if span.name != "inside"]
    assert "hunter2" not in repr(ours)


def test_a_program_of_its_own_is_traced_by_variables_alone_and_tells_no_arguments(
    tmp_path, collector, variables
):
    text = (
        "import hanse\n"
        "def half(text): return len(text) // (len(text) - 8)\n"
        "with hanse.connect() as client:\n"
        "    texts = ['secret-' + str(x) for x in range(3000)]\n"
        "    list(client.map(half, texts, on_error='collect'))\n"
    )
    ended(program(tmp_path, text, **variables, HANSE_OTEL_ITEMS="1000", HANSE_URL="here"))
    (job,) = collector.named("job half")
    assert job.parent == ""
    assert job.service == "hanse"
    assert (job.about["hanse.items.done"], job.about["hanse.items.failed"]) == ("2990", "10")
    leases = {span.id: span for span in collector.named("lease half")}
    assert sum(int(span.about["hanse.items.done"]) for span in leases.values()) == 2990
    items = collector.named("item half")
    assert {int(span.about["hanse.item.index"]) for span in items} == {*range(100), 1000, 2000}
    assert {span.parent for span in items} <= set(leases)
    assert sum(span.failed for span in items) == 10
    assert b"secret" not in collector.heard
    assert {span.trace for span in collector.spans} == {job.trace}


def test_a_job_has_so_many_spans_of_a_kind_and_says_how_many_were_left_out(
    tmp_path, collector, variables
):
    text = (
        "import hanse\n"
        "def half(x): return 1 // (x % 100)\n"
        "with hanse.connect() as client:\n"
        "    list(client.map(half, range(3000), on_error='collect'))\n"
    )
    variables |= {"HANSE_OTEL_ITEMS": "1", "HANSE_OTEL_SPANS": "12", "HANSE_URL": "here"}
    ended(program(tmp_path, text, **variables))
    (job,) = collector.named("job half")
    items, leases = collector.named("item half"), collector.named("lease half")
    assert sum(span.failed for span in items) == 12
    assert sum(not span.failed for span in items) == 12
    assert 0 < len(leases) <= 12
    assert int(job.about["hanse.spans.left_out"]) >= 3000 - 24


def test_without_variables_nothing_of_it_is_imported_and_without_a_collector_programs_end(tmp_path):
    text = (
        "import sys, hanse\n"
        "def seen(x): return [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "with hanse.connect() as client: found = list(client.map(seen, range(3)))\n"
        "assert bool(seen(0)) == (sys.argv[1] == 'traced'), seen(0)\n"
        "assert found == [[]] * 3 or sys.argv[1] == 'traced', found\n"
    )
    ended(program(tmp_path, text, "not", HANSE_URL="here"))
    nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "HANSE_URL": "here"}
    ended(program(tmp_path, text, "traced", **nobody))
    ended(program(tmp_path, text, "not", **nobody, OTEL_SDK_DISABLED="true"))
    told = ended(program(tmp_path, text, "traced", HANSE_URL="here", OTEL_TRACES_EXPORTER="x"))
    assert "no exporter of the name x" in told


def test_a_sampler_that_wants_nothing_gets_nothing(tmp_path, collector, variables):
    text = (
        "import hanse\n"
        "with hanse.connect() as client: assert list(client.map(abs, range(-3, 0))) == [3, 2, 1]\n"
    )
    variables |= {"OTEL_TRACES_SAMPLER": "always_off", "HANSE_URL": "here"}
    ended(program(tmp_path, text, **variables))
    assert collector.spans == []


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 50))
def test_home_and_worker_agree_on_which_items_have_spans(start, count, every):
    start += FIRST_ITEMS - 50
    expected = [item for item in range(start, start + count) if is_sampled(item, every)]
    assert [*chain(*sampled(start, start + count, every))] == expected
