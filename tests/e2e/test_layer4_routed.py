#!/usr/bin/env python3
# Layer 4 with routes: clients come by one interface, servers are reached by another, half of them behind a router that
# is the director's next hop. In network namespaces of the test's own; skipped where those, bridges or tun devices are
# refused.
from harness import ShuntTest, main
from layer4 import RoutedFarm, service, url_host, v4, v6
from namespaces import needs

NAT, DIRECT, TUNNEL = 100, 101, 102


@needs(tun=True, bridge=True)
class RoutedTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.farm = RoutedFarm(self.folder)
        self.addCleanup(self.farm.close)

    def direct(self, method, number, servers):
        """Services for both families and protocols at the address v4(number) or v6(number)."""
        services = []
        for family in ("v4", "v6"):
            make = {"v4": v4, "v6": v6}[family]
            for protocol, port in (("tcp", 80), ("udp", 53)):
                if method != "nat":
                    port_there = port
                else:
                    port_there = {80: 8080, 53: 5353}[port]
                listed = [(one.name, f'address = "{url_host(getattr(one, family))}:{port_there}"') for one in servers]
                services.append(service(f"{family}-{protocol}", f"{url_host(make(number))}:{port}", listed, method,
                                        protocol))
        shunt = self.shunt("".join(services), enter=self.farm.director.enter)
        shunt.wait_for_log("generation 1")

    def expect_answers(self, number, servers):
        names = sorted(server.name for server in servers)
        for make in (v4, v6):
            with self.subTest(family=make.__name__):
                seen = sorted(self.farm.get(make(number)).decode().strip() for _ in servers)
                self.assertEqual(seen, names, "TCP")
                seen = {self.farm.ask(make(number), 53, b"?").decode().split()[0] for _ in range(4 * len(servers))}
                self.assertEqual(sorted(seen), names, "UDP")

    def answer_udp(self, servers, number):
        for server in servers:
            for make in (v4, v6):
                server.answer_udp(make(number), 53)

    def test_nat(self):
        self.farm.answer_by_director()
        for server in self.farm.servers:
            for address in (server.v4, server.v6):
                server.answer_udp(address, 5353)
        self.direct("nat", NAT, self.farm.servers)
        self.expect_answers(NAT, self.farm.servers)

    def test_tunnels(self):
        self.farm.answer_directly()
        for server in self.farm.servers:
            server.decapsulate(v4(TUNNEL), v6(TUNNEL))
        self.answer_udp(self.farm.servers, TUNNEL)
        self.direct("tun", TUNNEL, self.farm.servers)
        self.expect_answers(TUNNEL, self.farm.servers)

    def test_direct_routing(self):
        # Only those on the director's own network: a router would not know what to do with the virtual address.
        self.farm.answer_directly()
        for server in self.farm.near:
            server.take_address(v4(DIRECT))
            server.take_address(v6(DIRECT))
        self.answer_udp(self.farm.near, DIRECT)
        self.direct("dr", DIRECT, self.farm.near)
        self.expect_answers(DIRECT, self.farm.near)


if __name__ == "__main__":
    main()
