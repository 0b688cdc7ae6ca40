#!/usr/bin/env python3
# The harness's own tests: its HTTP reader, client and origins against each other, with no Shunt between them.
import socket
import subprocess

from harness import (Client, Closed, ShuntTest, Stream, Wrk, curl, farm, free_ports, get, listening_ports, main,
                     parse_wrk, response, unittest, wait_until, wait_until_listening, wrk)
from harness import bound_ports
from http1 import read_request


def stream_of(data, close=True):
    """A stream on which `data` has arrived."""
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    if close:
        theirs.close()
    return Stream(ours), theirs


class ReaderTest(unittest.TestCase):
    REQUESTS = [
        ("no body", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        ("a length", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        ("chunks", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", b"abcd"),
        ("trailers", b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", b""),
    ]

    def test_requests_are_kept_byte_for_byte_and_in_order(self):
        stream, _ = stream_of(b"".join(raw for _, raw, _ in self.REQUESTS))
        with stream:
            for description, raw, body in self.REQUESTS:
                with self.subTest(description):
                    request = read_request(stream)
                    self.assertEqual((request.raw, request.body), (raw, body))
            self.assertIsNone(read_request(stream))

    def test_trailers_are_told_from_headers(self):
        stream, _ = stream_of(self.REQUESTS[3][1])
        with stream:
            request = read_request(stream)
        self.assertEqual(request.trailers, [("X-Sum", "1")])
        self.assertIsNone(request.header("X-Sum"))

    BROKEN = [
        ("a head cut short", b"GET / HTTP/1.1\r\nHost", Closed),
        ("a body cut short", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", Closed),
        ("a chunk longer than its size", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
         ValueError),
        ("a chunk size that is none", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", ValueError),
        ("no colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n", ValueError),
    ]

    def test_broken_requests_are_refused(self):
        for description, raw, error in self.BROKEN:
            stream, _ = stream_of(raw)
            with self.subTest(description), stream, self.assertRaises(error):
                read_request(stream)

    def test_silence_ends_at_the_deadline(self):
        stream, theirs = stream_of(b"GET", close=False)
        with stream, theirs, self.assertRaises(TimeoutError):
            read_request(stream, timeout=0.05)

    def test_quiet(self):
        stream, theirs = stream_of(b"", close=False)
        with stream, theirs:
            self.assertTrue(stream.is_quiet(0.02))
            theirs.sendall(b"x")
            self.assertFalse(stream.is_quiet(1))


class OriginTest(ShuntTest):
    def test_answers_and_records(self):
        origin = self.origin(lambda request: response(201, request.body, [("X-Seen", request.target)], "Created"))
        client = self.client(origin.port)
        answer = client.request("POST", "/a", [("X-One", "1")], b"body")
        self.assertEqual((answer.status, answer.body, answer.header("x-seen")), (201, b"body", "/a"))
        self.assertEqual(client.get("/b").header("X-Seen"), "/b")
        self.assertEqual([(r.method, r.target, r.connection) for r in origin.requests],
                         [("POST", "/a", 0), ("GET", "/b", 0)])
        self.assertEqual(origin.requests[0].raw,
                         b"POST /a HTTP/1.1\r\nHost: test\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody")
        self.assertEqual(get(origin.port, "/c").status, 201)
        self.assertEqual(origin.connections, 2)

    def test_interim_and_bodiless_answers(self):
        def script(_, stream, __):
            read_request(stream)
            stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            read_request(stream)
            stream.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")
            read_request(stream)
            stream.send(b"HTTP/1.0 200 OK\r\n\r\nto the end")

        client = self.client(self.origin(script=script).port)
        head = client.request("HEAD", "/")
        self.assertEqual((head.status, head.body, [i.status for i in head.interim]), (200, b"", [103]))
        self.assertEqual(client.get("/").status, 304)
        self.assertEqual(client.get("/").body, b"to the end")

    def test_reset_is_seen_and_is_not_an_error_of_the_origin(self):
        origin = self.origin(script=lambda _, stream, __: (read_request(stream), stream.reset()))
        with self.assertRaises(ConnectionResetError):
            get(origin.port)
        self.assertEqual(origin.errors, [])

    def test_broken_request_is_recorded_as_error(self):
        origin = self.origin()
        with Client(origin.port) as client:
            client.send(b"GET / HTTP/1.1\r\nnonsense\r\n\r\n")
            self.assertTrue(client.is_closed())
        wait_until(lambda: origin.errors, "the error")
        self.assertEqual(origin.requests, [])
        origin.errors.clear()

    def test_request_cut_short_is_no_error(self):
        origin = self.origin()
        with Client(origin.port) as client:
            client.send(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc")
        wait_until(lambda: origin.cut_short, "the rest of the request")
        self.assertEqual(origin.cut_short, [b"abc"])

    def test_script_that_fails_is_an_error(self):
        origin = self.origin(script=lambda _, stream, __: {}["missing"])
        with Client(origin.port):
            wait_until(lambda: origin.errors, "the error")
        self.assertIsInstance(origin.errors[0], KeyError)
        origin.errors.clear()

    def test_stop_refuses_and_start_serves_again(self):
        origin = self.origin()
        client = self.client(origin.port)
        client.get("/")
        origin.stop()
        self.assertTrue(client.is_closed())
        with self.assertRaises(ConnectionRefusedError):
            get(origin.port)
        origin.start()
        self.assertEqual(get(origin.port).status, 200)

    def test_close_connections(self):
        origin = self.origin()
        client = self.client(origin.port)
        client.get("/")
        origin.close_connections()
        self.assertTrue(client.is_closed())
        self.assertEqual(get(origin.port).status, 200)


class NginxTest(ShuntTest):
    def test_serves_files_and_logs_requests(self):
        nginx = self.nginx({"index.html": b"hello\n", "img/a.png": b"\x89PNG" * 1000}, name="n1")
        answer = get(nginx.port, "/img/a.png")
        self.assertEqual((answer.status, answer.header("X-Origin"), answer.body), (200, "n1", b"\x89PNG" * 1000))
        self.assertEqual(get(nginx.port, "/none").status, 404)
        nginx.wait_for_requests(2)
        self.assertEqual(nginx.requests(), [("GET", "/img/a.png", 200), ("GET", "/none", 404)])

    def test_takes_uploads(self):
        answer = self.client(self.nginx().port).request("POST", "/upload", body=b"x" * 300000)
        self.assertEqual((answer.status, answer.text), (200, "300000\n"))

    def test_curl_and_wrk(self):
        nginx = self.nginx()
        done = curl(nginx.port, "/", "--head")
        self.assertEqual((done.exit_code, done.status), (0, 200))
        self.assertEqual(curl(nginx.port, "/status/500", "--fail").exit_code, 22)
        load = wrk(nginx.port, seconds=1, connections=2)
        self.assertGreater(load.requests, 100)
        self.assertEqual(load.failed, 0)

    def test_wrk_reports_failures(self):
        nginx = self.nginx()
        load = Wrk(nginx.port, "/status/500", seconds=1, connections=2).result()
        self.assertEqual(load.bad_status, load.requests)

    def test_ends_with_its_test(self):
        nginx = self.nginx()
        nginx.stop()
        self.assertNotIn(nginx.port, listening_ports())


class WaitingTest(unittest.TestCase):
    def test_ports_are_distinct_and_free(self):
        ports = free_ports(50)
        self.assertEqual(len(set(ports)), 50)
        self.assertFalse(listening_ports() & set(ports))

    def test_listening_ports(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.assertIn(server.getsockname()[1], listening_ports())

    def test_process_that_ends_instead_of_listening(self):
        with subprocess.Popen(["false"]) as process, self.assertRaisesRegex(RuntimeError, "exit code 1"):
            wait_until_listening(process, free_ports(1))

    def test_deadline(self):
        with self.assertRaisesRegex(TimeoutError, "a miracle"):
            wait_until(lambda: False, "a miracle", timeout=0.01)


class ParsingTest(unittest.TestCase):
    def test_ports_of_a_farm(self):
        self.assertEqual(bound_ports(farm(8080, ["127.0.0.1:1"])), [8080])

    def test_wrk_output(self):
        result = parse_wrk("""Running 1s test @ http://127.0.0.1:1/
  5 requests in 1.10s, 1.00KB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:    4.55
Transfer/sec:    0.91KB
""")
        self.assertEqual((result.requests, result.requests_per_second, result.failed), (5, 4.55, 15))

    def test_not_wrk_output(self):
        with self.assertRaises(ValueError):
            parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


if __name__ == "__main__":
    main()
