# The base of the end-to-end tests: runs the real binary (SHUNT_BINARY, else build/release/shunt) with a configuration
# in a folder of its own, waits until it listens, stops it by signal and reads what it logged. A test that fails prints
# the logs. Nothing here sleeps: everything waits for the event itself, with a deadline.
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import unittest

from clients import Client, CurlResult, Wrk, WrkResult, curl, get, parse_wrk, wrk
from http1 import SLOWNESS, TIMEOUT, Closed, Message, Stream, read_response
from origins import Nginx, Origin, response
from ports import free_port, free_ports, listening_ports, wait_until, wait_until_listening

# What a test file may want; it imports from here alone.
__all__ = [
    "BINARY", "SLOWNESS", "TIMEOUT", "Client", "Closed", "CurlResult", "Message", "Nginx", "Origin",
    "Shunt", "ShuntTest", "Stream", "Wrk", "WrkResult", "curl", "farm", "free_port", "free_ports",
    "get", "listening_ports", "main", "on_epoll", "parse_wrk", "read_response", "response", "run_shunt",
    "signal", "unittest", "wait_until", "wait_until_listening", "wrk",
]

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SHUNT_BINARY", ROOT / "build/release/shunt"))
WITHOUT_IO_URING = [sys.executable, "-B", str(ROOT / "tests/e2e/without_io_uring.py")]

# What must never appear in Shunt's log, whatever the exit code says.
CRASHES = re.compile(r"assertion failed|ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|terminate called")


def binary():
    if not os.access(BINARY, os.X_OK):
        raise RuntimeError(f"{BINARY} is not there: build it (./dev build) or set SHUNT_BINARY")
    return str(BINARY)


def on_epoll():
    """Whether Shunt is to run on epoll."""
    return os.environ.get("SHUNT_EVENT_LOOP") == "epoll"


def run_shunt(*arguments, folder=None, stdin=None, timeout=None):
    """Runs a command of Shunt that ends by itself; returns its exit code, stdout and stderr as text."""
    done = subprocess.run([binary(), *map(str, arguments)], cwd=folder, input=stdin or "", capture_output=True,
                          text=True, timeout=timeout or 3 * TIMEOUT, check=False)
    if done.returncode < 0 or CRASHES.search(done.stderr):
        raise AssertionError(f"shunt {' '.join(map(str, arguments))} crashed ({done.returncode}):\n{done.stderr}")
    return done


def farm(port, servers, workers=1, pool="", top="", listener="", rules=""):
    """A configuration: one listener, and one pool "pages" that gets what `rules` leave. `servers`: objects with an
    address, or addresses. The other arguments are TOML text put into their tables, or between them."""
    lines = [
        "[global]", f"workers = {workers}", 'access_log = "access.log"', top,
        "[[listener]]", 'name = "web"', f'bind = "127.0.0.1:{port}"', listener,
        rules,
        "[[rule]]", 'name = "default"', 'pool = "pages"',
        "[pool.pages]", pool,
    ]
    for index, server in enumerate(servers, 1):
        address = getattr(server, "address", server)
        lines += ["[[pool.pages.server]]", f'name = "s{index}"', f'address = "{address}"']
    return "\n".join(lines) + "\n"


def bound_ports(config):
    """The TCP ports of the listeners in a configuration text."""
    ports = []
    for listener in tomllib.loads(config).get("listener", []):
        bind = listener["bind"]
        ports += [int(address.rsplit(":", 1)[1]) for address in ([bind] if isinstance(bind, str) else bind)
                  if not address.startswith("unix:")]
    return ports


class Shunt:
    """A running `shunt run`. Its working directory is `folder`, so relative paths in the configuration are there.
    `descriptors`: how many it may have open. `stdout`: a descriptor to write to instead of stdout.log. `enter`: words
    of a command that runs it somewhere else, such as a namespace."""

    def __init__(self, folder, config, files=None, arguments=(), wait=True, descriptors=None, stdout=None, enter=()):
        self.folder = pathlib.Path(folder)
        self.config_file = self.folder / "farm.toml"
        self.write(config, files)
        self._stdout = open(self.folder / "stdout.log", "ab")
        self._stderr = open(self.folder / "stderr.log", "ab")
        self._log_start = self._stderr.tell()  # Another one may have run in this folder before.
        before = WITHOUT_IO_URING if on_epoll() else []
        if descriptors:
            before = [*before, "prlimit", f"--nofile={descriptors}:{descriptors}"]
        self.process = subprocess.Popen(
            [*enter, *before, binary(), "run", "-c", self.config_file.name, *arguments], cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=self._stdout if stdout is None else stdout, stderr=self._stderr)
        self.ports = bound_ports(config)
        if wait:
            wait_until_listening(self.process, self.ports)

    @property
    def port(self):
        """Of the first listener."""
        return self.ports[0]

    @property
    def pid(self):
        return self.process.pid

    def write(self, config, files=None):
        """Puts a configuration, and the files it includes, in place; running Shunt sees it at the next reload."""
        for name, text in (files or {}).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        # In one step, as an administrator's tools do: never half a file.
        draft = self.config_file.with_suffix(".draft")
        draft.write_text(config, encoding="utf-8")
        draft.replace(self.config_file)

    def running(self):
        return self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def log(self):
        """What Shunt wrote to stderr so far."""
        written = (self.folder / "stderr.log").read_bytes()[self._log_start:]
        return written.decode("utf-8", errors="replace")

    def stdout(self):
        return (self.folder / "stdout.log").read_text(encoding="utf-8", errors="replace")

    def wait_for_log(self, pattern, count=1, timeout=None):
        """Waits until the log has `count` matches of a regular expression; returns the last."""
        return wait_until(lambda: (list(re.finditer(pattern, self.log())) + [None] * count)[count - 1],
                          f"{count} × {pattern!r} in the log", timeout)

    def access_log(self, name="access.log"):
        """The entries so far, one JSON object each; a line not yet complete is left out."""
        path = self.folder / name
        if not path.exists():
            return []
        complete = path.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in complete.split("\n") if line]

    def wait_for_access_log(self, count, name="access.log", timeout=None):
        """The entries, once there are at least `count`."""
        wait_until(lambda: len(self.access_log(name)) >= count, f"{count} entries in {name}", timeout)
        return self.access_log(name)

    def memory(self):
        """Resident bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def sockets(self):
        """Those of the descriptors that are sockets: listeners and connections."""
        count = 0
        for link in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                count += os.readlink(link).startswith("socket:")
            except FileNotFoundError:
                pass  # Closed meanwhile.
        return count

    def wait(self, timeout=None):
        """Waits for the process to end by itself; returns its exit code."""
        return self.process.wait(timeout or TIMEOUT)

    def stop(self, number=signal.SIGINT, exit_code=0, timeout=None):
        """Sends a signal and requires that Shunt ends with `exit_code` and without complaint of a sanitizer."""
        if self.running():
            self.send_signal(number)
        try:
            ended = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after signal {number}; killed. Log:\n{self.log()}") from None
        self._close_logs()
        if ended != exit_code or CRASHES.search(self.log()):
            raise AssertionError(f"exit code {ended}, expected {exit_code}. Log:\n{self.log()}")

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()
        self._close_logs()

    def _close_logs(self):
        self._stdout.close()
        self._stderr.close()


class ShuntTest(unittest.TestCase):
    """A test with a folder of its own in which it starts origins and Shunt; all of it ends with the test."""

    maxDiff = None

    def run(self, result=None):
        result = result or self.defaultTestResult()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shunt-e2e-"))
        self.folder.chmod(0o755)  # For a Shunt that drops its privileges.
        before = len(result.failures) + len(result.errors)
        try:
            super().run(result)
            if len(result.failures) + len(result.errors) > before:
                self._print_logs()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        return result

    def _print_logs(self):
        for path in sorted(self.folder.rglob("*.log")):
            text = path.read_text(encoding="utf-8", errors="replace")
            if text:
                print(f"--- {self.id()}: {path.relative_to(self.folder)}\n{text[-8000:]}", file=sys.stderr)

    def origin(self, answer=None, script=None, name="origin", **options):
        """An origin as origins.Origin describes. At the end of the test none of its requests may have been malformed;
        a test that wants one clears origin.errors."""
        origin = Origin(answer, script, name, **options)
        self.addCleanup(lambda: self.assertEqual(origin.errors, [], f"errors at {name}"))
        self.addCleanup(origin.stop)
        return origin

    def nginx(self, files=None, name="nginx", extra=""):
        nginx = Nginx(self.folder, files, name, extra)
        self.addCleanup(nginx.stop)
        return nginx

    def shunt(self, config, files=None, arguments=(), descriptors=None, stdout=None, enter=()):
        """Starts Shunt. If the test leaves it running, it is stopped at the end and must exit with 0."""
        shunt = Shunt(self.folder, config, files, arguments, wait=False, descriptors=descriptors, stdout=stdout,
                      enter=enter)
        self.addCleanup(lambda: shunt.running() and shunt.stop())
        wait_until_listening(shunt.process, shunt.ports)
        return shunt

    def shunt_before(self, servers, **options):
        """Starts Shunt on a free port before `servers`; `options` as farm() takes them."""
        return self.shunt(farm(free_port(), servers, **options))

    def client(self, port, **options):
        client = Client(port, **options)
        self.addCleanup(client.close)
        return client


def main():
    if "--event-loop" in sys.argv:
        at = sys.argv.index("--event-loop")
        os.environ["SHUNT_EVENT_LOOP"] = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
