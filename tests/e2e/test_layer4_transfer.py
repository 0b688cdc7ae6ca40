#!/usr/bin/env python3
# Layer 4 with large transfers: each method, both directions, segments of 64 KiB, links of different MTU; what arrives
# is what was sent, byte for byte. In network namespaces of the test's own; skipped where those are refused.
import filecmp
import os
import re

from harness import SLOWNESS, ShuntTest, main
from layer4 import Farm, service, url_host, v4, v6
from namespaces import needs

MIB = 1 << 20
SIZE = int(100 * MIB / SLOWNESS ** 2)
LITTLE = 8 * MIB  # Where the director does not see the data, or sees nothing new in it.
NUMBER = 100


@needs(tun=True, bridge=True)
class TransferTest(ShuntTest):
    def transfer(self, method, make=v4, client_mtu=1500, server_mtu=1500, path_mtu=None, keys="", download=SIZE,
                 upload=LITTLE):
        """Starts a farm with one server, transfers both ways; returns Shunt's log. `path_mtu`: of the director's route
        to the server, as a router would tell of it: on one link all have the same."""
        farm = Farm(self.folder, servers=1, client_mtu=client_mtu, server_mtu=server_mtu)
        self.addCleanup(farm.close)
        server, vip = farm.servers[0], make(NUMBER)
        address = make(server.number)
        if path_mtu:
            farm.director.run("ip", "route", "add", address, "dev", "eth0", "mtu", path_mtu)
        if method == "nat":
            server.route_by(farm.director, farm.client)
        elif method == "dr":
            server.take_address(vip)
        else:
            server.decapsulate(vip)
        shunt = self.shunt(service("web", f"{url_host(vip)}:80", [("a", f'address = "{address}"\n{keys}')], method),
                           enter=farm.director.enter)
        shunt.wait_for_log("generation 1")

        files = server.folder / "files"
        got, sent = self.folder / "got", self.folder / "to-send"
        self.fill(files / "large", download)
        farm.get(vip, 80, "/files/large", "--output", str(got))
        self.assertTrue(filecmp.cmp(files / "large", got, shallow=False), "the download")
        self.fill(sent, upload)
        farm.get(vip, 80, "/files/sent", "--upload-file", str(sent))
        self.assertTrue(filecmp.cmp(files / "sent", sent, shallow=False), "the upload")
        if path_mtu:
            # The client has been told, and less by what a tunnel adds.
            told = re.search(r"mtu (\d+)", farm.client.run("ip", "route", "get", vip))
            self.assertIsNotNone(told, "the client knows of the smaller link")
            self.assertEqual(int(told.group(1)), path_mtu - self.overhead(method, make, keys))
        shunt.stop()
        farm.close()
        return shunt.log()

    @staticmethod
    def fill(path, size):
        block = os.urandom(MIB)
        with open(path, "wb") as file:
            for _ in range(size // MIB):
                file.write(block)

    @staticmethod
    def overhead(method, make, keys):
        if method != "tun":
            return 0
        return (40 if make is v6 else 20) + (12 if "gue" in keys else 0)

    def test_nat(self):
        log = self.transfer("nat")
        packets = int(re.search(r"(\d+) from servers", log).group(1))
        # The server's kernel hands out segments of up to 64 KiB; none was cut on the way.
        self.assertLess(packets, SIZE / 1448 / 2)

    # The data of a download passes the director with NAT alone, that of an upload with all.
    def test_direct_routing(self):
        self.transfer("dr", upload=SIZE)

    def test_tunnel(self):
        self.transfer("tun", upload=SIZE)

    def test_tunnel_in_gue(self):
        self.transfer("tun", keys='tunnel = "gue"', upload=SIZE)

    def test_nat_over_ipv6(self):
        self.transfer("nat", v6)

    def test_tunnel_over_ipv6(self):
        self.transfer("tun", v6, upload=SIZE)

    def test_direct_routing_over_ipv6(self):
        self.transfer("dr", v6, download=LITTLE, upload=SIZE)

    def test_nat_from_large_to_small_links(self):
        self.transfer("nat", client_mtu=1400, server_mtu=9000)

    def test_nat_over_a_smaller_link(self):
        self.transfer("nat", v6, client_mtu=9000, server_mtu=9000, path_mtu=1500, download=LITTLE)

    def test_direct_routing_over_a_smaller_link(self):
        self.transfer("dr", client_mtu=9000, server_mtu=9000, path_mtu=1500)

    def test_tunnel_over_a_smaller_link(self):
        self.transfer("tun", server_mtu=1450, path_mtu=1450)

    def test_tunnel_in_gue_over_a_smaller_link(self):
        self.transfer("tun", server_mtu=1450, path_mtu=1450, keys='tunnel = "gue"')

    def test_tunnel_over_ipv6_over_a_smaller_link(self):
        self.transfer("tun", v6, client_mtu=9000, server_mtu=9000, path_mtu=1450, download=LITTLE)


if __name__ == "__main__":
    main()
