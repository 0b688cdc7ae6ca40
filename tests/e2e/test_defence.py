#!/usr/bin/env python3
# Clients that mean no good, against the real binary: slow heads, bodies and readers beside a good client, too many
# connections or requests of one source, paths around a rule. Details: tests/sim/defence_test.cpp.
import socket
import threading

from harness import (TIMEOUT, Client, Closed, ShuntTest, farm, free_port, get, main, response, signal, unittest,
                     wait_until)

# As an administrator under attack would have them; the defaults are longer, not other.
SHORT = ('header_timeout = "1s"\nbody_timeout = "1s"\nsend_timeout = "1s"\nkeep_alive_timeout = "1s"\n'
         'body_rate_min = "1KiB"\nsend_rate_min = "1KiB"\n')


class Attack:
    """Connections that are kept busy as slowly as can be, and made again when they end, until stop(). `opening` is
    sent first, then one byte of `trickle` every now and then; as much is read."""

    EVERY = 0.25  # Seconds.

    def __init__(self, port, connections, opening, trickle=b""):
        self._port, self._opening, self._trickle = port, opening, trickle
        self._over = threading.Event()
        self._sockets = [None] * connections
        self.lost = 0  # Connections that ended.
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self):
        self._over.set()
        self._thread.join()

    def _run(self):
        while not self._over.wait(self.EVERY):
            self._sockets = [self._step(attacker) for attacker in self._sockets]
        for attacker in filter(None, self._sockets):
            attacker.close()

    def _step(self, attacker):
        if attacker is None:
            return self._connect()
        try:
            if self._trickle:
                attacker.send(self._trickle)
            # A reset counts at once, whatever there is to read before it.
            if not attacker.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) and attacker.recv(1):
                return attacker
        except BlockingIOError:
            return attacker
        except OSError:
            pass
        self.lost += 1
        attacker.close()
        return None

    def _connect(self):
        attacker = socket.socket()
        attacker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        attacker.settimeout(self.EVERY)
        try:
            attacker.connect(("127.0.0.1", self._port))
            attacker.setblocking(False)
            attacker.send(self._opening)
        except OSError:  # No room in the listen queue, or reset already.
            attacker.close()
            return None
        return attacker


class SlowAttackTest(ShuntTest):
    ATTACKS = {
        ("request_header_timeout",): (b"GET / HTTP/1.1\r\nHost: test\r\nx: ", b"x"),
        ("request_body_slow", "request_body_timeout"): (
            b"POST /form HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n", b"x"),
        ("client_send_slow", "client_send_timeout"): (b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    }

    def test_a_good_client_beside_slow_ones(self):
        large, small = response(body=bytes(8_000_000)), response(body=b"x")
        server = self.origin(lambda request: large if request.target == "/large" else small)
        for reasons, (opening, trickle) in self.ATTACKS.items():
            with self.subTest(reasons[0]):
                proxy = self.shunt(farm(free_port(), [server], workers=2, listener=SHORT, top="max_connections = 32"))
                attack = Attack(proxy.port, 48, opening, trickle)
                try:
                    # All places are taken, again and again.
                    wait_until(lambda: attack.lost >= 32, "slow clients to be shed", 3 * TIMEOUT)
                    for _ in range(2):
                        self.assertEqual(self.be_good(proxy.port), 200)
                finally:
                    attack.stop()
                proxy.stop()
                ended = [entry["reason"] for entry in proxy.access_log()]
                self.assertGreaterEqual(sum(ended.count(reason) for reason in reasons), 30)

    def be_good(self, port):
        """The status of a request, made again if the connection had to wait so long that it was given up."""
        answers = []

        def answered():
            try:
                answers.append(get(port, "/small").status)
            except (Closed, OSError):
                pass
            return answers

        return wait_until(answered, "an answer for a good client", 3 * TIMEOUT)[0]


class SourceTest(ShuntTest):
    def test_connections_per_source_over_all_workers(self):
        proxy = self.shunt_before([self.origin()], workers=4, listener="connections_per_source = 20")
        kept = [self.client(proxy.port) for _ in range(20)]
        self.assertEqual([client.get("/").status for client in kept], [200] * 20)
        for _ in range(5):
            try:
                with Client(proxy.port) as client:
                    self.assertTrue(client.is_closed())
            except ConnectionResetError:
                pass  # So early that not even connect() got through.
        self.assertEqual(self.client(proxy.port, source="127.0.0.2").get("/").status, 200)
        proxy.wait_for_log(r'warning listener "web": 127\.0\.0\.1 has 20 connections')
        kept.pop().close()

        def admitted():
            try:
                return get(proxy.port).status == 200
            except (Closed, OSError):
                return False

        wait_until(admitted, "the place of the one that left")

    def test_rate_of_a_rule_over_all_workers(self):
        rule = ('[[rule]]\nname = "api"\nmatch = { path_prefix = "/api" }\npool = "pages"\n'
                'rate_limit = { key = "source", rate = "1/m", burst = 10 }\n')
        proxy = self.shunt_before([self.origin()], workers=4, rules=rule)
        answers = [get(proxy.port, "/api") for _ in range(15)]
        self.assertEqual([answer.status for answer in answers], [200] * 10 + [429] * 5)
        self.assertTrue(1 <= int(answers[-1].header("Retry-After")) <= 60)
        self.assertEqual(get(proxy.port, "/other").status, 200)
        with Client(proxy.port, source="127.0.0.2") as other:
            self.assertEqual(other.get("/api").status, 200)
        proxy.stop()
        reasons = [entry["reason"] for entry in proxy.access_log()]
        self.assertEqual(reasons.count("rate_limited"), 5)

    def test_a_reload_keeps_the_buckets_of_a_limit_that_stays(self):
        def config(retries):
            limit = 'rate_limit = { rate = "1/m", burst = 3 }'
            return farm(port, [server], listener=limit, pool=f"retries = {retries}")

        server, port = self.origin(), free_port()
        proxy = self.shunt(config(1))
        self.assertEqual([get(port).status for _ in range(4)], [200, 200, 200, 429])
        proxy.write(config(2))
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_for_log("reload: generation 2")
        self.assertEqual(get(port).status, 429)


class PathTest(ShuntTest):
    BLOCKED = ('[[rule]]\nname = "blocked"\nmatch = { path_prefix = "/secret" }\n'
               'respond = { status = 403, body = "no\\n" }\n')
    # All of them are files/secret/key to nginx, or to another server that takes its own liberties.
    AROUND = ["/secret/key", "//secret/key", "/x/../secret/key", "/%73ecret/key", "/x/%2e%2e/secret/key",
              "/x%2f..%2fsecret/key", "/%2fsecret/key", "/x/..;/secret/key", "/x%5c..%5csecret/key",
              "/.%2fsecret/key", "/%252e/secret%252fkey", "/x//..//secret/key", "/secret;a=1/key",
              "/%c0%afsecret/key", "/secret/key%00"]

    def test_a_blocked_rule_cannot_be_walked_around(self):
        server = self.nginx({"index.html": b"index\n", "secret/key": b"the key\n", "x/y": b""})
        proxy = self.shunt_before([server], rules=self.BLOCKED)
        # That there is something to walk around to: with "pass", nginx hands out the key.
        naive = self.shunt_before([server], rules=self.BLOCKED, listener='ambiguous_path = "pass"')
        self.assertEqual(get(naive.port, "/x%2f..%2fsecret/key").body, b"the key\n")
        naive.stop()
        for path in self.AROUND:
            with self.subTest(path):
                self.assertIn(get(proxy.port, path).status, (400, 403))
        self.assertEqual(get(proxy.port, "/").body, b"index\n")

    def test_strictness(self):
        server = self.origin()
        for policy, status in (("check", 200), ("reject", 400), ("pass", 200)):
            with self.subTest(policy):
                proxy = self.shunt_before([server], rules=self.BLOCKED, listener=f'ambiguous_path = "{policy}"')
                self.assertEqual(get(proxy.port, "/group%2Fproject").status, status)
                proxy.stop()
        self.assertEqual({request.target for request in server.requests}, {"/group%2Fproject"})


if __name__ == "__main__":
    main()
