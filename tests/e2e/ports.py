# Ports for the tests, and waiting for what listens on them. Several tests run at once: a port is reserved by a lock
# on a file until the process ends, so that no two of them are given the same one.
import fcntl
import os
import pathlib
import random
import socket
import tempfile
import time

from http1 import TIMEOUT

# Below the range from which Linux takes the ports of outgoing connections.
PORTS = range(18000, 32000)

_folder = pathlib.Path(tempfile.gettempdir(), f"shunt-test-ports-{os.getuid()}")
_reserved = {}  # Port -> the descriptor that holds its lock, open until the process ends.


def free_port():
    """A port on which nothing listens, reserved for this process."""
    _folder.mkdir(exist_ok=True)
    for port in random.sample(PORTS, 1000):
        if port in _reserved:
            continue
        lock = os.open(_folder / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("0.0.0.0", port))
        except OSError:
            os.close(lock)
            continue
        _reserved[port] = lock
        return port
    raise RuntimeError("no free port")


def free_ports(count):
    return [free_port() for _ in range(count)]


def listening_ports():
    """The TCP ports on which anything on this machine listens. Asking the kernel's table makes no connection, which a
    server under test would count and log."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = pathlib.Path(table).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":  # TCP_LISTEN.
                ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


def wait_until(condition, what, timeout=None):
    """Returns the first true value of `condition()`; TimeoutError names `what` it waited for. The one place in the
    tests that lets time pass."""
    deadline = time.monotonic() + (timeout or TIMEOUT)
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.002)
    return value


def wait_until_listening(process, ports, timeout=None):
    def ready():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with exit code {process.returncode}")
        return listening_ports().issuperset(ports)

    wait_until(ready, f"{process.args[0]} to listen on {ports}", timeout)
