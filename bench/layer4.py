#!/usr/bin/python3
"""Layer 4: what a packet and a connection cost Shunt's director, beside who else forwards them.

Prints CPU of the director's core per packet and per connection, packets/s and Gbit/s, and the
ratios. Everything in network namespaces of its own. README.md tells how to read it.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from layer4_contestants import CONTESTANTS, Contestant, Running
from layer4_farm import BULK_PORT, HTTP_PORT, Farm, idle_seconds, missing
from processes import BenchError, pinned

DEFAULT_BUILD = Path(__file__).resolve().parent.parent / "build" / "release"
ROWS = ("user", "udp", "connections", "requests", "bulk")
FLOWS = (1, 10_000, 1_000_000)
OPENING_RATE = 100_000  # Packets/s, at which everyone opens connections without a loss.
OPENING_TRIES = 5
STEADY_RATE = 150_000  # At which nobody is at its limits: what a packet costs.
CONNTRACK_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
METHODS = ("nat", "dr", "tun")
FLOOR_RATIO, HAPROXY_RATIO, ROUTING_RATIO, IPVS_RATIO = 1.2, 2.0, 0.9, 0.9


@dataclass(frozen=True)
class Figure:
    """One kind of figure, by contestant; each with a value per round."""

    title: str
    unit: str
    values: dict[str, list[float]]

    def median(self, name: str) -> float | None:
        taken = self.values.get(name)
        return statistics.median(taken) if taken else None

    def print(self) -> None:
        print(self.title)
        for name, taken in self.values.items():
            print(f"  {name:12}{statistics.median(taken):12,.2f} {self.unit}  ({min(taken):,.2f} to {max(taken):,.2f})")
        sys.stdout.flush()


class Bench:
    def __init__(self, options: argparse.Namespace, farm: Farm, contestants: list[Contestant]):
        self.options, self.farm, self.contestants = options, farm, contestants

    def user_space(self) -> None:
        """What a packet costs without any socket, and whether that is within its limit."""
        print("User space alone", flush=True)
        subprocess.run([self.options.build / "bench" / "l4_bench"], check=False,
                       preexec_fn=pinned(self.farm.director_core))
        print(flush=True)

    def udp(self, flows: int) -> list[Figure]:
        whole, own, most = {}, {}, {}
        self.farm.receive_small()
        able = [c for c in self.contestants if c.udp and self.remembers(c, flows)]
        self.farm.sink(True)
        for _ in range(self.options.rounds):
            for contestant in able:
                with contestant(self.farm, self.options.build) as running:
                    running.wait_for_udp()
                    if contestant.connections and flows > 1:
                        self.open_flows(contestant, flows)
                    all_of_it, process = self.packet_cost(running, flows)
                    whole.setdefault(contestant.name, []).append(all_of_it)
                    if process > 0:
                        own.setdefault(contestant.name, []).append(process)
                    most.setdefault(contestant.name, []).append(self.most_packets(contestant, flows))
        self.farm.sink(False)
        label = f"UDP, 64 bytes, {flows:,} flow{'s' if flows > 1 else ''}"
        return [
            Figure(f"{label}: director's CPU per packet at {STEADY_RATE:,} packets/s", "µs", whole),
            Figure(f"{label}: of that the forwarding process, with sending", "µs", own),
            Figure(f"{label}: as many as go", "million packets/s", most),
        ]

    @staticmethod
    def remembers(contestant: Contestant, flows: int) -> bool:
        if contestant.name != "nftables" or int(CONNTRACK_MAX.read_text(encoding="ascii")) > flows:
            return True
        print(f"nftables left out: {CONNTRACK_MAX} is below {flows:,}")
        return False

    def open_flows(self, contestant: Contestant, flows: int) -> None:
        """A packet of each flow, again while much is lost, as on a machine that has other things to do."""
        words = ("--flows", flows, "--each-once", "--rate", OPENING_RATE)
        for _ in range(OPENING_TRIES):
            before = self.farm.arrived()
            self.farm.load(self.options.build, contestant.target(), *words)
            time.sleep(0.1)
            if self.farm.arrived() - before >= flows * 0.97:
                return
        raise BenchError(f"{contestant.name}: the machine is too busy to open {flows:,} flows")

    def packet_cost(self, running: Running, flows: int) -> tuple[float, float]:
        """Of everything on the director's side, and of the process alone; microseconds."""
        before, spent = self.farm.arrived(), self.spent(running)
        words = ("--flows", flows, "--seconds", self.options.seconds, "--rate", STEADY_RATE)
        sent = self.farm.load(self.options.build, running.contestant.target(), *words)["sent"]
        whole, own = (after - first for after, first in zip(self.spent(running), spent))
        arrived = self.farm.arrived() - before
        if arrived < sent * 0.98:
            print(f"  {running.contestant.name}: {sent - arrived:,} of {sent:,} packets lost below its limits")
        return whole / max(arrived, 1) * 1e6, own / max(arrived, 1) * 1e6

    def spent(self, running: Running) -> tuple[float, float]:
        process = running.process_seconds()
        return self.farm.receiving_seconds() + process, process

    def most_packets(self, contestant: Contestant, flows: int) -> float:
        before, begin = self.farm.arrived(), time.monotonic()
        words = ("--flows", flows, "--seconds", self.options.seconds)
        self.farm.load(self.options.build, contestant.target(), *words)
        return (self.farm.arrived() - before) / (time.monotonic() - begin) / 1e6

    def tcp(self, measure) -> dict[str, list]:
        """measure(running) for everyone that passes TCP, in turns."""
        values: dict[str, list] = {}
        for _ in range(self.options.rounds):
            for contestant in self.contestants:
                if contestant.tcp:
                    with contestant(self.farm, self.options.build) as running:
                        running.wait_for_tcp()
                        values.setdefault(contestant.name, []).append(measure(running))
        return values

    def http(self, what: str, *wrk_words: str) -> list[Figure]:
        """Requests of wrk's: how many a second of the director's CPU is good for."""
        self.farm.receive_small()

        def measure(running: Running) -> tuple[float, float]:
            url = f"http://{running.contestant.target()}:{HTTP_PORT}/"
            before = self.spent(running)[0]
            said = self.farm.client_run("wrk", "-t1", "-c64", f"-d{self.options.seconds}s", *wrk_words, url)
            spent = self.spent(running)[0] - before
            if "Non-2xx" in said or re.search(r"Socket errors: connect [1-9]", said):
                raise BenchError(f"{running.contestant.name}: wrk saw errors\n{said}")
            requests = int(re.search(r"(\d+) requests in", said)[1])
            return requests / spent, requests / self.options.seconds

        values = self.tcp(measure)
        split = [{name: [pair[i] for pair in taken] for name, taken in values.items()} for i in (0, 1)]
        return [
            Figure(f"{what} per second of the director's CPU", "", split[0]),
            Figure(f"{what} per second, with client and servers on one core", "", split[1]),
        ]

    def bulk(self) -> list[Figure]:
        self.farm.receive_large()

        def measure(running: Running) -> tuple[float, float]:
            begin, idle = time.monotonic(), idle_seconds(self.farm.director_core)
            said = self.farm.client_run("iperf3", "-J", "-c", running.contestant.target(), "-p", BULK_PORT, "-t",
                                        self.options.seconds)
            busy = time.monotonic() - begin - (idle_seconds(self.farm.director_core) - idle)
            received = json.loads(said)["end"]["sum_received"]
            return received["bits_per_second"] / 1e9, busy / (received["bytes"] / 1e9) * 1e3

        values = self.tcp(measure)
        split = [{name: [pair[i] for pair in taken] for name, taken in values.items()} for i in (0, 1)]
        return [
            Figure("Large segments: one TCP connection, client to server", "Gbit/s", split[0]),
            Figure("Large segments: time of the director's core per gigabyte", "ms", split[1]),
        ]


def verdict(text: str, value: float, goal: float, at_most: bool) -> None:
    reached = value <= goal if at_most else value >= goal
    print(f"  {text}: {value:.2f} (to reach {goal:.2f}: {'reached' if reached else 'MISSED'})")


def compare(figure: Figure, other: str, goal: float, at_most: bool, same_method: bool = False) -> None:
    """Shunt's median over that of another, for each method."""
    for method in METHODS:
        base = f"{other}-{method}" if same_method else other
        ours, theirs = figure.median(f"shunt-{method}"), figure.median(base)
        if ours and theirs:
            verdict(f"shunt-{method} over {base}", ours / theirs, goal, at_most)


def run_rows(bench: Bench, rows: list[str], flow_counts: list[int]) -> list[Figure]:
    figures = []

    def show(taken: list[Figure], *goals) -> None:
        for figure in taken:
            figure.print()
            for at, *rest in goals:
                if taken[at] is figure:
                    compare(figure, *rest)
            print(flush=True)
        figures.extend(taken)

    if "user" in rows:
        bench.user_space()
    if "udp" in rows:
        for flows in flow_counts:
            show(bench.udp(flows), (0, "floor", FLOOR_RATIO, True), (1, "floor", FLOOR_RATIO, True))
    if "connections" in rows:
        taken = bench.http("TCP connections", "-H", "Connection: close")
        show(taken, (0, "haproxy", HAPROXY_RATIO, False), (1, "ipvs", IPVS_RATIO, False, True))
    if "requests" in rows:
        show(bench.http("Requests on 64 kept connections"), (1, "ipvs", IPVS_RATIO, False, True))
    if "bulk" in rows:
        show(bench.bulk(), (0, "routing", ROUTING_RATIO, False))
    return figures


def parse_arguments() -> argparse.Namespace:
    names = [contestant.name for contestant in CONTESTANTS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="per row and contestant; the median counts (%(default)s)")
    add("--seconds", type=int, default=2, help="length of a measurement (%(default)s)")
    add("--rows", default=",".join(ROWS), help="which, with commas (%(default)s)")
    add("--flows", default=",".join(map(str, FLOWS)), help="of the udp rows, with commas (%(default)s)")
    add("--contestants", default=",".join(names), help="which, with commas (%(default)s)")
    add("--build", type=Path, default=DEFAULT_BUILD, help="folder of the build (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write everything there")
    options = parser.parse_args()
    options.rows, options.contestants = options.rows.split(","), options.contestants.split(",")
    for given, known in ((options.rows, ROWS), (options.contestants, names)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    try:
        options.flows = [int(count) for count in options.flows.split(",")]
    except ValueError:
        parser.error("--flows takes numbers with commas between them")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    options.build = options.build.resolve()
    return options


def check_machine(options: argparse.Namespace) -> list[Contestant]:
    """The contestants that can run; a missing one is said and left out, a missing tool ends the run."""
    if len(os.sched_getaffinity(0)) < 2:
        raise BenchError("two CPUs are needed: one for the director, one for everything else")
    if reason := missing():
        raise BenchError(reason)
    for tool in ("wrk", "iperf3", "nginx", "nft", "curl"):
        if not shutil.which(tool):
            raise BenchError(f"{tool} is not installed")
    able = []
    for contestant in CONTESTANTS:
        if contestant.name in options.contestants:
            if reason := contestant.missing(options.build):
                print(f"{contestant.name} left out: {reason}")
            else:
                able.append(contestant)
    return able


def run(options: argparse.Namespace) -> list[Figure]:
    contestants = check_machine(options)
    *_, load_core, director_core = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as folder:
        os.chmod(folder, 0o755)  # nginx's worker is nobody.
        with Farm(Path(folder), load_core, director_core) as farm:
            print(
                f"director on CPU {director_core}, load and servers on CPU {load_core}; {options.rounds} rounds of "
                f"{options.seconds} s, medians; Linux {platform.release()}\n",
                flush=True,
            )
            return run_rows(Bench(options, farm, contestants), options.rows, options.flows)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Unwind: stop the children.
    options = parse_arguments()
    started = time.monotonic()
    try:
        figures = run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        results = [{"title": f.title, "unit": f.unit, "values": f.values} for f in figures]
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"took {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
