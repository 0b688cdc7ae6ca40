"""The layer 4 benchmark's network: a client, a director and servers in namespaces of their own.

    client c0 ── in0 director out0 ── s0 servers        requests; with nat the answers as well
    client c1 ───────────────────────── s1 servers      answers of dr and tun, past the director

What comes to the director is received on the director's core, everything else on the load's.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from processes import TICKS_PER_SECOND, BenchError, pinned

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from namespaces import Namespace, missing  # noqa: E402  pylint: disable=wrong-import-position

CLIENT, DIRECTOR_IN, DIRECTOR_OUT = "10.1.0.1", "10.1.0.254", "10.2.0.254"
SERVERS = [f"10.2.0.{number}" for number in range(11, 15)]
VIRTUAL = "192.0.2.1"
CLIENTS = "11.0.0.0/8"  # packet_load's.
UDP_PORT, HTTP_PORT, BULK_PORT = 53, 80, 5201
TUNNEL_MTU = 1600  # Of the director's link to the servers: a full packet fits into a tunnel.

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{ access_log off; server {{ listen {port} backlog=4096 reuseport; location / {{ return 200 "ok\\n"; }} }} }}
"""


def idle_seconds(core: int) -> float:
    """How long the core has had nothing to do; exact on a tickless kernel."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            return (int(values[3]) + int(values[4])) / TICKS_PER_SECOND
    raise BenchError(f"/proc/stat knows no CPU {core}")


def thread_seconds(process: int) -> float:
    """CPU time of a process or kernel thread so far, exact."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


class Farm:
    """Namespaces, links, servers: up inside `with`."""

    def __init__(self, folder: Path, load_core: int, director_core: int):
        self.folder, self.load_core, self.director_core = folder, load_core, director_core
        self.receivers: list[int] = []  # The NAPI threads of the director's interfaces.
        self._threaded: set[tuple[str, ...]] = set()  # Interfaces that have such threads.
        self._ends = ExitStack()

    def __enter__(self) -> "Farm":
        try:
            self._build()
        except (RuntimeError, OSError) as error:
            self._ends.close()
            raise BenchError(f"cannot lay out the network: {error}") from error
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._ends.close()

    def _build(self) -> None:
        self.client, self.director, self.servers = (self._namespace() for _ in range(3))
        self._link(self.client, "c0", [CLIENT], self.director, "in0", [DIRECTOR_IN], 1500)
        self._link(self.director, "out0", [DIRECTOR_OUT], self.servers, "s0", SERVERS, TUNNEL_MTU)
        self._link(self.client, "c1", ["10.3.0.1"], self.servers, "s1", ["10.3.0.2"], 1500)
        self.sides = ((self.director, ("in0", "out0"), self.director_core),
                      (self.client, ("c0", "c1"), self.load_core),
                      (self.servers, ("s0", "s1"), self.load_core))
        self.client.run("ip", "route", "add", "default", "via", DIRECTOR_IN)
        self.client.sysctl(ipv4__ip_local_port_range="'1024 65535'")
        self.director.run("ip", "route", "add", CLIENTS, "via", CLIENT)
        self.mac = json.loads(self.director.run("ip", "-j", "link", "show", "in0"))[0]["address"]
        self._start_servers()

    def _namespace(self) -> Namespace:
        namespace = Namespace()
        self._ends.callback(namespace.close)
        namespace.sysctl(ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1,
                         ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0,
                         ipv4__conf__all__send_redirects=0, ipv4__conf__default__send_redirects=0,
                         ipv4__ip_forward=0)
        return namespace

    @staticmethod
    def _link(left, left_name, left_addresses, right, right_name, right_addresses, mtu) -> None:
        queues = ("numrxqueues", 1, "numtxqueues", 1)
        left.run("ip", "link", "add", left_name, "mtu", mtu, *queues, "type", "veth", "peer", "name", right_name,
                 "mtu", mtu, *queues, "netns", right.pid)
        for namespace, name, addresses in ((left, left_name, left_addresses), (right, right_name, right_addresses)):
            for address in addresses:
                namespace.run("ip", "address", "add", f"{address}/24", "dev", name)
            namespace.run("ip", "link", "set", name, "up")

    def receive_small(self) -> None:
        """Each interface receives by a NAPI thread of its own, on its side's core, as a card would with such threads:
        where more comes than can be handled, the thread and whoever forwards share the core. veth goes that way only
        for senders without segmentation. On the load's core receiving goes before the load."""
        for namespace, interfaces, core in self.sides:
            for name in interfaces:
                namespace.run("ethtool", "-K", name, "gro", "on", "tso", "off")
            self._write(namespace, {f"{name}/queues/rx-0/rps_cpus": 0 for name in interfaces})
            self._start_threads(namespace, interfaces, core)

    def receive_large(self) -> None:
        """Segments of 64 KiB pass whole; they are received in the softirq of the side's core (packet steering)."""
        for namespace, interfaces, core in self.sides:
            for name in interfaces:
                namespace.run("ethtool", "-K", name, "gro", "on", "tso", "on")
            self._write(namespace, {f"{name}/queues/rx-0/rps_cpus": f"{1 << core:x}" for name in interfaces})

    def receiving_seconds(self) -> float:
        """CPU time of the director's interfaces so far: all of a forwarding kernel's. After receive_small()."""
        return sum(thread_seconds(thread) for thread in self.receivers)

    @staticmethod
    def _write(namespace, values: dict) -> None:
        """Below /sys/class/net, which shows the namespace's interfaces only where it is mounted anew."""
        words = [f"echo {value} > /sys/class/net/{name}" for name, value in values.items()]
        namespace.run("unshare", "-m", "sh", "-ec", "mount -t sysfs sysfs /sys; " + "; ".join(words))

    def _start_threads(self, namespace, interfaces, core: int) -> None:
        """Once: threads of the same names may be left over from another run."""
        if interfaces in self._threaded:
            return
        before = self._napi_threads(interfaces)
        self._write(namespace, {f"{name}/threaded": 1 for name in interfaces})
        started = self._napi_threads(interfaces) - before
        if len(started) != len(interfaces):
            raise BenchError(f"{len(started)} NAPI threads for {', '.join(interfaces)}: another run, or an old kernel")
        self._threaded.add(interfaces)
        for thread in started:
            os.sched_setaffinity(thread, {core})
            if core == self.load_core:
                os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
        if core == self.director_core:
            self.receivers = list(started)

    @staticmethod
    def _napi_threads(interfaces) -> set[int]:
        names = tuple(f"napi/{name}-" for name in interfaces)
        found = set()
        for comm in Path("/proc").glob("[0-9]*/comm"):
            try:
                if comm.read_text(encoding="utf-8", errors="replace").startswith(names):
                    found.add(int(comm.parent.name))
            except OSError:  # It has ended meanwhile.
                continue
        return found

    def _start_servers(self) -> None:
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, port=HTTP_PORT), encoding="ascii")
        self.start(self.servers, "nginx", self.load_core, "nginx", "-p", self.folder, "-c", config)
        self.start(self.servers, "iperf3", self.load_core, "iperf3", "-s", "-p", BULK_PORT)

    def start(self, namespace, name: str, core: int, *words) -> subprocess.Popen:
        """A process there, pinned, ended with the farm (or by end())."""
        output = (self.folder / f"{name}.out").open("wb")
        self._ends.callback(output.close)
        process = namespace.start(*words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                  preexec_fn=pinned(core))
        self._ends.callback(self.end, process)
        return process

    @staticmethod
    def end(process: subprocess.Popen) -> None:
        if process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def answers_directly(self, directly: bool) -> None:
        """How the servers answer clients: by the link of their own, or through the director."""
        via = ("10.3.0.1", "s1") if directly else (DIRECTOR_OUT, "s0")
        for net in (f"{CLIENT}/32", CLIENTS):
            self.servers.run("ip", "route", "replace", net, "via", via[0], "dev", via[1])

    def servers_have(self, virtual: bool) -> None:
        """The virtual address on the servers' loopback, as dr and tun need it."""
        verb = "replace" if virtual else "del"
        words = (*self.servers.enter, "ip", "address", verb, f"{VIRTUAL}/32", "dev", "lo")
        subprocess.run(words, check=virtual, capture_output=True)

    def end_tunnels(self, build: Path) -> subprocess.Popen | None:
        """The servers take IPIP packets: by the kernel's tunl0 where it has that, otherwise by Shunt's agent."""
        subprocess.run(["modprobe", "ipip"], check=False, capture_output=True)
        if "tunl0" in self.servers.run("ip", "-o", "link"):
            self.servers.run("ip", "link", "set", "tunl0", "up")
            self.servers.sysctl(ipv4__conf__tunl0__rp_filter=0)
            return None
        words = ("agent", "--decap", "s0", "--address", VIRTUAL)
        return self.start(self.servers, "agent", self.load_core, build / "shunt", *words)

    def sink(self, on: bool) -> None:
        """Drops and counts the load before the servers' stack has seen it."""
        rules = "table netdev sink\ndelete table netdev sink\n"  # Whether there was one or not.
        if on:
            rules += (
                "table netdev sink {\ncounter load { }\n"
                "chain ingress { type filter hook ingress device s0 priority 0;\n"
                'ip protocol { udp, ipencap } counter name "load" drop\n}\n}\n'
            )
        self.nft(self.servers, rules)

    @staticmethod
    def nft(namespace, rules: str) -> None:
        done = subprocess.run([*namespace.enter, "nft", "-f", "-"], input=rules, text=True, capture_output=True,
                              check=False)
        if done.returncode != 0:
            raise BenchError(f"nft: {done.stderr.strip()}\n{rules}")

    def arrived(self) -> int:
        listed = json.loads(self.servers.run("nft", "-j", "list", "counter", "netdev", "sink", "load"))
        return next(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)

    def load(self, build: Path, target: str, *words) -> dict:
        """Runs packet_load from the client; its figures."""
        command = [*self.client.enter, build / "bench" / "packet_load", "--interface", "c0", "--mac", self.mac,
                   "--target", f"{target}:{UDP_PORT}", *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                              preexec_fn=pinned(self.load_core), timeout=120)
        if done.returncode != 0:
            raise BenchError(f"packet_load: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def client_run(self, *words, seconds: float = 60) -> str:
        done = subprocess.run([*self.client.enter, *map(str, words)], capture_output=True, text=True, check=False,
                              preexec_fn=pinned(self.load_core), timeout=seconds)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

