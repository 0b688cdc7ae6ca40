# Network namespaces for tests, unnamed: each lives as long as a process that the test holds by a pipe, so whatever
# happens to the test, the kernel clears them away with all that is in them.
import ctypes
import os
import shutil
import socket
import subprocess
import unittest

from http1 import TIMEOUT

CLONE_NEWNET = 0x40000000


def try_in_namespace(command):
    """Why a command does not work in a network namespace of its own; None if it does."""
    done = subprocess.run(["unshare", "-n", *command.split()], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip() or f"{command} failed"


def missing(tun=False, bridge=False):
    """Why tests with namespaces cannot run here; None if they can. `tun`, `bridge`: they need these devices too."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"there is no {tool} (iproute2, util-linux)"
    if error := try_in_namespace("ip link add probe0 type veth peer name probe1"):
        return f"no network namespaces with veth here: {error}"
    if bridge and (error := try_in_namespace("ip link add probe0 type bridge")):
        return f"no bridges here: {error}"
    if tun and (error := try_in_namespace("ip tuntap add dev probe0 mode tun")):
        return f"no tun devices here: {error}"
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except OSError as error:
        return f"no packet sockets here: {error}"
    return None


def needs(tun=False, bridge=False):
    """Skips a test case where the host refuses what missing() looks for, as most containers do; the run says which."""
    reason = missing(tun, bridge)
    return unittest.skipIf(reason, reason)


def setns(descriptor):
    """Moves this thread to a network namespace; os.setns is there from Python 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A network namespace of its own."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo ready; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError("no network namespace")
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-n"]

    @property
    def pid(self):
        """Of a process inside: what `ip link … netns` takes."""
        return self.holder.pid

    def run(self, *words):
        """Runs a command there; returns what it wrote."""
        done = subprocess.run([*self.enter, *map(str, words)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *words, **options):
        """Starts a command there; options as subprocess.Popen takes them."""
        return subprocess.Popen([*self.enter, *map(str, words)], **options)

    def sysctl(self, **values):
        """Sets keys below /proc/sys/net, with "__" for "/"."""
        for name, value in values.items():
            self.run("sh", "-c", f"echo {value} > /proc/sys/net/{name.replace('__', '/')}")

    def socket(self, family, kind, protocol=0):
        """A socket that lives there: this thread visits for a moment."""
        with open("/proc/self/ns/net", "rb") as home, open(f"/proc/{self.pid}/ns/net", "rb") as there:
            setns(there.fileno())
            try:
                return socket.socket(family, kind, protocol)
            finally:
                setns(home.fileno())

    def close(self):
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.wait(TIMEOUT)
