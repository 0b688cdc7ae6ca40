#!/usr/bin/env python3
# The access log as its readers need it: a JSON object per request with the same keys in each, phases that add up, the
# reason by name; combined lines as tools for Apache and nginx read them; and no bytes of a client that could forge a
# line.
import datetime
import json
import os
import re
import threading

from harness import SLOWNESS, Client, ShuntTest, farm, free_port, get, main, response, signal, wait_until, wrk

KEYS = ["time", "client", "client_port", "request_id", "listener", "method", "scheme", "sni", "host", "target",
        "version", "status", "reason", "detail", "rule", "pool", "server", "scheduler", "sticky", "attempts",
        "reused", "bytes_in", "bytes_out", "queue_us", "connect_us", "first_byte_us", "total_us", "referer",
        "user_agent"]
COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] '
    r'"([^"\\]|\\.)*" (\d{3}) (\d+) "([^"\\]|\\.)*" "([^"\\]|\\.)*"')
RESPOND = '[[rule]]\nname = "teapot"\nmatch = { path = "/tea" }\nrespond = { status = 418, body = "short\\n" }\n'
ONLY = '[[rule]]\nname = "only"\nmatch = { path_prefix = "/" , not = { path = "/none" } }\npool = "pages"\n'

# Each in a header and in the query, as bytes that arrive; those that no request may have are answered 400 instead.
NASTY = [b'"', b"\\", b"\\x22", b"\xff\xfe", b"\xc3\xa9", b"\xe2\x80\xa8", b"{}", b"%0a%22", b"\t", b"\x7f", b"\x1b[2J",
         b"\x01", b"</script>", b'" 200 0 "-" "-']


class JsonTest(ShuntTest):
    def test_an_entry_has_everything(self):
        origin = self.origin(lambda _: response(body="body\n"))
        shunt = self.shunt_before([origin])
        client = self.client(shunt.port)
        before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
        answers = [client.get("/a?b=c", [("User-Agent", "agent/1"), ("Referer", "http://r/")], host="h.example:81")
                   for _ in range(2)]
        shunt.stop()
        first, second = shunt.access_log()
        self.assertEqual(list(first), KEYS)
        expected = {
            "client": "127.0.0.1", "client_port": client.socket.getsockname()[1], "listener": "web", "method": "GET",
            "scheme": "http", "sni": None, "host": "h.example", "target": "/a?b=c", "version": "HTTP/1.1",
            "status": 200, "reason": "done",
            "detail": None, "rule": "default", "pool": "pages", "server": "s1", "scheduler": "wlc",
            "attempts": 1, "reused": False, "referer": "http://r/", "user_agent": "agent/1",
            "bytes_in": len(b"GET /a?b=c HTTP/1.1\r\nHost: h.example:81\r\nUser-Agent: agent/1\r\n"
                            b"Referer: http://r/\r\n\r\n"), "bytes_out": len(answers[0].raw)}
        self.assertEqual({key: first[key] for key in expected}, expected)
        self.assertEqual((second["reused"], second["connect_us"]), (True, 0))
        time = datetime.datetime.strptime(first["time"], "%Y-%m-%dT%H:%M:%S.%f%z")
        self.assertLess(before, time)
        self.assertLess(time, datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1))

    def test_phases_add_up(self):
        pause = threading.Event()
        origin = self.origin(lambda request: (pause.wait(0.05), response())[1])
        shunt = self.shunt_before([origin])
        for _ in range(3):
            get(shunt.port)
        shunt.stop()
        for entry in shunt.access_log():
            parts = [entry["queue_us"], entry["connect_us"], entry["first_byte_us"]]
            self.assertTrue(all(part >= 0 for part in parts))
            self.assertGreaterEqual(entry["first_byte_us"], 45_000)
            self.assertLessEqual(sum(parts), entry["total_us"])

    def test_entries_without_a_server(self):
        refusing = f"127.0.0.1:{free_port()}"
        shunt = self.shunt(farm(free_port(), [refusing], rules=RESPOND + ONLY).replace(
            '[[rule]]\nname = "default"\npool = "pages"\n', ""))
        with Client(shunt.port) as client:
            answers = [client.get("/tea"), client.get("/none"), client.get("/x")]
            client.send(b"GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            answers.append(client.response())
        shunt.stop()
        log = shunt.access_log()
        table = [("status", [418, 404, 502, 400]), ("reason", ["local", "no_rule", "connect_refused", "bad_request"]),
                 ("method", ["GET"] * 4), ("target", ["/tea", "/none", "/x", "/bad"]),
                 ("host", ["test"] * 3 + ["a"]), ("version", ["HTTP/1.1"] * 4),
                 ("rule", ["teapot", None, "only", None]), ("pool", [None, None, "pages", None]),
                 ("server", [None, None, "s1", None]), ("attempts", [0, 0, 1, 0]), ("queue_us", [None, None, 0, None]),
                 ("connect_us", [None] * 4), ("first_byte_us", [None] * 4),
                 ("bytes_out", [len(answer.raw) for answer in answers])]
        for key, expected in table:
            with self.subTest(key):
                self.assertEqual([entry[key] for entry in log], expected)
        self.assertIsNone(log[0]["detail"])
        self.assertIn("Host", log[3]["detail"])

    def test_request_ids(self):
        origin = self.origin()
        rules = ('[[rule]]\nname = "id"\nmatch = { path_prefix = "/" }\npool = "pages"\n'
                 'request_headers = { set = { x-request-id = "${request.id}" } }\n')
        shunt = self.shunt_before([origin], listener='request_id_header = "X-Request-ID"', rules=rules)
        made = "^[0-9a-f]{32}$"
        given = [("abc-123/4", "^abc-123/4$"), ("x" * 128, "^x{128}$"), ("x" * 129, made), ("a b", made),
                 ("caf\xe9", made), ("", made), (None, made)]
        for value, _ in given:
            get(shunt.port, "/", [] if value is None else [("X-Request-Id", value)])
        get(shunt.port, "/", [("X-Request-Id", "first"), ("x-request-id", "second")])
        shunt.stop()
        names = [entry["request_id"] for entry in shunt.access_log()]
        self.assertEqual([request.header("x-request-id") for request in origin.requests], names)
        for name, pattern in zip(names, [pattern for _, pattern in given] + [made]):
            self.assertRegex(name, pattern)
        self.assertEqual(len(set(names)), len(names))

    def test_idle_connections_are_logged_if_wanted(self):
        soon = f"{int(1000 * SLOWNESS)}ms"
        for wanted in ("true", "false"):
            with self.subTest(wanted):
                shunt = self.shunt_before([self.origin()], top=f"access_log_idle = {wanted}",
                                          listener=f'keep_alive_timeout = "{soon}"\nheader_timeout = "{soon}"')
                silent, once = self.client(shunt.port), self.client(shunt.port)
                once.get("/")
                self.assertTrue(silent.is_closed() and once.is_closed())
                shunt.stop()
                idle = [entry for entry in shunt.access_log() if entry["reason"] == "keep_alive_timeout"]
                self.assertEqual([(entry["method"], entry["status"]) for entry in idle],
                                 [(None, 0)] * 2 if wanted == "true" else [])
                self.assertEqual({entry["detail"] for entry in idle},
                                 {"no request came", "no further request came"} if wanted == "true" else set())
                (self.folder / "access.log").unlink()

    def test_no_entry_is_lost_or_torn_by_several_workers(self):
        shunt = self.shunt_before([self.nginx()], workers=4)
        load = wrk(shunt.port, "/" + "x" * 200, seconds=1, connections=32)
        shunt.stop()
        served = int(shunt.wait_for_log(r"stopped: (\d+) requests").group(1))
        self.assertEqual(len(shunt.access_log()), served)  # Each has parsed.
        self.assertGreaterEqual(served, load.requests)


class NastyTest(ShuntTest):
    def send(self, port):
        """Every nasty text in both places; returns the statuses."""
        statuses = []
        for text in NASTY:
            for raw in (b"GET /?q=%s HTTP/1.1\r\nHost: a\r\n\r\n" % text,
                        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x%sx\r\nReferer: %s\r\n\r\n" % (text, text)):
                with Client(port) as client:
                    client.send(raw)
                    statuses.append(client.response().status)
        return statuses

    def test_json(self):
        shunt = self.shunt_before([self.origin()])
        statuses = self.send(shunt.port)
        shunt.stop()
        lines = (self.folder / "access.log").read_bytes().split(b"\n")
        self.assertEqual(lines.pop(), b"")
        entries = [json.loads(line.decode("utf-8")) for line in lines]  # UTF-8 whatever came.
        self.assertEqual([entry["status"] for entry in entries], statuses)
        self.assertEqual({tuple(entry) for entry in entries}, {tuple(KEYS)})
        self.assertEqual([entry["user_agent"] for entry in entries[1:6:2]], ['x"x', "x\\x", "x\\x22x"])

    def test_combined(self):
        shunt = self.shunt_before([self.origin()], top='access_log_format = "combined"')
        statuses = self.send(shunt.port)
        get(shunt.port, "/a", [("User-Agent", "agent/1")])
        shunt.stop()
        lines = (self.folder / "access.log").read_bytes().decode("ascii").split("\n")
        self.assertEqual(lines.pop(), "")
        found = [COMBINED.fullmatch(line) for line in lines]
        self.assertNotIn(None, found, lines)
        self.assertEqual([int(match.group(4)) for match in found], [*statuses, 200])
        self.assertRegex(lines[-1], r'^127\.0\.0\.1 - - \[.*\] "GET /a HTTP/1\.1" 200 \d+ "-" "agent/1"$')


class PlaceTest(ShuntTest):
    def test_off_and_stdout(self):
        origin = self.origin()
        for place, lines in (("off", 0), ("stdout", 1)):
            with self.subTest(place):
                shunt = self.shunt(farm(free_port(), [origin]).replace('"access.log"', f'"{place}"'))
                get(shunt.port)
                shunt.stop()
                self.assertEqual(len([json.loads(line) for line in shunt.stdout().splitlines()]), lines)

    def test_pipe_that_nobody_reads_stops_nobody(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        config = farm(free_port(), [self.nginx()], workers=2).replace('"access.log"', '"stdout"')
        shunt = self.shunt(config, stdout=writer)
        load = wrk(shunt.port, "/" + "x" * 500, seconds=2, connections=8)
        self.assertEqual(load.timeouts, 0)
        self.assertGreater(load.requests, 500)  # 64 KiB of lines are a hundred.
        shunt.wait_for_log(r"warning access log: \d+ lines dropped: Resource temporarily unavailable")
        shunt.send_signal(signal.SIGUSR1)
        shunt.wait_for_log("USR1: access log reopened")
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log("reload: generation 2")
        self.assertTrue(os.get_blocking(writer))  # The pipe is not ours alone.
        shunt.stop(signal.SIGTERM)

    def test_full_disk_stops_nobody(self):
        shunt = self.shunt(farm(free_port(), [self.nginx()]).replace('"access.log"', '"/dev/full"'))
        self.assertEqual(wrk(shunt.port, seconds=1, connections=4).failed, 0)
        wait_until(lambda: "access log" in shunt.log(), "a word about the lost lines")


if __name__ == "__main__":
    main()
