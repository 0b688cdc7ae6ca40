#!/usr/bin/env python3
# What `check` and `run` say of a host that lacks what layer 4 needs, or whose settings would get in its way. In network
# namespaces of the test's own; skipped where those are refused.
import subprocess

from harness import SLOWNESS, ShuntTest, binary, main, wait_until
from layer4 import service
from namespaces import Namespace, needs

FINE, WRONG, MISSING = 0, 1, 3
VIP, VIP6 = "10.1.0.100", "2001:db8:1::100"
SERVER, SERVER6 = "10.2.0.11", "2001:db8:2::11"


def web(address=f"{VIP}:80", server=SERVER, interface="eth0", method="nat"):
    return service("web", address, [("a", f'address = "{server}"')], method=method).replace('"eth0"', f'"{interface}"')


V6 = {"address": f"[{VIP6}]:80", "server": SERVER6}


@needs()
class HostTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.far = Namespace()
        self.addCleanup(self.far.close)

    def director(self):
        """A host of two networks: clients are on eth0, servers on eth1."""
        host = Namespace()
        self.addCleanup(host.close)
        for number in (1, 2):
            end = f"p{host.pid}x{number}"[-15:]
            name = f"eth{number - 1}"
            host.run("ip", "link", "add", name, "type", "veth", "peer", "name", end, "netns", self.far.pid)
            host.run("ip", "address", "add", f"10.{number}.0.254/24", "dev", name)
            host.run("ip", "address", "add", f"2001:db8:{number}::fe/64", "dev", name, "nodad")
            host.run("ip", "link", "set", name, "up")
            self.far.run("ip", "link", "set", end, "up")
        return host

    def shunt(self, host, config, *words, without=()):
        (self.folder / "x.toml").write_text(config, encoding="utf-8")
        return subprocess.run([*host.enter, *without, binary(), *words, "x.toml"], cwd=self.folder, capture_output=True,
                              text=True, check=False, timeout=30 * SLOWNESS)

    def test_nothing_to_object_to(self):
        host = self.director()
        # These look alike but do no harm: nothing comes in from clients there, or it is of the other family.
        host.sysctl(ipv4__conf__eth0__proxy_arp=1, ipv4__conf__eth0__rp_filter=1, ipv6__conf__all__forwarding=1)
        host.run("ip", "route", "add", "local", "192.0.2.0/24", "dev", "lo")
        host.run("ip", "neigh", "add", "proxy", VIP, "dev", "eth1")
        # Other names of eth0.
        host.run("ip", "link", "property", "add", "dev", "eth0", "altname", "front")
        host.run("ip", "address", "add", "10.1.0.253/24", "dev", "eth0", "label", "eth0:1")
        for config in (web(), web(method="dr"), web(interface="front"), web(interface="eth0:1")):
            done = self.shunt(host, config, "check")
            self.assertEqual((done.returncode, done.stderr), (FINE, ""))
            done = self.shunt(host, config, "run", "-t", "-c")
            self.assertEqual((done.returncode, done.stderr), (FINE, ""))

    def test_a_server_that_is_the_host_itself(self):
        host = self.director()
        host.run("ip", "address", "add", "192.0.2.9/32", "dev", "lo")
        host.sysctl(ipv4__conf__eth1__forwarding=1)
        for server in ("10.2.0.254", "192.0.2.9", "127.0.0.1"):
            for words in (("check",), ("run", "-t", "-c")):
                with self.subTest(server, command=words):
                    done = self.shunt(host, web(server=server), *words)
                    self.assertEqual((done.returncode, done.stderr), (FINE, ""))

    # What is done to the host; the configuration; with what Shunt starts; the exit code of a start; what is said where,
    # and the way out.
    LACKING = [
        ("no such interface", [], web(interface="eth7"), [], WRONG,
         '6:13: {}: service "web": there is no interface "eth7" on this host',
         'did you mean "eth0"? there are: lo, eth0, eth1'),
        ("no Ethernet", ["ip tuntap add dev tun0 mode tun", "ip link set tun0 up"], web(interface="tun0"), [], WRONG,
         '6:13: {}: service "web": interface tun0 is no Ethernet link',
         "layer 4 needs one: of a tunnel or PPP link, the Ethernet side"),
        ("a way to the server that is no Ethernet",
         ["ip tuntap add dev tun0 mode tun", "ip link set tun0 up", "ip route add 10.3.0.0/24 dev tun0"],
         web(server="10.3.0.1"), [], WRONG, '10:1: {}: service "web", server "a": interface tun0 is no Ethernet link',
         "layer 4 needs one: of a tunnel or PPP link, the Ethernet side"),
        ("no route", [], web(server="203.0.113.1"), [], WRONG,
         '10:1: {}: service "web", server "a": there is no route to 203.0.113.1 on this host',
         "ip route add 203.0.113.1 via GATEWAY"),
        ("a route that refuses", ["ip -6 route add unreachable 2001:db8:3::/48"],
         web(**V6 | {"server": "2001:db8:3::1"}), [], WRONG,
         '10:1: {}: service "web", server "a": there is no route to 2001:db8:3::1 on this host',
         "ip -6 route add 2001:db8:3::1 via GATEWAY"),
        ("the host's address", [f"ip address add {VIP}/24 dev eth1"], web(), [], WRONG,
         f"5:11: {{}}: {VIP} is an address of this host, whose own stack would answer; a virtual address is on no "
         "interface",
         f"ip address del {VIP}/24 dev eth1"),
        ("the host's address, IPv6", [f"ip address add {VIP6}/128 dev lo"], web(**V6), [], WRONG,
         f"5:11: {{}}: {VIP6} is an address of this host", f"ip address del {VIP6}/128 dev lo"),
        ("a local route", ["ip route add local 192.0.2.0/24 dev lo"], web("192.0.2.7:80"), [], WRONG,
         '5:11: {}: the route "local 192.0.2.0/24 dev lo" makes 192.0.2.7 this host\'s own, whose stack',
         "ip route del local 192.0.2.0/24 dev lo"),
        ("a local route of a table",
         ["ip -6 route add local 2001:db8:9::/64 dev lo table 99", "ip -6 rule add lookup 99"],
         web("[2001:db8:9::7]:80", SERVER6), [], WRONG, '5:11: {}: the route "local 2001:db8:9::/64 dev lo" makes',
         "ip -6 route del local 2001:db8:9::/64 dev lo table 99"),
        ("no right", [], web(), ["setpriv", "--bounding-set", "-net_raw"], MISSING,
         "2:1: {}: layer 4 needs CAP_NET_RAW, which this process (user 0) does not have",
         "start Shunt as root, or `setcap cap_net_raw,cap_net_admin+ep` on its binary"),
    ]

    def test_what_is_lacking(self):
        for description, done_to_it, config, without, code, says, way_out in self.LACKING:
            host = self.director()
            for command in done_to_it:
                host.run(*command.split())
            for words, level, expected in ((("check",), "warning", FINE), (("run", "-t", "-c"), "error", code),
                                           (("run", "-c"), "error", code)):
                with self.subTest(description, command=words):
                    done = self.shunt(host, "\n" + config, *words, without=without)
                    self.assertEqual(done.returncode, expected, done.stderr)
                    self.assertIn("x.toml:" + says.format(level), done.stderr)
                    self.assertIn(f" = {way_out}\n", done.stderr)

    # What is done to the host; the configuration; what is said where, and the way out.
    DISTURBING = [
        ("the interface is down", ["ip link set eth0 down"], web(),
         '6:13: warning: service "web": interface eth0 is down, or has no carrier', "ip link set eth0 up"),
        ("a right that is not vital", [], web(),
         "2:1: warning: layer 4 needs CAP_NET_ADMIN, which this process (user 0) does not have: large segments queue",
         "start Shunt as root, or `setcap cap_net_raw,cap_net_admin+ep` on its binary"),
        ("it forwards what clients send", ["forward eth0"], web(method="dr"),
         f"6:13: warning: this host forwards what comes in by eth0 itself, packets for {VIP} too: they leave a second "
         "time, or clients are told that it is unreachable",
         "echo 0 > /proc/sys/net/ipv4/conf/eth0/forwarding, or drop them in the forward chain of the host's firewall"),
        ("it forwards what NAT servers answer", ["forward eth1"], web(),
         '10:1: warning: this host forwards what comes in by eth1 itself, the answers of server "a" too: they reach '
         f"clients from {SERVER} instead of {VIP}, who reset the connection",
         "echo 0 > /proc/sys/net/ipv4/conf/eth1/forwarding, or drop them in the forward chain of the host's firewall"),
        ("it forwards IPv6", ["set ipv6/conf/all/forwarding"], web(**V6),
         f"6:13: warning: this host forwards what comes in by eth0 itself, packets for {VIP6} too",
         "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding, or drop them in the forward chain of the host's firewall"),
        ("proxy_arp", ["forward eth0", "set ipv4/conf/eth0/proxy_arp"], web("10.2.0.100:80"),
         "5:11: warning: this host answers ARP for 10.2.0.100 on eth0 itself, even when Shunt does not run or another "
         "director has the address",
         "echo 0 > /proc/sys/net/ipv4/conf/eth0/proxy_arp"),
        ("proxy_arp of all", ["forward eth0", "set ipv4/conf/all/proxy_arp"], web("10.2.0.100:80"),
         "5:11: warning: this host answers ARP for 10.2.0.100 on eth0 itself",
         "echo 0 > /proc/sys/net/ipv4/conf/all/proxy_arp"),
        ("proxy_arp_pvlan", ["forward eth0", "set ipv4/conf/eth0/proxy_arp_pvlan"], web(),
         f"5:11: warning: this host answers ARP for {VIP} on eth0 itself",
         "echo 0 > /proc/sys/net/ipv4/conf/eth0/proxy_arp_pvlan"),
        ("a proxy of ARP", ["forward eth0", "ip neigh add proxy 10.2.0.100 dev eth0"], web("10.2.0.100:80"),
         "5:11: warning: this host answers ARP for 10.2.0.100 on eth0 itself",
         "ip neigh del proxy 10.2.0.100 dev eth0"),
        ("a proxy of neighbour discovery",
         ["set ipv6/conf/all/forwarding", "set ipv6/conf/eth0/proxy_ndp", f"ip -6 neigh add proxy {VIP6} dev eth0"],
         web(**V6), f"5:11: warning: this host answers neighbour discovery for {VIP6} on eth0 itself",
         f"ip -6 neigh del proxy {VIP6} dev eth0"),
    ]

    def test_what_would_disturb(self):
        for description, done_to_it, config, says, way_out in self.DISTURBING:
            host = self.director()
            text = "\n" + config
            for command in done_to_it:
                what, *words = command.split()
                if what in ("forward", "set"):
                    setting = words[0] if what == "set" else f"ipv4/conf/{words[0]}/forwarding"
                    host.run("sh", "-c", f"echo 1 > /proc/sys/net/{setting}")
                else:
                    host.run(what, *words)
            without = ["setpriv", "--bounding-set", "-net_admin"] if "right" in description else []
            for words in (("check",), ("run", "-t", "-c")):
                with self.subTest(description, command=words):
                    done = self.shunt(host, text, *words, without=without)
                    self.assertEqual(done.returncode, FINE, done.stderr)
                    self.assertIn("x.toml:" + says, done.stderr)
                    self.assertIn(f" = {way_out}\n", done.stderr)
                    # The way out is one.
                    if not without and words[0] == "run":
                        host.run("sh", "-c", way_out.split(",")[0])
                        wait_until(lambda: says not in self.shunt(host, text, "check").stderr, "the end of it")


if __name__ == "__main__":
    main()
