#!/usr/bin/env python3
# Failures under load. The promise: with retries on, no idempotent request fails while one healthy server remains,
# whatever the others do.
import signal

from harness import SLOWNESS, TIMEOUT, ShuntTest, Wrk, main, response, wait_until
from http1 import read_request

# Timeouts play a part only with servers that say nothing; the healthy one must never meet them.
RESILIENT = """
connect_timeout = "{timeout}"
response_timeout = "{timeout}"
server_timeout = "{timeout}"
retry_on = ["connect", "reset", "timeout", "truncated", "invalid", "502", "503", "504"]
retry_budget = {{ share = 1.0 }}
ejection = {{ failures = 5, time = "1s" }}
"""


def each_request(*actions):
    """A script: after each request sends the bytes among `actions`, then closes, resets or says nothing more."""
    def script(origin, stream, index):
        while (request := read_request(stream, timeout=3600)) is not None:
            origin.record(request, index)
            for action in actions:
                if action == "reset":
                    return stream.reset()
                if action == "silence":
                    return stream.read_to_end(30)
                if action == "close":
                    return None
                stream.send(action)
        return None

    return script


class FaultTest(ShuntTest):
    """One server at fault, one healthy, and wrk."""

    def run_load(self, faulty, fault=None, silent=False):
        healthy = self.nginx({"index.html": b"x" * 5000}, name="healthy")
        timeout = f"{int((2 if silent else 10) * 1000 * SLOWNESS)}ms"
        shunt = self.shunt_before([faulty, healthy], workers=2, pool=RESILIENT.format(timeout=timeout))
        load = Wrk(shunt.port, "/index.html", seconds=int(60 * SLOWNESS))
        wait_until(lambda: len(faulty.requests() if callable(faulty.requests) else faulty.requests) > 3, "the load")
        if fault:
            fault()
        shunt.wait_for_log(r"server s1 is left out for \d+ ms after 5 failures", timeout=3 * TIMEOUT)
        before = len(healthy.requests())
        wait_until(lambda: len(healthy.requests()) > before + 50, "requests to the healthy server")
        result = load.stop()
        self.assertEqual(result.failed, 0, result)
        self.assertGreater(result.requests, 50)
        shunt.stop()
        failed = [entry for entry in shunt.access_log() if entry["status"] != 200 and entry["status"] != 0]
        self.assertEqual(failed, [])

    def test_killed(self):
        faulty = self.nginx({"index.html": b"x" * 5000}, name="killed")
        self.run_load(faulty, faulty.kill)

    def test_stopped(self):
        faulty = self.nginx({"index.html": b"x" * 5000}, name="stopped")
        self.addCleanup(lambda: faulty._process.send_signal(signal.SIGCONT))
        self.run_load(faulty, lambda: faulty._process.send_signal(signal.SIGSTOP), silent=True)

    def test_truncates(self):
        half = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000
        self.run_load(self.origin(script=each_request(half, "close"), name="truncates"))

    def test_truncates_the_head(self):
        self.run_load(self.origin(script=each_request(b"HTTP/1.1 200 OK\r\nContent-Le", "close"), name="truncates"))

    def test_resets(self):
        self.run_load(self.origin(script=each_request("reset"), name="resets"))

    def test_closes(self):
        self.run_load(self.origin(script=each_request("close"), name="closes"))

    def test_hangs(self):
        self.run_load(self.origin(script=each_request("silence"), name="hangs"), silent=True)

    def test_hangs_in_the_answer(self):
        half = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000
        self.run_load(self.origin(script=each_request(half, "silence"), name="hangs"), silent=True)

    def test_is_unavailable(self):
        self.run_load(self.origin(lambda request: response(503, "no\n"), name="unavailable"))

    def test_talks_nonsense(self):
        self.run_load(self.origin(script=each_request(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "close"), name="nonsense"))


if __name__ == "__main__":
    main()
