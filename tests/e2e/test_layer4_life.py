#!/usr/bin/env python3
# What changes while layer 4 works: servers drained, removed and killed under load, reloads, a director that restarts,
# persistence, one-packet scheduling, dropped privileges; and what is missing at the start. In network namespaces of the
# test's own; skipped where those are refused.
import contextlib
import socket
import subprocess

from harness import SLOWNESS, ShuntTest, binary, main, parse_wrk, signal, wait_until
from layer4 import Farm, say, service, v4
from namespaces import needs

VIP, LISTENING = v4(100), "generation 1"
WRONG, MISSING = 1, 3


@needs(bridge=True)
class LifeTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.farm = Farm(self.folder)
        self.addCleanup(self.farm.close)
        self.first, self.second = self.farm.servers

    def direct(self, config):
        shunt = self.shunt(config, enter=self.farm.director.enter)
        shunt.wait_for_log(LISTENING)
        return shunt

    def nat(self, *servers, **options):
        """The configuration of a NAT service with these servers, or both; each may have more keys."""
        keys = dict(servers or ((self.first, ""), (self.second, "")))
        for server in keys:
            with contextlib.suppress(RuntimeError):  # It is there already.
                server.route_by(self.farm.director, self.farm.client)
        return service("web", f"{VIP}:80", [(server.name, f'address = "{server.v4}:8080"\n{more}')
                                            for server, more in keys.items()], **options)

    def direct_routing(self, **options):
        for server in self.farm.servers:
            server.take_address(VIP)
        port = 53 if options.get("protocol") == "udp" else 80
        return service("web", f"{VIP}:{port}", [(server.name, f'address = "{server.v4}"')
                                                for server in self.farm.servers], method="dr", **options)

    def reload(self, shunt, config, generation):
        shunt.write(config)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(f"reload: generation {generation}")

    def load(self, seconds=4):
        """wrk on the client, in the background."""
        return self.farm.client.start(
            "wrk", "--threads", "1", "--connections", "8", "--duration", f"{seconds}s", "--timeout",
            f"{int(10 * SLOWNESS)}s", f"http://{VIP}/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)

    def names(self, count=6):
        return {self.farm.get(VIP).decode().strip() for _ in range(count)}

    def test_drained_and_removed_under_load(self):
        shunt = self.direct(self.nat())
        kept = self.farm.connect(VIP)
        self.addCleanup(kept.close)
        name = say(kept)
        drained, other = (self.first, self.second) if name == self.first.name else (self.second, self.first)
        load = self.load()
        self.reload(shunt, self.nat((drained, "weight = 0"), (other, "")), 2)
        self.assertEqual(self.names(), {other.name}, "new connections go to the other one")
        self.assertEqual(say(kept), name, "known ones stay")
        result = parse_wrk(load.communicate(timeout=60 * SLOWNESS)[0])
        self.assertEqual(result.failed, 0, result)
        self.assertGreater(result.requests, 0)
        self.reload(shunt, self.nat((other, "")), 3)
        self.assertEqual(self.names(), {other.name})
        self.reload(shunt, self.nat(), 4)
        self.assertEqual(self.names(), {drained.name, other.name}, "it is back")

    def test_a_server_that_dies_under_load(self):
        shunt = self.direct(self.nat())
        load = self.load(seconds=3)
        wait_until(lambda: self.names() == {self.first.name, self.second.name}, "both servers under load")
        self.first.nginx.kill()
        self.first.nginx.wait()
        self.reload(shunt, self.nat((self.second, "")), 2)
        self.assertEqual(self.names(), {self.second.name})
        load.communicate(timeout=60 * SLOWNESS)
        shunt.stop()
        self.assertRegex(shunt.log(), r"layer 4 stopped: \d+ connections")

    def test_a_client_that_is_persistent(self):
        self.direct(self.nat(more='persistence = "5m"\nnetmask = 24'))
        self.assertEqual(len(self.names()), 1)

    def test_datagrams_one_by_one(self):
        config = self.direct_routing(protocol="udp", more="one_packet = true")
        for server in self.farm.servers:
            server.answer_udp(VIP, 53)
        self.direct(config)
        with self.farm.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            seen = set()

            def both_have_answered():
                seen.add(self.farm.ask(VIP, 53, b"?", asker))
                return len(seen) == 2

            wait_until(both_have_answered, "answers of both servers to one socket")

    def test_a_new_director_takes_up_the_connections_of_the_old(self):
        config = self.direct_routing(scheduler="mh", more="sloppy_tcp = true")
        shunt = self.direct(config)
        streams = [self.farm.connect(VIP) for _ in range(8)]
        for stream in streams:
            self.addCleanup(stream.close)
        names = [say(stream) for stream in streams]
        shunt.kill()
        self.direct(config)
        self.assertEqual([say(stream) for stream in streams], names)

    def test_a_reload_by_a_user_without_rights(self):
        shunt = self.direct('global.user = "nobody"\n' + self.nat((self.first, "")))
        kept = self.farm.connect(VIP)
        self.addCleanup(kept.close)
        self.assertEqual(say(kept), self.first.name)
        other = service("more", f"{v4(105)}:80", [(self.second.name, f'address = "{self.second.v4}:80"')])
        self.reload(shunt, 'global.user = "nobody"\n' + self.nat() + other, 2)
        self.assertEqual(self.farm.get(v4(105)).decode().strip(), self.second.name)
        self.assertEqual(say(kept), self.first.name)
        shunt.write('global.user = "nobody"\n' + self.nat().replace('"eth0"', '"eth7"'))
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log("eth7: No such device")
        self.assertEqual(say(kept), self.first.name)

    def test_what_is_missing_is_said_at_the_start(self):
        self.farm.director.run("ip", "address", "add", f"{v4(110)}/32", "dev", "lo")
        server = [("a", 'address = "10.1.0.11"')]
        for description, config, without, code, says in (
                ("no such interface", service("x", f"{VIP}:80", server).replace("eth0", "eth7"), [], WRONG,
                 "service \"x\": interface eth7: No such device; there are: lo, eth0"),
                ("the host has the address", service("x", f"{v4(110)}:80", server), [], WRONG,
                 "is an address of this host"),
                ("no route", service("x", f"{VIP}:80", [("a", 'address = "203.0.113.1"')]), [], WRONG,
                 "there is no route to 203.0.113.1"),
                ("no right", service("x", f"{VIP}:80", server), ["setpriv", "--bounding-set", "-net_raw"], MISSING,
                 "CAP_NET_RAW")):
            with self.subTest(description):
                (self.folder / "x.toml").write_text(config, encoding="utf-8")
                done = subprocess.run([*self.farm.director.enter, *without, binary(), "run", "-c", "x.toml"],
                                      cwd=self.folder, capture_output=True, text=True, check=False,
                                      timeout=30 * SLOWNESS)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(says, done.stderr)


if __name__ == "__main__":
    main()
