#!/usr/bin/env python3
# The signals of an administrator: QUIT and TERM drain, INT stops, USR1 rotates the access log without losing or tearing
# a line. Exit codes are 0 for every end that was asked for.
import json
import os
import shutil
import threading

from harness import (Client, ShuntTest, Wrk, farm, free_port, get, listening_ports, main, response, run_shunt, signal,
                     unittest, wait_until)


class EndTest(ShuntTest):
    def busy(self, drain_timeout):
        """A Shunt with one request in flight, its client, and what lets the server answer."""
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(request):
            if request.target == "/slow":
                release.wait(20)
            return response(body="at last\n")

        origin = self.origin(answer)
        shunt = self.shunt_before([origin], workers=2, top=f'drain_timeout = "{drain_timeout}"')
        client = self.client(shunt.port)
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: origin.requests, "the slow request")
        return shunt, client, release

    def test_drain_answers_what_is_in_flight(self):
        for number in (signal.SIGTERM, signal.SIGQUIT):
            with self.subTest(signal.Signals(number).name):
                shunt, client, release = self.busy("60s")
                idle = self.client(shunt.port)
                self.assertEqual(idle.get("/").status, 200)
                shunt.send_signal(number)
                self.assertTrue(idle.is_closed())  # Nothing holds it.
                wait_until(lambda port=shunt.port: port not in listening_ports(), "the listener to close")
                with self.assertRaises(ConnectionRefusedError):
                    Client(shunt.port)
                self.assertTrue(shunt.running())
                release.set()
                answer = client.response()
                self.assertEqual((answer.status, answer.text), (200, "at last\n"))
                self.assertEqual(answer.header("Connection"), "close")
                self.assertTrue(client.is_closed())
                self.assertEqual(shunt.wait(), 0)
                shunt.stop()

    def test_term_cuts_at_its_deadline(self):
        shunt, client, _ = self.busy("200ms")
        shunt.send_signal(signal.SIGTERM)
        self.assertEqual(shunt.wait(5), 0)
        with self.assertRaises(ConnectionResetError):
            client.response()
        [entry] = shunt.access_log()
        self.assertEqual((entry["target"], entry["reason"]), ("/slow", "shutdown"))
        shunt.stop()

    ENDS_AT_ONCE = [
        ("INT", [signal.SIGINT]),
        ("TERM twice", [signal.SIGTERM, signal.SIGTERM]),
        ("QUIT, then INT", [signal.SIGQUIT, signal.SIGINT]),
    ]

    def test_ends_at_once(self):
        for description, numbers in self.ENDS_AT_ONCE:
            with self.subTest(description):
                shunt, client, _ = self.busy("60s")
                for count, number in enumerate(numbers, 1):
                    shunt.send_signal(number)
                    if count < len(numbers):  # Equal signals that wait are one to the kernel.
                        shunt.wait_for_log(r"(TERM|QUIT): draining")
                self.assertEqual(shunt.wait(5), 0)
                with self.assertRaises(ConnectionResetError):
                    client.response()
                shunt.stop()

    def test_quit_then_term_has_a_deadline(self):
        shunt, _, _ = self.busy("200ms")
        shunt.send_signal(signal.SIGQUIT)
        shunt.wait_for_log("QUIT: draining")
        self.assertTrue(shunt.running())
        shunt.send_signal(signal.SIGTERM)
        self.assertEqual(shunt.wait(5), 0)
        shunt.stop()

    def test_download_in_flight_finishes(self):
        nginx = self.nginx({"big": bytes(5_000_000)})
        shunt = self.shunt_before([nginx])
        client = self.client(shunt.port, receive_buffer=4096)
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        client.socket.recv(1)  # It has begun.
        shunt.send_signal(signal.SIGTERM)
        shunt.wait_for_log("TERM: draining")
        self.assertGreater(len(client.read_to_end()), 5_000_000)
        self.assertEqual(shunt.wait(), 0)
        shunt.stop()

    def test_term_under_load_breaks_no_answer_off(self):
        # wrk counts a refused connection as an error, but an answer that begins and does not end as a read error.
        shunt = self.shunt_before([self.nginx()], workers=2, top='drain_timeout = "10s"')
        load = Wrk(shunt.port, seconds=2, connections=16)
        wait_until(lambda: len(shunt.access_log()) > 200, "the load")
        shunt.send_signal(signal.SIGTERM)
        self.assertEqual(shunt.wait(), 0)
        result = load.result()
        self.assertEqual((result.timeouts, result.bad_status), (0, 0))
        self.assertEqual({entry["reason"] for entry in shunt.access_log()}, {"done"})
        shunt.stop()


class RotationTest(ShuntTest):
    def lines(self, name):
        """Of a log that is complete: every line is one."""
        text = (self.folder / name).read_text(encoding="utf-8")
        self.assertTrue(text.endswith("\n"))
        return [json.loads(line) for line in text.splitlines()]

    def test_usr1_starts_a_new_file(self):
        shunt = self.shunt_before([self.origin()])
        get(shunt.port, "/first")
        shunt.wait_for_access_log(1)
        (self.folder / "access.log").rename(self.folder / "old.log")
        shunt.send_signal(signal.SIGUSR1)
        shunt.wait_for_log("USR1: access log reopened")
        get(shunt.port, "/second")
        shunt.stop()
        self.assertEqual([entry["target"] for entry in self.lines("old.log")], ["/first"])
        self.assertEqual([entry["target"] for entry in self.lines("access.log")], ["/second"])

    def test_rotation_under_load_loses_and_tears_no_line(self):
        nginx = self.nginx()
        shunt = self.shunt_before([nginx], workers=2)
        load = Wrk(shunt.port, seconds=2, connections=16)
        wait_until(lambda: (self.folder / "access.log").stat().st_size, "the load")
        for number in range(1, 11):
            (self.folder / "access.log").rename(self.folder / f"rotated{number}.log")
            shunt.send_signal(signal.SIGUSR1)
            shunt.wait_for_log("USR1: access log reopened", number)
        result = load.result()
        self.assertEqual(result.failed, 0)
        shunt.stop(signal.SIGTERM)
        served = int(shunt.wait_for_log(r"stopped: (\d+) requests").group(1))
        logged = sum(len(self.lines(path.name)) for path in self.folder.glob("*.log")
                     if path.name.startswith(("access", "rotated")) and path.stat().st_size)
        self.assertEqual(logged, served)
        self.assertGreaterEqual(served, result.requests)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_usr1_starts_a_new_file_without_roots_rights(self):
        logs = self.folder / "logs"
        logs.mkdir()
        shutil.chown(logs, "nobody")
        config = farm(free_port(), [self.origin()], top='user = "nobody"').replace(
            '"access.log"', '"logs/access.log"')
        shunt = self.shunt(config)
        self.assertEqual((logs / "access.log").owner(), "nobody")
        get(shunt.port, "/first")
        shunt.wait_for_access_log(1, "logs/access.log")
        (logs / "access.log").rename(logs / "old.log")
        shunt.send_signal(signal.SIGUSR1)
        shunt.wait_for_log("USR1: access log reopened")
        # Without a rename it finds its first file, which root has made.
        shunt.send_signal(signal.SIGUSR1)
        shunt.wait_for_log("USR1: access log reopened", 2)
        get(shunt.port, "/second")
        shunt.stop()
        self.assertNotIn("warning", shunt.log())
        self.assertEqual([entry["target"] for entry in self.lines("logs/old.log")], ["/first"])
        self.assertEqual([entry["target"] for entry in self.lines("logs/access.log")], ["/second"])

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_directory_that_is_roots_alone(self):
        config = farm(free_port(), [self.origin()], top='user = "nobody"')
        shunt = self.shunt(config)
        warning = r'warning: global\.user "nobody" may not create files in .*, so after a rotation USR1 cannot'
        shunt.wait_for_log(warning)
        self.assertRegex(run_shunt("check", "farm.toml", folder=self.folder).stderr, warning)
        # The file itself is nobody's: opening it again needs no right to the directory.
        shunt.send_signal(signal.SIGUSR1)
        shunt.wait_for_log("USR1: access log reopened")
        (self.folder / "access.log").rename(self.folder / "old.log")
        shunt.send_signal(signal.SIGUSR1)
        shunt.wait_for_log(r"error USR1: .*Permission denied \(.* must own the file.*the old file stays in use")
        get(shunt.port, "/kept")
        shunt.stop()
        self.assertEqual([entry["target"] for entry in self.lines("old.log")], ["/kept"])

    def test_place_that_cannot_be_opened_keeps_the_old_file(self):
        logs = self.folder / "logs"
        logs.mkdir()
        shunt = self.shunt(farm(free_port(), [self.origin()]).replace('"access.log"', '"logs/access.log"'))
        get(shunt.port, "/first")
        logs.rename(self.folder / "moved")
        shunt.send_signal(signal.SIGUSR1)
        shunt.wait_for_log("error USR1: .*the old file stays in use")
        get(shunt.port, "/second")
        shunt.stop()
        self.assertEqual([entry["target"] for entry in self.lines("moved/access.log")], ["/first", "/second"])


if __name__ == "__main__":
    main()
