#!/usr/bin/python3
"""Shunt beside nginx, HAProxy and a bare relay: same origin, same wrk load, one core each.

Prints CPU microseconds per request (the proxy's own utime + stime), requests/s, p50, p99, and the
ratio to the better peer. README.md tells how to read it. Everything on 127.0.0.1.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import network
from measure import Sample, measure, measure_idle, measure_spread, run_load
from processes import BenchError, Server, free_port
from proxies import PEERS, PROXIES, Place, Proxy
from rows import (
    IDLE_BYTES_TO_REACH,
    IDLE_CONNECTIONS,
    IDLE_KEY,
    ROWS,
    SPREAD_CONNECTIONS,
    SPREAD_KEY,
    SPREAD_TO_REACH,
    SPREAD_WORKERS,
    Row,
)

DEFAULT_BUILD = Path(__file__).resolve().parent.parent / "build" / "release"
WARM_UP_SECONDS = 1
NOISE_PERCENT = 10  # Foreign CPU above which a row is marked.


def make_certificate(directory: Path) -> Path:
    """One file with key and certificate, ECDSA on P-256: what most sites have today."""
    key, certificate, both = (directory / name for name in ("key.pem", "one.pem", "both.pem"))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both


class Bench:
    """Cores, directory, origin; starts the proxies of a row and measures them."""

    def __init__(self, options: argparse.Namespace, directory: Path):
        self.options = options
        self.directory = directory
        *_, self.load_core, self.proxy_core = sorted(os.sched_getaffinity(0))
        self.dead_port = free_port()
        self.programs = options.build / "bench"
        self.certificate = make_certificate(directory)
        self.origin = self.own_server("origin")
        self.echo = self.own_server("websocket_origin")

    def own_server(self, program: str) -> Server:
        port = free_port()
        command = [str(self.programs / program), "--listen", str(port)]
        return Server(program, command, self.load_core, port, self.directory)

    def origin_of(self, row: Row) -> Server:
        return self.echo if row.message_bytes else self.origin

    def start(self, proxy: Proxy, row: Row) -> Server:
        directory = self.directory / f"{row.key}-{row.workers}-{proxy.name}"
        directory.mkdir()
        place = Place(
            listen_port=free_port(),
            origin_port=self.origin_of(row).port,
            dead_port=self.dead_port,
            core=self.proxy_core,
            directory=directory,
            build=self.options.build,
            certificate=self.certificate,
        )
        command = proxy.command(row, place)
        return Server(proxy.name, command, self.proxy_core, place.listen_port, directory)

    def load_row(self, row: Row, proxies: list[Proxy]) -> dict[str, list[Sample]]:
        """The proxies side by side, interleaved, so that the machine's moods reach all of them."""
        samples: dict[str, list[Sample]] = {}
        with ExitStack() as stack:
            able = [proxy for proxy in proxies if proxy.name != "floor" or row.has_floor]
            servers = {proxy.name: stack.enter_context(self.start(proxy, row)) for proxy in able}
            for name, server in servers.items():
                run_load(row, server.port, row.target(name), WARM_UP_SECONDS, self.load_core, self.programs)
            for _ in range(self.options.rounds):
                for name, server in servers.items():
                    sample = measure(row, server, self.origin_of(row), self.options.seconds, self.programs)
                    samples.setdefault(name, []).append(sample)
        return samples

    def idle_row(self, proxies: list[Proxy]) -> dict[str, dict]:
        row = Row(IDLE_KEY, "idle")
        results = {}
        for proxy in proxies:
            if proxy.name != "floor":
                with self.start(proxy, row) as server:
                    each, total = measure_idle(row, server)
                    results[proxy.name] = {"bytes_per_connection": each, "bytes_total": total}
        return results


    def spread_row(self, proxies: list[Proxy]) -> dict[int, list[int]]:
        shunt = next((proxy for proxy in proxies if proxy.name == "shunt"), None)
        rows = [Row(SPREAD_KEY, "spread", workers=workers) for workers in SPREAD_WORKERS if shunt]
        return {row.workers: measure_spread(row, self.start(shunt, row)) for row in rows}


def median_of(samples: list[Sample], field: str) -> float:
    return statistics.median(getattr(sample, field) for sample in samples)


def peer_ratio(values: dict[str, float]) -> float | None:
    """Shunt's value over the smaller of the peers', if there are both."""
    peers = [values[name] for name in PEERS if name in values]
    return values["shunt"] / min(peers) if "shunt" in values and peers else None


def print_load_row(row: Row, samples: dict[str, list[Sample]]) -> dict:
    cpu = {name: median_of(taken, "cpu_us") for name, taken in samples.items()}
    ratio = peer_ratio(cpu)
    headline = f"{row.title}, {row.connections} connections"
    if ratio is not None:
        headline += f": ratio to the better peer {ratio:.2f}"
        if row.ratio_to_reach is not None:
            verdict = "reached" if ratio <= row.ratio_to_reach else "MISSED"
            headline += f" (to reach {row.ratio_to_reach:.2f}: {verdict})"
    print(headline)
    for name, taken in samples.items():
        lowest, highest = min(s.cpu_us for s in taken), max(s.cpu_us for s in taken)
        print(
            f"  {name:12}{cpu[name]:10,.1f} µs/req  ({lowest:,.1f} to {highest:,.1f})"
            f"  {median_of(taken, 'requests_per_second'):10,.0f} req/s"
            f"  p50 {median_of(taken, 'p50_ms'):7.2f} ms  p99 {median_of(taken, 'p99_ms'):7.2f} ms"
        )
    foreign = max(median_of(taken, "foreign_percent") for taken in samples.values())
    if foreign > NOISE_PERCENT:
        print(f"  noisy: {foreign:.0f} % of the two cores went to other processes")
    print(flush=True)
    return {
        "title": row.title,
        "connections": row.connections,
        "ratio": ratio,
        "ratio_to_reach": row.ratio_to_reach,
        "foreign_percent": foreign,
        "cpu_us_median": cpu,
        "samples": {name: [asdict(sample) for sample in taken] for name, taken in samples.items()},
    }


def print_spread_row(results: dict[int, list[int]]) -> dict:
    print(
        f"Connections of the worker with most over the mean, {SPREAD_CONNECTIONS:,} connections "
        f"(to reach: at most {SPREAD_TO_REACH})"
    )
    for workers, served in results.items():
        most = max(served) * workers / sum(served)
        verdict = "reached" if most <= SPREAD_TO_REACH else "MISSED"
        print(f"  {workers} workers{most:10.3f}  ({' '.join(map(str, served))})  {verdict}")
    print(flush=True)
    return {str(workers): served for workers, served in results.items()}


def print_idle_row(results: dict[str, dict]) -> dict:
    print(
        f"User-space memory per idle keep-alive connection, {IDLE_CONNECTIONS:,} connections "
        f"(to reach: at most {IDLE_BYTES_TO_REACH:,} bytes)"
    )
    for name, result in results.items():
        per_connection = result["bytes_per_connection"]
        verdict = ""
        if name == "shunt":
            verdict = "  reached" if per_connection <= IDLE_BYTES_TO_REACH else "  MISSED"
        total = result["bytes_total"] / 2**20
        print(f"  {name:12}{per_connection:10,.0f} bytes   process {total:6.1f} MiB{verdict}")
    print(flush=True)
    return results


def parse_arguments() -> argparse.Namespace:
    row_keys = [row.key for row in ROWS] + [SPREAD_KEY, IDLE_KEY]
    names = [proxy.name for proxy in PROXIES]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="per row and proxy; the median counts (%(default)s)")
    add("--seconds", type=int, default=3, help="length of a measurement (%(default)s)")
    add("--rows", default=",".join(row_keys), help="which, with commas (%(default)s)")
    add("--proxies", default=",".join(names), help="which, with commas (%(default)s)")
    add("--build", type=Path, default=DEFAULT_BUILD, help="folder of the build (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write everything there")
    options = parser.parse_args()
    options.rows = options.rows.split(",")
    options.proxies = options.proxies.split(",")
    for given, known in ((options.rows, row_keys), (options.proxies, names)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    options.build = options.build.resolve()
    return options


def check_machine(options: argparse.Namespace) -> list[Proxy]:
    """The proxies that can run; a missing one is said and left out, a missing tool ends the run."""
    if len(os.sched_getaffinity(0)) < 2:
        raise BenchError("two CPUs are needed: one for the proxy, one for the load")
    if not shutil.which("wrk"):
        raise BenchError("wrk is not installed: apt-get install wrk")
    for program in ("origin", "websocket_origin", "websocket_load"):
        if not (options.build / "bench" / program).exists():
            raise BenchError(f"{options.build}/bench/{program} does not exist: ./dev bench builds it")
    proxies = []
    for proxy in PROXIES:
        if proxy.name in options.proxies:
            if reason := proxy.missing(options.build):
                print(f"{proxy.name} left out: {reason}")
            else:
                proxies.append(proxy)
    if not proxies:
        raise BenchError("no proxy to measure")
    return proxies


def run(options: argparse.Namespace) -> dict:
    proxies = check_machine(options)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    surroundings = network.enter()
    results = {}
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        bench = Bench(options, Path(directory))
        print(
            f"proxy on CPU {bench.proxy_core}, wrk and origin on CPU {bench.load_core}; "
            f"{options.rounds} rounds of {options.seconds} s, medians; "
            f"Linux {platform.release()}, {surroundings}\n",
            flush=True,
        )
        with bench.origin, bench.echo:
            for row in ROWS:
                if row.key in options.rows:
                    results[row.key] = print_load_row(row, bench.load_row(row, proxies))
            if SPREAD_KEY in options.rows:
                results[SPREAD_KEY] = print_spread_row(bench.spread_row(proxies))
            if IDLE_KEY in options.rows:
                results[IDLE_KEY] = print_idle_row(bench.idle_row(proxies))
    return results


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Unwind: stop the children.
    options = parse_arguments()
    started = time.monotonic()
    try:
        results = run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"took {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
