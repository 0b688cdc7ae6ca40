#!/usr/bin/env python3
# What becomes of a request when a server or the client fails. The promise: a failure before the answer has begun is an
# error page that names the reason, one after it is a connection that visibly ends early; a request is tried again where
# nothing of it was sent (a refused connect), and on a fresh connection where a kept one died before a byte of the
# answer came and the method is idempotent. Nothing else is repeated.
import random
import socket

from harness import Client, Closed, ShuntTest, free_port, get, main, response, wait_until, wrk, Wrk
from http1 import read_request

TIMEOUTS = 'connect_timeout = "300ms"\nresponse_timeout = "300ms"\nserver_timeout = "300ms"\n'


def after_request(*actions):
    """A script: reads a request, sends the bytes among `actions`, and resets or waits for the end where they say so."""
    def script(origin, stream, index):
        origin.record(read_request(stream), index)
        for action in actions:
            if action == "reset":
                return stream.reset()
            if action == "silence":
                stream.read_to_end(30)
            else:
                stream.send(action)

    return script


class FailureTest(ShuntTest):
    BEFORE_THE_ANSWER = [
        ("closes", after_request(), 502, "server_closed"),
        ("resets", after_request("reset"), 502, "server_reset"),
        ("sends garbage", after_request(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), 502, "server_bad_response"),
        ("sends two lengths", after_request(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 502, "server_bad_response"),
        ("breaks the chunks at once", after_request(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"), 502, "server_bad_response"),
        ("closes in the head", after_request(b"HTTP/1.1 200 OK\r\nContent-"), 502, "server_truncated"),
        ("says nothing", after_request("silence"), 504, "response_timeout"),
        ("says half a head", after_request(b"HTTP/1.1 200 OK\r\n", "silence"), 504, "response_timeout"),
    ]

    def expect_error_page(self, port, shunt, status, reason):
        answer = get(port)
        self.assertEqual(answer.status, status)
        self.assertRegex(answer.text, rf"^{status} .*\n{reason}: .*\.\n$")
        self.expect_entry(shunt, status, reason)

    def expect_entry(self, shunt, status, reason):
        shunt.stop()
        [entry] = shunt.access_log()
        self.assertEqual((entry["status"], entry["reason"]), (status, reason))
        (self.folder / "access.log").unlink()

    def test_before_the_answer(self):
        for description, script, status, reason in self.BEFORE_THE_ANSWER:
            with self.subTest(description):
                origin = self.origin(script=script)
                shunt = self.shunt_before([origin], pool=TIMEOUTS)
                self.expect_error_page(shunt.port, shunt, status, reason)
                self.assertEqual(len(origin.requests), 1)  # Once: the connection was a fresh one.

    def test_refused(self):
        shunt = self.shunt_before([f"127.0.0.1:{free_port()}"])
        self.expect_error_page(shunt.port, shunt, 502, "connect_refused")

    def test_connect_that_hangs(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
                self.addCleanup(filler.close)
            shunt = self.shunt_before([f"127.0.0.1:{full.getsockname()[1]}"], pool=TIMEOUTS)
            self.expect_error_page(shunt.port, shunt, 504, "connect_timeout")

    CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    BIG_CHUNK = b"80000\r\n" + bytes(0x80000) + b"\r\n"  # More than waits anywhere: the client has some of it.
    LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
    IN_THE_BODY = [
        ("closes before the length", after_request(LENGTH), "server_truncated"),
        ("resets before the length", after_request(LENGTH, "reset"), "server_reset"),
        ("closes before the last chunk", after_request(CHUNKED), "server_truncated"),
        ("breaks the chunks", after_request(CHUNKED, BIG_CHUNK, b"nonsense\r\n", "silence"), "server_bad_response"),
        ("stops in the middle", after_request(LENGTH, "silence"), "server_timeout"),
    ]

    def test_in_the_body(self):
        for description, script, reason in self.IN_THE_BODY:
            for version in ("1.1", "1.0"):
                with self.subTest(description, version=version):
                    shunt = self.shunt_before([self.origin(script=script)], pool=TIMEOUTS)
                    client = self.client(shunt.port)
                    client.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
                    with self.assertRaises((Closed, ConnectionResetError)):  # Never a body that seems complete.
                        client.response()
                    self.expect_entry(shunt, 200, reason)


class RetryTest(ShuntTest):
    def dying(self, *, answers):
        """An origin each of whose connections answers so many requests, reads one more, and closes."""
        def script(origin, stream, index):
            for _ in range(answers):
                if (request := read_request(stream)) is None:
                    return
                origin.record(request, index)
                stream.send(response(body=request.method))
            if (request := read_request(stream)) is not None:
                origin.record(request, index)

        return self.origin(script=script)

    METHODS = [("GET", True), ("HEAD", True), ("OPTIONS", True), ("PUT", True), ("DELETE", True), ("POST", False),
               ("PATCH", False), ("FROB", False)]

    def test_kept_connection_that_dies(self):
        for method, repeated in self.METHODS:
            with self.subTest(method):
                origin = self.dying(answers=1)
                shunt = self.shunt_before([origin])
                client = self.client(shunt.port)
                client.get("/first")
                answer = client.request(method, "/second")
                self.assertEqual(answer.status, 200 if repeated else 502)
                seen = [request.target for request in origin.requests]
                self.assertEqual(seen, ["/first", "/second", "/second"] if repeated else ["/first", "/second"])
                shunt.stop()

    def test_body_is_sent_again_whole(self):
        origin = self.dying(answers=1)
        client = self.client(self.shunt_before([origin]).port)
        client.get("/first")
        self.assertEqual(client.request("PUT", "/second", body=b"x" * 1000).status, 200)
        self.assertEqual([request.body for request in origin.requests], [b"", b"x" * 1000, b"x" * 1000])

    def test_connections_that_close_at_random_lose_no_get(self):
        dice = random.Random(1)

        def script(origin, stream, index):
            for _ in range(dice.randint(1, 6)):
                if read_request(stream, 60) is None:
                    return
                stream.send(response(body="x" * dice.randint(0, 3000)))
            if dice.random() < 0.5:
                read_request(stream, 60)  # One more is read and never answered.

        shunt = self.shunt_before([self.origin(script=script)], workers=2)
        load = wrk(shunt.port, seconds=2, connections=8)
        self.assertGreater(load.requests, 100)
        self.assertEqual(load.failed, 0, load)
        shunt.stop()
        # wrk's end leaves requests behind, for ours to cut off.
        self.assertRegex(shunt.log(), r"; ended: done \d+(, (client_\w+|shutdown) \d+)*\n")
        self.assertNotIn(" 0 retried", shunt.log())

    def test_server_that_crashes_under_load(self):
        # Promised are requests that had not begun on it. One that had, on a connection that was fresh, may fail: it is
        # not known to be safe to repeat. Each connection of the load has one such request at most.
        doomed, other = self.nginx(name="doomed"), self.nginx(name="other")
        shunt = self.shunt_before([doomed, other], workers=2)
        load = Wrk(shunt.port, seconds=2, connections=16)
        wait_until(lambda: len(shunt.access_log()) > 200, "the load")
        doomed.kill()
        result = load.result()
        shunt.stop()
        failed = [entry for entry in shunt.access_log() if entry["reason"] != "done"]
        # wrk's end, which may leave requests for ours.
        failed = [entry for entry in failed if not entry["reason"].startswith(("client_", "shutdown"))]
        self.assertLessEqual(len(failed), 16)
        for entry in failed:
            self.assertFalse(entry["reused"], entry)
            self.assertIn(entry["reason"], ("server_closed", "server_reset", "server_truncated"))
        self.assertLessEqual(result.failed, len(failed))
        self.assertGreater(sum(entry["server"] == "s2" for entry in shunt.access_log()), 200)


class ClientTest(ShuntTest):
    def test_clients_that_go_away_leave_nothing_behind(self):
        size = 20_000_000
        nginx = self.nginx({"big": bytes(size)})
        shunt = self.shunt_before([nginx], pool="idle_connections = 0")
        get(shunt.port, "/none")
        wait_until(lambda: shunt.sockets() == 1, "the listener alone")
        for number in range(30):
            client = Client(shunt.port)
            client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_until(b"\r\n\r\n")
            client.reset() if number % 2 else client.close()
        entries = shunt.wait_for_access_log(31)[1:]
        self.assertEqual({entry["reason"] for entry in entries}, {"client_reset"})
        self.assertLess(max(entry["bytes_out"] for entry in entries), size)
        wait_until(lambda: shunt.sockets() == 1, "the end of all connections")

    def test_upload_that_breaks_off(self):
        origin = self.origin()
        shunt = self.shunt_before([origin])
        client = self.client(shunt.port)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        wait_until(lambda: origin.connections, "the request")
        client.close()
        [entry] = shunt.wait_for_access_log(1)
        self.assertIn(entry["reason"], ("client_closed", "client_reset"))
        wait_until(lambda: origin.cut_short, "the end at the server")
        self.assertEqual(origin.requests, [])


if __name__ == "__main__":
    main()
