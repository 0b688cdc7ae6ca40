# Tunnels: WebSocket connections through Shunt, with a real implementation on both ends and with raw bytes.
import asyncio
import os
import socket
import threading

import websockets

from harness import TIMEOUT, ShuntTest, main, response
from tls import TlsClient, client_context, make_certificate

UPGRADE = (b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
           b"Sec-WebSocket-Key: x\r\n\r\n")
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Echo:
    """A WebSocket server in a thread of its own that sends each message back."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,))
        self.thread.start()
        started.wait(TIMEOUT)

    def _run(self, started):
        asyncio.set_event_loop(self.loop)

        async def echo(connection, *_):
            async for message in connection:
                await connection.send(message)

        async def serve():
            self.done = asyncio.Event()
            async with websockets.serve(echo, "127.0.0.1", 0, max_size=None, compression=None) as server:
                self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
                started.set()
                await self.done.wait()

        self.loop.run_until_complete(serve())
        self.loop.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.done.set)
        self.thread.join(TIMEOUT)


class WebSocket(ShuntTest):
    def test_messages_of_all_sizes_on_many_connections(self):
        echo = Echo()
        self.addCleanup(echo.stop)
        shunt = self.shunt_before([echo])
        sizes = [1, 125, 126, 65_535, 65_536, 300_000, 3_000_000]

        async def talk(number):
            url = f"ws://127.0.0.1:{shunt.port}/"
            async with websockets.connect(url, max_size=None, compression=None) as connection:
                for size in sizes[number % 2:]:
                    message = bytes([number]) * size
                    await connection.send(message)
                    self.assertEqual(await asyncio.wait_for(connection.recv(), TIMEOUT), message)
                await connection.send("text")
                self.assertEqual(await connection.recv(), "text")

        async def talk_all():
            await asyncio.gather(*(talk(number) for number in range(20)))

        asyncio.run(talk_all())
        for entry in shunt.wait_for_access_log(20):
            self.assertEqual((entry["status"], entry["reason"], entry["server"]), (101, "done", "s1"))
            self.assertGreater(entry["bytes_in"], sum(sizes[1:]))
            self.assertGreater(entry["bytes_out"], sum(sizes[1:]))


    def test_over_tls(self):
        """Nothing can be spliced, and what is decrypted already waits in no socket."""
        certificate = make_certificate(self.folder, "site", ["localhost"])
        echo = Echo()
        self.addCleanup(echo.stop)
        tls = f'tls = {{ certificate = "{certificate.path}", key = "{certificate.key}" }}'
        shunt = self.shunt_before([echo], listener=tls)

        async def talk():
            context = client_context(certificate, alpn=["http/1.1"])
            async with websockets.connect(f"wss://localhost:{shunt.port}/", ssl=context, max_size=None,
                                          compression=None) as connection:
                for size in (1, 16_384, 70_000, 2_000_000):
                    message = bytes(size)
                    await connection.send(message)
                    self.assertEqual(await asyncio.wait_for(connection.recv(), TIMEOUT), message)

        asyncio.run(talk())
        entry = shunt.wait_for_access_log(1)[0]
        self.assertEqual((entry["scheme"], entry["sni"], entry["status"]), ("https", "localhost", 101))


class RawTunnel(ShuntTest):
    """The server is a socket of the test's own."""

    def begin(self, pool="", **options):
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(TIMEOUT)
        self.addCleanup(server.close)
        self.shunt_ = self.shunt_before([f"127.0.0.1:{server.getsockname()[1]}"], pool=pool, **options)
        self.server = server
        return self.client(self.shunt_.port)

    def accept(self):
        """The server's end of the next connection, and the head of the request on it."""
        connection, _ = self.server.accept()
        self.addCleanup(connection.close)
        connection.settimeout(TIMEOUT)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        return connection, head

    def test_heads_and_half_closes(self):
        client = self.begin()
        client.send(UPGRADE)
        server, head = self.accept()
        self.assertIn(b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", head)
        self.assertEqual(head.lower().count(b"upgrade:"), 1)
        server.sendall(AGREED + b"first")
        answer = client.read_until(b"first")
        self.assertIn(b"HTTP/1.1 101 Switching Protocols\r\n", answer)
        self.assertIn(b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", answer)
        client.send(b"up")
        self.assertEqual(server.recv(100), b"up")
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(client.read_to_end(), b"")
        client.send(b"still up")
        self.assertEqual(server.recv(100), b"still up")
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(server.recv(100), b"")
        entry = self.shunt_.wait_for_access_log(1)[0]
        self.assertEqual((entry["status"], entry["reason"]), (101, "done"))

    def test_half_close_over_tls(self):
        certificate = make_certificate(self.folder, "site", ["localhost"])
        self.begin(listener=f'tls = {{ certificate = "{certificate.path}", key = "{certificate.key}" }}').close()
        with TlsClient(self.shunt_.port, context=client_context(certificate, alpn=["http/1.1"])) as client:
            client.send(UPGRADE)
            server, _ = self.accept()
            server.sendall(AGREED + b"first")
            client.read_until(b"first")
            server.shutdown(socket.SHUT_WR)
            self.assertEqual(client.read_to_end(), b"")
            client.send(b"still up")
            self.assertEqual(server.recv(100), b"still up")

    def test_nothing_goes_on_before_the_server_agrees(self):
        client = self.begin()
        client.send(UPGRADE + b"early")
        server, _ = self.accept()
        server.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            server.recv(100)
        server.settimeout(TIMEOUT)
        server.sendall(AGREED)
        self.assertEqual(server.recv(100), b"early")

    def test_any_other_answer_goes_on_as_http(self):
        client = self.begin()
        client.send(UPGRADE + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        server, _ = self.accept()
        server.sendall(response(403, b"no"))
        self.assertEqual(client.response().status, 403)
        head = b""
        while b"\r\n\r\n" not in head:
            head += server.recv(100)
        self.assertTrue(head.startswith(b"GET /next "), head)
        server.sendall(response(200, b"yes"))
        self.assertEqual(client.response().body, b"yes")

    def test_what_is_not_offered(self):
        offers = [
            ("", b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
            ("", b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n"),
            ("", b"Connection: keep-alive\r\nUpgrade: websocket\r\n"),
            ("", b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\nUpgrade: h2c\r\n"),
            ('upgrade = "none"', b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
        ]
        for pool, fields in offers:
            with self.subTest(fields=fields, pool=pool):
                client = self.begin(pool)
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
                server, head = self.accept()
                self.assertNotIn(b"upgrade", head.lower())
                server.sendall(AGREED)
                self.assertEqual(client.response().status, 502)

    def test_another_protocol_than_the_one_offered(self):
        client = self.begin()
        client.send(UPGRADE)
        server, _ = self.accept()
        server.sendall(AGREED.replace(b"websocket", b"h2c"))
        self.assertEqual(client.response().status, 502)

    def test_idle_tunnels_end(self):
        client = self.begin('tunnel_timeout = "1s"')
        client.send(UPGRADE)
        server, _ = self.accept()
        server.sendall(AGREED)
        client.read_until(b"\r\n\r\n")
        self.assertTrue(client.is_closed())
        entry = self.shunt_.wait_for_access_log(1)[0]
        self.assertEqual((entry["status"], entry["reason"]), (101, "tunnel_timeout"))

    def test_server_that_dies(self):
        client = self.begin()
        client.send(UPGRADE)
        server, _ = self.accept()
        server.sendall(AGREED)
        client.read_until(b"\r\n\r\n")
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        self.assertTrue(client.is_closed())
        self.assertEqual(self.shunt_.wait_for_access_log(1)[0]["reason"], "server_reset")

    def test_slow_reader_holds_the_sender_back(self):
        client = self.begin()
        client.send(UPGRADE)
        server, _ = self.accept()
        server.sendall(AGREED)
        client.read_until(b"\r\n\r\n")
        before = self.shunt_.memory()
        server.setblocking(False)
        sent, block = 0, bytes(1 << 20)
        while True:
            try:
                sent += server.send(block)
            except BlockingIOError:
                break
        if not os.environ.get("SHUNT_SANITIZER"):  # It keeps what was freed.
            self.assertLess(self.shunt_.memory() - before, 8 << 20)
        server.setblocking(True)
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(len(client.read_to_end()), sent)


if __name__ == "__main__":
    main()
