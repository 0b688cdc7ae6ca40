#!/usr/bin/env python3
# What a user of curl, nginx and browsers takes for granted of HTTP through a proxy: methods, bodies of every framing
# byte for byte, keep-alive, ranges, 100-continue, the forwarding fields, and sockets of every kind.
import hashlib
import os
import re
import socket
import threading
import time
from email.utils import parsedate_to_datetime

from harness import ShuntTest, Stream, curl, farm, free_port, main, read_response, response, wait_until
from http1 import read_head, read_request

MEGABYTE = 1024 * 1024


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class NginxTest(ShuntTest):
    """curl → Shunt → nginx."""

    def setUp(self):
        self.big = os.urandom(10 * MEGABYTE)
        gzip = "gzip on; gzip_types text/plain; gzip_min_length 1; gzip_proxied any;"
        origin = self.nginx({"index.html": b"index\n", "big.bin": self.big, "text.txt": b"a text\n" * 1000},
                                        extra=gzip)
        self.proxy = self.shunt_before([origin])
        self.port = self.proxy.port

    def test_methods(self):
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            with self.subTest(method):
                done = curl(self.port, "/echo-method", "--request", method)
                self.assertEqual((done.exit_code, done.status, done.body), (0, 200, method.encode() + b"\n"))
        head = curl(self.port, "/", "--head")
        self.assertEqual((head.exit_code, head.status), (0, 200))
        self.assertIn(b"Content-Length: 6\r\n", head.body)

    def test_ten_megabytes_down(self):
        for version in ("--http1.1", "--http1.0"):
            with self.subTest(version):
                done = curl(self.port, "/big.bin", version)
                self.assertEqual((done.exit_code, sha256(done.body)), (0, sha256(self.big)))

    def test_range(self):
        done = curl(self.port, "/big.bin", "--range", "1000000-1999999")
        self.assertEqual((done.status, done.body), (206, self.big[1000000:2000000]))

    def test_gzip_is_passed_through(self):
        plain = curl(self.port, "/text.txt")
        packed = curl(self.port, "/text.txt", "--compressed")
        raw = curl(self.port, "/text.txt", "--header", "Accept-Encoding: gzip")
        self.assertEqual((plain.body, packed.body), (b"a text\n" * 1000,) * 2)
        self.assertEqual(raw.body[:2], b"\x1f\x8b")

    def test_conditional_request(self):
        tag = re.search(rb"ETag: (\S+)", curl(self.port, "/", "--head").body).group(1).decode()
        self.assertEqual(curl(self.port, "/", "--header", f"If-None-Match: {tag}").status, 304)

    def test_connection_is_kept(self):
        done = curl(self.port, "/", f"http://127.0.0.1:{self.port}/echo-method")
        self.assertEqual((done.exit_code, done.body), (0, b"GET\nindex\n"))
        first, second = self.proxy.wait_for_access_log(2)
        self.assertEqual(first["client_port"], second["client_port"])
        self.assertEqual((first["reused"], second["reused"]), (False, True))

    def test_http10_with_keep_alive(self):
        client = self.client(self.port)
        for _ in range(3):
            client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            self.assertEqual((answer.body, answer.header("Connection")), (b"index\n", "keep-alive"))
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        self.assertEqual(client.response().header("Connection"), "close")
        self.assertTrue(client.is_closed())

    def test_http10_without_host_gets_the_servers_address(self):
        origin = self.origin()
        shunt = self.shunt_before([origin])
        client = self.client(shunt.port)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(origin.requests[0].header("Host"), origin.address)

    def test_every_answer_has_a_date(self):
        origin = self.origin(lambda request: response(
            headers=[("Date", "Sun, 06 Nov 1994 08:49:37 GMT")] if request.target == "/dated" else []))
        shunt = self.shunt(farm(free_port(), [origin], rules=(
            '[[rule]]\nmatch = { path = "/own" }\nrespond = { status = 204 }\n')))
        client = self.client(shunt.port)
        self.assertEqual(client.get("/dated").header("Date"), "Sun, 06 Nov 1994 08:49:37 GMT")
        for path in ("/bare", "/own"):
            with self.subTest(path):
                date = parsedate_to_datetime(client.get(path).header("Date"))
                self.assertLess(abs(date.timestamp() - time.time()), 60)


class UploadTest(ShuntTest):
    """Uploads, to an origin that keeps what it got."""

    def setUp(self):
        self.big = os.urandom(10 * MEGABYTE)
        (self.folder / "big.bin").write_bytes(self.big)
        self.recorder = self.origin(lambda request: response(201, sha256(request.body)))
        self.port = self.shunt_before([self.recorder]).port

    UPLOADS = [
        ("POST with a length", ["--data-binary", "@{}"]),
        ("PUT with a length", ["--upload-file", "{}"]),
        ("PUT in chunks", ["--upload-file", "{}", "--header", "Transfer-Encoding: chunked"]),
        ("POST in chunks", ["--data-binary", "@{}", "--header", "Transfer-Encoding: chunked"]),
        ("POST after 100-continue", ["--data-binary", "@{}", "--header", "Expect: 100-continue"]),
    ]

    def test_ten_megabytes_up(self):
        for description, options in self.UPLOADS:
            with self.subTest(description):
                # Left alone, curl asks for 100-continue and waits a second for it.
                options = ["--header", "Expect:", *options] if "Expect" not in str(options) else options
                done = curl(self.port, "/up", *[option.format(self.folder / "big.bin") for option in options])
                self.assertEqual((done.exit_code, done.status, done.body.decode()), (0, 201, sha256(self.big)))

    def test_server_decides_on_100_continue(self):
        def script(_, stream, __):
            while read_head(stream).target == "/yes":
                stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                stream.send(response(200, stream.read(4)))
            stream.send(response(417, "no\n", reason="Expectation Failed"))

        port = self.shunt_before([self.origin(script=script)]).port
        head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        asking = self.client(port)
        asking.send(head % b"/yes")
        self.assertEqual(read_head(asking).status, 100)  # Before a byte of the body has left.
        asking.send(b"body")
        self.assertEqual(asking.response().body, b"body")
        refused = self.client(port)
        refused.send(head % b"/no")
        answer = refused.response()
        self.assertEqual((answer.status, answer.interim), (417, []))

    def test_trailers_pass_both_ways(self):
        chunked = (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
        seen = self.origin(lambda _: b"HTTP/1.1 200 OK\r\n" + chunked)
        client = self.client(self.shunt_before([seen]).port)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + chunked)
        for message in (client.response("POST"), seen.requests[0]):
            self.assertEqual((message.body, message.trailers), (b"hello", [("X-Sum", "1")]))


class ForwardedTest(ShuntTest):
    """What the server sees."""

    def seen(self, raw, pool=""):
        recorder = self.origin()
        with self.client(self.shunt_before([recorder], pool=pool).port) as client:
            client.send(raw)
            self.assertEqual(client.response().status, 200)
        [request] = recorder.requests
        return request, recorder

    def test_forwarding_fields(self):
        request, _ = self.seen(b"GET / HTTP/1.1\r\nHost: www.example.com\r\nX-Forwarded-For: 192.0.2.1\r\n"
                               b"X-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n\r\n")
        self.assertEqual(
            [request.header(name) for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via")],
            ["192.0.2.1, 127.0.0.1", "http", "www.example.com", "1.1 shunt"])
        self.assertEqual(request.header("Forwarded"),
                         'for=192.0.2.1, for=127.0.0.1;host="www.example.com";proto=http')

    def test_without_forwarding_fields(self):
        request, _ = self.seen(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", pool="forwarded = false")
        self.assertEqual(request.headers, [("Host", "a")])

    def test_host(self):
        for setting, expected in (('"pass"', "a.example"), ('"server"', None), ('{ set = "b.example" }', "b.example")):
            with self.subTest(setting):
                request, recorder = self.seen(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
                                              pool=f"host_header = {setting}")
                self.assertEqual(request.header("Host"), expected or recorder.address)

    def test_hop_by_hop_fields_stay_on_their_hop(self):
        request, _ = self.seen(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
            b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTE: trailers\r\nUpgrade: h2c\r\n"
            b"X-End: 1\r\n\r\n", pool="forwarded = false")
        self.assertEqual(request.headers, [("Host", "a"), ("X-End", "1")])

    def test_hop_by_hop_fields_of_the_answer(self):
        recorder = self.origin(lambda _: response(headers=[
            ("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("X-End", "1")]))
        answer = self.client(self.shunt_before([recorder], pool="forwarded = false").port).get("/")
        self.assertEqual([field for field in answer.headers if field[0] != "Date"],
                         [("X-End", "1"), ("Content-Length", "0")])

    TARGETS = [
        ("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "a"),
        ("absolute form", b"GET http://b.example:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "/x?y", "b.example:81"),
        ("absolute form without path", b"GET http://b.example HTTP/1.1\r\nHost: a\r\n\r\n", "/", "b.example"),
        ("percent-encoding stays", b"GET /a%2Fb/%7e?q=%20 HTTP/1.1\r\nHost: a\r\n\r\n", "/a%2Fb/%7e?q=%20", "a"),
    ]

    def test_targets(self):
        for description, raw, target, host in self.TARGETS:
            with self.subTest(description):
                request, _ = self.seen(raw)
                self.assertEqual((request.target, request.header("Host")), (target, host))


class SocketTest(ShuntTest):
    """Listeners and servers on unix sockets and IPv6."""

    def test_unix_listener_and_unix_server(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.folder / "origin.sock"))
            server.listen(8)
            threading.Thread(target=self._serve, args=(server,), daemon=True).start()
            port = free_port()
            config = farm(port, [f"unix:{self.folder}/origin.sock"])
            front = self.folder / "front.sock"
            self.shunt(config.replace("[[rule]]", f'[[listener]]\nname = "local"\nbind = "unix:{front}"\n[[rule]]'))
            wait_until(front.exists, "the unix listener")
            for options in ((), ("--unix-socket", str(front))):
                with self.subTest(options=options):
                    done = curl(port, "/", *options)
                    client = "unknown" if options else "127.0.0.1"
                    self.assertEqual((done.exit_code, done.status, done.body.decode()), (0, 200, f"{client}\n"))

    @staticmethod
    def _serve(server):
        while True:
            try:
                stream = Stream(server.accept()[0])
            except OSError:
                return
            with stream:
                request = read_request(stream)
                stream.send(response(body=request.header("X-Forwarded-For") + "\n", headers=[("Connection", "close")]))

    def test_ipv6(self):
        recorder = self.origin()
        port = free_port()
        self.shunt(farm(port, [recorder]).replace(f'"127.0.0.1:{port}"', f'["127.0.0.1:{port}", "[::1]:{port}"]'))
        with Stream(socket.create_connection(("::1", port))) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(read_response(client).status, 200)
        self.assertEqual(recorder.requests[0].header("X-Forwarded-For"), "::1")
        self.assertIn('for="[::1]"', recorder.requests[0].header("Forwarded"))


if __name__ == "__main__":
    main()
