# Listeners with protocol = "tcp" and protocols in which the server may speak first and either side may end its
# direction long before the other. test_sni.py has TLS connections by name.
import hashlib
import socket
import threading

from harness import TIMEOUT, Client, ShuntTest, Stream, free_port, main, signal
from tls import make_certificate


def listener(port, more=""):
    return "\n".join(["[global]", "workers = 1", 'access_log = "access.log"', "[[listener]]", 'name = "front"',
                      f'bind = "127.0.0.1:{port}"', 'protocol = "tcp"', more, ""])


def pool(addresses, more=""):
    servers = [f'[[pool.all.server]]\nname = "s{index}"\naddress = "{address}"\n'
               for index, address in enumerate(addresses, 1)]
    return f"[pool.all]\n{more}\n" + "".join(servers)


class Plain(ShuntTest):
    """The server is a socket of the test's own."""

    def begin(self, more="", rules="", pool_keys="", front=None):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(TIMEOUT)
        self.addCleanup(self.server.close)
        address = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.front = self.shunt(listener(front or free_port(), more) + rules + pool([address], pool_keys))
        return self.client(self.front.port)

    def accept(self):
        connection, _ = self.server.accept()
        self.addCleanup(connection.close)
        connection.settimeout(TIMEOUT)
        return connection

    def entry(self):
        return self.front.wait_for_access_log(1)[0]

    def test_the_server_speaks_first_and_the_client_ends_first(self):
        client = self.begin()
        server = self.accept()
        server.sendall(b"220 ready\r\n")
        self.assertEqual(client.read_until(b"\n"), b"220 ready\r\n")
        client.send(b"all")
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(server.recv(10), b"all")
        self.assertEqual(server.recv(10), b"")
        server.sendall(b"still here")
        self.assertEqual(client.read_until(b"here"), b"still here")
        server.close()
        self.assertEqual(client.read_to_end(), b"")
        entry = self.entry()
        self.assertEqual((entry["listener"], entry["scheme"], entry["method"], entry["target"], entry["reason"]),
                         ("front", "tcp", None, None, "done"))
        self.assertEqual((entry["rule"], entry["pool"], entry["server"]), ("default", "all", "s1"))
        self.assertEqual((entry["bytes_in"], entry["bytes_out"]), (3, 21))

    def test_the_server_ends_first(self):
        client = self.begin()
        server = self.accept()
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(client.read_to_end(), b"")
        client.send(b"last words")
        self.assertEqual(server.recv(100), b"last words")
        client.close()
        self.assertEqual(server.recv(100), b"")
        self.assertEqual(self.entry()["reason"], "done")

    def test_much_goes_both_ways_at_once(self):
        client = self.begin()
        server = self.accept()
        data = hashlib.shake_128(b"tunnel").digest(1 << 20) * 12

        def send(to):
            to.sendall(data)
            to.shutdown(socket.SHUT_WR)

        def receive(connection):
            digest = hashlib.sha256()
            while part := connection.recv(1 << 16):
                digest.update(part)
            return digest.digest()

        senders = [threading.Thread(target=send, args=(end,)) for end in (client.socket, server)]
        results = []
        reader = threading.Thread(target=lambda: results.append(receive(server)))
        for thread in [*senders, reader]:
            thread.start()
        results.append(receive(client.socket))
        for thread in [*senders, reader]:
            thread.join()
        self.assertEqual(results, [hashlib.sha256(data).digest()] * 2)
        entry = self.entry()
        self.assertEqual((entry["bytes_in"], entry["bytes_out"]), (len(data), len(data)))

    def test_idle_connections_end_and_the_log_says_so(self):
        client = self.begin(pool_keys='tunnel_timeout = "1s"')
        server = self.accept()
        self.assertTrue(client.is_closed())
        with self.assertRaises(ConnectionResetError):
            if server.recv(10) == b"":
                raise ConnectionResetError
        self.assertEqual(self.entry()["reason"], "tunnel_timeout")

    def test_resets_are_passed_on(self):
        client = self.begin()
        server = self.accept()
        client.send(b"hello")
        self.assertEqual(server.recv(5), b"hello")  # From here on there is a tunnel that can be reset.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        self.assertTrue(client.is_closed())
        self.assertEqual(self.entry()["reason"], "server_reset")

    def test_proxy_headers_in_and_out(self):
        client = self.begin('proxy_protocol = true\nproxy_protocol_from = "127.0.0.0/8"', pool_keys="send_proxy = 1")
        client.send(b"PROXY TCP4 192.0.2.7 203.0.113.9 5555 443\r\nhello")
        server = self.accept()
        with Stream(server) as stream:
            self.assertEqual(stream.read_until(b"\n"), b"PROXY TCP4 192.0.2.7 203.0.113.9 5555 443\r\n")
            self.assertEqual(stream.read(5), b"hello")
        client.close()
        entry = self.entry()
        self.assertEqual((entry["client"], entry["client_port"]), ("192.0.2.7", 5555))

    def test_without_a_proxy_header_there_is_no_page(self):
        client = self.begin('proxy_protocol = true\nproxy_protocol_from = "127.0.0.0/8"')
        client.send(b"hello\r\n")
        self.assertTrue(client.is_closed())
        self.assertEqual(self.entry()["reason"], "bad_proxy_header")

    def test_who_waits_for_the_server_gets_it_after_the_time_for_a_name(self):
        client = self.begin('header_timeout = "1s"', rules=(
            '[[rule]]\nname = "named"\nmatch = { sni = "a.example" }\npool = "all"\n'
            '[[rule]]\nname = "others"\npool = "all"\n'))
        server = self.accept()
        server.sendall(b"ready")
        self.assertEqual(client.read_until(b"ready"), b"ready")
        client.close()
        server.close()
        self.assertEqual(self.entry()["rule"], "others")

    def test_quit_waits_for_connections_to_end(self):
        client = self.begin()
        server = self.accept()
        server.sendall(b"a")
        client.read_until(b"a")
        self.front.send_signal(signal.SIGQUIT)
        self.front.wait_for_log("drain")
        client.send(b"on")
        self.assertEqual(server.recv(2), b"on")
        self.assertTrue(self.front.running())
        server.close()
        client.close()
        self.assertEqual(self.front.wait(), 0)


class Servers(ShuntTest):
    def test_the_next_one_when_one_refuses(self):
        alive = self.origin(script=lambda _, stream, __: stream.send(b"alive"))
        front = self.shunt(listener(free_port()) + pool([f"127.0.0.1:{free_port()}", alive.address],
                                                        'scheduler = "rr"'))
        for _ in range(4):
            with Client(front.port) as client:
                self.assertEqual(client.read_until(b"alive"), b"alive")
        self.assertIn(2, [entry["attempts"] for entry in front.wait_for_access_log(2)])

    def test_a_reset_when_all_refuse(self):
        front = self.shunt(listener(free_port()) + pool([f"127.0.0.1:{free_port()}"]))
        try:
            self.assertTrue(self.client(front.port).is_closed())
        except ConnectionResetError:
            pass  # Before the client could look.
        entry = front.wait_for_access_log(1)[0]
        self.assertEqual((entry["reason"], entry["server"], entry["status"]), ("connect_refused", "s1", 0))

    def test_unix_sockets_on_both_sides(self):
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(str(self.folder / "back.sock"))
        server.listen()
        server.settimeout(TIMEOUT)
        path = self.folder / "front.sock"
        config = listener(free_port()).replace('bind = "', f'bind = ["unix:{path}", "').replace(
            '"\nprotocol', '"]\nprotocol')
        front = self.shunt(config + pool([f"unix:{self.folder / 'back.sock'}"]))
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(TIMEOUT)
        client.connect(str(path))
        client.sendall(b"up")
        connection, _ = server.accept()
        self.addCleanup(connection.close)
        connection.settimeout(TIMEOUT)
        self.assertEqual(connection.recv(2), b"up")
        connection.sendall(b"down")
        self.assertEqual(client.recv(4), b"down")
        connection.close()
        client.close()
        self.assertEqual(front.wait_for_access_log(1)[0]["reason"], "done")

    def test_tls_to_the_server(self):
        """Plain connections leave by TLS."""
        certificate = make_certificate(self.folder, "server", ["127.0.0.1"])
        port = free_port()
        self.nginx({"index.html": b"by tls\n"}, extra=(
            f"listen 127.0.0.1:{port} ssl; ssl_certificate {certificate.path}; "
            f"ssl_certificate_key {certificate.key};"))
        keys = f'tls = {{ ca = "{certificate.path}" }}'
        front = self.shunt(listener(free_port()) + pool([f"127.0.0.1:{port}"], keys))
        client = self.client(front.port)
        self.assertEqual(client.get("/").body, b"by tls\n")
        client.close()


if __name__ == "__main__":
    main()
