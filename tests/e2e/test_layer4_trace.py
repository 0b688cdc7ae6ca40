#!/usr/bin/env python3
# `shunt ctl trace` and `shunt ctl pcap` on layer 4, in network namespaces: one flow from its first packet on, one that
# is dropped, and captures that tcpdump reads. Needs root; skipped where namespaces, bridges or packet
# sockets are refused.
import json
import shutil
import socket
import struct
import subprocess

from harness import TIMEOUT, ShuntTest, binary, main, run_shunt, unittest, wait_until
from layer4 import Farm, say, service, v4
from namespaces import needs

VIP = v4(100)


def read_pcap(data):
    """The frames of a capture with nanoseconds: (size on the wire, bytes kept)."""
    magic, _, _, _, _, snap, link = struct.unpack_from("=IHHIIII", data)
    assert (magic, link) == (0xa1b23c4d, 1), data[:24]
    frames, at = [], 24
    while at < len(data):
        _, _, kept, size = struct.unpack_from("=IIII", data, at)
        assert kept <= min(size, snap)
        frames.append((size, data[at + 16:at + 16 + kept]))
        at += 16 + kept
    return frames


@needs(bridge=True)
class TraceTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.admin = f"unix:{self.folder}/admin.sock"
        self.farm = Farm(self.folder)
        self.addCleanup(self.farm.close)
        for server in self.farm.servers:
            server.route_by(self.farm.director, self.farm.client)

    def direct(self, *services):
        shunt = self.shunt(f'[global]\nadmin = "{self.admin}"\n' + "".join(services),
                           enter=self.farm.director.enter)
        shunt.wait_for_log("admin endpoint on unix:")
        self.running, self.follows = shunt, 0

    def nat(self):
        return service("web", f"{VIP}:80", [(server.name, f'address = "{server.v4}:8080"')
                                            for server in self.farm.servers])

    def watch(self, *words, stdout=subprocess.PIPE):
        """`shunt ctl trace …` or `pcap …` in the background, once it follows packets."""
        running = subprocess.Popen([binary(), "ctl", *words, "--admin", self.admin], cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)

        def end():
            running.kill()
            running.communicate()

        self.addCleanup(end)
        self.follows += 1
        self.running.wait_for_log("packets are followed: ", self.follows)
        return running

    def finish(self, running):
        out, err = running.communicate(timeout=3 * TIMEOUT)
        self.assertEqual(running.returncode, 0, err)
        return out, err

    def test_one_flow_from_its_first_packet_to_the_answer(self):
        self.direct(self.nat())
        with self.farm.client.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((self.farm.client.v4, 0))
            port = probe.getsockname()[1]
        with open(self.folder / "trace.json", "wb") as out:
            self.watch("trace", "--json", "--service", "web", "--client", f"{self.farm.client.v4}:{port}", stdout=out)
        self.farm.get(VIP)  # Another flow of the same client, which is not shown.
        name = self.farm.get(VIP, 80, "/", "--local-port", str(port)).decode().strip()
        server = next(server for server in self.farm.servers if server.name == name)

        def seen(**wanted):
            """The first packet of which all this is true."""
            text = (self.folder / "trace.json").read_text(encoding="utf-8").rpartition("\n")[0]
            lines = [json.loads(line) for line in text.splitlines()]
            return next((line for line in lines if all(part in line[key] for key, part in wanted.items())), None)

        wait_until(lambda: seen(packet=" PSH ACK, ", **{"from": "client"}), "the request in the trace")
        syn, answer = seen(packet=" SYN, "), seen(packet=" SYN ACK, ")
        self.assertTrue(seen(state="SYN_RECV -> ESTABLISHED", **{"from": "client"}))
        self.assertTrue(syn["packet"].startswith(f"TCP {self.farm.client.v4}:{port} > {VIP}:80 SYN, "), syn)
        self.assertRegex(syn["decision"],
                         rf"^new connection: rr chose {name} \({server.v4}:8080, nat\), weight 1, now ")
        self.assertEqual((syn["from"], syn["service"], syn["state"]), ("client", "web", "NONE -> SYN_RECV"))
        sent = syn["sent"][0]
        self.assertEqual(sent["changes"], [f"destination {VIP}:80 -> {server.v4}:8080"])
        self.assertEqual(sent["interface"], "eth0")
        self.assertRegex(sent["to"], r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$|^$")
        self.assertEqual((answer["from"], answer["server"]), ("server", name))
        self.assertEqual(answer["sent"][0]["changes"], [f"source {server.v4}:8080 -> {VIP}:80"])

    def test_one_that_is_dropped_in_words(self):
        self.direct(self.nat())
        running = self.watch("trace", "--service", "web", "--packets", "1")
        with self.assertRaises(ConnectionRefusedError):
            self.farm.connect(VIP, 81)
        text = self.finish(running)[0].decode()
        self.assertRegex(text, rf"^\d\d:\d\d:\d\d\.\d{{6}}Z eth0 from client "
                               rf"TCP {self.farm.client.v4}:\d+ > {VIP}:81 SYN, ")
        self.assertIn("dropped, no_service: A virtual address, but no service at this port", text)
        self.assertRegex(text, r"-> eth0 .*: TCP .* RST ACK, 40 bytes, ttl \d+ \(an answer to its sender\)")

    def test_what_cannot_be_followed(self):
        self.direct(self.nat())
        for words, says in ((("--service", "dns"), "there is no service dns; there are: web"),
                            (("--client", "nobody"), 'client: "nobody"')):
            done = run_shunt("ctl", "trace", *words, "--admin", self.admin)
            self.assertEqual(done.returncode, 1)
            self.assertIn(says, done.stderr)
        running = self.watch("trace")
        done = run_shunt("ctl", "pcap", "-w", "-", "--admin", self.admin)
        self.assertEqual(done.returncode, 1)
        self.assertIn("one trace or pcap runs at a time", done.stderr)
        running.kill()
        running.communicate()
        self.running.wait_for_log("packets are followed no more")
        self.assertEqual(run_shunt("ctl", "trace", "--seconds", "1", "--admin", self.admin).returncode, 0)

    def test_captures(self):
        self.direct(self.nat())
        stream = self.farm.connect(VIP)
        self.addCleanup(stream.close)
        running = self.watch("pcap", "--service", "web", "--packets", "3", "-w", "web.pcap")
        say(stream)
        say(stream)
        self.finish(running)
        frames = read_pcap((self.folder / "web.pcap").read_bytes())
        self.assertEqual(len(frames), 6)  # As they came, and as they left.
        hosts = (self.farm.director, self.farm.client, *self.farm.servers)
        macs = [bytes.fromhex(host.mac().replace(":", "")) for host in hosts]
        for size, kept in frames:
            self.assertEqual(size, len(kept))
            self.assertIn(kept[:6], macs)
            self.assertIn(kept[6:12], macs)
        asked = next(at for at, (_, kept) in enumerate(frames) if b"GET / HTTP/1.1" in kept)
        self.assertEqual(frames[asked][1][30:34], socket.inet_aton(VIP))
        self.assertIn(frames[asked + 1][1][30:34], [socket.inet_aton(server.v4) for server in self.farm.servers])

        running = self.watch("pcap", "--client", self.farm.client.v4, "--packets", "2", "--snaplen", "54", "-w", "-")
        say(stream)
        for size, kept in read_pcap(self.finish(running)[0]):
            self.assertEqual(len(kept), min(size, 54))

    @unittest.skipIf(shutil.which("tcpdump") is None, "there is no tcpdump")
    def test_tcpdump_reads_captures(self):
        self.direct(self.nat())
        running = self.watch("pcap", "--service", "web", "--packets", "4", "-w", "web.pcap")
        self.farm.get(VIP)
        self.finish(running)
        done = subprocess.run(["tcpdump", "-n", "-r", "web.pcap"], cwd=self.folder, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 8)
        self.assertRegex(lines[0], rf"IP {self.farm.client.v4}\.\d+ > {VIP}\.80: Flags \[S\]")
        self.assertRegex(lines[1], rf"IP {self.farm.client.v4}\.\d+ > 10\.1\.0\.1[1-4]\.8080: Flags \[S\]")


if __name__ == "__main__":
    main()
