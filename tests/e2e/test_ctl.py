#!/usr/bin/env python3
# `shunt ctl` against a running Shunt without layer 4: where it asks, what it says when nobody answers, pools, JSON, and
# the HTTP behind it. The tables of layer 4 are test_layer4_ctl's.
import http.client
import json
import os
import socket
import stat
import unittest

from harness import TIMEOUT, ShuntTest, farm, free_port, get, main, run_shunt, signal, wait_until

FINE, WRONG, USAGE = 0, 1, 2
NOBODY = 65534


class CtlTest(ShuntTest):
    def start(self, admin, **options):
        self.port = free_port()
        self.origins = [self.origin(name=name) for name in ("a", "b")]
        return self.shunt(farm(self.port, self.origins, top=f'admin = "{admin}"', **options))

    def unix(self, name):
        return f"unix:{self.folder}/{name}.sock"

    def ctl(self, *words):
        return run_shunt("ctl", *words, folder=self.folder)

    def ask(self, port, target, host=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        connection.request("GET", target, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body)

    def test_pools_over_a_unix_socket(self):
        shunt = self.start(self.unix("admin"), pool='scheduler = "wrr"')
        self.assertEqual(stat.S_IMODE(os.stat(self.folder / "admin.sock").st_mode), 0o600)
        for words in (("--admin", self.unix("admin")), ("--config", "farm.toml")):
            done = self.ctl("-Ln", "--pools", *words)
            self.assertEqual(done.returncode, FINE, done.stderr)
            lines = done.stdout.splitlines()
            self.assertEqual(lines[3], "POOL pages wrr")
            self.assertEqual(lines[4:], [f"  -> {origin.address:<28} Proxy   1      0          0         "
                                         for origin in self.origins])
        done = self.ctl("-L", "--pools", "--json", "--config", "farm.toml")
        self.assertEqual([server["name"] for server in json.loads(done.stdout)["pools"][0]["servers"]], ["s1", "s2"])
        done = self.ctl("-Ln", "--config", "farm.toml")
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (FINE, 3))
        self.assertIn("--pools", done.stderr)
        shunt.stop()
        self.assertFalse((self.folder / "admin.sock").exists())

    @unittest.skipIf(os.geteuid() != 0, "becoming somebody else needs root")
    def test_an_abstract_socket_is_its_owners_too(self):
        name = f"shunt-test-{os.getpid()}"
        self.start(f"unix:@{name}")
        self.assertEqual(self.ctl("-Ln", "--pools", "--admin", f"unix:@{name}").returncode, FINE)
        for user, status in ((0, 200), (NOBODY, 403)):
            with self.subTest(user=user), socket.socket(socket.AF_UNIX) as asker:
                os.seteuid(user)
                try:
                    asker.connect(f"\0{name}")
                finally:
                    os.seteuid(0)
                asker.settimeout(TIMEOUT)
                asker.sendall(b"GET /v1/pools HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertEqual(asker.recv(65536).split()[1], str(status).encode())

    def test_http(self):
        port = free_port()
        self.start(f"127.0.0.1:{port}")
        self.assertEqual(self.ask(port, "/v1/services")[1]["services"], [])
        self.assertEqual(self.ask(port, "/v1/pools")[0], 200)
        for target, host, status, says in (("/v2", None, 404, "/v1/services"),
                                           ("/v1/services?x=1", None, 400, "takes no"),
                                           ("/v1/services", "rebound.example", 403, "localhost")):
            got, body = self.ask(port, target, host)
            self.assertEqual(got, status, body)
            self.assertIn(says, body["error"])
        done = self.ctl("-Ln", "--admin", f"127.0.0.1:{self.port}")  # A port of layer 7.
        self.assertEqual(done.returncode, WRONG, done.stderr)

    def test_what_comes_slowly_or_not_at_all_holds_nobody_up(self):
        port = free_port()
        self.start(f"127.0.0.1:{port}")
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as slow, \
                socket.create_connection(("127.0.0.1", port), TIMEOUT):
            slow.sendall(b"GET /v1/pools HTTP/1.1\r\nHost: ")
            self.assertEqual(self.ask(port, "/v1/pools")[0], 200)
            slow.sendall(b"localhost\r\n\r\n")
            self.assertTrue(slow.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n"))
        silent = [socket.create_connection(("127.0.0.1", port), TIMEOUT) for _ in range(40)]
        for each in silent:
            self.addCleanup(each.close)
        self.assertEqual(self.ask(port, "/v1/pools")[0], 200)
        for wrong in (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"nonsense\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
                client.sendall(wrong)
                self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 400 Bad Request\r\n"))

    def test_a_reload_moves_the_endpoint(self):
        shunt = self.start(self.unix("one"))
        config = shunt.config_file.read_text(encoding="utf-8")
        for admin, generation in (("two", 2), (None, 3), ("one", 4)):
            line = f'admin = "{self.unix(admin)}"' if admin else ""
            shunt.write(config.replace(f'admin = "{self.unix("one")}"', line))
            shunt.send_signal(signal.SIGHUP)
            shunt.wait_for_log(f"reload: generation {generation}")
            for name in ("one", "two"):
                expected = FINE if name == admin else WRONG
                self.assertEqual(self.ctl("-Ln", "--admin", self.unix(name)).returncode, expected)
        shunt.write(config.replace(self.unix("one"), self.unix("no/where")))
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(r"reload of farm\.toml refused[^$]*the directory does not exist")
        self.assertEqual(self.ctl("-Ln", "--admin", self.unix("one")).returncode, FINE)

    def test_what_is_left_of_a_killed_shunt_is_no_hindrance(self):
        shunt = self.start(self.unix("admin"))
        config = shunt.config_file.read_text(encoding="utf-8")
        shunt.kill()
        self.assertTrue((self.folder / "admin.sock").exists())
        self.shunt(config.replace(str(self.port), str(free_port())))  # The kernel may still be closing the old one.
        self.assertEqual(self.ctl("-Ln", "--config", "farm.toml").returncode, FINE)

    def test_nobody_there(self):
        port = free_port()
        (self.folder / "plain.toml").write_text(farm(port, ["127.0.0.1:1"]), encoding="utf-8")
        for words, says in ((("--admin", f"127.0.0.1:{port}"), f'needs [global] admin = "127.0.0.1:{port}"'),
                            (("--admin", self.unix("none")), f"nobody listens on {self.unix('none')}"),
                            (("--admin", "9090"), "--admin 9090"),
                            (("--config", "plain.toml"), "has no [global] admin"),
                            (("--config", "none.toml"), "cannot read the file")):
            done = self.ctl("-Ln", *words)
            self.assertEqual(done.returncode, WRONG, done.stderr)
            self.assertIn(says, done.stderr)
            self.assertEqual(done.stdout, "")
        self.assertEqual(self.ctl("-Ln", "--stats", "--rate").returncode, USAGE)

    def test_counts_of_requests_in_flight(self):
        gate = self.start(self.unix("admin"))
        self.assertEqual(get(gate.port, "/").status, 200)

        def active():
            done = self.ctl("-L", "--pools", "--json", "--config", "farm.toml")
            return [server["active"] for server in json.loads(done.stdout)["pools"][0]["servers"]]

        wait_until(lambda: active() == [0, 0], "no request in flight")


if __name__ == "__main__":
    main()
