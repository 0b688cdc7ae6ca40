# HTTP/1 for the tests' own ends of a connection: a socket read with deadlines, and messages kept byte for byte.
# Deliberately not http.client: a test must see exactly what came, malformed or not. Used by clients.py and origins.py.
import dataclasses
import os
import socket
import time

# Deadlines are for a quiet machine; sanitizers and valgrind take longer.
SLOWNESS = float(os.environ.get("SHUNT_TEST_SLOWNESS", "1"))
TIMEOUT = 10 * SLOWNESS


class Closed(Exception):
    """The peer ended the connection before what was asked for had come; `received` is what had."""

    def __init__(self, received):
        super().__init__(f"connection closed after {received!r}")
        self.received = received


@dataclasses.dataclass
class Message:
    """A request or response; `raw` is exactly what was on the wire, `body` what it means (chunks joined)."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    raw: bytes = b""
    connection: int = 0  # At an origin: which of its connections, from 0.
    interim: list["Message"] = dataclasses.field(default_factory=list)  # At a client: the 1xx before it.

    def header(self, name, default=None):
        """The value, several joined by ", "; names compare without case."""
        values = self.header_all(name)
        return ", ".join(values) if values else default

    def header_all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    # Of a request.
    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    # Of a response.
    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class Stream:
    """A connected socket with what it received and nobody has read yet."""

    def __init__(self, connected):
        self.socket = connected
        self.buffer = b""
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.socket.settimeout(TIMEOUT)
        self.socket.sendall(data)

    def _receive(self, deadline):
        """More bytes into the buffer; False at the end of the stream."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more came; so far {self.buffer[:2000]!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(256 * 1024)
        except TimeoutError:
            raise TimeoutError(f"nothing more came; so far {self.buffer[:2000]!r}") from None
        self.buffer += data
        return bool(data)

    def _take(self, size):
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read(self, size, timeout=None):
        deadline = time.monotonic() + (timeout or TIMEOUT)
        parts, missing = [], size
        while missing > 0:
            if not self.buffer and not self._receive(deadline):
                raise Closed(b"".join(parts))
            parts.append(self._take(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def read_until(self, marker, timeout=None):
        """Everything up to and with `marker`."""
        deadline = time.monotonic() + (timeout or TIMEOUT)
        searched = 0
        while (found := self.buffer.find(marker, searched)) < 0:
            searched = max(0, len(self.buffer) - len(marker) + 1)
            if not self._receive(deadline):
                raise Closed(self._take(len(self.buffer)))
        return self._take(found + len(marker))

    def read_to_end(self, timeout=None):
        """Everything until the peer closes. A reset counts as an error, not as an end."""
        deadline = time.monotonic() + (timeout or TIMEOUT)
        parts = [self._take(len(self.buffer))]
        while self._receive(deadline):
            parts.append(self._take(len(self.buffer)))
        return b"".join(parts)

    def is_quiet(self, seconds):
        """True if nothing arrives for so long, neither bytes nor an end. Time spent is the price: keep it short."""
        if self.buffer:
            return False
        try:
            self._receive(time.monotonic() + seconds)
        except TimeoutError:
            return True
        return False

    def shutdown_write(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes so that the peer sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def parse_fields(lines):
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not a field line: {line!r}")
        fields.append((name, value.strip(" \t")))
    return fields


def read_head(stream, timeout=None):
    raw = stream.read_until(b"\r\n\r\n", timeout)
    lines = raw.decode("latin-1").split("\r\n")[:-2]
    return Message(lines[0], parse_fields(lines[1:]), raw=raw)


def read_chunks(stream, message, timeout=None):
    """Reads a chunked body with its trailers into `message`; raises ValueError where it breaks the grammar."""
    raw, body = [], []
    while True:
        line = stream.read_until(b"\r\n", timeout)
        raw.append(line)
        size_text = line[:-2].split(b";")[0].strip(b" \t")
        if not size_text or size_text.strip(b"0123456789abcdefABCDEF"):
            raise ValueError(f"not a chunk size: {line!r}")
        size = int(size_text, 16)
        if size == 0:
            break
        data = stream.read(size + 2, timeout)
        if data[-2:] != b"\r\n":
            raise ValueError(f"a chunk of {size} ends in {data[-2:]!r}")
        raw.append(data)
        body.append(data[:-2])
    trailers = []
    while (line := stream.read_until(b"\r\n", timeout)) != b"\r\n":
        raw.append(line)
        trailers.append(line[:-2].decode("latin-1"))
    raw.append(b"\r\n")
    message.raw += b"".join(raw)
    message.body = b"".join(body)
    message.trailers = parse_fields(trailers)


def read_body(stream, message, until_close, timeout=None):
    if "chunked" in (message.header("Transfer-Encoding") or "").lower():
        read_chunks(stream, message, timeout)
    elif (length := message.header("Content-Length")) is not None:
        message.body = stream.read(int(length), timeout)
        message.raw += message.body
    elif until_close:
        message.body = stream.read_to_end(timeout)
        message.raw += message.body


def read_request(stream, timeout=None):
    """The next request, or None if the peer closed instead of sending one."""
    try:
        message = read_head(stream, timeout)
    except Closed as closed:
        if closed.received:
            raise
        return None
    read_body(stream, message, until_close=False, timeout=timeout)
    return message


def read_response(stream, method="GET", timeout=None):
    """The final response to a request with `method`, with the interim ones before it."""
    interim = []
    while (message := read_head(stream, timeout)).status // 100 == 1 and message.status != 101:
        interim.append(message)
    message.interim = interim
    bodiless = method == "HEAD" or message.status in (101, 204, 304) or \
        (method == "CONNECT" and message.status // 100 == 2)
    if not bodiless:
        read_body(stream, message, until_close=True, timeout=timeout)
    return message
