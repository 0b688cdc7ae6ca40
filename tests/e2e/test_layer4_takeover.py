#!/usr/bin/env python3
# A virtual address changes its owner: what a new director, and one whose link was down, announce is all that the
# client's entry of neighbours has to go by. In network namespaces of the test's own; skipped where those are refused.
import json
import socket

from harness import SLOWNESS, TIMEOUT, Shunt, ShuntTest, main, wait_until
from layer4 import Farm, service, url_host, v4, v6
from namespaces import needs

STANDBY, NOBODY = 253, "02:00:00:00:00:99"
ANNOUNCEMENTS, ETH_P_ARP = 3, 0x0806
VIPS = {"v4": v4(100), "v6": v6(100)}


@needs(bridge=True)
class TakeoverTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.farm = Farm(self.folder)
        self.addCleanup(self.farm.close)
        self.standby = self.farm.host(STANDBY)
        for host in (self.farm.director, self.standby):
            host.sysctl(ipv6__conf__eth0__keep_addr_on_down=1)

    def direct(self, host):
        """Direct routing needs no way back, whoever is the director."""
        services = []
        for family, vip in VIPS.items():
            servers = [(server.name, f'address = "{getattr(server, family)}"')
                       for server in self.farm.servers]
            services.append(service(family, f"{url_host(vip)}:80", servers, "dr"))
        folder = self.folder / f"director-{host.number}"
        folder.mkdir(exist_ok=True)
        shunt = Shunt(folder, "".join(services), enter=host.enter)
        self.addCleanup(lambda: shunt.running() and shunt.stop())
        return shunt

    def entry(self, vip):
        """What the client takes for the address's owner: MAC and state."""
        found = json.loads(self.farm.client.run("ip", "-json", "neigh", "show", "to", vip, "dev", "eth0"))
        return (found[0].get("lladdr"), found[0]["state"]) if found else (None, None)

    def wait_for_announcement(self, host, what, timeout=None):
        """The client says nothing meanwhile, so nothing but an announcement can tell it. After one the kernel takes the
        entry for stale: it has not asked."""
        for vip in VIPS.values():
            wait_until(lambda vip=vip: self.entry(vip) == (host.mac(), ["STALE"]),
                       f"the client to hear of {vip} {what}", timeout)

    def reach_all(self):
        for vip in VIPS.values():
            names = {self.farm.get(vip).decode().strip() for _ in self.farm.servers}
            self.assertEqual(names, {server.name for server in self.farm.servers})

    def test_a_new_director_with_another_mac(self):
        for server in self.farm.servers:
            for vip in VIPS.values():
                server.take_address(vip)
        old = self.direct(self.farm.director)
        old.wait_for_log("generation 1")
        self.reach_all()
        for vip in VIPS.values():
            self.assertEqual(self.entry(vip)[0], self.farm.director.mac())
        old.kill()
        self.direct(self.standby).wait_for_log("generation 1")
        # At once: the announcement is made again after a second.
        self.wait_for_announcement(self.standby, "from the new director", timeout=0.8 * SLOWNESS)
        self.reach_all()

    def wait_for_the_last(self, heard):
        """Of the announcements that are made one after the other: of each address, the IPv4 one first."""
        announced, vip = 0, socket.inet_aton(VIPS["v4"])
        while announced < ANNOUNCEMENTS:
            frame = heard.recv(2048)
            announced += frame[28:32] == frame[38:42] == vip  # Sender and target.

    def test_a_link_that_was_down(self):
        heard = self.farm.client.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
        self.addCleanup(heard.close)
        heard.settimeout(TIMEOUT)
        self.direct(self.farm.director)
        director, port = self.farm.director, f"p1-{self.farm.director.number}"
        for what, host, device in (("after its link was down", director, "eth0"),
                                   ("after its cable was out", self.farm.switch, port)):
            with self.subTest(what):
                self.wait_for_the_last(heard)
                host.run("ip", "link", "set", device, "down")
                wait_until(lambda: '"LOWER_UP"' not in director.run("ip", "-json", "link", "show", "eth0"), "the link")
                # As if somebody else had answered meanwhile.
                for vip in VIPS.values():
                    self.farm.client.run("ip", "neigh", "replace", vip, "lladdr", NOBODY, "nud", "stale", "dev", "eth0")
                host.run("ip", "link", "set", device, "up")
                self.wait_for_announcement(director, what)


if __name__ == "__main__":
    main()
