"""The rows of the benchmark: one kind of load each. Data only; run.py walks over it."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

RULE_COUNT = 1000


def rule_pattern(number: int) -> str:
    """The path regex of a rule: for PCRE and RE2 alike, with no backslash to escape in a file."""
    return f"^/section-{number:04}/[a-z]+[.]html$"


@dataclass(frozen=True)
class Row:
    key: str
    title: str
    connections: int = 64
    workers: int = 1  # Of Shunt.
    answer_bytes: int = KIB
    upload_bytes: int = 0  # 0: a GET.
    close: bool = False  # One request per connection: the client says "Connection: close".
    many_rules: bool = False  # RULE_COUNT path regexes; the request matches the last one.
    message_bytes: int = 0  # Not requests, but WebSocket messages of this size that come back as they went.
    tls: bool = False  # Between client and proxy: TLS 1.3, one ECDSA certificate. A connection is a full handshake.
    ratio_to_reach: float | None = None  # CPU per request over that of the better peer, at most.
    has_floor: bool = True  # Whether the bare relay can do the same.

    @property
    def large(self) -> bool:
        return max(self.answer_bytes, self.upload_bytes) >= 64 * KIB

    @property
    def method(self) -> str:
        return "POST" if self.upload_bytes else "GET"

    def target(self, proxy_name: str) -> str:
        path = f"/section-{RULE_COUNT - 1:04}/page.html" if self.many_rules else "/"
        # The relay cannot take "Connection: close" out: the origin has to disregard it.
        linger = "&linger" if self.close and proxy_name == "floor" else ""
        return f"{path}?bytes={self.answer_bytes}{linger}"


ROWS = [
    Row("1k", "1 KiB keep-alive", ratio_to_reach=0.85),
    Row("close", "1 KiB, a connection per request", close=True),
    Row("64k", "64 KiB", answer_bytes=64 * KIB, ratio_to_reach=0.70),
    Row("1m", "1 MiB", connections=16, answer_bytes=MIB, ratio_to_reach=0.70),
    Row("16m", "16 MiB", connections=8, answer_bytes=16 * MIB, ratio_to_reach=0.70),
    Row(
        "upload",
        "1 MiB upload",
        connections=16,
        answer_bytes=16,
        upload_bytes=MIB,
        ratio_to_reach=0.70,
    ),
    Row(
        "rules",
        "1 KiB, the last of 1,000 rules",
        many_rules=True,
        ratio_to_reach=0.35,
        has_floor=False,
    ),
    Row("ws-128", "WebSocket, messages of 128 bytes", message_bytes=128),
    Row("ws-16k", "WebSocket, messages of 16 KiB", message_bytes=16 * KIB),
    Row("tls-1k", "1 KiB keep-alive over TLS", tls=True, ratio_to_reach=0.85, has_floor=False),
    Row(
        "tls-close",
        "1 KiB, a full TLS handshake per request",
        close=True,
        tls=True,
        ratio_to_reach=0.95,
        has_floor=False,
    ),
    Row(
        "tls-1m",
        "1 MiB over TLS",
        connections=16,
        answer_bytes=MIB,
        tls=True,
        ratio_to_reach=0.90,
        has_floor=False,
    ),
]

# How evenly connections are shared between workers: that of the worker with most, over the mean.
SPREAD_KEY = "spread"
SPREAD_CONNECTIONS = 1000
SPREAD_WORKERS = (2, 4, 8)
SPREAD_TO_REACH = 1.15

# User-space memory per idle keep-alive connection.
IDLE_KEY = "idle"
IDLE_CONNECTIONS = 5000
IDLE_BYTES_TO_REACH = 1024
