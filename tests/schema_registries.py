"""What tests need of a schema registry: schemas, framed records, and HTTPS with a password."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient


def registered(
    url: str, subject: str, text: str, kind: str = "AVRO", references: list[Any] | None = None
) -> int:
    """Registers a schema; returns its id."""
    client = SchemaRegistryClient({"url": url})
    named = [SchemaReference(*one) for one in references or []]
    return int(client.register_schema(subject, Schema(text, kind, named)))


def frame(schema_id: int) -> bytes:
    """What a record of a schema starts with."""
    return b"\0" + schema_id.to_bytes(4, "big")


class Front:
    """A server before a registry: it counts what is asked, and may want a password.

    Attributes:
        url: Where it is.
        paths: What was asked for.
        status: Answers everything with this HTTP status, unless it is 0.
    """

    def __init__(self, target: str, certificate: Path | None = None, login: str = "") -> None:
        self.paths: list[str] = []
        self.status = 0
        front = self
        expected = f"Basic {base64.b64encode(login.encode()).decode()}"

        class Handler(BaseHTTPRequestHandler):
            # HTTP/1.0: a connection that stays open would be served after the end.
            def do_GET(self) -> None:
                front.paths.append(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if login and self.headers.get("Authorization") != expected:
                    # As careless as a server can be.
                    answer = {"error_code": 401, "message": f"expected {login}"}
                    self._answer(401, json.dumps(answer).encode())
                elif front.status:
                    self._answer(front.status, b"<html>not now</html>")
                else:
                    self._answer(*_forwarded(self.command, target + self.path, body or None))

            do_POST = do_GET

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[Front]:
        """Serves until the end."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def _forwarded(method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, method=method)
    request.add_header("Content-Type", "application/vnd.schemaregistry.v1+json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()
