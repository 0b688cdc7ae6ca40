#!/usr/bin/env python3
# `shunt ctl` on layer 4 in network namespaces: the tables after traffic that is known. Needs root; skipped where
# namespaces, bridges or packet sockets are refused.
import json
import re
import socket
import struct
import time

from harness import SLOWNESS, ShuntTest, main, run_shunt, signal, wait_until
from layer4 import Farm, say, service, v4, v6
from namespaces import needs

VIP = v4(100)


@needs(bridge=True)
class Layer4CtlTest(ShuntTest):
    def setUp(self):
        super().setUp()
        self.admin = f"unix:{self.folder}/admin.sock"
        self.top = f'[global]\nadmin = "{self.admin}"\n'
        self.farm = Farm(self.folder, servers=2)
        self.addCleanup(self.farm.close)
        self.first, self.second = self.farm.servers
        for server in self.farm.servers:
            server.route_by(self.farm.director, self.farm.client)

    def direct(self, *services):
        shunt = self.shunt(self.top + "".join(services), enter=self.farm.director.enter)
        shunt.wait_for_log("admin endpoint on unix:")
        return shunt

    def ctl(self, *words):
        done = run_shunt("ctl", *words, "--admin", self.admin, folder=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def services(self):
        return json.loads(self.ctl("-L", "--json"))["services"]

    def nat(self, **options):
        servers = [(server.name, f'address = "{server.v4}:8080"') for server in self.farm.servers]
        return service("web", f"{VIP}:80", servers, **options)

    def test_a_large_table_of_connections_is_read_without_pauses(self):
        ports = range(5000, 5004)
        flows = int(50_000 / SLOWNESS)  # To each port; a step of the listing reads a thousand places.
        self.direct(service("many", f"{VIP}:{ports[0]}-{ports[-1]}", [("a", f'address = "{self.first.v4}"')],
                            method="dr", protocol="udp"))
        enough = flows * len(ports) // 2
        with self.farm.client.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sender:
            for _ in range(10):  # A busy or slow machine loses many.
                for source in range(1024, 1024 + flows):
                    for port in ports:
                        sender.sendto(struct.pack(">HHHH", source, port, 8, 0), (VIP, 0))
                begin = time.monotonic()
                rows = self.ctl("-Lnc").splitlines()[2:]
                taken = time.monotonic() - begin
                if len(rows) > enough:
                    break
        self.assertGreater(len(rows), enough)
        self.assertLess(taken, 5 * SLOWNESS, len(rows))

    def test_tables_after_known_traffic(self):
        dns = service("dns", f"[{v6(100)}]:53", [("a", f'address = "[{self.first.v6}]:53"\nupper = 9\nlower = 5')],
                      method="dr", protocol="udp", scheduler="wlc", more='persistence = "6m"\nnetmask = 64')
        self.direct(self.nat(), dns)
        self.assertEqual(self.ctl("-Ln").splitlines()[1:], [
            "Prot LocalAddress:Port Scheduler Flags",
            "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
            f"TCP  {VIP}:80 rr",
            f"  -> {self.first.v4 + ':8080':<28} Masq    1      0          0         ",
            f"  -> {self.second.v4 + ':8080':<28} Masq    1      0          0         ",
            f"UDP  [{v6(100)}]:53 wlc persistent 360 mask 64",
            f"  -> {f'[{self.first.v6}]:53':<28} Route   1      0          0         "])
        for _ in range(4):
            self.farm.get(VIP)
        rows = self.ctl("-Ln", "--stats").splitlines()[3:]
        self.assertRegex(rows[0], rf"^TCP  {VIP}:80 {{16,}}4( +[1-9]\d*){{4}}$")
        for row in rows[1:3]:
            self.assertRegex(row, r"^  -> 10\.1\.0\.\d+:8080 +2( +[1-9]\d*){4}$")
        self.assertRegex(rows[4], r"^  -> \[.*\]:53 +0 +0 +0 +0 +0$")
        web = self.services()[0]
        for count, total in web["stats"].items():
            self.assertEqual(total, sum(server["stats"][count] for server in web["servers"]), count)
        self.assertGreater(web["stats"]["bytes_out"], 4 * 150)  # An answer of nginx is larger than that.
        self.assertRegex(self.ctl("-Ln", "--thresholds").splitlines()[-1], r" 9 +5 +0 +0 +$")
        self.assertEqual(self.ctl("-Lnt", f"{VIP}:80").splitlines()[2], f"TCP  {VIP}:80 rr")
        done = run_shunt("ctl", "-Lnu", f"{VIP}:80", "--admin", self.admin, folder=self.folder)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("No such service", done.stderr)

    def test_connections_and_their_states(self):
        self.direct(self.nat(more='persistence = "5m"'))
        stream = self.farm.connect(VIP)
        self.addCleanup(stream.close)
        name = say(stream)
        server = next(server for server in self.farm.servers if server.name == name)
        client, port = stream.socket.getsockname()
        lines = self.ctl("-Lnc").splitlines()
        self.assertEqual(lines[:2], ["IPVS connection entries",
                                     "pro expire state       source             virtual            destination"])
        ends = rf"{VIP}:80 +{server.v4}:8080"
        self.assertEqual(len(lines), 4, lines)
        self.assertRegex("\n".join(lines), rf"\nTCP 1[45]:\d\d  ESTABLISHED {client}:{port} +{ends}")
        self.assertRegex("\n".join(lines), rf"\nTCP 0[45]:\d\d  ASSURED     {client}:0 +{ends}")
        web = self.services()[0]
        used = next(one for one in web["servers"] if one["name"] == name)
        self.assertEqual((used["active"], used["inactive"], used["persistent"]), (1, 0, 1))
        self.assertRegex(self.ctl("-Ln", "--persistent-conn"), rf"-> {server.v4}:8080 +1 +1 +1 +0 ")
        stream.close()
        wait_until(lambda: re.search(r"TCP 0[012]:\d\d  (TIME_WAIT|CLOSE) ", self.ctl("-Lnc")), "the end of it")

    def test_datagrams(self):
        servers = [(server.name, f'address = "{server.v4}:53"') for server in self.farm.servers]
        for server in self.farm.servers:
            server.answer_udp(server.v4, 53)
        self.direct(service("dns", f"{VIP}:53", servers, protocol="udp"))
        with self.farm.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            self.farm.ask(VIP, 53, b"?", asker)
            port = asker.getsockname()[1]
            self.assertRegex(self.ctl("-Lnc"),
                             rf"\nUDP 0[45]:\d\d  UDP +10\.1\.0\.1:{port} +{VIP}:53 +10\.1\.0\.1[12]:53")

    def test_drops_by_reason(self):
        self.direct(self.nat())
        self.assertEqual(self.ctl("drops"), "Nothing has been dropped.\n")
        for _ in range(3):
            with self.assertRaises(ConnectionRefusedError):
                self.farm.connect(VIP, 81)
        self.assertEqual(self.ctl("drops").splitlines(), [
            "  Packets Reason              Meaning",
            "        3 no_service          A virtual address, but no service at this port; the sender was told."])
        told = json.loads(self.ctl("drops", "--json"))
        counts = {drop["reason"]: drop["packets"] for drop in told["drops"]}
        self.assertEqual({reason: count for reason, count in counts.items() if count}, {"no_service": 3})
        self.assertIn("bad_checksum", counts)
        self.assertEqual((told["lost"], told["hashed"], told["evicted"], told["conflicts"]), (0, 0, 0, 0))

    def test_a_cap_on_new_connections(self):
        self.direct("layer4_new_connections = 2\n", self.nat())
        for _ in range(40):
            self.farm.get(VIP)
        told = json.loads(self.ctl("drops", "--json"))
        self.assertGreater(told["hashed"], 0)
        self.assertRegex(self.ctl("drops"), r"(?m)^ +\d+ \(hashed\) +Not dropped: placed by hash")
        self.assertLess(self.services()[0]["stats"]["connections"], 40)

    def test_rates(self):
        self.direct(self.nat())

        def rate():
            # Some at a time: of less than one in two seconds the rate is 0, however slow this machine is.
            for _ in range(20):
                self.farm.connect(VIP).close()
            return self.services()[0]["rate"]

        wait_until(lambda: all(rate().values()), "a rate of everything")
        self.assertRegex(self.ctl("-Ln", "--rate").splitlines()[3], rf"^TCP  {VIP}:80( +\d+){{5}}$")

    def test_reloads_keep_counts(self):
        shunt = self.direct(self.nat())
        self.farm.get(VIP)
        shunt.write(self.top + self.nat(scheduler="wlc"))
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log("reload: generation 2")
        web = self.services()[0]
        self.assertEqual((web["scheduler"], web["stats"]["connections"]), ("wlc", 1))
        shunt.write(self.top + self.nat(scheduler="wlc").replace('"web"', '"other"'))
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log("reload: generation 3")
        other = self.services()
        self.assertEqual([(one["name"], one["stats"]["connections"]) for one in other], [("other", 0)])


if __name__ == "__main__":
    main()
