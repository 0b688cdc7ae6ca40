"""One measurement: a checked request, then wrk, and the proxy's CPU meanwhile; or idle memory."""

import json
import re
import resource
import selectors
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from processes import BenchError, Server, core_seconds, pinned
from rows import IDLE_CONNECTIONS, SPREAD_CONNECTIONS, Row

WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # Of RFC 6455; our origin knows its answer by heart.
LOAD_SCRIPT = Path(__file__).with_name("load.lua")
ALPHABET = bytes(range(ord("a"), ord("z") + 1))


@dataclass(frozen=True)
class Sample:
    cpu_us: float  # The proxy's CPU time per request, microseconds.
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    foreign_percent: float  # Of the two cores: went to neither proxy, wrk nor origin; with steal.


@dataclass(frozen=True)
class Answer:
    head_bytes: int
    body: bytes


def request_bytes(row: Row, target: str, port: int) -> bytes:
    head = f"{row.method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    if row.close:
        head += "Connection: close\r\n"
    if row.upload_bytes:
        head += f"Content-Length: {row.upload_bytes}\r\n"
    return head.encode() + b"\r\n" + b"u" * row.upload_bytes


def read_answer(client: socket.socket) -> Answer:
    """One answer with a Content-Length; anything but a whole 200 is an error."""
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += receive_some(client)
    head = bytes(received[: end + 4])
    status = head.split(b" ", 2)[1]
    if status != b"200":
        raise BenchError(f"answer {status.decode()} instead of 200")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:-2])
    missing = int(fields[b"content-length"]) - (len(received) - len(head))
    body = received[len(head) :]
    while missing > 0:
        more = receive_some(client)
        missing -= len(more)
        body += more
    return Answer(len(head), bytes(body))


def receive_some(client: socket.socket) -> bytes:
    data = client.recv(1 << 20)
    if not data:
        raise BenchError("connection closed before the end of the answer")
    return data


def connect_to(row: Row, port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), 10)
    if not row.tls:
        return client
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(client)


def check_answer(row: Row, proxy: Server, target: str) -> Answer:
    """The request of the row by hand: its answer must be the origin's, byte for byte."""
    with connect_to(row, proxy.port) as client:
        client.settimeout(10)
        client.sendall(request_bytes(row, target, proxy.port))
        try:
            answer = read_answer(client)
        except (BenchError, OSError) as error:
            raise BenchError(f"{proxy.name}, row {row.key}: {error}") from error
    expected = (ALPHABET * (row.answer_bytes // len(ALPHABET) + 1))[: row.answer_bytes]
    if answer.body != expected:
        raise BenchError(f"{proxy.name}, row {row.key}: not the body that the origin sent")
    return answer


def check_echo(row: Row, proxy: Server) -> Answer:
    """One message by hand, behind the upgrade: it must come back byte for byte."""
    payload = (ALPHABET * (row.message_bytes // len(ALPHABET) + 1))[: row.message_bytes]
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    request = (f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{proxy.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\n\r\n")
    with connect_to(row, proxy.port) as client:
        client.settimeout(10)
        client.sendall(request.encode())
        received = bytearray()
        while b"\r\n\r\n" not in received:
            received += receive_some(client)
        head, _, received = bytes(received).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise BenchError(f"{proxy.name}, row {row.key}: no upgrade: {head!r}")
        # Masked with zeros: the payload as it is.
        client.sendall(b"\x82" + bytes([size[0] | 0x80]) + size[1:] + bytes(4) + payload)
        expected = b"\x82" + size + payload
        while len(received) < len(expected):
            received += receive_some(client)
    if received != expected:
        raise BenchError(f"{proxy.name}, row {row.key}: not the message that was sent")
    return Answer(1 + len(size), payload)


def load_command(row: Row, port: int, target: str, seconds: int, programs: Path) -> list[str]:
    if row.message_bytes:
        return [str(programs / "websocket_load"), *map(str, (port, row.connections, seconds, row.message_bytes))]
    scheme = "https" if row.tls else "http"
    command = ["wrk", "-t1", f"-c{row.connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", str(LOAD_SCRIPT), f"{scheme}://127.0.0.1:{port}{target}", "--"]
    return [*command, row.method, str(row.upload_bytes), "close" if row.close else "keep-alive"]


def run_load(row: Row, port: int, target: str, seconds: int, core: int, programs: Path) -> dict:
    """Loads for that many seconds; the figures as load.lua and websocket_load print them."""
    command = load_command(row, port, target, seconds, programs)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=pinned(core),
        timeout=seconds + 30,
    )
    for line in done.stdout.splitlines():
        if line.startswith("BENCH "):
            return json.loads(line.removeprefix("BENCH "))
    raise BenchError(f"the load failed: {' '.join(command)}\n{done.stdout}{done.stderr}")


def check_load(row: Row, proxy: Server, load: dict, answers: float) -> None:
    """wrk saw no error, and received as many whole answers in bytes as it counted.

    Those under way at the end count as bytes only: at most one per connection.
    """
    errors = {k: load[k] for k in ("connect", "read", "write", "timeout", "status") if load[k]}
    if errors:
        raise BenchError(f"{proxy.name}, row {row.key}: wrk counted errors: {errors}")
    if load["requests"] == 0:
        raise BenchError(f"{proxy.name}, row {row.key}: no request was answered")
    if not -1 <= answers - load["requests"] <= row.connections + 1:
        raise BenchError(
            f"{proxy.name}, row {row.key}: {load['requests']} answers, but bytes for {answers:.1f}"
        )


def children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(row: Row, proxy: Server, origin: Server, seconds: int, programs: Path) -> Sample:
    target = row.target(proxy.name)
    answer = check_echo(row, proxy) if row.message_bytes else check_answer(row, proxy, target)
    cores = (proxy.core, origin.core)

    def spent() -> tuple[float, float, float]:
        load_seconds = origin.cpu_seconds() + children_cpu_seconds()
        return proxy.cpu_seconds(), load_seconds, time.monotonic()

    cores_before = core_seconds(cores)
    proxy_before, load_before, time_before = spent()
    load = run_load(row, proxy.port, target, seconds, origin.core, programs)
    proxy_after, load_after, time_after = spent()
    cores_after = core_seconds(cores)

    answers = load["bytes"] / (answer.head_bytes + len(answer.body))
    check_load(row, proxy, load, answers)
    # Bytes count the answers under way at the end too, which are many if large. Those of uploads
    # wrk does not tell.
    requests = load["requests"] if row.upload_bytes else answers
    proxy_seconds = proxy_after - proxy_before
    if proxy_seconds <= 0:
        raise BenchError(f"{proxy.name}, row {row.key}: answered without using its CPU: who did?")
    taken = cores_after - cores_before
    foreign = taken - proxy_seconds - (load_after - load_before)
    return Sample(
        cpu_us=proxy_seconds * 1e6 / requests,
        requests_per_second=requests * 1e6 / load["duration_us"],
        p50_ms=load["p50_us"] / 1000,
        p99_ms=load["p99_us"] / 1000,
        foreign_percent=max(0.0, 100 * foreign / (len(cores) * (time_after - time_before))),
    )


def request_on_all(row: Row, clients: list[socket.socket], proxy: Server) -> None:
    """One request on each connection, at most 64 under way."""
    request = request_bytes(row, row.target(proxy.name), proxy.port)
    waiting = iter(clients)
    with selectors.DefaultSelector() as selector:

        def send_next() -> None:
            if (client := next(waiting, None)) is not None:
                client.sendall(request)
                selector.register(client, selectors.EVENT_READ)

        for _ in range(64):
            send_next()
        while selector.get_map():
            events = selector.select(10)
            if not events:
                raise BenchError(f"{proxy.name}, idle connections: no answer within 10 s")
            for key, _ in events:
                read_answer(key.fileobj)
                selector.unregister(key.fileobj)
                send_next()


def measure_spread(row: Row, proxy: Server) -> list[int]:
    """Connections that each worker served, of a proxy that has told so when it stopped."""
    clients: list[socket.socket] = []
    with proxy:
        try:
            for _ in range(SPREAD_CONNECTIONS):
                clients.append(socket.create_connection(("127.0.0.1", proxy.port), 10))
            request_on_all(row, clients, proxy)
        finally:
            for client in clients:
                client.close()
    said = proxy.output.read_text(encoding="utf-8", errors="replace")
    counts = re.findall(r"connections by worker: ([\d ]+)", said)
    if not counts:
        raise BenchError(f"{proxy.name} did not say how many connections each worker served:\n{said[-2000:]}")
    return [int(count) for count in counts[-1].split()]


def measure_idle(row: Row, proxy: Server) -> tuple[float, int]:
    """User-space bytes per idle keep-alive connection, answered once each; and of the whole proxy.

    The difference between few and many: what is allocated once is not counted.
    """
    clients: list[socket.socket] = []

    def connect(count: int) -> None:
        fresh = [socket.create_connection(("127.0.0.1", proxy.port), 10) for _ in range(count)]
        clients.extend(fresh)
        request_on_all(row, fresh, proxy)
        time.sleep(1)  # Let the proxy finish its housekeeping.

    try:
        connect(256)
        before = proxy.memory_bytes()
        connect(IDLE_CONNECTIONS)
        after = proxy.memory_bytes()
        request_on_all(row, clients, proxy)  # Fails if the proxy had closed some.
    finally:
        for client in clients:
            client.close()
    return (after - before) / IDLE_CONNECTIONS, after
