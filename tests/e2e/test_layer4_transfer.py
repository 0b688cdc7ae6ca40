#!/usr/bin/env python3
# Layer 4 with large transfers: each method, both directions, segments of 64 KiB, links of different MTU; what arrives
# is what was sent, byte for byte. In network namespaces of the test's own; skipped where those are refused.
import filecmp
import hashlib
import os
import re

from harness import SLOWNESS, ShuntTest, main
from layer4 import Farm, service, v4
from namespaces import needs

MIB = 1 << 20
SIZE = int(100 * MIB / SLOWNESS ** 2)
UPLOAD = 8 * MIB
VIP = v4(100)


@needs(tun=True, bridge=True)
class TransferTest(ShuntTest):
    def transfer(self, method, client_mtu=1500, server_mtu=1500, keys=""):
        """Starts a farm with one server, transfers both ways; returns Shunt's log."""
        farm = Farm(self.folder, servers=1, client_mtu=client_mtu, server_mtu=server_mtu)
        self.addCleanup(farm.close)
        server = farm.servers[0]
        if server_mtu < client_mtu:  # As a router would tell: on one link all have the same MTU.
            farm.director.run("ip", "route", "add", server.v4, "dev", "eth0", "mtu", server_mtu)
        if method == "nat":
            server.route_by(farm.director, farm.client)
        elif method == "dr":
            server.take_address(VIP)
        else:
            server.decapsulate(VIP)
        block = os.urandom(MIB)
        expected = hashlib.sha256()
        with open(server.folder / "files" / "large", "wb") as file:
            for _ in range(SIZE // MIB):
                file.write(block)
                expected.update(block)
        shunt = self.shunt(service("web", f"{VIP}:80", [("a", f'address = "{server.v4}"\n{keys}')], method),
                           enter=farm.director.enter)
        shunt.wait_for_log("generation 1")

        got = self.folder / "got"
        farm.get(VIP, 80, "/files/large", "--output", str(got))
        with open(got, "rb") as file:
            self.assertEqual(hashlib.file_digest(file, "sha256").hexdigest(), expected.hexdigest())
        got.write_bytes(block * (UPLOAD // MIB))
        farm.get(VIP, 80, "/files/sent", "--upload-file", str(got))
        self.assertTrue(filecmp.cmp(server.folder / "files" / "sent", got, shallow=False), "the upload")
        shunt.stop()
        farm.close()
        return shunt.log()

    def test_nat(self):
        log = self.transfer("nat")
        packets = int(re.search(r"(\d+) from servers", log).group(1))
        # The server's kernel hands out segments of up to 64 KiB; none was cut on the way.
        self.assertLess(packets, SIZE / 1448 / 2)

    def test_direct_routing(self):
        self.transfer("dr")

    def test_tunnel(self):
        self.transfer("tun")

    def test_tunnel_in_gue(self):
        self.transfer("tun", keys='tunnel = "gue"')

    def test_nat_from_large_to_small_links(self):
        self.transfer("nat", client_mtu=1400, server_mtu=9000)

    def test_tunnel_over_a_smaller_link(self):
        self.transfer("tun", client_mtu=1500, server_mtu=1450)


if __name__ == "__main__":
    main()
