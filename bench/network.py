"""A network of the benchmark's own: a namespace with nothing but loopback, and TCP as Linux ships it.

The machine's own settings stay out of the figures. What matters most is the congestion control:
BBR, which some machines have as their default, paces every sender with timers, so that over loopback
large bodies cost all proxies two to three times as much and the row shows the pacing alone.
"""

import ctypes
import os
import subprocess
from pathlib import Path

CLONE_NEWNET = 0x40000000
CONGESTION_CONTROL = "cubic"  # Linux's default.
CURRENT = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def enter() -> str:
    """Moves this process and its children to come there; says in a few words what TCP is like now."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"the machine's own network ({reason}), {CURRENT.read_text().strip()}"
    ip("link", "set", "lo", "up")
    try:
        # By route and not by sysctl, which containers may not write even in a namespace of their own.
        for destination in ("127.0.0.0/8", "127.0.0.1"):
            local = ("local", destination, "dev", "lo", "table", "local", "src", "127.0.0.1")
            ip("route", "replace", *local, "congctl", CONGESTION_CONTROL)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip()
        return f"a network of its own, {CURRENT.read_text().strip()} ({reason})"
    return f"a network of its own, {CONGESTION_CONTROL}"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
