#!/usr/bin/env python3
# What changes while layer 4 works: servers drained, removed and killed under load, reloads, a director that restarts,
# persistence, one-packet scheduling, dropped privileges; and what is missing at the start. In network namespaces of the
# test's own; skipped where those are refused.
import pathlib
import socket
import subprocess

from harness import SLOWNESS, Closed, ShuntTest, binary, main, signal, wait_until
from layer4 import Farm, hears_nothing, say, service, v4
from namespaces import Namespace, needs

VIP, LISTENING = v4(100), "generation 1"
WRONG, MISSING = 1, 3
NET_RAW_AND_ADMIN = f"{1 << 12 | 1 << 13:016x}"


@needs(bridge=True)
class LifeTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.farm = Farm(self.folder)
        self.addCleanup(self.farm.close)
        self.first, self.second = self.farm.servers[:2]

    def direct(self, config):
        shunt = self.shunt(config, enter=self.farm.director.enter)
        shunt.wait_for_log(LISTENING)
        return shunt

    def nat(self, *servers, **options):
        """The configuration of a NAT service with these servers, or all; each may have more keys."""
        keys = dict(servers or ((server, "") for server in self.farm.servers))
        for server in keys:
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

    def kept_by_each(self):
        """A connection that stays open to each server, by name."""
        kept = {}
        for _ in self.farm.servers:
            stream = self.farm.connect(VIP)
            self.addCleanup(stream.close)
            kept[say(stream)] = stream
        self.assertEqual(kept.keys(), {server.name for server in self.farm.servers})
        return kept

    def load(self, **options):
        """wrk on the client until it is stopped."""
        return self.farm.load(VIP, seconds=60, connections=8, **options)

    def names(self, count=8):
        return {self.farm.get(VIP).decode().strip() for _ in range(count)}

    def wait_for_more(self, what, count=200):
        """Until the second server has had that many more connections, and that many more requests on old ones."""
        accepts, requests = self.second.served()

        def more():
            now_accepts, now_requests = self.second.served()
            new = now_accepts - accepts
            return new > count and now_requests - requests - new > count

        wait_until(more, f"new and old connections to go on {what}")

    def nat_with_first(self, *keys):
        """All servers, the first one with these keys; without any: all but the first."""
        rest = ((server, "") for server in self.farm.servers if server is not self.first)
        return self.nat(*((self.first, each) for each in keys), *rest)

    def assert_first_gets_none(self):
        """Of new connections; the others get them."""
        self.assertLessEqual(self.names(), {server.name for server in self.farm.servers} - {self.first.name})

    def assert_unharmed(self, *loads):
        for load in loads:
            result = load.stop()
            self.assertEqual(result.failed, 0, result)

    def test_drained_and_removed_under_load(self):
        shunt = self.direct(self.nat())
        kept = self.kept_by_each()
        short = self.load(headers=[("Connection", "close")])
        self.farm.wait_for_requests()
        self.reload(shunt, self.nat_with_first("weight = 0"), 2)
        long = self.load()  # Its connections stay open, all of them to servers that stay.
        self.assert_first_gets_none()
        self.wait_for_more("while one server drains")
        for name, stream in kept.items():
            self.assertEqual(say(stream), name, "known ones stay, drained or not")

        self.reload(shunt, self.nat_with_first(), 3)
        self.assert_first_gets_none()
        self.wait_for_more("after the removal")
        dropped = kept.pop(self.first.name)
        dropped.send(b"GET / HTTP/1.1\r\nHost: farm\r\n\r\n")
        self.assertTrue(hears_nothing(dropped), "packets for a server that is removed are dropped without a word")
        for name, stream in kept.items():
            self.assertEqual(say(stream), name)
        self.assert_unharmed(short, long)

        self.reload(shunt, self.nat(), 4)
        self.assertEqual(self.names(), {server.name for server in self.farm.servers}, "it is back")

    def test_a_server_that_dies_under_load(self):
        shunt = self.direct(self.nat())
        kept = self.kept_by_each()
        short = self.load(headers=[("Connection", "close")])
        self.farm.wait_for_requests()
        self.first.nginx.kill()
        self.first.nginx.wait()
        accepts = self.second.served()[0]
        wait_until(lambda: self.second.served()[0] > accepts + 100, "load on those that live")
        with self.assertRaises((Closed, ConnectionResetError, BrokenPipeError)):
            say(kept.pop(self.first.name))
        for name, stream in kept.items():
            self.assertEqual(say(stream), name)
        self.assertGreater(short.stop().failed, 0, "nobody has told Shunt: its turn still comes, and it refuses")

        self.reload(shunt, self.nat_with_first("weight = 0"), 2)
        self.assert_first_gets_none()
        short, long = self.load(headers=[("Connection", "close")]), self.load()
        self.wait_for_more("before the removal")
        self.reload(shunt, self.nat_with_first(), 3)
        self.assert_first_gets_none()
        self.wait_for_more("after the removal")
        for name, stream in kept.items():
            self.assertEqual(say(stream), name)
        self.assert_unharmed(short, long)

    def test_services_that_swap_addresses(self):
        def ports(*names):
            return "".join(service(name, f"{VIP}:{port}", [(server.name, f'address = "{server.v4}:8080"')])
                           for name, port, server in zip(names, (80, 81), (self.first, self.second), strict=True))

        def answers():
            return [self.farm.get(VIP, port).decode().strip() for port in (80, 81)]

        self.nat()  # For the ways back.
        shunt = self.direct(ports("one", "two"))
        both = [self.first.name, self.second.name]
        self.assertEqual(answers(), both)
        self.reload(shunt, ports("two", "one"), 2)
        self.assertEqual(answers(), both)

    def test_connections_go_on_while_shunt_drains(self):
        shunt = self.direct(self.nat())
        kept = self.farm.connect(VIP)
        self.addCleanup(kept.close)
        name = say(kept)
        shunt.send_signal(signal.SIGQUIT)
        shunt.wait_for_log("QUIT: draining")
        self.assertEqual(say(kept), name)
        self.assertTrue(self.names(), "new ones come through as well: nobody else would take them")
        self.assertEqual(say(kept), name)
        kept.close()
        self.assertEqual(shunt.wait(), 0)

    def test_draining_has_an_end(self):
        shunt = self.direct('[global]\ndrain_timeout = "1s"\n' + self.nat())
        kept = self.farm.connect(VIP)
        self.addCleanup(kept.close)
        say(kept)
        shunt.send_signal(signal.SIGTERM)
        self.assertEqual(shunt.wait(), 0)
        self.assertIn("drain_timeout is over", shunt.log())

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

            def all_have_answered():
                seen.add(self.farm.ask(VIP, 53, b"?", asker))
                return len(seen) == len(self.farm.servers)

            wait_until(all_have_answered, "answers of all servers to one socket")

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

    def capabilities(self, shunt):
        """The effective ones of all threads."""
        return {line.split()[1] for status in pathlib.Path(f"/proc/{shunt.pid}/task").glob("*/status")
                for line in status.read_text().splitlines() if line.startswith("CapEff")}

    def another_network(self):
        """One behind eth1 of the director, from which the second server is reached as well; returns a client there."""
        client = Namespace()
        self.addCleanup(client.close)
        director = self.farm.director
        director.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", client.pid)
        director.run("ip", "address", "add", "10.9.0.254/24", "dev", "eth1")
        director.run("ip", "link", "set", "eth1", "up")
        client.run("ip", "address", "add", "10.9.0.1/24", "dev", "eth0")
        client.run("ip", "link", "set", "eth0", "up")
        self.second.run("ip", "route", "add", "10.9.0.0/24", "via", director.v4)
        return client

    def curl(self, client, address):
        return client.run("curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", 20 * SLOWNESS,
                          f"http://{address}/").strip()

    def test_rings_are_opened_without_root(self):
        top = 'global.user = "nobody"\n'
        shunt = self.direct(top + self.nat((self.first, "")))
        self.assertEqual(self.capabilities(shunt), {NET_RAW_AND_ADMIN})
        client = self.another_network()
        there = service("there", "10.9.0.100:80", [(self.second.name, f'address = "{self.second.v4}:8080"')])
        self.reload(shunt, top + self.nat((self.first, "")) + there.replace('"eth0"', '"eth1"'), 2)
        self.assertEqual(self.curl(client, "10.9.0.100"), self.second.name)
        self.assertEqual(self.names(), {self.first.name})
        self.assertEqual(self.capabilities(shunt), {NET_RAW_AND_ADMIN})

    def test_two_rights_are_enough(self):
        only = ["setpriv", "--inh-caps", "-all", "--bounding-set", "-all,+net_raw,+net_admin"]
        config = self.nat((self.first, ""))
        shunt = self.shunt(config, enter=[*self.farm.director.enter, *only])
        shunt.wait_for_log(LISTENING)
        self.assertEqual(self.capabilities(shunt), {NET_RAW_AND_ADMIN})
        self.assertEqual(self.names(), {self.first.name})
        client = self.another_network()
        there = service("there", "10.9.0.100:80", [(self.second.name, f'address = "{self.second.v4}:8080"')])
        self.reload(shunt, config + there.replace('"eth0"', '"eth1"'), 2)
        self.assertEqual(self.curl(client, "10.9.0.100"), self.second.name)

    def test_another_host_claims_the_address(self):
        shunt = self.direct(self.nat())
        self.assertEqual(self.names(), {server.name for server in self.farm.servers})
        # A real server that is not told to keep the address to itself announces it.
        self.first.run("ip", "address", "add", f"{VIP}/24", "dev", "eth0")
        mac = self.first.run("ip", "link", "show", "eth0").split("link/ether ")[1].split()[0]
        with self.first.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
            speaker.bind((VIP, 0))
            # To an address that it has to ask for, in the name of the virtual one.
            self.first.sysctl(ipv4__conf__all__arp_announce=0)
            for host in range(60, 63):
                speaker.sendto(b"?", (v4(host), 9))
        shunt.wait_for_log(f"layer 4: {mac} on eth0 claims the virtual address {VIP} for itself")
        self.assertEqual(shunt.log().count("claims the virtual address"), 1, "once a minute")

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
                 "service \"x\": there is no interface \"eth7\" on this host"),
                ("the host has the address", service("x", f"{v4(110)}:80", server), [], WRONG,
                 "is an address of this host"),
                ("no route", service("x", f"{VIP}:80", [("a", 'address = "203.0.113.1"')]), [], WRONG,
                 "there is no route to 203.0.113.1"),
                ("no right", service("x", f"{VIP}:80", server), ["setpriv", "--bounding-set", "-net_raw"], MISSING,
                 "CAP_NET_RAW"),
                ("no right but one", service("x", f"{VIP}:80", server),
                 ["setpriv", "--bounding-set", "-all,+net_admin"], MISSING,
                 "layer 4 needs CAP_NET_RAW, which this process (user 0) does not have")):
            with self.subTest(description):
                (self.folder / "x.toml").write_text(config, encoding="utf-8")
                done = subprocess.run([*self.farm.director.enter, *without, binary(), "run", "-c", "x.toml"],
                                      cwd=self.folder, capture_output=True, text=True, check=False,
                                      timeout=30 * SLOWNESS)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(says, done.stderr)


if __name__ == "__main__":
    main()
