#!/usr/bin/env python3
# `shunt agent --decap`: tunnels end on a real server without the kernel's ipip. Two network namespaces of the test's
# own, the director's and the server's, joined by veth. The test writes the tunnels itself; the server's own TCP and UDP
# answer. Needs root.
import os
import pwd
import socket
import struct

from harness import TIMEOUT, ShuntTest, binary, main, run_shunt, wait_until
from namespaces import Namespace, needs

VIP, CLIENT, DIRECTOR, SERVER = "198.51.100.1", "192.0.2.7", "10.0.0.1", "10.0.0.2"
USAGE, WRONG = 2, 1


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload, tos=0):
    def header(check):
        return struct.pack(">BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), 7, 0, 64, protocol, check,
                           socket.inet_aton(source), socket.inet_aton(destination))
    return header(checksum(header(0))) + payload


def udp(source, destination, ports, data, partial=False):
    """A datagram; `partial`: its checksum is only begun, as on a virtual link."""
    length = 8 + len(data)
    pseudo = struct.pack(">4s4sHH", socket.inet_aton(source), socket.inet_aton(destination), 17, length)
    header = struct.pack(">HHH", *ports, length)
    check = ~checksum(pseudo) & 0xFFFF if partial else checksum(pseudo + header + b"\0\0" + data)
    return header + struct.pack(">H", check) + data


@needs(tun=True)
class DecapTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.director = Namespace()
        self.addCleanup(self.director.close)
        self.server = Namespace()
        self.addCleanup(self.server.close)
        self.director.run("ip", "link", "add", "d0", "type", "veth", "peer", "name", "s0",
                          "netns", self.server.pid)
        for namespace, name, address in ((self.director, "d0", DIRECTOR), (self.server, "s0", SERVER)):
            namespace.run("ip", "address", "add", f"{address}/24", "dev", name)
            namespace.run("ip", "link", "set", name, "up")
        self.director.run("ip", "address", "add", f"{CLIENT}/32", "dev", "d0")
        self.server.run("ip", "route", "add", "default", "via", DIRECTOR)
        self.director.run("ip", "route", "add", VIP, "via", SERVER)
        self.server.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0)
        self.log = self.folder / "agent.log"
        with open(self.log, "wb") as log:
            self.agent = self.server.start(binary(), "agent", "--decap", "s0", "--address", VIP, "--from", DIRECTOR,
                                           stderr=log, stdout=log)
        self.addCleanup(self.stop_agent)
        wait_until(lambda: "ending tunnels on s0" in self.log.read_text() or self.agent.poll() is not None, "the agent")
        self.assertIsNone(self.agent.poll(), self.log.read_text())
        self.service = self.server.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.service.close)
        self.service.bind((VIP, 53))

    def stop_agent(self):
        if self.agent.poll() is None:
            self.agent.terminate()
        return self.agent.wait(TIMEOUT)

    def tunnel(self, inner, kind="ipip", source=None):
        """Sends a packet through a tunnel, as the director does."""
        protocol = {"ipip": socket.IPPROTO_IPIP, "gue": socket.IPPROTO_UDP}[kind]
        with self.director.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as outer:
            outer.bind((source or DIRECTOR, 0))
            payload = inner if kind == "ipip" else udp(source or DIRECTOR, SERVER, (50000, 6080), b"\0\4\0\0" + inner)
            outer.sendto(payload, (SERVER, 0))

    def receive(self):
        self.service.settimeout(TIMEOUT)
        return self.service.recvfrom(65536)

    def query(self, data, partial=False, destination=VIP):
        return ipv4(CLIENT, destination, 17, udp(CLIENT, destination, (4000, 53), data, partial))

    def test_datagrams_come_out_and_the_answer_goes_straight_back(self):
        for kind in ("ipip", "gue"):
            for size in (1, 100, 1400):
                with self.subTest(kind=kind, size=size):
                    self.tunnel(self.query(b"q" * size), kind)
                    self.assertEqual(self.receive(), (b"q" * size, (CLIENT, 4000)))
        with self.director.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((CLIENT, 4000))
            client.settimeout(TIMEOUT)
            self.service.sendto(b"answer", (CLIENT, 4000))
            self.assertEqual(client.recvfrom(100), (b"answer", (VIP, 53)))

    def test_a_large_datagram_in_outer_fragments(self):
        data = os.urandom(8000)
        self.tunnel(self.query(data))
        self.assertEqual(self.receive()[0], data)

    def test_a_checksum_that_hardware_was_to_finish(self):
        self.tunnel(self.query(b"unfinished", partial=True))
        self.assertEqual(self.receive()[0], b"unfinished")

    def test_no_right_is_kept(self):
        with open(f"/proc/{self.agent.pid}/status", encoding="ascii") as status:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        nobody = str(pwd.getpwnam("nobody").pw_uid)
        self.assertEqual(fields["Uid"].split("\t"), [nobody] * 4)
        self.assertEqual({fields[kind].strip("0") for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb")}, {""})
        self.assertEqual(fields["NoNewPrivs"], "1")

    def test_what_is_not_for_us_stays_out(self):
        self.director.run("ip", "address", "add", "10.0.0.66/24", "dev", "d0")
        self.tunnel(self.query(b"stranger"), source="10.0.0.66")
        self.tunnel(self.query(b"elsewhere", destination=SERVER))
        self.tunnel(b"\x45" + b"junk" * 10)
        self.tunnel(self.query(b"good"))
        self.assertEqual(self.receive()[0], b"good")
        self.assertEqual(self.stop_agent(), 0)
        self.assertIn("1 packets taken out of tunnels, 2 refused, 1 malformed, 0 failed", self.log.read_text())
        self.assertNotIn("shunt0", self.server.run("ip", "link"))


class UsageTest(ShuntTest):
    def test_errors(self):
        for description, arguments, code, says in (
                ("nothing to do", [], USAGE, "--decap"),
                ("no virtual address", ["--decap", "lo"], USAGE, "--address"),
                ("not an address", ["--decap", "lo", "--address", "vip"], USAGE, "--address vip"),
                ("not a network", ["--decap", "lo", "--address", VIP, "--from", "x"], USAGE, "--from x"),
                ("no such user", ["--decap", "lo", "--address", VIP, "--user", "no-such"], WRONG,
                 "--user: there is no user"),
                ("no such interface", ["--decap", "nosuch0", "--address", VIP], WRONG, "nosuch0: No such device")):
            with self.subTest(description):
                done = run_shunt("agent", *arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(says, done.stderr)


if __name__ == "__main__":
    main()
