"""The contestants: for each, whether it is here, its configuration for a row, and its command line.

All get the same job, one thread, and the settings that make them fastest at it (README.md says
which and why). Ports are on 127.0.0.1. Nothing here starts a process.
"""

import os
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from rows import KIB, MIB, RULE_COUNT, Row, rule_pattern


@dataclass(frozen=True)
class Place:
    """Where a proxy runs: its ports, its core, its directory for files."""

    listen_port: int
    origin_port: int
    dead_port: int  # Nobody listens: where rules lead that must not match.
    core: int
    directory: Path
    build: Path
    certificate: Path  # PEM, with its key: for rows over TLS.


class Proxy(ABC):
    name: str
    program: str

    def missing(self, build: Path) -> str | None:
        """Why it cannot run here, or None."""
        del build
        return None if shutil.which(self.program) else f"{self.program} is not installed"

    @abstractmethod
    def command(self, row: Row, place: Place) -> list[str]:
        """Writes what files the proxy needs; the command line that serves in the foreground."""


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


class Nginx(Proxy):
    name = "nginx"
    program = "nginx"

    def command(self, row: Row, place: Place) -> list[str]:
        directory = place.directory
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "\n  ".join(
            f"{kind}_temp_path {directory}/nginx-{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = f"""{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log crit;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  {temporary}
  keepalive_timeout 60s;
  keepalive_requests 100000000;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_set_header Connection "{"Upgrade" if row.message_bytes else ""}";
  {'proxy_set_header Upgrade "websocket";' if row.message_bytes else ""}
  {self.buffering(row)}
  upstream origin {{
    server 127.0.0.1:{place.origin_port};
    keepalive 128;
    keepalive_requests 100000000;
  }}
  upstream wrong {{ server 127.0.0.1:{place.dead_port}; }}
  server {{
    listen 127.0.0.1:{place.listen_port}{" ssl" if row.tls else ""};
    {self.certificate(row, place)}
    {self.locations(row)}
  }}
}}
"""
        file = write(directory / "nginx.conf", text)
        return ["nginx", "-e", f"{directory}/nginx.log", "-c", file]

    @staticmethod
    def buffering(row: Row) -> str:
        """The best of on and off with buffers of 4 (the default) to 1024 KiB, row by row."""
        if row.message_bytes > 2 * KIB:
            return "proxy_buffer_size 64k;\n  proxy_buffers 8 64k;\n  proxy_busy_buffers_size 64k;"
        if row.upload_bytes:
            return "proxy_request_buffering off;\n  client_body_buffer_size 256k;"
        if row.answer_bytes >= 16 * MIB:
            return (
                "proxy_buffer_size 64k;\n  proxy_buffers 16 64k;\n  proxy_busy_buffers_size 128k;\n"
                "  proxy_max_temp_file_size 0;"
            )
        if row.large:
            return (
                "proxy_buffering off;\n  proxy_buffer_size 256k;\n  proxy_buffers 8 256k;\n"
                "  proxy_busy_buffers_size 256k;"
            )
        return ""

    @staticmethod
    def certificate(row: Row, place: Place) -> str:
        if not row.tls:
            return ""
        file = place.certificate
        return f"ssl_certificate {file};\n    ssl_certificate_key {file};\n    ssl_protocols TLSv1.2 TLSv1.3;"

    @staticmethod
    def locations(row: Row) -> str:
        if not row.many_rules:
            return "location / { proxy_pass http://origin; }"
        upstreams = ["wrong"] * (RULE_COUNT - 1) + ["origin"]
        lines = [
            f'location ~ "{rule_pattern(i)}" {{ proxy_pass http://{upstream}; }}'
            for i, upstream in enumerate(upstreams)
        ]
        return "\n    ".join([*lines, "location / { return 404; }"])


class Haproxy(Proxy):
    name = "haproxy"
    program = "haproxy"

    def command(self, row: Row, place: Place) -> list[str]:
        text = f"""global
  nbthread 1
  maxconn 6000
  {self.buffering(row)}

defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  http-reuse always
  {"option splice-auto" if row.large else ""}

frontend bench
  bind 127.0.0.1:{place.listen_port}{f" ssl crt {place.certificate}" if row.tls else ""}
  {self.rules(row)}

backend origin
  server origin 127.0.0.1:{place.origin_port}

backend wrong
  server wrong 127.0.0.1:{place.dead_port}
"""
        return ["haproxy", "-db", "-f", write(place.directory / "haproxy.cfg", text)]

    @staticmethod
    def buffering(row: Row) -> str:
        """The best of 16 (the default) to 256 KiB, row by row, spliced or not."""
        if row.answer_bytes >= 16 * MIB:
            return "tune.bufsize 262144"
        if max(row.answer_bytes, row.upload_bytes) >= MIB or row.message_bytes > 8 * KIB:
            return "tune.bufsize 65536"
        return ""

    @staticmethod
    def rules(row: Row) -> str:
        if not row.many_rules:
            return "default_backend origin"
        backends = ["wrong"] * (RULE_COUNT - 1) + ["origin"]
        return "\n  ".join(
            f"acl rule-{i:04} path_reg '{rule_pattern(i)}'\n  use_backend {backend} if rule-{i:04}"
            for i, backend in enumerate(backends)
        )


class Shunt(Proxy):
    name = "shunt"
    program = "shunt"
    event_loop = "io_uring"

    def missing(self, build: Path) -> str | None:
        return None if (build / "shunt").exists() else f"{build}/shunt does not exist: ./dev build"

    def command(self, row: Row, place: Place) -> list[str]:
        text = f"""[global]
workers = {row.workers}
cpu_affinity = [{place.core}]
access_log = "off"
event_loop = "{self.event_loop}"

[[listener]]
name = "bench"
bind = "127.0.0.1:{place.listen_port}"
{self.certificate(row, place)}
{self.rules(row)}
[pool.origin]
idle_connections = 128
forwarded = false

[[pool.origin.server]]
name = "origin"
address = "127.0.0.1:{place.origin_port}"

[pool.wrong]

[[pool.wrong.server]]
name = "wrong"
address = "127.0.0.1:{place.dead_port}"
"""
        file = write(place.directory / "shunt.toml", text)
        return [str(place.build / "shunt"), "run", "-c", file]

    @staticmethod
    def certificate(row: Row, place: Place) -> str:
        file = place.certificate
        return f'tls = [{{ certificate = "{file}", key = "{file}" }}]' if row.tls else ""

    @staticmethod
    def rules(row: Row) -> str:
        if not row.many_rules:
            return '\n[[rule]]\nname = "all"\npool = "origin"\n'
        pools = ["wrong"] * (RULE_COUNT - 1) + ["origin"]
        return "".join(
            f'\n[[rule]]\nname = "rule-{i:04}"\n'
            f"match = {{ path_regex = '{rule_pattern(i)}' }}\npool = \"{pool}\"\n"
            for i, pool in enumerate(pools)
        )


class ShuntEpoll(Shunt):
    """The same on the loop that it falls back to."""

    name = "shunt-epoll"
    event_loop = "epoll"


class Floor(Proxy):
    name = "floor"
    program = "bare_relay"

    def missing(self, build: Path) -> str | None:
        program = build / "bench" / self.program
        return None if program.exists() else f"{program} does not exist: ./dev bench builds it"

    def command(self, row: Row, place: Place) -> list[str]:
        command = [str(place.build / "bench" / self.program)]
        command += ["--listen", str(place.listen_port), "--origin", str(place.origin_port)]
        if row.close:
            command.append("--one-answer")
        elif row.large:
            command.append("--splice-requests" if row.upload_bytes else "--splice")
        return command


PROXIES: list[Proxy] = [Shunt(), ShuntEpoll(), Nginx(), Haproxy(), Floor()]
PEERS = ("nginx", "haproxy")
