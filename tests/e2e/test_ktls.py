#!/usr/bin/env python3
# kTLS: large bodies that the kernel encrypts are what the origin sent, whoever encrypted the rest of the connection,
# and the log tells whether it does. Most of it needs a kernel that has kTLS, and says so where it is left out.
import hashlib
import pathlib
import socket
import ssl
import subprocess
import unittest

from harness import ShuntTest, main, response
from tls import TlsClient, client_context, make_certificate

TCP_ULP = 31
BODY = bytes(range(256)) * 12_000  # 3 MB.


def refusal():
    """Why the kernel does not do it; None if it does."""
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname()) as connection:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError as error:
            return f"this kernel has no kTLS: {error.strerror}"
    return None


def taken_over():
    """Connections whose sending the kernel has ever taken over, in this network namespace."""
    lines = pathlib.Path("/proc/net/tls_stat").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("TlsTxSw")))


REFUSAL = refusal()  # Why this kernel cannot: what follows has nothing to show then, and each skipped test says so.


class KernelTlsTest(ShuntTest):
    def setUp(self):
        self.site = make_certificate(self.folder, "site", ["localhost"])
        self.origin_ = self.origin(lambda request: response(body=BODY if request.target != "/small" else b"small\n"))

    def start(self, top=""):
        tls = 'tls = { certificate = "site.pem", key = "site.key" }'
        return self.shunt_before([self.origin_], listener=tls, top=top)

    def connect(self, shunt, **settings):
        client = TlsClient(shunt.port, context=client_context(self.site, **settings))
        self.addCleanup(client.close)
        client.socket.suppress_ragged_eofs = False  # An end without close_notify raises.
        return client

    def ask(self, client, target="/", more=""):
        client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode())
        self.read(client, target)

    def read(self, client, target):
        """The answer to a request for `target`, which must be complete and unchanged."""
        head = client.read_until(b"\r\n\r\n").decode()
        body = client.read(int(head.lower().partition("content-length: ")[2].split("\r\n")[0]))
        expected = b"small\n" if target == "/small" else BODY
        self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(expected).digest())

    def test_the_log_says_whether_it_is_used(self):
        shunt = self.start()
        state = "off, because" if REFUSAL else "the kernel encrypts large bodies"
        shunt.wait_for_log(f'ktls = "auto": {state}')

    @unittest.skipIf(REFUSAL, REFUSAL)
    def test_every_version_and_cipher(self):
        shunt = self.start()
        new, old = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2
        for version, ciphers in [(new, None), (old, "ECDHE-ECDSA-AES128-GCM-SHA256"),
                                 (old, "ECDHE-ECDSA-AES256-GCM-SHA384"), (old, "ECDHE-ECDSA-CHACHA20-POLY1305")]:
            with self.subTest(version=version, ciphers=ciphers):
                before = taken_over()
                client = self.connect(shunt, minimum_version=version, maximum_version=version, ciphers=ciphers)
                # Records of ours come before the kernel's, and go on after.
                for target in ("/small", "/small", "/", "/small", "/"):
                    self.ask(client, target)
                self.assertEqual(taken_over(), before + 1)

    @unittest.skipIf(REFUSAL, REFUSAL)
    def test_end_of_a_connection_cuts_nothing_off(self):
        shunt = self.start()
        for _ in range(20):
            client = self.connect(shunt)
            self.ask(client, more="Connection: close\r\n")
            self.assertEqual(client.read_to_end(), b"")  # And not a reset, nor an end out of nothing.

    @unittest.skipIf(REFUSAL, REFUSAL)
    def test_many_answers_to_a_slow_reader(self):
        shunt = self.start()
        client = self.connect(shunt)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        targets = ["/", "/small", "/small", "/", "/small"] * 4
        client.send("".join(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n" for target in targets).encode() +
                    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for target in [*targets, "/"]:
            self.read(client, target)
        self.assertEqual(client.read_to_end(), b"")

    @unittest.skipIf(REFUSAL, REFUSAL)
    def test_only_large_answers_and_not_when_off(self):
        before = taken_over()
        self.ask(self.connect(self.start()), "/small")
        shunt = self.start(top='ktls = "off"')
        self.ask(self.connect(shunt))
        self.assertEqual(taken_over(), before)

    @unittest.skipIf(REFUSAL, REFUSAL)
    def test_new_keys_before_the_kernel_could_take_over(self):
        shunt = self.start()
        with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{shunt.port}"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            def send(text):
                client.stdin.write(text)
                client.stdin.flush()
            send(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
            while client.stdout.readline() != b"small\n":
                self.assertIsNone(client.poll())
            send(b"K\n")  # A KeyUpdate that asks for one of ours.
            while client.stdout.readline() != b"KEYUPDATE\n":
                self.assertIsNone(client.poll())
            send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertIn(BODY, client.stdout.read())


if __name__ == "__main__":
    main()
