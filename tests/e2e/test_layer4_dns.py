#!/usr/bin/env python3
# Layer 4 before a DNS server from Debian, asked by dig: UDP by NAT, DR, TUN and GUE over IPv4 and IPv6, answers in
# fragments, and TCP. Needs root, dnsmasq and dig; skipped where namespaces, bridges, tun devices or
# packet sockets are refused.
import shutil
import subprocess

from harness import SLOWNESS, TIMEOUT, ShuntTest, main, unittest, wait_until
from layer4 import Farm, service, url_host, v4, v6
from namespaces import needs

NAT, DIRECT, TUNNEL, GUE = 100, 101, 102, 103
METHODS = {"nat": NAT, "dr": DIRECT, "tun": TUNNEL, "gue": GUE}
FAMILIES = {"4": v4, "6": v6}
LARGE = 3000  # Bytes of a name's text: more than a packet takes.
MISSING = [tool for tool in ("dnsmasq", "dig") if shutil.which(tool) is None]


@needs(tun=True, bridge=True)
@unittest.skipIf(MISSING, f"there is no {' and no '.join(MISSING)} (dnsmasq-base, bind9-dnsutils)")
class DnsTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.farm = Farm(self.folder)
        self.addCleanup(self.farm.close)
        for server in self.farm.servers:
            server.route_by(self.farm.director, self.farm.client)
            for make in FAMILIES.values():
                server.take_address(make(DIRECT))
            server.decapsulate(v4(TUNNEL), v6(TUNNEL), v4(GUE), v6(GUE))
            self.serve(server)

    def serve(self, server):
        log = open(self.folder / f"dns-{server.name}.log", "wb")
        pieces = ",".join(["x" * 250] * (LARGE // 250))
        dns = server.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                           "--user=root", "--pid-file", "--log-facility=-", "--edns-packet-max=4096",
                           f"--txt-record=name.test,{server.name}", f"--txt-record=large.test,{pieces}",
                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def stop():
            dns.terminate()
            dns.wait(TIMEOUT)
            log.close()

        self.addCleanup(stop)
        wait_until(lambda: "0.0.0.0:53 " in server.run("ss", "-lun") or dns.poll() is not None, "dnsmasq")

    def start(self, protocol):
        services = []
        for name, number in METHODS.items():
            for family, make in FAMILIES.items():
                keys, method = ('\ntunnel = "gue"', "tun") if name == "gue" else ("", name)
                servers = [(server.name, f'address = "{url_host(make(server.number))}:53"{keys}')
                           for server in self.farm.servers]
                services.append(service(f"{name}{family}", f"{url_host(make(number))}:53", servers, method, protocol))
        shunt = self.shunt("".join(services), enter=self.farm.director.enter)
        shunt.wait_for_log("generation 1")

    def dig(self, address, name, *options):
        """What dig on the client prints, asked until there is an answer."""
        def answer():
            done = subprocess.run(
                [*self.farm.client.enter, "dig", "-r", "+short", "+tries=1", f"+time={int(2 * SLOWNESS)}", *options,
                 f"@{address}", name, "TXT"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            return done.stdout.strip() if done.returncode == 0 else None

        return wait_until(answer, f"an answer from {address}")

    def each(self):
        """Each method and family, with the servers' routes as the method wants them."""
        for method, number in METHODS.items():
            if method == "dr":
                for server in self.farm.servers:
                    server.route_directly(self.farm.client)
            for family, make in FAMILIES.items():
                with self.subTest(method=method, family=family):
                    yield make(number)

    def test_datagrams(self):
        self.start("udp")
        names = {f'"{server.name}"' for server in self.farm.servers}
        for address in self.each():
            seen = set()
            wait_until(lambda seen=seen, address=address: seen.add(self.dig(address, "name.test")) or seen == names,
                       "answers of all servers")
            large = self.dig(address, "large.test", "+bufsize=4096", "+ignore")
            self.assertEqual(large.count("x"), LARGE)

    def test_connections(self):
        self.start("tcp")
        for address in self.each():
            self.assertEqual(self.dig(address, "large.test", "+tcp").count("x"), LARGE)


if __name__ == "__main__":
    main()
