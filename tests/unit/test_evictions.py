"""What clouds say of evictions: real requests, to services that answer as the vendors document."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from metadata import Replies, Reply, Service

from hanse.node.evictions import notice
from hanse.node.evictions.machine import Leaving
from hanse.node.evictions.notice import Answer, Notice
from hanse.node.evictions.sources import Away, Aws, Azure, File, Gcp, Source, choose, cloud
from hanse.node.evictions.watch import Watch

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NOW_S = NOW.timestamp()


@pytest.fixture
def serve() -> Iterator[Callable[[Replies], Service]]:
    made: list[Service] = []

    def make(reply: Replies) -> Service:
        made.append(Service(reply))
        return made[-1]

    yield make
    for service in made:
        service.close()


Serve = Callable[[Replies], Service]


# --- AWS ------------------------------------------------------------------------------------------
def test_aws_is_asked_with_a_token_that_is_had_anew_when_it_has_expired(serve: Serve) -> None:
    tokens = iter(("one", "two"))
    good = [""]
    said: dict[str, str] = {}

    def reply(method: str, path: str, headers: dict[str, str]) -> Reply:
        if path == "/latest/api/token":
            assert method == "PUT"
            assert int(headers["x-aws-ec2-metadata-token-ttl-seconds"]) > 0
            good[0] = next(tokens)
            return 200, good[0]
        if headers.get("x-aws-ec2-metadata-token") != good[0]:
            return 401, ""
        return (200, said[path]) if path in said else (404, "<html>not found</html>")

    service = serve(reply)
    aws = Aws(service.base)
    assert aws.look(NOW_S) is None
    good[0] = ""  # expired
    assert aws.look(NOW_S) is None
    said["/latest/meta-data/events/recommendations/rebalance"] = '{"noticeTime": "..."}'
    assert aws.look(NOW_S) is None, "a risk is no notice"
    soon = (NOW + timedelta(seconds=118)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = "/latest/meta-data/spot/instance-action"
    said[path] = json.dumps({"action": "terminate", "time": soon})
    found = aws.look(NOW_S)
    assert found == Notice("AWS", "AWS interrupts this spot instance (terminate)", 118.0)
    assert sum(path == "/latest/api/token" for _, path, _ in service.asked) == 2


def test_an_interruption_without_a_time_that_can_be_read_is_one_all_the_same() -> None:
    found = notice.aws(Answer(200, b'{"action": "stop", "time": "soon"}'), NOW_S)
    assert found is not None
    assert found.left_s == 120.0


# --- GCP ------------------------------------------------------------------------------------------
def test_gcp_says_that_a_machine_is_preempted(serve: Serve) -> None:
    said = {"preempted": "FALSE", "maintenance-event": "MIGRATE_ON_HOST_MAINTENANCE"}

    def reply(method: str, path: str, headers: dict[str, str]) -> Reply:
        what, _, query = path.removeprefix("/computeMetadata/v1/instance/").partition("?")
        if headers.get("metadata-flavor") != "Google":
            return 403, "missing header"
        assert what == "maintenance-event" or "wait_for_change=true" in query
        return 200, said[what] + "\n"

    gcp = Gcp(serve(reply).base)
    assert gcp.look(NOW_S) is None, "a machine that is moved while it runs stays"
    said["preempted"] = "TRUE"
    found = gcp.look(NOW_S)
    assert found is not None
    assert (found.source, found.left_s) == ("GCP", 30.0)
    said.update({"preempted": "FALSE", "maintenance-event": "TERMINATE_ON_HOST_MAINTENANCE"})
    found = gcp.look(NOW_S)
    assert found is not None
    assert found.left_s == 60.0


# --- Azure ----------------------------------------------------------------------------------------
def test_azure_names_the_machines_that_an_event_is_about(serve: Serve) -> None:
    events: list[dict[str, object]] = []

    def reply(method: str, path: str, headers: dict[str, str]) -> Reply:
        if headers.get("metadata") != "true":
            return 400, "Required metadata header not specified"
        if path.startswith("/metadata/instance/compute/name?"):
            return 200, "gang_3"
        assert path == "/metadata/scheduledevents?api-version=2020-07-01"
        return 200, json.dumps({"DocumentIncarnation": len(events), "Events": events})

    def event(kind: str, machine: str, left_s: int) -> dict[str, object]:
        return {
            "EventId": "A123BC45", "EventStatus": "Scheduled", "EventType": kind,
            "ResourceType": "VirtualMachine", "Resources": [machine], "EventSource": "Platform",
            "NotBefore": format_datetime(NOW + timedelta(seconds=left_s), usegmt=True),
            "Description": "", "DurationInSeconds": -1,
        }  # fmt: skip

    azure = Azure(serve(reply).base)
    assert azure.look(NOW_S) is None
    events += [event("Preempt", "gang_1", 30), event("Freeze", "gang_3", 30)]
    assert azure.look(NOW_S) is None, "others go, and a pause is no end"
    events.append(event("Preempt", "gang_3", 31))
    found = azure.look(NOW_S)
    assert found == Notice("Azure", "Azure evicts this spot machine", 31.0)
    events[-1] |= {"EventStatus": "Started", "NotBefore": ""}
    found = azure.look(NOW_S)
    assert found is not None
    assert found.left_s == 0.0


# --- whatever comes -------------------------------------------------------------------------------
@example(200, b'{"action": "stop", "time": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}')
@example(200, b'{"action": "stop", "time": "Mon, 01 Jan 2026 00:00:00 +99999999999999999999"}')
@example(200, b'{"x":' + b"[" * 100_000)
@given(st.just(200) | st.integers(100, 599), st.binary(max_size=60) | st.sampled_from((
    b"{}", b'{"Events": null}', b'{"action": 3}', b"TRUE", b"[[", b'{"Events": [{"EventType": 1}]}',
    b'{"action": "stop", "time": "0000-00-00,"}', b'{"action": "stop", "time": "9999-12-31T00:00"}',
)))  # fmt: skip
def test_no_answer_is_more_than_a_notice_or_none(status: int, body: bytes) -> None:
    answer = Answer(status, body)
    for found in (
        notice.aws(answer, NOW_S), notice.gcp_preempted(answer), notice.gcp_maintenance(answer),
        notice.azure(answer, NOW_S, "me"),
    ):  # fmt: skip
        assert found is None or (status == 200 and 0 <= found.left_s <= 7 * 86_400)


def test_a_service_that_is_not_there_or_knows_no_such_thing_is_away(serve: Serve) -> None:
    nobody = serve(lambda *_: (404, ""))
    with pytest.raises(Away, match="404"):
        Aws(nobody.base).look(NOW_S)
    assert Gcp(nobody.base).look(NOW_S) is None
    assert Azure(nobody.base).look(NOW_S) is None
    nobody.close()
    for source in (Aws(nobody.base), Gcp(nobody.base), Azure(nobody.base)):
        with pytest.raises(Away):
            source.look(NOW_S)


def test_no_proxy_is_asked_for_a_metadata_service(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(lambda *_: (200, "TRUE"))
    monkeypatch.setenv("http_proxy", proxy.base)
    direct = serve(lambda *_: (200, "FALSE"))
    assert Gcp(direct.base).look(NOW_S) is None
    assert not proxy.asked


# --- files, and whom to ask -----------------------------------------------------------------------
def test_a_file_may_say_how_long_is_left_and_why(tmp_path: Path) -> None:
    path = tmp_path / "evict"
    file = File(path, 30.0)
    assert file.look(NOW_S) is None
    path.write_text("")
    assert file.look(NOW_S) is None, "it may be about to be written"
    assert file.look(NOW_S) == Notice("file", "a file says so", 30.0)
    path.write_text("90\n")
    assert file.look(NOW_S) == Notice("file", "a file says so", 90.0)
    path.write_text("12.5 seconds until rack 4 is moved")
    assert file.look(NOW_S) == Notice("file", "12.5 seconds until rack 4 is moved", 12.5)


def test_the_cloud_is_known_by_the_firmware() -> None:
    assert cloud({"sys_vendor": "Amazon EC2", "product_name": "m5.large"}) == "aws"
    assert cloud({"product_name": "Google Compute Engine", "sys_vendor": "Google"}) == "gcp"
    tag = "7783-7084-3265-9085-8269-3286-77"
    assert cloud({"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": tag}) == "azure"
    assert cloud({"sys_vendor": "Microsoft Corporation"}) == "", "Hyper-V on a desk"
    assert cloud({}) == ""


def test_who_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanse.node.evictions.sources._dmi", lambda: {"sys_vendor": "Amazon EC2"})
    names = lambda *asked: [source.name for source in choose(*asked)]  # noqa: E731
    assert names("off", None) == names("sigterm", None) == []
    assert names("auto", None) == ["AWS"]
    assert names("gcp", tmp_path / "evict") == ["GCP", "file"]
    monkeypatch.setenv("HANSE_EVICT_FILE", str(tmp_path / "evict"))
    monkeypatch.setenv("HANSE_METADATA_AZURE", "http://127.0.0.1:1")
    assert names("auto", None) == ["AWS", "Azure", "file"]
    assert names("off", None) == ["file"]


class Script:
    """A source that answers as it is told."""

    name, every_s = "script", 0.001

    def __init__(self, *answers: Notice | Away | None) -> None:
        self._answers = list(answers)

    def look(self, now_s: float) -> Notice | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Away):
            raise answer
        return answer


def test_a_notice_is_told_once_whoever_gives_it() -> None:
    told: list[Notice] = []
    here = threading.Event()
    one, other = Notice("a", "one", 1.0), Notice("b", "other", 2.0)

    def tell(found: Notice) -> None:
        told.append(found)
        here.set()

    sources: list[Source] = [Script(Away("no line"), None, Away("none"), one), Script(None)]
    watch = Watch(sources, tell)
    assert here.wait(30)
    watch.notice(other)
    assert told == [one]


def test_a_node_that_was_sent_sigterm_ends_though_its_loop_is_busy() -> None:
    asked = []

    class Busy:
        loop = SimpleNamespace(post=lambda act: None)

        def ask(self, question: Callable[[], bool]) -> bool:
            asked.append(question)
            raise TimeoutError

    server = SimpleNamespace(should_exit=False)
    leaving = Leaving(Busy(), SimpleNamespace(), [], "sigterm", None, 0.2)  # type: ignore[arg-type]
    leaving._go(server)
    assert asked
    assert server.should_exit
