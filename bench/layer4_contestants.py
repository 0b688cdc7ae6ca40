"""Who forwards in the layer 4 benchmark, and how each is set up in the director's namespace."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from layer4_farm import (BULK_PORT, DIRECTOR_OUT, HTTP_PORT, SERVERS, UDP_PORT, VIRTUAL, Farm, thread_seconds)
from processes import BenchError

TCP_PORTS = (HTTP_PORT, BULK_PORT)


@dataclass(frozen=True)
class Contestant:
    """`method`: nat, dr, tun; empty: it only passes packets on, or is a proxy."""

    name: str
    method: str = ""
    udp: bool = True
    tcp: bool = True
    connections: bool = True  # That it remembers: each flow is opened before the measurement.

    @property
    def direct(self) -> bool:
        return self.method in ("dr", "tun")

    def target(self) -> str:
        return SERVERS[0] if self.name in ("routing", "floor") else VIRTUAL

    def missing(self, build: Path) -> str | None:
        """Why it cannot run here."""
        kind = self.name.split("-")[0]
        if kind == "ipvs":
            if not shutil.which("ipvsadm"):
                return "ipvsadm is not installed"
            if subprocess.run(["modprobe", "ip_vs"], capture_output=True, check=False).returncode != 0:
                return "this kernel has no ip_vs"
        if kind == "haproxy" and not shutil.which("haproxy"):
            return "not installed"
        if kind == "nftables" and not shutil.which("nft"):
            return "nft is not installed"
        binaries = {"shunt": build / "shunt", "floor": build / "bench" / "packet_floor"}
        if kind in binaries and not binaries[kind].exists():
            return f"{binaries[kind]} does not exist: ./dev bench builds it"
        return None

    def __call__(self, farm: Farm, build: Path) -> "Running":
        return Running(self, farm, build)


CONTESTANTS = (
    Contestant("floor", tcp=False, connections=False),
    Contestant("routing", connections=False),
    Contestant("nftables", "nat"),
    Contestant("haproxy", udp=False),
    Contestant("ipvs-nat", "nat"),
    Contestant("ipvs-dr", "dr"),
    Contestant("ipvs-tun", "tun"),
    Contestant("shunt-nat", "nat"),
    Contestant("shunt-dr", "dr"),
    Contestant("shunt-tun", "tun"),
)


class Running:
    """A contestant at work inside `with`; everything it changed is undone after it."""

    def __init__(self, contestant: Contestant, farm: Farm, build: Path):
        self.contestant, self.farm, self.build = contestant, farm, build
        self.process: subprocess.Popen | None = None
        self.agent: subprocess.Popen | None = None

    def __enter__(self) -> "Running":
        kind = self.contestant.name.split("-")[0]
        self.farm.answers_directly(self.contestant.direct)
        self.farm.servers_have(virtual=self.contestant.direct)
        try:
            if self.contestant.method == "tun":
                self.agent = self.farm.end_tunnels(self.build)
            getattr(self, f"start_{kind}")()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        farm, kind = self.farm, self.contestant.name.split("-")[0]
        for process in (self.process, self.agent):
            if process is not None:
                farm.end(process)
        if kind in ("routing", "nftables", "ipvs"):
            farm.director.sysctl(ipv4__ip_forward=0)
        if kind == "nftables":
            farm.nft(farm.director, "flush ruleset")
        if kind == "ipvs":
            farm.director.run("ipvsadm", "-C")
        if kind in ("ipvs", "haproxy"):
            farm.director.run("ip", "address", "del", f"{VIRTUAL}/32", "dev", "lo")

    def start_floor(self) -> None:
        program = self.build / "bench" / "packet_floor"
        self._start(program, "in0", "out0")

    def start_routing(self) -> None:
        self.farm.director.sysctl(ipv4__ip_forward=1)

    def start_nftables(self) -> None:
        self.farm.director.sysctl(ipv4__ip_forward=1)
        choices = ", ".join(f"{number}: {address}" for number, address in enumerate(SERVERS))
        self.farm.nft(
            self.farm.director,
            "table ip balance { chain pre { type nat hook prerouting priority dstnat;\n"
            f"ip daddr {VIRTUAL} dnat to numgen inc mod {len(SERVERS)} map {{ {choices} }}\n}}\n}}\n",
        )

    def start_haproxy(self) -> None:
        self._own_virtual_address()
        lines = ["global", "  nbthread 1", "  maxconn 8192", "defaults", "  mode tcp", "  timeout connect 5s",
                 "  timeout client 30s", "  timeout server 30s"]
        for port in TCP_PORTS:
            lines += [f"listen port{port}", f"  bind {VIRTUAL}:{port}", "  balance roundrobin"]
            lines += [f"  server s{number} {address}:{port}" for number, address in enumerate(SERVERS)]
        config = self.farm.folder / "haproxy.cfg"
        config.write_text("\n".join(lines) + "\n", encoding="ascii")
        self._start("haproxy", "-db", "-f", config)

    def start_ipvs(self) -> None:
        self._own_virtual_address()
        self.farm.director.sysctl(ipv4__ip_forward=1)
        method = {"nat": "-m", "dr": "-g", "tun": "-i"}[self.contestant.method]
        for protocol, port in [("-u", UDP_PORT)] + [("-t", port) for port in TCP_PORTS]:
            service = (protocol, f"{VIRTUAL}:{port}")
            self.farm.director.run("ipvsadm", "-A", *service, "-s", "rr")
            for address in SERVERS:
                self.farm.director.run("ipvsadm", "-a", *service, "-r", f"{address}:{port}", method)

    def start_shunt(self) -> None:
        lines = []
        for protocol, port in [("udp", UDP_PORT)] + [("tcp", port) for port in TCP_PORTS]:
            lines += ["[[service]]", f'name = "{protocol}{port}"', f'protocol = "{protocol}"', 'scheduler = "rr"',
                      f'address = "{VIRTUAL}:{port}"', 'interface = "in0"', f'forward = "{self.contestant.method}"']
            for number, address in enumerate(SERVERS):
                lines += ["[[service.server]]", f'name = "s{number}"', f'address = "{address}:{port}"']
        config = self.farm.folder / "shunt.toml"
        config.write_text("\n".join(lines) + "\n", encoding="ascii")
        self._start(self.build / "shunt", "run", "-c", config)

    def _own_virtual_address(self) -> None:
        self.farm.director.run("ip", "address", "add", f"{VIRTUAL}/32", "dev", "lo")

    def _start(self, *words) -> None:
        self.process = self.farm.start(self.farm.director, self.contestant.name, self.farm.director_core, *words)

    def process_seconds(self) -> float:
        """What the forwarding process has used of the CPU so far; 0 if there is none."""
        return thread_seconds(self.process.pid) if self.process is not None else 0

    def wait_for_udp(self) -> None:
        """Until what the client sends arrives."""
        self._wait(self._udp_passes)

    def wait_for_tcp(self) -> None:
        url = f"http://{self.contestant.target()}:{HTTP_PORT}/"
        curl = [*self.farm.client.enter, "curl", "-sf", "--noproxy", "*", "--max-time", "1", "-o", "/dev/null", url]
        self._wait(lambda: subprocess.run(curl, check=False).returncode == 0)

    def _udp_passes(self) -> bool:
        before = self.farm.arrived()
        self.farm.load(self.build, self.contestant.target(), "--each-once")
        time.sleep(0.05)
        return self.farm.arrived() > before

    def _wait(self, condition) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                break
            if condition():
                return
            time.sleep(0.1)
        output = self.farm.folder / f"{self.contestant.name}.out"
        said = output.read_text(encoding="utf-8", errors="replace")[-2000:] if output.exists() else ""
        raise BenchError(f"{self.contestant.name} forwards nothing\n{said}")
