"""A small receiver of traces, as OTLP over HTTP has it, and a relay that hears what is said to ARGOS.

Both keep every byte that came to them, and answer badly when they are told to.
"""

import http.client
import http.server
import threading
import time


class Server:
    """An HTTP server on a free loopback port, in threads of its own."""

    def __init__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, headers, said = outer.hear(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        # What was said, as it was said: one entry a request.
        self.heard = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Collector(Server):
    """Takes traces, unless it has a `status` or a `delay` to answer with."""

    def __init__(self):
        self.status, self.delay, self.answer, self.taken = 200, 0, b"", []
        super().__init__()

    def hear(self, method, path, headers, body):
        self.heard.append(f"{method} {path}\n{headers}".encode() + body)
        status, answer = self.status, self.answer
        time.sleep(self.delay)
        if status == 200:
            self.taken.append((path, dict(headers), body))
        return status, [("content-type", "application/x-protobuf")], answer

    def spans(self):
        """Every span that was taken, with the attributes of who sent it."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        found = []
        for _, _, body in list(self.taken):
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in sent.scope_spans:
                    found += [Span(span, attributes(sent.resource)) for span in scope.spans]
        return found


class Span:
    def __init__(self, span, resource):
        self.span, self.resource, self.said = span, resource, attributes(span)
        self.name, self.kind, self.failed = span.name, span.SpanKind.Name(span.kind), span.status.code == 2
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.began, self.ended = span.start_time_unix_nano, span.end_time_unix_nano
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]


def attributes(message):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


class Relay(Server):
    """Stands before ARGOS and hands everything on; with `repeats` it answers with that status itself, and repeats
    in its answer all that was said to it."""

    def __init__(self, behind):
        self.behind, self.repeats = behind, None
        super().__init__()

    def hear(self, method, path, headers, body):
        self.heard.append(f"{method} {path}\n{headers}".encode() + body)
        if self.repeats:
            return self.repeats, [("content-type", "application/json")], repeated(path, headers, body)
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        own = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        connection.request(method, path, body=body or None, headers=own)
        answer = connection.getresponse()
        kept = [pair for pair in answer.getheaders() if pair[0].lower() not in ("content-length", "transfer-encoding")]
        return answer.status, kept, answer.read()


def repeated(path, headers, body):
    import json

    said = f"{path} {dict(headers)} {body.decode(errors='replace')}"
    return json.dumps({"errorCode": said, "errorMessage": said, "message": said, "details": {"tokens": [said]}}).encode()
