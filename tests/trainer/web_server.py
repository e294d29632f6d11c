"""A small web server in a thread that behaves as badly as it is told to; real sockets, nothing replaced."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK = 1 << 16


@dataclass
class WebFile:
    """One file. ``cuts``: for each answer after how many bytes the connection ends, 0 for not at all.

    ``status`` other than 200 is all that is answered. ``hold_at``: there the server stops until ``release`` is set.
    """

    data: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    heeds_if_range: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    hold_at: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""


class WebServer:
    """``files`` by path; ``url`` is where they are."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, WebFile] = {}

    def add(self, path: str, file: WebFile) -> str:
        """Put a file there; returns its address."""
        self.files[path] = file
        return self.url + path


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Serve on a free loopback port until the block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            file = served.files.get(self.path)
            try:
                if file is None:
                    self.send_error(404)
                else:
                    self._answer(file)
            except ConnectionError:
                pass  # the client was killed, as some tests mean to

        def _answer(self, file: WebFile) -> None:
            asked = self.headers.get("Range")
            file.asked.append(asked)
            if file.statuses and (status := file.statuses.pop(0)) != 200:
                self.send_error(status)
                return
            first = 0
            same = self.headers.get("If-Range") in {None, file.etag} or not file.heeds_if_range
            if asked and file.ranges and same:
                found = re.fullmatch(r"bytes=(\d+)-", asked)
                assert found is not None
                first = int(found[1])
            if first >= len(file.data) > 0:
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(file.data) - 1}/{len(file.data)}")
            if file.etag:
                self.send_header("ETag", file.etag)
            self.send_header("Content-Length", str(len(file.data) - first))
            self.end_headers()
            stop = len(file.data)
            if file.cuts and (cut := file.cuts.pop(0)):
                stop = min(stop, first + cut)
            for at in range(first, stop, CHUNK):
                if file.hold_at and at >= file.hold_at:
                    self.wfile.flush()
                    file.release.wait()
                self.wfile.write(file.data[at : min(at + CHUNK, stop)])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = WebServer(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            for file in served.files.values():
                file.release.set()
            server.shutdown()
            thread.join()
