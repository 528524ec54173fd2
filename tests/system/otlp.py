"""Something that takes spans as collectors do: OTLP over HTTP, decoded by OpenTelemetry's own
definitions."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Span:
    def __init__(self, service: str, told: Any) -> None:
        self.service = service
        self.name = told.name
        self.trace = told.trace_id.hex()
        self.id = told.span_id.hex()
        self.parent = told.parent_span_id.hex()
        self.start_ns, self.end_ns = told.start_time_unix_nano, told.end_time_unix_nano
        self.failed = told.status.code == 2
        self.about = {
            each.key: next(iter(MessageToDict(each.value).values()), None)
            for each in told.attributes
        }

    def __repr__(self) -> str:
        return f"{self.name} {self.id} below {self.parent or 'nothing'}: {self.about}"


class Collector:
    """Listens on a free port of loopback."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.heard = b""  # all requests as they came
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.heard += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [Span(names["service.name"], each) for each in scope.spans]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
