#!/usr/bin/env python3
# Servers by name: what A, AAAA and SRV records lead to serves, and follows them when they change, without one failed
# request; what was known stays when nameservers fail.
import os
import re

from harness import ShuntTest, Wrk, farm, free_port, free_ports, get, main, run_shunt, signal, unittest, wait_until
from nameserver import NXDOMAIN, REFUSED, SERVFAIL, SILENCE, Nameserver
from tls import make_certificate

RELOADED = r"reload: generation (\d+):"


class DnsTest(ShuntTest):
    def nameserver(self):
        dns = Nameserver()
        self.addCleanup(dns.stop)
        return dns

    def config(self, dns, servers, timeout="20s", **options):
        """With short times, as tests have no patience; but no nameserver is too slow, unless `timeout` says so."""
        options["rules"] = (f'[resolver]\nnameservers = "{dns.address}"\ntimeout = "{timeout}"\nttl_min = "200ms"\n'
                            'retry_min = "200ms"\nretry_max = "500ms"\nstart_wait = "60s"\n')
        return farm(options.pop("port", None) or free_port(), servers, **options)

    def origins_of_one_port(self, count):
        """On 127.0.0.2, 127.0.0.3, …, as the records of one name have one port."""
        port = free_port()
        return [self.origin(name=f"o{i}", host=f"127.0.0.{i}", port=port) for i in range(2, 2 + count)]

    def wait_for_answers(self, port, names):
        """Until exactly these origins answer."""
        def answering():
            return {get(port).body.decode().strip() for _ in range(3 * len(names))}
        wait_until(lambda: answering() == set(names), f"answers of {names}")

    def reload(self, shunt, config):
        count = shunt.log().count("info reload: generation")
        shunt.write(config)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(RELOADED, count + 1)

    def test_addresses_come_and_go_with_the_answer(self):
        first, second, third = self.origins_of_one_port(3)
        dns = self.nameserver()
        dns.set("img.test", "A", [first.host, second.host])
        shunt = self.shunt(self.config(dns, [f"dns:img.test:{first.port}"], pool='scheduler = "rr"'))
        # Before the first request there are servers: the start has waited for them.
        self.assertEqual({get(shunt.port).body for _ in range(4)}, {b"o2\n", b"o3\n"})
        dns.set("img.test", "A", [second.host, third.host])
        self.wait_for_answers(shunt.port, ["o3", "o4"])
        shunt.wait_for_log(rf"info dns:img\.test:{first.port} \(pool pages server s1\): 2 servers, "
                           rf"added 127\.0\.0\.4:{first.port}, removed 127\.0\.0\.2:{first.port}\n")
        entry = shunt.wait_for_access_log(1)[0]
        self.assertRegex(entry["server"], rf"^s1/127\.0\.0\.[23]:{first.port}$")
        self.assertGreater(dns.asked("img.test", "AAAA"), 0)

    def test_service_records_give_ports_priority_and_weight(self):
        heavy, light, spare = (self.origin(name=name) for name in ("heavy", "light", "spare"))
        dns = self.nameserver()
        dns.set("_http._tcp.img.test", "SRV", [(10, 30, heavy.port, "a.test"), (10, 10, light.port, "b.test"),
                                               (20, 1, spare.port, "a.test")])
        dns.set("b.test", "CNAME", ["a.test"])
        dns.set("a.test", "A", ["127.0.0.1"])
        shunt = self.shunt(self.config(dns, ["srv:_http._tcp.img.test"], pool='scheduler = "wrr"'))
        bodies = [get(shunt.port).body for _ in range(40)]
        self.assertEqual((bodies.count(b"heavy\n"), bodies.count(b"light\n")), (30, 10))
        # The next priority serves when nobody of this one has an address.
        dns.set("_http._tcp.img.test", "SRV", [(10, 30, heavy.port, "gone.test"), (20, 1, spare.port, "a.test")])
        self.wait_for_answers(shunt.port, ["spare"])

    def test_no_request_fails_while_members_come_and_go(self):
        servers = [self.nginx(name=f"n{i}") for i in range(3)]
        ports = [int(server.address.rsplit(":", 1)[1]) for server in servers]
        dns = self.nameserver()
        dns.set("host.test", "A", ["127.0.0.1"])

        def offer(*indexes):
            dns.set("img.test", "SRV", [(0, 1 + i, ports[i], "host.test") for i in indexes])

        offer(0)
        shunt = self.shunt(self.config(dns, ["srv:img.test"], workers=2))
        load = Wrk(shunt.port, seconds=60)
        sets = [(0, 1), (1, 2), (2,), (0, 1, 2), (1,), (0, 2)]
        for indexes in sets:
            changes = shunt.log().count("info srv:img.test")
            offer(*indexes)
            shunt.wait_for_log(r"info srv:img\.test", changes + 1)
        result = load.stop()
        self.assertGreater(result.requests, 100)
        self.assertEqual(result.failed, 0, result)
        shunt.stop()
        self.assertNotIn(" error ", shunt.log())

    def test_the_last_good_answer_stays(self):
        origin = self.origin()
        dns = self.nameserver()
        dns.set("img.test", "A", ["127.0.0.1"])
        shunt = self.shunt(self.config(dns, [f"dns:img.test:{origin.port}"]))
        warning = rf"warning dns:img\.test:{origin.port} \(pool pages server s1\): .*asked {dns.address}; keeping 1 "
        troubles = 0
        for failure in (SERVFAIL, REFUSED, NXDOMAIN):
            dns.fail("img.test", failure)
            troubles += 1
            shunt.wait_for_log(warning, troubles)
            dns.wait_for_questions("img.test", 2)
            self.assertEqual(get(shunt.port).status, 200)
            dns.heal("img.test")
            shunt.wait_for_log("answered again, 1 server", troubles)
        dns.remove("img.test", "A")
        dns.set("img.test", "SRV", [])  # The name exists, and has no address.
        shunt.wait_for_log("img.test has no address", 1)
        dns.stop()
        self.assertEqual(get(shunt.port).status, 200)
        # One word per change of state, however many times it was asked for.
        self.assertEqual(len(re.findall(warning, shunt.log())), troubles + 1)

    def test_the_last_good_answer_stays_while_nobody_answers(self):
        origin = self.origin()
        dns = self.nameserver()
        dns.set("img.test", "A", ["127.0.0.1"])
        shunt = self.shunt(self.config(dns, [f"dns:img.test:{origin.port}"], timeout="200ms"))
        wait_until(lambda: get(shunt.port).status == 200, "the name's server")
        dns.fail("img.test", SILENCE)
        shunt.wait_for_log(r"img\.test: no answer in time; asked .*; keeping 1 server")
        dns.wait_for_questions("img.test", 2)
        self.assertEqual(get(shunt.port).status, 200)

    def test_one_family_that_fails_leaves_the_other_alone(self):
        first, second = self.origins_of_one_port(2)
        dns = self.nameserver()
        dns.fail("img.test", SERVFAIL, "AAAA")
        dns.set("img.test", "A", [first.host])
        shunt = self.shunt(self.config(dns, [f"dns:img.test:{first.port}"]))
        self.wait_for_answers(shunt.port, ["o2"])
        dns.set("img.test", "A", [second.host])
        self.wait_for_answers(shunt.port, ["o3"])

    def test_a_name_that_is_not_known_yet_is_answered_503(self):
        origin = self.origin()
        dns = self.nameserver()
        shunt = self.shunt(self.config(dns, [f"dns:late.test:{origin.port}"]))
        self.assertEqual(get(shunt.port).status, 503)
        self.assertEqual(shunt.wait_for_access_log(1)[0]["reason"], "name_unresolved")
        shunt.wait_for_log(rf"late\.test does not exist \(NXDOMAIN\); asked {dns.address}; it has no server yet")
        dns.set("late.test", "A", ["127.0.0.1"])
        wait_until(lambda: get(shunt.port).status == 200, "the name's servers")

    def test_a_silent_nameserver_holds_up_the_start_only_so_long(self):
        origin = self.origin()
        dns = self.nameserver()
        dns.fail("mute.test", SILENCE)
        config = self.config(dns, [f"dns:mute.test:{origin.port}", origin.address])
        shunt = self.shunt(config.replace('start_wait = "60s"', 'start_wait = "300ms"'))
        shunt.wait_for_log(rf"mute\.test.*no answer from {dns.address} within 300ms")
        self.assertEqual(get(shunt.port).status, 200)  # Of the other server.

    def test_long_answers_are_asked_for_by_tcp(self):
        origin = self.origin()
        dns = self.nameserver()
        dns.truncate = True
        dns.set("img.test", "A", ["127.0.0.1"])
        shunt = self.shunt(self.config(dns, [f"dns:img.test:{origin.port}"]))
        self.assertEqual(get(shunt.port).status, 200)
        self.assertGreater(dns.asked("img.test", "A", "tcp"), 0)

    def test_a_name_is_not_asked_for_before_its_time(self):
        origin = self.origin()
        dns = self.nameserver()
        dns.set("slow.test", "A", ["127.0.0.1"], ttl=3600)
        dns.set("fast.test", "A", ["127.0.0.1"], ttl=0)
        shunt = self.shunt(self.config(dns, [f"dns:{name}.test:{origin.port}" for name in ("slow", "fast")]))
        dns.wait_for_questions("fast.test", 4, "A")
        self.assertEqual(dns.asked("slow.test", "A"), 1)
        self.assertEqual(get(shunt.port).status, 200)

    def test_reload_keeps_what_was_resolved(self):
        origin = self.origin()
        dns = self.nameserver()
        dns.set("img.test", "A", ["127.0.0.1"], ttl=3600)
        config = self.config(dns, [f"dns:img.test:{origin.port}"])
        shunt = self.shunt(config)
        asked = dns.asked("img.test")
        dns.stop()
        self.reload(shunt, config + "max_connections = 100\n")
        self.assertEqual(get(shunt.port).status, 200)
        self.assertEqual(dns.asked("img.test"), asked)
        self.assertIn("servers: 0 added, 0 removed, 1 edited", shunt.log())

    def test_reload_from_an_address_to_a_name_fails_no_request(self):
        server = self.nginx()
        dns = self.nameserver()
        dns.set("img.test", "A", ["127.0.0.1"])
        port = free_port()
        by_name = f"dns:img.test:{server.address.rsplit(':', 1)[1]}"
        shunt = self.shunt(self.config(dns, [server.address], port=port, workers=2))
        load = Wrk(port, seconds=60)
        for address in (by_name, server.address, by_name):
            self.reload(shunt, self.config(dns, [address], port=port, workers=2))
        result = load.stop()
        self.assertEqual(result.failed, 0, result)

    def test_host_and_tls_go_by_the_name(self):
        authority = make_certificate(self.folder, "authority")
        make_certificate(self.folder, "server", hosts=["img.test"], signed_by=authority)
        port, plain = free_ports(2)
        self.nginx(extra=f'''listen 127.0.0.1:{port} ssl; ssl_certificate {self.folder}/server.pem;
            ssl_certificate_key {self.folder}/server.key;
            location = /names {{ return 200 "$ssl_server_name $http_host"; }}''')
        dns = self.nameserver()
        dns.set("img.test", "A", ["127.0.0.1"])
        shunt = self.shunt(self.config(
            dns, [f"dns:img.test:{port}"], port=plain,
            pool=f'host_header = "server"\ntls = {{ ca = "{authority.path}" }}'))
        self.assertEqual(get(shunt.port, "/names").body.decode(), f"img.test img.test:{port}")

    def test_clients_stick_to_members(self):
        first, second = self.origins_of_one_port(2)
        dns = self.nameserver()
        dns.set("img.test", "A", [first.host])
        shunt = self.shunt(self.config(dns, [f"dns:img.test:{first.port}"],
                                       pool='scheduler = "rr"\nsticky = { cookie = "S" }'))
        dns.set("img.test", "A", [first.host, second.host])
        shunt.wait_for_log(rf"added {second.address}")
        answers = {}
        while len(answers) < 2:  # Both have a token, the one that came later too.
            answer = get(shunt.port)
            if cookie := answer.header("Set-Cookie"):
                answers[answer.body] = cookie.split(";")[0]
        for body, cookie in answers.items():
            for _ in range(4):
                self.assertEqual(get(shunt.port, headers=[("Cookie", cookie)]).body, body)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_works_without_privileges(self):
        first, second = self.origins_of_one_port(2)
        dns = self.nameserver()
        dns.set("img.test", "A", [first.host])
        shunt = self.shunt(self.config(dns, [f"dns:img.test:{first.port}"], top='user = "nobody"'))
        dns.set("img.test", "A", [second.host])
        self.wait_for_answers(shunt.port, ["o3"])

    def test_check_and_explain_ask_nobody(self):
        dns = self.nameserver()
        path = self.folder / "farm.toml"
        path.write_text(self.config(dns, ["dns:img.test:80"]), encoding="utf-8")
        self.assertEqual(run_shunt("check", path).returncode, 0)
        explained = run_shunt("explain", path, "GET", "http://a/").stdout
        self.assertRegex(explained, r"1\. s1  dns:img\.test:80  weight 1")
        self.assertEqual(dns.questions, [])


if __name__ == "__main__":
    main()
