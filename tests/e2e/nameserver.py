# A nameserver for the tests: answers over UDP and TCP from a table that a test may change while it runs, and fails in
# the ways in which nameservers do. It keeps every question.
import contextlib
import dataclasses
import socket
import struct
import threading

from ports import free_port, wait_until

TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5
SILENCE = -1  # No answer at all.


@dataclasses.dataclass
class Question:
    name: str
    type: str
    transport: str  # "udp", "tcp"


def encode_name(name):
    labels = [label.encode("ascii") for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_value(kind, value):
    match kind:
        case "A":
            return socket.inet_aton(value)
        case "AAAA":
            return socket.inet_pton(socket.AF_INET6, value)
        case "CNAME":
            return encode_name(value)
        case "SRV":
            priority, weight, port, host = value
            return struct.pack(">HHH", priority, weight, port) + encode_name(host)
    raise ValueError(kind)


def encode_record(name, kind, ttl, value):
    data = encode_value(kind, value)
    return encode_name(name) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data


class Nameserver:
    """`set("a.test", "A", ["127.0.0.1"], ttl=5)`; what has no record of a type has none, and a name without any does
    not exist. `fail("a.test", SERVFAIL)` until `heal("a.test")`; the type may be given. `truncate`: over UDP, answers
    are cut short, so that they have to be asked for by TCP."""

    def __init__(self):
        self.questions = []
        self.truncate = False
        self.port = free_port()
        self._records = {}  # (name, type) -> (ttl, values).
        self._failures = {}  # (name, type or None) -> code.
        self._lock = threading.Lock()
        self._sockets = []
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self.port))
        tcp = socket.create_server(("127.0.0.1", self.port))
        self._sockets = [udp, tcp]
        threading.Thread(target=self._serve_udp, args=(udp,), daemon=True).start()
        threading.Thread(target=self._serve_tcp, args=(tcp,), daemon=True).start()

    def stop(self):
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # Wakes the thread that waits on it.
            one.close()
        self._sockets = []

    def set(self, name, kind, values, ttl=0):
        with self._lock:
            self._records[name, kind] = (ttl, list(values))

    def remove(self, name, kind):
        with self._lock:
            self._records.pop((name, kind), None)

    def fail(self, name, code, kind=None):
        with self._lock:
            self._failures[name, kind] = code

    def heal(self, name, kind=None):
        with self._lock:
            del self._failures[name, kind]

    def asked(self, name, kind=None, transport=None):
        """How often."""
        with self._lock:
            return sum(1 for one in self.questions
                       if one.name == name and kind in (None, one.type) and transport in (None, one.transport))

    def wait_for_questions(self, name, more, kind=None):
        """Until the name has been asked for so many times more than now."""
        count = self.asked(name, kind)
        wait_until(lambda: self.asked(name, kind) >= count + more, f"{more} more questions for {name}")

    def _serve_udp(self, udp):
        while True:
            try:
                query, peer = udp.recvfrom(4096)
                if not query:
                    return  # Stopped.
                answer = self._answer(query, "udp")
                if answer:
                    udp.sendto(answer, peer)
            except OSError:
                return  # Stopped.

    def _serve_tcp(self, tcp):
        while True:
            try:
                connected, _ = tcp.accept()
            except OSError:
                return  # Stopped.
            with connected, contextlib.suppress(OSError, struct.error):
                connected.settimeout(2)
                while True:
                    (size,) = struct.unpack(">H", connected.recv(2, socket.MSG_WAITALL))
                    answer = self._answer(connected.recv(size, socket.MSG_WAITALL), "tcp")
                    if answer:
                        connected.sendall(struct.pack(">H", len(answer)) + answer)

    def _answer(self, query, transport):
        labels, at = [], 12
        while size := query[at]:
            labels.append(query[at + 1:at + 1 + size].decode("ascii").lower())
            at += 1 + size
        name, (number, _) = ".".join(labels), struct.unpack(">HH", query[at + 1:at + 5])
        kind = NAMES.get(number, str(number))
        with self._lock:
            self.questions.append(Question(name, kind, transport))
            code = self._failures.get((name, kind), self._failures.get((name, None)))
            records, exists = ([], True) if code else self._find(name, kind)
        if code == SILENCE:
            return None
        code = code or (0 if exists else NXDOMAIN)
        cut_short = self.truncate and transport == "udp"
        flags = 0x8180 | code | (0x0200 if cut_short else 0)
        records = [] if cut_short else records
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + query[12:at + 5] + b"".join(records)

    def _find(self, name, kind):
        """The encoded records, aliases included, and whether the name exists."""
        records = []
        while alias := self._records.get((name, "CNAME")):
            records.append(encode_record(name, "CNAME", alias[0], alias[1][0]))
            name = alias[1][0]
        ttl, values = self._records.get((name, kind), (0, []))
        records += [encode_record(name, kind, ttl, value) for value in values]
        return records, any(key[0] == name for key in self._records)
