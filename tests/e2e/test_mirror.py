#!/usr/bin/env python3
# mirror: copies reach the second pool and nothing that happens there reaches the client: no delay, no error, no answer.
import re
import threading
import time

from harness import Client, ShuntTest, free_port, main
from http1 import read_request
from origins import response
from ports import wait_until

CONFIG = """
[global]
workers = 1
access_log = "access.log"
[[listener]]
name = "web"
bind = "127.0.0.1:{port}"
[[rule]]
name = "both"
pool = "main"
mirror = {mirror}
{keys}
[pool.main]
server = [{{ name = "m", address = "{main}" }}]
[pool.copy]
server = [{{ name = "c", address = "{copy}" }}]
"""


class Mirror(ShuntTest):
    def start(self, copy, mirror='"copy"', keys=""):
        self.main = self.origin(name="main")
        config = CONFIG.format(port=free_port(), main=self.main.address, mirror=mirror, keys=keys,
                               copy=getattr(copy, "address", copy))
        return self.shunt(config)

    def totals(self, shunt):
        """(mirrored, failed, not mirrored), from the log's last line."""
        shunt.stop()
        found = re.findall(r"(\d+) mirrored \((\d+) of them failed\), (\d+) not mirrored", shunt.log())
        return tuple(int(number) for number in found[-1]) if found else (0, 0, 0)

    def test_copies_are_what_the_rule_makes_of_the_request(self):
        copy = self.origin(name="copy")
        keys = ('rewrite = { prefix = "/", to = "/v2/" }\n'
                'request_headers = { set = { x-pool = "${pool}/${server.name}" } }')
        shunt = self.start(copy, keys=keys)
        with Client(shunt.port) as client:
            for i in range(20):
                answer = client.request("POST", f"/{i}", [("X-A", str(i))], body=b"b" * i)
                self.assertEqual(answer.text, "main\n")
        wait_until(lambda: len(copy.requests) == 20, "20 copies")
        # Over several connections copies may overtake each other.
        copies = sorted(copy.requests, key=lambda request: int(request.header("x-a")))
        for i, (original, copied) in enumerate(zip(self.main.requests, copies)):
            self.assertEqual((copied.method, copied.target, copied.body), ("POST", f"/v2/{i}", b"b" * i))
            self.assertEqual(copied.target, original.target)
            self.assertEqual(copied.header("x-a"), str(i))
            self.assertEqual(original.header("x-pool"), "main/m")
            self.assertEqual(copied.header("x-pool"), "copy/c")
        self.assertLess(copy.connections, 20)  # Kept, as those of any pool.
        self.assertEqual(self.totals(shunt), (20, 0, 0))

    def test_every_kind_of_answer_is_read_away(self):
        chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        answers = {"/chunked": chunks, "/empty": response(204), "/long": response(body=b"x" * 500000),
                   "/interim": b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(body=b"ok"),
                   "/close": b"HTTP/1.0 200 OK\r\n\r\nuntil the end"}
        copy = self.origin(lambda request: answers[request.target])
        shunt = self.start(copy)
        with Client(shunt.port) as client:
            for target in ("/chunked", "/empty", "/long", "/interim", "/close"):
                self.assertEqual(client.get(target).text, "main\n")
            wait_until(lambda: len(copy.requests) == 5, "5 copies")
            copy.close_connections()  # Ends the answer that has no other end.
            self.assertTrue(client.is_quiet(0.5))  # None of these answers is for the client.
        self.assertEqual(self.totals(shunt), (5, 0, 0))

    def test_a_pool_that_hangs_slows_nothing(self):
        copy = self.origin(script=lambda origin, stream, index: stream.read_to_end(timeout=60))
        shunt = self.start(copy)
        begun = time.monotonic()
        with Client(shunt.port) as client:
            for _ in range(300):
                self.assertEqual(client.get("/").text, "main\n")
        self.assertLess(time.monotonic() - begun, 20)
        mirrored, failed, skipped = self.totals(shunt)
        self.assertEqual((mirrored, skipped), (64, 236))
        self.assertEqual(failed, 64)  # Cut off when Shunt stopped.

    def test_a_pool_that_resets_or_is_slow_changes_nothing(self):
        def reset(_, stream, __):
            read_request(stream, timeout=60)
            stream.reset()

        def trickle(_, stream, __):
            """An answer in pieces that takes longer than the test."""
            read_request(stream, timeout=60)
            stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.1):
                stream.send(b"x")

        for name, script in (("resets", reset), ("slow", trickle)):
            with self.subTest(name):
                over = threading.Event()
                self.addCleanup(over.set)
                shunt = self.start(self.origin(script=script, name=name))
                with Client(shunt.port) as client:
                    for i in range(60):
                        answer = client.request("POST", f"/{i}", body=b"b" * i)
                        self.assertEqual((answer.status, answer.text), (200, "main\n"))
                    self.assertTrue(client.is_quiet(0.2))
                self.assertEqual([request.target for request in self.main.requests], [f"/{i}" for i in range(60)])
                mirrored, failed, skipped = self.totals(shunt)
                self.assertEqual((mirrored, failed, skipped), (60, 60, 0))
                over.set()
                (self.folder / "stderr.log").write_text("")

    def test_a_pool_that_refuses_or_talks_nonsense_fails_nothing(self):
        for name, copy in (("refuses", f"127.0.0.1:{free_port()}"),
                           ("nonsense", self.origin(lambda request: b"nonsense\r\n\r\n")),
                           ("closes", self.origin(lambda request: None))):
            with self.subTest(name):
                shunt = self.start(copy)
                with Client(shunt.port) as client:
                    for _ in range(50):
                        self.assertEqual(client.get("/").text, "main\n")
                    self.assertTrue(client.is_quiet(0.5))
                mirrored, failed, skipped = self.totals(shunt)
                self.assertEqual((mirrored, failed, skipped), (50, 50, 0))
                (self.folder / "stderr.log").write_text("")

    def test_bodies_that_are_not_here_are_not_copied(self):
        copy = self.origin(name="copy")
        shunt = self.start(copy)
        with Client(shunt.port) as client:
            self.assertEqual(client.request("POST", "/large", body=b"x" * 300000).text, "main\n")
            client.send(b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            self.assertEqual(client.response("POST").text, "main\n")
            self.assertEqual(client.get("/small").text, "main\n")
        wait_until(lambda: len(copy.requests) == 1, "a copy")
        self.assertEqual(copy.requests[0].target, "/small")
        self.assertEqual(self.totals(shunt)[2], 2)

    def test_a_share(self):
        copy = self.origin(name="copy")
        shunt = self.start(copy, mirror='{ pool = "copy", share = 0.25 }')
        with Client(shunt.port) as client:
            for _ in range(400):
                client.get("/")
        mirrored, _, skipped = self.totals(shunt)
        self.assertEqual(skipped, 0)
        self.assertTrue(55 <= mirrored <= 145, mirrored)  # Five standard deviations.


if __name__ == "__main__":
    main()
