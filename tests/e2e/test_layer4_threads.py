#!/usr/bin/env python3
# Layer 4 with two forwarding threads: clients are shared out, servers and what decides about them are not; and the
# rings of interfaces come and go with the services that need them. In network namespaces of the test's own.
import re

from harness import ShuntTest, main, signal
from layer4 import Farm, service, v4
from namespaces import needs

VIP = v4(100)
FIRST_CLIENT, CLIENTS = 128, 24
SOCKETS_OF_A_RING = 2


@needs(bridge=True)
class ThreadsTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.farm = Farm(self.folder)
        self.addCleanup(self.farm.close)
        self.clients = [v4(FIRST_CLIENT + i) for i in range(CLIENTS)]
        self.farm.client.run("sh", "-ec", "\n".join(f"ip address add {one}/24 dev eth0" for one in self.clients))
        for server in self.farm.servers:
            server.run("ip", "route", "add", f"{v4(FIRST_CLIENT)}/27", "via", self.farm.director.v4)

    def nat(self, more="", name="web", vip=VIP, first=""):
        """All servers; `first`: keys of the first one."""
        servers = [(server.name, f'address = "{server.v4}:8080"\n{"" if server is not self.farm.servers[0] else first}')
                   for server in self.farm.servers]
        return service(name, f"{vip}:80", servers, more=more)

    def start(self, config):
        shunt = self.shunt("global.layer4_threads = 2\n" + config, enter=self.farm.director.enter)
        shunt.wait_for_log("generation 1")
        return shunt

    def reload(self, shunt, config, generation):
        shunt.write("global.layer4_threads = 2\n" + config)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(f"reload: generation {generation}")

    def names(self):
        """The servers that the clients get, one after the other."""
        return [self.farm.get(VIP, 80, "/", "--interface", one).decode().strip() for one in self.clients]

    def test_clients_are_shared_out_and_servers_are_not(self):
        shunt = self.start(self.nat())
        names = self.names()
        all_names = [server.name for server in self.farm.servers]
        for name in all_names:
            self.assertEqual(names.count(name), CLIENTS // len(all_names), "one round robin")
        self.reload(shunt, self.nat(first="weight = 0"), 2)
        self.assertEqual(set(self.names()), set(all_names[1:]), "both threads know of it")
        shunt.stop()
        shares = re.search(r"layer 4 stopped: (\d+) connections \((\d+) \+ (\d+) by thread\)", shunt.log())
        self.assertIsNotNone(shares, shunt.log())
        whole, *parts = map(int, shares.groups())
        self.assertEqual(whole, 2 * CLIENTS)
        self.assertEqual(sum(parts), whole)
        self.assertGreater(min(parts), 0, "both threads have had clients")

    def test_clients_of_a_network_stay_together(self):
        self.start(self.nat(more='persistence = "5m"\nnetmask = 24'))
        self.assertEqual(len(set(self.names())), 1)

    def test_rings_are_given_back(self):
        director = self.farm.director
        director.run("ip", "link", "add", "eth1", "up", "type", "veth", "peer", "name", "other")
        director.run("ip", "link", "set", "other", "up")
        shunt = self.start(self.nat())

        def sockets():
            return len(director.run("cat", "/proc/net/packet").splitlines()) - 1  # Without the heading.

        self.assertEqual(sockets(), 2 * SOCKETS_OF_A_RING)
        more = self.nat(name="more", vip=v4(105)).replace('"eth0"', '"eth1"')
        self.reload(shunt, self.nat() + more, 2)
        self.assertEqual(sockets(), 4 * SOCKETS_OF_A_RING)
        self.reload(shunt, self.nat(), 3)
        self.assertEqual(sockets(), 2 * SOCKETS_OF_A_RING)
        self.assertEqual(len(self.names()), CLIENTS)

    def test_clients_that_are_reached_by_another_interface(self):
        director, client = self.farm.director, self.farm.client
        client.run("ip", "link", "add", "eth1", "up", "type", "veth", "peer", "name", "eth1", "netns", director.pid)
        client.run("ip", "address", "add", "192.0.2.1/24", "dev", "eth1")
        director.run("ip", "link", "set", "eth1", "up")
        director.run("ip", "address", "add", "192.0.2.254/24", "dev", "eth1")
        for server in self.farm.servers:
            server.run("ip", "route", "add", "192.0.2.0/24", "via", director.v4)
        shunt = self.start(self.nat())
        # It comes by eth0, as all clients; the way back is another.
        names = {self.farm.get(VIP, 80, "/", "--interface", "192.0.2.1").decode().strip() for _ in range(4)}
        self.assertEqual(names, {server.name for server in self.farm.servers})
        self.assertIn("layer 4: packets go by eth1 too", shunt.log())


if __name__ == "__main__":
    main()
