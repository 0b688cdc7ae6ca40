#!/usr/bin/env python3
# Limits hold, and what is beyond them is refused or waits, never breaks: heads that are too large or too slow, clients
# that do not read or write, descriptors that run out, and memory that must not follow the size of bodies.
import collections
import threading

from harness import TIMEOUT, Client, ShuntTest, farm, free_port, main, response, signal, wait_until
from http1 import read_head

MEGABYTE = 1024 * 1024
SHORT = 'header_timeout = "200ms"\nbody_timeout = "200ms"\nsend_timeout = "500ms"\nkeep_alive_timeout = "300ms"\n'


def fields(count, size=10):
    return b"".join(b"X-%d: %s\r\n" % (i, b"v" * size) for i in range(count))


class HeadTest(ShuntTest):
    LISTENER = 'request_line_max = "1KiB"\nheader_max = "4KiB"\nheader_count_max = 50\n'
    REQUESTS = [
        ("a request line that just fits", b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 900), 200),
        ("a request line that is too long", b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 1100), 414),
        ("a request line without end", b"GET /" + b"x" * 3000, 414),
        ("a head that just fits", b"GET / HTTP/1.1\r\nHost: a\r\n" + fields(3, 1000) + b"\r\n", 200),
        ("a head that is too large", b"GET / HTTP/1.1\r\nHost: a\r\n" + fields(5, 1000) + b"\r\n", 431),
        ("a head without end", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8000, 431),
        ("as many fields as allowed", b"GET / HTTP/1.1\r\nHost: a\r\n" + fields(49) + b"\r\n", 200),
        ("one field more", b"GET / HTTP/1.1\r\nHost: a\r\n" + fields(50) + b"\r\n", 431),
        ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
        ("a version of its own", b"GET / HTTP/9.1\r\nHost: a\r\n\r\n", 505),
    ]

    def test_heads(self):
        shunt = self.shunt_before([self.origin()], listener=self.LISTENER)
        for description, raw, status in self.REQUESTS:
            with self.subTest(description), Client(shunt.port) as client:
                client.send(raw)
                self.assertEqual(client.response().status, status)
                if status != 200:
                    self.assertTrue(client.is_closed())
        shunt.stop()
        self.assertEqual([entry["reason"] for entry in shunt.access_log()],
                         ["done" if status == 200 else "bad_request" for _, _, status in self.REQUESTS])


class TimeTest(ShuntTest):
    def setUp(self):
        big = bytes(8 * MEGABYTE)
        self.server = self.origin(lambda request: response(body=big if request.target == "/big" else b"x"))
        self.proxy = self.shunt_before([self.server], listener=SHORT)

    def expect_reason(self, *reasons):
        self.proxy.stop()
        self.assertEqual([entry["reason"] for entry in self.proxy.access_log()], list(reasons))

    def test_slow_head(self):
        client = self.client(self.proxy.port)
        client.send(b"GET / HTTP/1.1\r\nHost")
        self.assertEqual(client.response().status, 408)
        self.assertTrue(client.is_closed())
        self.expect_reason("request_header_timeout")

    def test_silence_is_closed_without_an_answer(self):
        client = self.client(self.proxy.port)
        self.assertTrue(client.is_closed())
        self.expect_reason()

    def test_idle_connection_is_closed_without_an_answer(self):
        client = self.client(self.proxy.port)
        client.get("/")
        self.assertTrue(client.is_closed())
        self.expect_reason("done")

    def test_slow_body(self):
        client = self.client(self.proxy.port)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        self.assertEqual(client.response().status, 408)
        self.assertTrue(client.is_closed())
        self.expect_reason("request_body_timeout")

    def test_client_that_takes_nothing(self):
        client = self.client(self.proxy.port, receive_buffer=4096)
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: self.proxy.access_log(), "the end of patience")
        self.proxy.stop()
        # Slow, if its kernel took the last few bytes late.
        self.assertIn(self.proxy.access_log()[0]["reason"], ("client_send_timeout", "client_send_slow"))

    def test_requests_per_connection(self):
        client = self.client(self.shunt_before([self.server], listener="keep_alive_requests = 3").port)
        self.assertEqual([client.get("/").header("Connection") for _ in range(3)], [None, None, "close"])
        self.assertTrue(client.is_closed())


class DescriptorTest(ShuntTest):
    def test_more_clients_than_the_limit_wait_their_turn(self):
        shunt = self.shunt(farm(free_port(), [self.origin()], top="max_connections = 10"))
        shunt.send_signal(signal.SIGSTOP)  # So that all of them are there at once.
        clients = [self.client(shunt.port) for _ in range(60)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        shunt.send_signal(signal.SIGCONT)
        for client in clients[:10]:
            self.assertEqual(client.response().status, 200)
        self.assertTrue(clients[30].is_quiet(0.2))  # It waits: the first ten are still there.
        for client in clients[:10]:
            client.close()
        for client in clients[10:]:
            self.assertEqual(client.response().status, 200)
            client.close()
        shunt.stop()
        self.assertEqual([entry["status"] for entry in shunt.access_log()], [200] * 60)

    def test_out_of_descriptors(self):
        # More connections are allowed than there are descriptors: accepting pauses, and nobody is turned away.
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(request):
            if request.target == "/slow":
                release.wait(20)
            return response(body="x")

        origin = self.origin(answer)
        shunt = self.shunt(farm(free_port(), [origin], top="max_connections = 1000"), descriptors=100)
        busy = self.client(shunt.port)
        busy.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: origin.requests, "the slow request")
        crowd = [self.client(shunt.port) for _ in range(120)]
        shunt.wait_for_log("accepting pauses: out of file descriptors")
        self.assertLessEqual(shunt.descriptors(), 100)
        release.set()
        self.assertEqual(busy.response().status, 200)
        late = self.client(shunt.port)
        late.send(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in crowd[:60]:
            client.close()
        for client in crowd[60:]:  # Those that waited to be accepted are served like all others.
            self.assertEqual(client.get("/").status, 200)
        self.assertEqual(late.response().status, 200)

    def test_no_descriptor_for_a_server_connection(self):
        origin = self.origin()
        shunt = self.shunt(farm(free_port(), [origin], top="max_connections = 1000", pool="idle_connections = 0"),
                           descriptors=100)
        first = self.client(shunt.port)
        # Before descriptors run out, for UBSan too: it looks at an object that it does not know yet through a pipe.
        self.assertEqual(first.get("/").status, 200)
        crowd = [first, *(self.client(shunt.port) for _ in range(110))]
        shunt.wait_for_log("accepting pauses: out of file descriptors")
        answer = crowd[0].get("/")
        self.assertEqual((answer.status, "no_descriptor" in answer.text), (503, True))
        for client in crowd[1:]:
            client.close()
        wait_until(lambda: crowd[0].get("/").status == 200, "descriptors")


class MemoryTest(ShuntTest):
    """Bodies wait in the kernel, not in Shunt."""

    CLIENTS = 64
    BODY = bytes(16 * MEGABYTE)
    GROWTH_MAX = 16 * MEGABYTE  # All their bodies are a gigabyte.
    FRAMINGS = [
        ("length", b"Content-Length: %d\r\n\r\n" % len(BODY)),
        ("chunked", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY)),
    ]

    def growth(self, shunt, before, moved):
        """How much more memory there was at most, until `moved()`, a count of bytes, stands still."""
        most, last = 0, collections.deque(maxlen=100)

        def stands_still():
            nonlocal most
            last.append(moved())
            most = max(most, shunt.memory())
            return len(last) == last.maxlen and len(set(last)) == 1

        wait_until(stands_still, "bytes to stand still", 3 * TIMEOUT)
        return most - before

    def test_slow_readers(self):
        for description, framing in self.FRAMINGS:
            with self.subTest(description):
                sent = []

                def script(_, stream, __, framing=framing, sent=sent):
                    read_head(stream)
                    stream.send(b"HTTP/1.1 200 OK\r\n" + framing)
                    view = memoryview(self.BODY)
                    for start in range(0, len(view), 65536):
                        stream.send(view[start:start + 65536])
                        sent.append(65536)

                shunt = self.shunt_before([self.origin(script=script)], workers=2)
                before = shunt.memory()
                clients = [self.client(shunt.port, receive_buffer=4096) for _ in range(self.CLIENTS)]
                for client in clients:
                    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                for client in clients:
                    client.read_until(b"\r\n\r\n")
                self.assertLess(self.growth(shunt, before, lambda: len(sent)), self.GROWTH_MAX)
                self.assertLess(len(sent) * 65536, self.CLIENTS * len(self.BODY))  # They did wait.
                for client in clients:
                    client.close()
                shunt.stop()

    def test_slow_server(self):
        for description, framing in self.FRAMINGS:
            with self.subTest(description):
                release = threading.Event()
                origin = self.origin(script=lambda _, stream, __: (read_head(stream), release.wait(60)))
                shunt = self.shunt_before([origin], workers=2)
                before = shunt.memory()
                clients = [self.client(shunt.port) for _ in range(self.CLIENTS)]
                for client in clients:
                    client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
                    client.socket.setblocking(False)
                sent = [0] * len(clients)

                def push():
                    """As much as anybody takes; returns how much that is by now."""
                    for index, client in enumerate(clients):
                        try:
                            sent[index] += client.socket.send(memoryview(self.BODY)[:len(self.BODY) - sent[index]])
                        except BlockingIOError:
                            pass
                    return sum(sent)

                self.assertLess(self.growth(shunt, before, push), self.GROWTH_MAX)
                self.assertLess(sum(sent), self.CLIENTS * len(self.BODY))
                release.set()
                for client in clients:
                    client.close()
                shunt.stop()


if __name__ == "__main__":
    main()
