"""Processes and what they cost: pinned, awaited, CPU time and memory accounted, stopped by pid."""

import ctypes
import os
import random
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """Something the figures cannot be trusted after; ends the run with its text."""


def free_port() -> int:
    """A port nobody listens on, and that the kernel does not give to outgoing connections."""
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    first = int(outgoing.split()[0])
    while True:
        port = random.randrange(10240, max(first, 10241))
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def pinned(core: int):
    """For preexec_fn: one core, and TERM when the harness dies, however it dies."""

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


class Server:
    """A child that listens on a port of 127.0.0.1: running inside `with`, gone after it."""

    def __init__(self, name: str, command: list[str], core: int, port: int, directory: Path):
        self.name = name
        self.command = command
        self.core = core
        self.port = port
        self.output = directory / f"{name}.out"

    def __enter__(self) -> "Server":
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=pinned(self.core),
            )
        try:
            self.wait_until_listening()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        """TERM; after five seconds KILL, for the children too (nginx's outlive their master)."""
        pids = family(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def wait_until_listening(self, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        said = self.output.read_text(encoding="utf-8", errors="replace")[-2000:]
        command = " ".join(self.command)
        raise BenchError(f"{self.name} does not listen on port {self.port}:\n{command}\n{said}")

    def cpu_seconds(self) -> float:
        """utime + stime so far of all its processes and threads.

        Looked up each time: nginx listens before its worker exists.
        """
        return sum(process_ticks(pid) for pid in family(self.process.pid)) / TICKS_PER_SECOND

    def memory_bytes(self) -> int:
        """PSS of all its processes: user space, shared pages divided; no kernel socket buffers."""
        total = 0
        for pid in family(self.process.pid):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            total += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) * 1024
        return total


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat behind the command name, which may contain spaces: element 0 is field 3."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(")")[2].split()


def process_ticks(pid: int) -> int:
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12])


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(stat_fields(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def core_seconds(cores: tuple[int, ...]) -> float:
    """How long the cores were busy so far, or kept by the hypervisor (steal)."""
    ticks = 0
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *values = line.split()
        if name in {f"cpu{core}" for core in cores}:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, values[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / TICKS_PER_SECOND
