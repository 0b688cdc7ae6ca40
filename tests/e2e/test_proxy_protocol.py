# The PROXY protocol, in (who the client is, and who may say so) and out (what servers are told).
import socket
import struct

from harness import Client, ShuntTest, farm, free_port, main, read_response, response

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 203.0.113.9 5555 443\r\n"
V2 = SIGNATURE + b"\x21\x11\x00\x0c" + socket.inet_aton("192.0.2.8") + socket.inet_aton("203.0.113.9") + \
    struct.pack("!HH", 6666, 443)
V2_IPV6 = SIGNATURE + b"\x21\x21\x00\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + \
    socket.inet_pton(socket.AF_INET6, "2001:db8::9") + struct.pack("!HH", 7777, 443)
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

IN = 'proxy_protocol = true\nproxy_protocol_from = ["127.0.0.0/8"]'


def echo_forwarded(request):
    return response(200, request.header("x-forwarded-for").encode())


class In(ShuntTest):
    def answer(self, port, *pieces):
        client = self.client(port)
        for piece in pieces:
            client.send(piece)
        return client.response()

    def test_what_is_told_is_what_rules_logs_and_servers_see(self):
        rule = '[[rule]]\nname = "told"\nmatch = { source = ["192.0.2.8"] }\nrespond = { status = 418 }\n'
        shunt = self.shunt_before([self.origin(echo_forwarded)], listener=IN, rules=rule)
        self.assertEqual(self.answer(shunt.port, V1 + REQUEST).body, b"192.0.2.7")
        self.assertEqual(self.answer(shunt.port, V2_IPV6 + REQUEST).body, b"2001:db8::7")
        self.assertEqual(self.answer(shunt.port, V2 + REQUEST).status, 418)
        self.assertEqual(self.answer(shunt.port, LOCAL + REQUEST).body, b"127.0.0.1")
        self.assertEqual(self.answer(shunt.port, b"PROXY UNKNOWN\r\n" + REQUEST).body, b"127.0.0.1")
        clients = [(entry["client"], entry["client_port"]) for entry in shunt.wait_for_access_log(5)]
        self.assertEqual(clients[:3], [("192.0.2.7", 5555), ("2001:db8::7", 7777), ("192.0.2.8", 6666)])

    def test_a_header_in_pieces_and_requests_behind_it(self):
        shunt = self.shunt_before([self.origin(echo_forwarded)], listener=IN)
        for header in (V1, V2):
            client = self.client(shunt.port)
            for byte in header:
                client.send(bytes([byte]))
            for _ in range(3):
                client.send(REQUEST)
                self.assertIn(client.response().body, (b"192.0.2.7", b"192.0.2.8"))

    def test_what_is_no_header_is_refused_and_named(self):
        shunt = self.shunt_before([self.origin(echo_forwarded)], listener=IN)
        for bad in (REQUEST, b"PROXY TCP4 1 2 3 4\r\n", SIGNATURE + b"\x31\x11\x00\x00", b"\x16\x03\x01\x02\x00"):
            answer = self.answer(shunt.port, bad)
            self.assertEqual(answer.status, 400)
            self.assertIn(b"PROXY", answer.body)
        self.assertEqual({entry["reason"] for entry in shunt.wait_for_access_log(4)}, {"bad_proxy_header"})
        self.assertIn("without a PROXY header", shunt.access_log()[0]["detail"])

    def test_only_listed_sources_may_send_one(self):
        shunt = self.shunt_before([self.origin(echo_forwarded)],
                                  listener='proxy_protocol = true\nproxy_protocol_from = ["10.0.0.0/8", "::1"]')
        for first in (V1 + REQUEST, REQUEST):
            self.assertEqual(self.answer(shunt.port, first).status, 403)
        for entry in shunt.wait_for_access_log(2):
            self.assertEqual((entry["reason"], entry["client"]), ("proxy_source", "127.0.0.1"))

    def test_header_that_does_not_come(self):
        shunt = self.shunt_before([self.origin()], listener=IN + '\nheader_timeout = "200ms"')
        self.assertEqual(self.answer(shunt.port, V1[:10]).status, 408)
        self.client(shunt.port).close()  # A health check that only connects: no line of its own.
        entries = shunt.wait_for_access_log(1)
        self.assertEqual([entry["reason"] for entry in entries], ["request_header_timeout"])
        self.assertIn("PROXY", entries[0]["detail"])


class Out(ShuntTest):
    def first_bytes(self, send_proxy, requests=1, listener="", header=b""):
        """What a server gets first, on each of its connections, and how many bytes of it are the header."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        shunt = self.shunt_before([f"127.0.0.1:{server.getsockname()[1]}"], pool=f"send_proxy = {send_proxy}",
                                  listener=listener)
        client = self.client(shunt.port)
        client.send(header)
        begun = []
        for _ in range(requests):
            client.send(REQUEST)
            connection, _ = server.accept()
            connection.settimeout(10)
            received = b""
            while b"GET / " not in received:
                received += connection.recv(4096)
            begun.append(received[:received.index(b"GET / ")])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            self.assertEqual(client.response().status, 200)
            self.addCleanup(connection.close)
        return shunt, client, begun

    def test_version_1(self):
        shunt, client, begun = self.first_bytes(1, requests=2)
        source = client.socket.getsockname()
        expected = f"PROXY TCP4 127.0.0.1 127.0.0.1 {source[1]} {shunt.port}\r\n".encode()
        self.assertEqual(begun, [expected, expected])

    def test_version_2(self):
        shunt, client, begun = self.first_bytes(2)
        ends = socket.inet_aton("127.0.0.1") * 2 + struct.pack("!HH", client.socket.getsockname()[1], shunt.port)
        self.assertEqual(begun, [SIGNATURE + b"\x21\x11\x00\x0c" + ends])

    def test_what_came_in_goes_on(self):
        for version, header in ((1, V1), (2, V2)):
            with self.subTest(version=version):
                _, _, begun = self.first_bytes(version, listener=IN, header=header)
                self.assertEqual(begun, [header])

    def test_two_of_ours_in_a_row(self):
        origin = self.origin(echo_forwarded)
        inner_port, outer_port = free_port(), free_port()
        inner = farm(inner_port, [origin], listener=IN)
        text = inner.replace("[[rule]]", f"""[[listener]]
name = "outer"
bind = "127.0.0.1:{outer_port}"
[[rule]]
name = "on"
listener = ["outer"]
pool = "inner"
[[rule]]""", 1) + f"""
[pool.inner]
send_proxy = 2
forwarded = false
[[pool.inner.server]]
address = "127.0.0.1:{inner_port}"
"""
        shunt = self.shunt(text)
        client = Client(outer_port)
        self.addCleanup(client.close)
        client.send(REQUEST)
        self.assertEqual(client.response().body, b"127.0.0.1")
        ports = {entry["client_port"] for entry in shunt.wait_for_access_log(2)}
        self.assertEqual(len(ports), 1)


if __name__ == "__main__":
    main()
