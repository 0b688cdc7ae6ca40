#!/usr/bin/env python3
# Layer 4 in network namespaces of the test's own: a client, Shunt as director, and real servers with nginx and UDP
# services. Needs root; skipped where namespaces, bridges, tun devices or packet sockets are refused.
import socket

from harness import ShuntTest, main
from layer4 import Farm, service, url_host, v4, v6
from namespaces import needs

NAT, DIRECT, TUNNEL, GUE = 100, 101, 102, 103
DATA_MAX = 1500 - 28                       # Of a datagram that is not fragmented.
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0  # From here on datagrams have no DF.


def services(farm, methods=(("nat", NAT), ("dr", DIRECT), ("tun", TUNNEL), ("gue", GUE)), more=""):
    """A service for each method, family and protocol at its own address: HTTP on port 80, and UDP echo on 53."""
    lines = []
    for method, number in methods:
        for make in (v4, v6):
            for protocol, port in (("tcp", 80), ("udp", 53)):
                lines += ["[[service]]", f'name = "{method}-{make.__name__}-{protocol}"', f'protocol = "{protocol}"',
                          f'address = "{url_host(make(number))}:{port}"', 'interface = "eth0"',
                          f'forward = "{"tun" if method == "gue" else method}"', 'scheduler = "rr"', more]
                for server in farm.servers:
                    port_there = {80: 8080, 53: 5353}[port] if method == "nat" else port
                    lines += ["[[service.server]]", f'name = "{server.name}"',
                              f'address = "{url_host(make(server.number))}:{port_there}"']
                    if method == "gue":
                        lines += ['tunnel = "gue"']
    return "\n".join(lines) + "\n"


@needs(tun=True, bridge=True)
class Layer4Test(ShuntTest):
    def setUp(self):
        super().setUp()
        self.farm = Farm(self.folder)
        self.addCleanup(self.farm.close)

    def direct(self, config):
        shunt = self.shunt(config, enter=self.farm.director.enter)
        shunt.wait_for_log("generation 1")
        return shunt

    def test_each_method_with_tcp_and_udp_over_ipv4_and_ipv6(self):
        self.each_method(threads=1)

    def test_each_method_with_two_threads(self):
        self.each_method(threads=2)

    def test_a_tunnel_over_ipv6_cuts_what_is_too_large(self):
        lines = []
        server = self.farm.servers[0]
        server.decapsulate(v4(TUNNEL), v4(GUE))
        for number, tunnel in ((TUNNEL, "ipip"), (GUE, "gue")):
            lines.append(service(tunnel, f"{v4(number)}:53", [(server.name, f'address = "{v6(server.number)}"\n'
                                                               f'tunnel = "{tunnel}"')], "tun", "udp"))
            server.answer_udp(v4(number), 53)
        self.direct("\n".join(lines))
        for number in (TUNNEL, GUE):
            # It fits the client's link, but not the tunnel.
            data = b"x" * DATA_MAX
            with self.farm.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
                self.assertEqual(self.farm.ask(v4(number), 53, data, asker), server.name.encode() + b" " + data)

    def carry_load(self, address):
        """wrk, until every server has had its part."""
        load = self.farm.load(address, seconds=60, connections=8)
        self.farm.wait_for_requests()
        result = load.stop()
        self.assertEqual(result.failed, 0, result)

    def each_method(self, threads):
        for server in self.farm.servers:
            server.route_by(self.farm.director, self.farm.client)
            for make in (v4, v6):
                server.answer_udp(make(server.number), 5353)
                server.take_address(make(DIRECT))
            server.decapsulate(v4(TUNNEL), v6(TUNNEL), v4(GUE), v6(GUE))
            for make in (v4, v6):
                for number in (DIRECT, TUNNEL, GUE):
                    server.answer_udp(make(number), 53)
        self.direct(f"global.layer4_threads = {threads}\n" + services(self.farm))
        names = sorted(server.name for server in self.farm.servers)
        for number in (NAT, DIRECT, TUNNEL, GUE):
            if number == DIRECT:
                for server in self.farm.servers:
                    server.route_directly(self.farm.client)
            for make in (v4, v6):
                with self.subTest(number=number, family=make.__name__):
                    seen = sorted(self.farm.get(make(number)).decode().strip() for _ in names)
                    self.assertEqual(seen, names, "TCP")
                    self.assertRegex(self.farm.ask(make(number), 53, b"question"), rb"^s1[1-4] question$")
                    self.carry_load(make(number))


if __name__ == "__main__":
    main()
