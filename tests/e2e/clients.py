# The clients of the tests: raw bytes over a socket, curl and wrk.
import dataclasses
import os
import re
import signal
import socket
import subprocess

from http1 import SLOWNESS, TIMEOUT, Stream, read_response


class Client(Stream):
    """A connection to 127.0.0.1:`port` over which a test sends what bytes it likes."""

    def __init__(self, port, receive_buffer=None, source="127.0.0.1"):
        connected = socket.socket()
        if receive_buffer:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            connected.bind((source, 0))
            connected.settimeout(TIMEOUT)
            connected.connect(("127.0.0.1", port))
        except OSError:
            connected.close()
            raise
        super().__init__(connected)

    def request(self, method, target, headers=(), body=None, host="test"):
        """Sends a request as any client would, and returns its answer."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        return self.response(method)

    def response(self, method="GET", timeout=None):
        return read_response(self, method, timeout)

    def get(self, target, headers=(), host="test"):
        return self.request("GET", target, headers, host=host)

    def is_closed(self, timeout=None):
        """True once the peer has closed or reset; False if it sent something instead."""
        try:
            return self.read_to_end(timeout) == b""
        except ConnectionResetError:
            return True


def get(port, target="/", headers=(), host="test"):
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.get(target, headers, host)


@dataclasses.dataclass
class CurlResult:
    exit_code: int
    status: int
    body: bytes
    error: str


def curl(port, target="/", *options):
    """Runs curl with `options` against 127.0.0.1:`port`."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(30 * SLOWNESS), "--write-out",
         "%{stderr}status=%{http_code}\n", *options, f"http://127.0.0.1:{port}{target}"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * SLOWNESS, check=False)
    error, _, status = done.stderr.decode().rpartition("status=")
    return CurlResult(done.returncode, int(status), done.stdout, error)


@dataclasses.dataclass
class WrkResult:
    requests: int
    requests_per_second: float
    connect_errors: int = 0
    read_errors: int = 0
    write_errors: int = 0
    timeouts: int = 0
    bad_status: int = 0  # Answers that were neither 2xx nor 3xx.

    @property
    def failed(self):
        return self.connect_errors + self.read_errors + self.write_errors + self.timeouts + self.bad_status


def parse_wrk(output):
    requests = re.search(r"(\d+) requests in ", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if not requests or not rate:
        raise ValueError(f"not wrk's output: {output!r}")
    result = WrkResult(int(requests.group(1)), float(rate.group(1)))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    if errors:
        result.connect_errors, result.read_errors, result.write_errors, result.timeouts = map(int, errors.groups())
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    if bad:
        result.bad_status = int(bad.group(1))
    return result


class Wrk:
    """wrk in the background: a bounded load while a test does something else; result() waits for its end. `enter`:
    words of a command that runs it somewhere else, such as a namespace."""

    def __init__(self, port, target="/", seconds=2, connections=16, headers=(), script=None,
                 scheme="http", host="127.0.0.1", enter=()):
        command = [*enter, "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
                   "--timeout", f"{int(10 * SLOWNESS)}s"]
        for name, value in headers:
            command += ["--header", f"{name}: {value}"]
        if script:
            command += ["--script", str(script)]
        self._limit = seconds + 30 * SLOWNESS
        self._process = subprocess.Popen(
            [*command, f"{scheme}://{host}:{port}{target}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"}, text=True)

    def running(self):
        return self._process.poll() is None

    def stop(self):
        """Ends the load before its time; returns the result."""
        self._process.send_signal(signal.SIGINT)
        return self.result()

    def result(self):
        try:
            output, _ = self._process.communicate(timeout=self._limit)
        finally:
            self.kill()
        return parse_wrk(output)

    def kill(self):
        """Whatever has become of it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def wrk(port, target="/", **options):
    return Wrk(port, target, **options).result()
