#!/usr/bin/env python3
# The director as a server of its own services: what reaches its stack and what must not, and what is left behind in
# the host. In network namespaces of the test's own, with strict reverse path checks.
import filecmp
import json
import socket
import struct
import subprocess
import threading

from harness import SLOWNESS, ShuntTest, binary, main, run_shunt, signal, wait_until
from layer4 import Farm, say, service, v4, v6
from namespaces import needs

VIPS = {4: v4(100), 6: v6(100)}
DEVICE, TABLE = "shunt-local", "21320"
SIZE, SEGMENT = 8 << 20, 1448
ETH_P_ARP = 0x0806
WRONG = 1


def url_place(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@needs(tun=True, bridge=True)
class LocalTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.admin = f"unix:{self.folder}/admin.sock"
        self.farm = Farm(self.folder, servers=1, local=True)
        self.addCleanup(self.farm.close)
        self.remote, self.director = self.farm.servers[0], self.farm.director
        # The settings of most hosts, but for the last one: UDP services here listen on the virtual address itself.
        self.director.sysctl(ipv4__conf__all__rp_filter=1, ipv4__conf__default__rp_filter=1,
                             ipv4__conf__all__arp_ignore=0, ipv4__ip_nonlocal_bind=1, ipv6__ip_nonlocal_bind=1)
        for vip in VIPS.values():
            self.remote.take_address(vip)

    def config(self, *servers, protocol="tcp", port=80, vips=(4, 6), method="dr"):
        """A service of each family, with these servers: None is the director."""
        return f'[global]\nadmin = "{self.admin}"\n' + "".join(
            service(f"v{vip}", url_place(VIPS[vip], port),
                    [(server.name, f'address = "{server.v4 if vip == 4 else server.v6}"') for server in servers],
                    method, protocol) for vip in vips)

    def direct(self, config):
        shunt = self.shunt(config, enter=self.director.enter)
        shunt.wait_for_log("admin endpoint on unix:")
        return shunt

    def reload(self, shunt, config, generation):
        shunt.write(config)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(f"reload: generation {generation}")

    def names(self, vip, count=6):
        return {self.farm.get(vip).decode().strip() for _ in range(count)}

    def traces(self):
        """What there is in the host for local servers."""
        links = json.loads(self.director.run("ip", "-j", "link"))
        return ([link["ifname"] for link in links if link["ifname"] == DEVICE],
                [line for version in ("-4", "-6") for line in self.director.run("ip", version, "rule").splitlines()
                 if TABLE in line],
                [line for version in ("-4", "-6")
                 for line in self.director.run("ip", version, "route", "show", "table", "all").splitlines()
                 if DEVICE in line],
                [vip for vip in VIPS.values() if f"{vip}/" in self.director.run("ip", "address")])

    def refusals(self):
        """Resets and ICMP errors that the director's own stack has sent."""
        lines = (self.director.run("cat", "/proc/net/snmp").splitlines())
        counts = {}
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            counts.update({names.split(":")[0] + name: int(value)
                           for name, value in zip(names.split()[1:], values.split()[1:], strict=True)})
        v6_lines = self.director.run("cat", "/proc/net/snmp6").split()
        counts.update(zip(v6_lines[::2], map(int, v6_lines[1::2]), strict=True))
        return {name: counts[name] for name in ("TcpOutRsts", "IcmpOutDestUnreachs", "Icmp6OutDestUnreachs")}

    def test_a_local_and_a_remote_server(self):
        before = self.refusals()
        shunt = self.direct(self.config(self.remote, self.director))
        self.assertIn(f'"{self.director.name}" is this host itself', shunt.log())
        for vip in VIPS.values():
            self.assertEqual(self.names(vip), {self.remote.name, self.director.name})
            kept = [self.farm.connect(vip) for _ in range(4)]
            for stream in kept:
                self.addCleanup(stream.close)
            self.assertEqual({say(stream) for _ in range(2) for stream in kept},
                             {self.remote.name, self.director.name})
        self.assertEqual(self.refusals(), before, "the host's stack sees the frames too, and keeps out of it")
        listed = run_shunt("ctl", "-Ln", "--admin", self.admin, folder=self.folder).stdout
        self.assertRegex(listed, rf"-> {self.director.v4}:80 +Local +1 ")
        self.assertRegex(listed, rf"-> {self.remote.v4}:80 +Route +1 ")

    def test_datagrams(self):
        for server in (self.remote, self.director):
            for vip in VIPS.values():
                server.answer_udp(vip, 53)
        before = self.refusals()
        self.direct(self.config(self.remote, self.director, protocol="udp", port=53))
        for vip in VIPS.values():
            answers = {self.farm.ask(vip, 53, b"?").split()[0].decode() for _ in range(4)}
            self.assertEqual(answers, {self.remote.name, self.director.name})
            # In fragments, which the host's stack puts together.
            large = b"x" * 4000
            answers = {self.farm.ask(vip, 53, large) for _ in range(4)}
            self.assertEqual(answers, {server.name.encode() + b" " + large for server in (self.remote, self.director)})
        self.assertEqual(self.refusals(), before)

    def test_several_threads_and_large_segments(self):
        shunt = self.direct("global.layer4_threads = 2\n" + self.config(self.director).split("\n", 1)[1]
                            .replace("admin", "global.admin", 1))
        sent = self.folder / "sent"
        sent.write_bytes(bytes(range(256)) * (SIZE // 256))
        for vip in VIPS.values():
            self.farm.get(vip, 80, "/files/sent", "--upload-file", str(sent))
            self.assertTrue(filecmp.cmp(self.director.folder / "files" / "sent", sent, shallow=False), vip)
            got = self.folder / "got"
            self.farm.get(vip, 80, "/files/sent", "--output", str(got))
            self.assertTrue(filecmp.cmp(got, sent, shallow=False), vip)
            (self.director.folder / "files" / "sent").unlink()
        link = json.loads(self.director.run("ip", "-j", "-s", "link", "show", DEVICE))[0]["stats64"]["rx"]
        self.assertGreater(link["bytes"], 2 * SIZE)
        self.assertLess(link["packets"], 2 * SIZE / SEGMENT / 2, "segments were not cut on the way")
        shunt.stop()
        self.assertNotIn("not taken by the host's own stack", shunt.log())

    def test_the_host_answers_no_question_for_the_address(self):
        self.direct(self.config(self.director, vips=(4,)))
        mac = bytes.fromhex(json.loads(self.farm.client.run("ip", "-j", "link", "show", "eth0"))[0]["address"]
                            .replace(":", ""))
        with self.farm.client.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as asker:
            asker.bind(("eth0", ETH_P_ARP))
            asker.settimeout(10 * SLOWNESS)

            def ask(address):
                asker.send(b"\xff" * 6 + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 1) + mac +
                           socket.inet_aton(self.farm.client.v4) + bytes(6) + socket.inet_aton(address))

            ask(VIPS[4])
            ask(self.director.v4)  # The host's stack has seen the first one when it answers this one.
            answered = []
            while answered.count(self.director.v4) < 1 or answered.count(VIPS[4]) < 1:
                frame = asker.recv(2048)
                if struct.unpack_from("!H", frame, 20) == (2,):
                    answered.append(socket.inet_ntoa(frame[28:32]))
        self.assertEqual(sorted(answered), sorted([self.director.v4, VIPS[4]]), "Shunt alone, and once")

    def test_nothing_is_left_behind(self):
        nothing = ([], [], [], [])
        shunt = self.direct(self.config(self.remote))
        kept = self.farm.connect(VIPS[4])
        self.addCleanup(kept.close)
        self.assertEqual(self.traces(), nothing)
        self.reload(shunt, self.config(self.remote, self.director), 2)
        devices, rules, routes, addresses = self.traces()
        self.assertEqual((devices, len(rules), addresses), ([DEVICE], 2, list(VIPS.values())))
        # The device's own of IPv6 are left aside.
        ours = [route for route in routes if any(vip in route for vip in VIPS.values())]
        self.assertEqual(len(ours), 2, routes)
        self.assertTrue(all(f"table {TABLE}" in route for route in ours), ours)
        for vip in VIPS.values():
            self.assertEqual(self.names(vip), {self.remote.name, self.director.name})
        self.reload(shunt, self.config(self.remote, self.director, vips=(6,)), 3)
        self.assertEqual(self.traces()[3], [VIPS[6]], "an address that is no longer served is not the host's")
        self.reload(shunt, self.config(self.remote), 4)
        self.assertEqual(self.traces(), nothing)
        self.assertEqual(self.names(VIPS[4]), {self.remote.name})
        # Where it fails, nothing has changed.
        shunt.write(self.config(self.remote, self.director))
        self.director.run("ip", "link", "add", DEVICE, "type", "bridge")
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(f"reload of .* refused.*\n.*tun device {DEVICE}")
        self.director.run("ip", "link", "del", DEVICE)
        self.assertEqual(self.traces(), nothing)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log("reload: generation 5")
        self.assertEqual(self.names(VIPS[6]), {self.remote.name, self.director.name})
        shunt.stop()
        self.assertEqual(self.traces(), nothing)

    def test_packets_that_come_while_a_server_becomes_local(self):
        """A stream of datagrams finds no moment at which the address is the host's, whose stack would refuse them."""
        self.remote.answer_udp(VIPS[4], 53)
        self.director.answer_udp(VIPS[4], 53)
        shunt = self.direct(self.config(self.remote, protocol="udp", port=53, vips=(4,)))
        before, done = self.refusals(), threading.Event()

        def send():
            with self.farm.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.connect((VIPS[4], 54))
                while not done.is_set():
                    try:
                        sender.send(b"?")
                    except ConnectionRefusedError:
                        pass

        thread = threading.Thread(target=send)
        thread.start()
        try:
            for generation in range(2, 42, 2):
                self.reload(shunt, self.config(self.director, protocol="udp", port=53, vips=(4,)), generation)
                self.reload(shunt, self.config(self.remote, protocol="udp", port=53, vips=(4,)), generation + 1)
        finally:
            done.set()
            thread.join()
        self.assertEqual(self.refusals(), before)

    def test_what_a_killed_one_leaves_is_taken_over(self):
        shunt = self.direct(self.config(self.director))
        shunt.kill()
        devices, rules, routes, addresses = self.traces()
        self.assertEqual((devices, len(rules), routes, addresses), ([], 2, [], []), "two rules without an effect")
        shunt = self.direct(self.config(self.director))
        self.assertEqual(len(self.traces()[1]), 2)
        self.assertEqual(self.names(VIPS[6], 1), {self.director.name})
        shunt.stop()
        self.assertEqual(self.traces(), ([], [], [], []))

    def test_what_others_do_to_the_device_is_undone(self):
        shunt = self.direct(self.config(self.director))

        def ours():
            return sorted(" ".join(line.split()) for line in self.traces()[2]
                          if VIPS[4] in line or VIPS[6] in line), self.traces()[3]

        before = ours()
        self.assertEqual((len(before[0]), before[1]), (2, list(VIPS.values())))
        # The first takes the addresses of IPv6 and the routes away, and puts that of IPv4 into the host's table.
        for commands in ([f"link set {DEVICE} down", f"link set {DEVICE} up"],
                         [f"address del {VIPS[4]}/32 dev {DEVICE}"], [f"address del {VIPS[6]}/128 dev {DEVICE}"],
                         [f"route flush table {TABLE}", f"-6 route flush table {TABLE}"]):
            with self.subTest(commands):
                for command in commands:
                    self.director.run("ip", *command.split())
                wait_until(lambda: ours() == before, "addresses and routes as before")
                for vip in VIPS.values():
                    self.assertEqual(self.names(vip, 2), {self.director.name})
        self.assertNotIn(f"{DEVICE}: ", shunt.log(), "an error about it")
        seen = subprocess.run([*self.director.enter, "timeout", "1", "ip", "monitor", "route", "address"],
                              capture_output=True, text=True, check=False, timeout=30 * SLOWNESS)
        self.assertEqual((seen.stdout, seen.stderr), ("", ""), "what is as it should be is left alone")
        shunt.stop()
        self.assertEqual(self.traces(), ([], [], [], []))

    def test_an_address_that_comes_to_the_host(self):
        moved = v4(77)
        config = f'[global]\nadmin = "{self.admin}"\n' + service(
            "web", f"{VIPS[4]}:80", [("moved", f'address = "{moved}"')], "dr")
        shunt = self.direct(config)
        self.director.run("ip", "address", "add", f"{moved}/32", "dev", "lo")
        shunt.wait_for_log('"moved" is this host itself')
        self.assertEqual(self.names(VIPS[4], 2), {self.director.name})
        self.director.run("ip", "address", "del", f"{moved}/32", "dev", "lo")
        wait_until(lambda: self.traces() == ([], [], [], []), "the device to go")

    def test_by_a_user_without_rights(self):
        user = 'user = "nobody"\nadmin'
        before = self.config(self.remote).replace("admin", user, 1)
        after = self.config(self.remote, self.director).replace("admin", user, 1)
        for mode in ("666", "600"):
            with self.subTest(mode):
                # A device file of its own: hosts differ in who may open theirs.
                own_file = f'mount -t tmpfs none /dev/net; mknod -m {mode} /dev/net/tun c 10 200; exec "$@"'
                shunt = self.shunt(before, enter=[*self.director.enter, "unshare", "-m", "sh", "-ec", own_file, "sh"])
                shunt.wait_for_log("generation 1")
                shunt.write(after)
                shunt.send_signal(signal.SIGHUP)
                if mode == "666":
                    shunt.wait_for_log("reload: generation 2")
                    self.assertEqual(self.names(VIPS[4]), {self.remote.name, self.director.name})
                    self.assertEqual(self.names(VIPS[6]), {self.remote.name, self.director.name})
                else:
                    shunt.wait_for_log("the user may not open it")
                    self.assertEqual(self.names(VIPS[4]), {self.remote.name})
                shunt.stop()
                self.assertEqual(self.traces(), ([], [], [], []))

    def test_another_port(self):
        config = service("x", f"{VIPS[4]}:80", [("a", f'address = "{self.director.v4}:8080"')])
        (self.folder / "x.toml").write_text(config, encoding="utf-8")
        for more in ([], ["-t"]):
            done = subprocess.run([*self.director.enter, binary(), "run", *more, "-c", "x.toml"], cwd=self.folder,
                                  capture_output=True, text=True, check=False, timeout=30 * SLOWNESS)
            self.assertEqual(done.returncode, WRONG, done.stderr)
            self.assertRegex(done.stderr, rf'x\.toml:\d+:1: error: service "x", server "a": {self.director.v4} is an '
                                          "address of this host itself")
        self.assertEqual(self.traces(), ([], [], [], []))


if __name__ == "__main__":
    main()
