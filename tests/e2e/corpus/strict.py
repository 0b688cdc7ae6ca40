# A strict reader of HTTP/1 messages (RFC 9112) for both ends of the corpus: it does not refuse what is ambiguous or
# malformed but names it, so that a verdict can say what crossed the proxy. Bytes in, messages out; no sockets.
import dataclasses
import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
FIELD_NAME = re.compile(TOKEN)
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([^\x00-\x20\x7f]+) HTTP/(\d)\.(\d)")
STATUS_LINE = re.compile(rb"HTTP/(\d)\.(\d) (\d\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?")
ABSOLUTE_FORM = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)([ \t]*;.*)?", re.DOTALL)
HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=%]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?")
LENGTH_MAX = (1 << 63) - 1
HEAD_MAX = 300000
CHUNK_LINE_MAX = 70000
CODINGS = ([b"chunked"], [b"gzip", b"chunked"], [b"deflate", b"chunked"], [b"identity", b"chunked"],
           [b"compress", b"chunked"])


@dataclasses.dataclass
class Message:
    start: bytes = b""
    fields: list[tuple[bytes, bytes]] = dataclasses.field(default_factory=list)
    body: bytes = b""
    anomalies: list[str] = dataclasses.field(default_factory=list)
    method: bytes = b""
    target: bytes = b""
    version: tuple[int, int] = (1, 1)
    status: int = 0
    closes: bool = False  # The connection ends with this message.

    def all(self, name):
        return [value for key, value in self.fields if key == name]


class Broken(Exception):
    """No telling where the message ends; `message.anomalies` says why."""

    def __init__(self, message, anomaly=None):
        super().__init__(anomaly)
        self.message = message
        if anomaly:
            message.anomalies.append(anomaly)


def parse_request(data):
    """(message, rest) of a complete request, (message or None, None) if more is needed."""
    while data.startswith(b"\r\n"):
        data = data[2:]
    message = Message()
    rest = read_head(data, message)
    if rest is None:
        return None, None
    found = REQUEST_LINE.fullmatch(message.start)
    if not found:
        raise Broken(message, "bad-request-line")
    message.method, message.target = found.group(1), found.group(2)
    message.version = (int(found.group(3)), int(found.group(4)))
    if message.version[0] != 1:
        raise Broken(message, "bad-version")
    check_target(message)
    check_host(message)
    return message, read_body(message, rest, is_request=True)


def parse_response(data, method=b"GET", ended=False):
    """As parse_request; `ended`: nothing more will come."""
    message = Message()
    rest = read_head(data, message)
    if rest is None:
        return None, None
    found = STATUS_LINE.fullmatch(message.start)
    if not found:
        raise Broken(message, "bad-status-line")
    message.version = (int(found.group(1)), int(found.group(2)))
    message.status = int(found.group(3))
    bodiless = method == b"HEAD" or message.status < 200 or message.status in (204, 304)
    if message.status < 200 or message.status == 204:
        if message.all(b"transfer-encoding") or (message.status != 204 and message.all(b"content-length")):
            message.anomalies.append("framing-on-bodiless")
    return message, read_body(message, rest, is_request=False, bodiless=bodiless, ended=ended)


def check_target(message):
    target = message.target
    if not (target.startswith(b"/") or ABSOLUTE_FORM.match(target) or message.method == b"CONNECT"
            or (target == b"*" and message.method == b"OPTIONS")):
        message.anomalies.append("bad-target-form")
    if b"#" in target:
        message.anomalies.append("fragment-in-target")


def check_host(message):
    hosts = message.all(b"host")
    if len(hosts) > 1:
        message.anomalies.append("several-hosts")
    if not hosts and message.version >= (1, 1):
        message.anomalies.append("no-host")
    if hosts and not HOST.fullmatch(hosts[0]):
        message.anomalies.append("bad-host")


def read_head(data, message):
    """Start line and fields into `message`; returns what follows, or None if the head is not complete."""
    lines, position = [], 0
    while True:
        end = data.find(b"\n", position)
        if end < 0:
            if len(data) > HEAD_MAX:
                raise Broken(message, "head-too-large")
            return None
        line, position = data[position:end], end + 1
        if not line.endswith(b"\r"):
            message.anomalies.append("bare-lf")
        line = line.removesuffix(b"\r")
        if not line:
            break
        if b"\r" in line:
            message.anomalies.append("bare-cr")
        lines.append(line)
    message.start = lines[0] if lines else b""
    message.fields = parse_fields(lines[1:], message)
    return data[position:]


def parse_fields(lines, message):
    fields = []
    for index, line in enumerate(lines):
        if line[:1] in (b" ", b"\t"):
            message.anomalies.append("obs-fold" if index else "space-before-first-field")
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            message.anomalies.append("field-without-colon")
            continue
        if name != name.rstrip(b" \t"):
            message.anomalies.append("space-before-colon")
        elif not FIELD_NAME.fullmatch(name):
            message.anomalies.append("bad-field-name")
        if b"\0" in value or b"\r" in value:
            message.anomalies.append("nul-or-cr-in-value")
        fields.append((name.strip().lower(), value.strip(b" \t")))
    return fields


def read_body(message, rest, is_request, bodiless=False, ended=False):
    """The body into `message`; returns what follows it, or None if more is needed."""
    codings, lengths = message.all(b"transfer-encoding"), message.all(b"content-length")
    for wrong, anomaly in ((codings and lengths, "te-and-cl"), (len(codings) > 1, "several-te"),
                           (len(lengths) > 1, "several-cl"), (codings and message.version < (1, 1), "te-in-http10")):
        if wrong:
            message.anomalies.append(anomaly)
    options = [option.strip() for option in b",".join(message.all(b"connection")).lower().split(b",")]
    message.closes = b"close" in options or (message.version < (1, 1) and b"keep-alive" not in options)
    if bodiless:
        return rest
    if codings:
        coding = [each.strip(b" \t").lower() for each in b",".join(codings).split(b",")]
        if coding[-1] != b"chunked":
            if is_request:
                raise Broken(message, "te-not-chunked")
            return read_to_end(message, rest, ended)
        if coding not in CODINGS:
            message.anomalies.append("te-odd")
        return read_chunks(message, rest)
    if lengths:
        return read_length(message, rest, lengths)
    return rest if is_request else read_to_end(message, rest, ended)


def read_to_end(message, rest, ended):
    message.closes = True
    if not ended:
        return None
    message.body = rest
    return b""


def read_length(message, rest, lengths):
    if not re.fullmatch(rb"\d+", lengths[0]) or int(lengths[0]) > LENGTH_MAX or len(set(lengths)) > 1:
        raise Broken(message, "bad-cl")
    length = int(lengths[0])
    if len(rest) < length:
        return None
    message.body = rest[:length]
    return rest[length:]


def read_chunks(message, rest):
    position, parts = 0, []
    while True:
        end = rest.find(b"\n", position)
        if end < 0:
            if len(rest) - position > CHUNK_LINE_MAX:
                raise Broken(message, "chunk-line-too-long")
            return None
        line = rest[position:end]
        if not line.endswith(b"\r"):
            raise Broken(message, "chunk-bare-lf")
        line = line[:-1]
        found = CHUNK_LINE.fullmatch(line)
        if not found or b"\r" in line or b"\0" in line:
            raise Broken(message, "chunk-size-bad")
        size = int(found.group(1), 16)
        if size > LENGTH_MAX:
            raise Broken(message, "chunk-size-overflow")
        position = end + 1
        if size == 0:
            break
        behind = rest[position + size:position + size + 2]
        if behind and not b"\r\n".startswith(behind):
            raise Broken(message, "chunk-data-overrun")
        if len(behind) < 2:
            return None
        parts.append(rest[position:position + size])
        position += size + 2
    return read_trailers(message, rest, position, b"".join(parts))


def read_trailers(message, rest, position, body):
    lines = []
    while True:
        end = rest.find(b"\n", position)
        if end < 0:
            return None
        line, position = rest[position:end], end + 1
        if not line.endswith(b"\r"):
            message.anomalies.append("trailer-bare-lf")
        line = line.removesuffix(b"\r")
        if not line:
            break
        lines.append(line)
    parse_fields(lines, message)
    message.body = body
    return rest[position:]
