# Listeners with protocol = "tcp": TLS connections go by the name that they ask for to servers that end TLS themselves.
import ssl
import subprocess

from harness import TIMEOUT, ShuntTest, free_port, main, run_shunt
from tls import client_context, make_certificate

NAMED = """
[[rule]]
name = "a"
match = {{ sni = "a.example" }}
pool = "a"
[[rule]]
name = "b"
match = {{ sni = ["*.b.example", "b.example"] }}
pool = "b"
[pool.a]
server = [ {{ name = "a1", address = "{a}" }} ]
[pool.b]
server = [ {{ name = "b1", address = "{b}" }} ]
"""


def listener(port, more=""):
    return "\n".join(["[global]", "workers = 1", 'access_log = "access.log"', "[[listener]]", 'name = "front"',
                      f'bind = "127.0.0.1:{port}"', 'protocol = "tcp"', more, ""])


class ByName(ShuntTest):
    def setUp(self):
        self.ports = {}
        for name in ("a", "b"):
            certificate = make_certificate(self.folder, f"{name}.example", [f"{name}.example"])
            self.ports[name] = free_port()
            self.nginx({"index.html": f"{name}\n".encode()}, name=name, extra=(
                f"listen 127.0.0.1:{self.ports[name]} ssl; ssl_protocols TLSv1.2 TLSv1.3; "
                f"ssl_certificate {certificate.path}; ssl_certificate_key {certificate.key};"))
        self.front = self.shunt(listener(free_port()) + NAMED.format(
            a=f"127.0.0.1:{self.ports['a']}", b=f"127.0.0.1:{self.ports['b']}"))

    def s_client(self, *options):
        request = "GET / HTTP/1.0\r\nHost: any\r\n\r\n"
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.front.port}", "-quiet",
                               "-no_ign_eof", "-ign_eof", *options], input=request, text=True, capture_output=True,
                              timeout=6 * TIMEOUT, check=False)

    def test_openssl_reaches_the_server_that_it_names(self):
        for name, wanted in (("a.example", "a"), ("B.example", "b"), ("www.b.example", "b")):
            for versions in (["-tls1_2"], ["-tls1_3"], ["-split_send_frag", "100"]):
                with self.subTest(name=name, versions=versions):
                    done = self.s_client("-servername", name, *versions)
                    self.assertRegex(done.stderr, f"CN ?= ?{wanted}.example")
                    self.assertTrue(done.stdout.endswith(f"\n\n{wanted}\n"), done.stdout)
        entries = self.front.wait_for_access_log(9)
        for entry in entries:
            self.assertEqual((entry["scheme"], entry["status"]), ("tcp", 0))
            # nginx closes with a reset if the client's close_notify is there already.
            self.assertIn(entry["reason"], ("done", "server_reset"))
            self.assertGreater(entry["bytes_in"], 100)
            self.assertGreater(entry["bytes_out"], 500)
            for phase in ("queue_us", "connect_us", "first_byte_us", "total_us"):
                self.assertIsNotNone(entry[phase], phase)
        self.assertEqual({(entry["sni"], entry["rule"], entry["pool"], entry["server"]) for entry in entries},
                         {("a.example", "a", "a", "a1"), ("b.example", "b", "b", "b1"),
                          ("www.b.example", "b", "b", "b1")})

    def test_who_names_nobody_known_is_reset(self):
        for options in (["-servername", "c.example"], ["-noservername"]):
            self.assertNotEqual(self.s_client(*options).returncode, 0)
        plain = self.client(self.front.port)
        plain.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(plain.is_closed())
        entries = self.front.wait_for_access_log(3)
        self.assertEqual([(entry["sni"], entry["reason"], entry["server"]) for entry in entries],
                         [("c.example", "no_rule", None), (None, "no_rule", None), (None, "no_rule", None)])

    def test_a_hello_in_pieces(self):
        plain = self.client(self.front.port)
        received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(received, to_send, server_hostname="a.example")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in to_send.read():
            plain.send(bytes([byte]))
        self.assertEqual(plain.read(1), b"\x16")
        plain.close()
        self.assertEqual(self.front.wait_for_access_log(1)[0]["sni"], "a.example")

    def test_explain_and_tests_know_connections(self):
        port = self.front.port
        done = run_shunt("explain", "farm.toml", f"https://www.b.example:{port}/", folder=self.folder)
        self.assertRegex(done.stdout, r'protocol tcp: rules see the client, and that it asks for "www.b.example"')
        self.assertRegex(done.stdout, r'no +a .* sni: "www.b.example" is not "a.example"')
        self.assertRegex(done.stdout, r"pool +b,")
        self.assertRegex(done.stdout, r"servers +1\. b1 ")
        done = run_shunt("explain", "farm.toml", f"http://a.example:{port}/", folder=self.folder)
        self.assertRegex(done.stdout, r"answer +none: no rule matches, the connection is reset")
        table = f'[[test]]\nrequest = "GET https://a.example:{port}/"\nexpect = {{ rule = "%s", pool = "a" }}\n'
        config = (self.folder / "farm.toml").read_text()
        for rule, code in (("a", 0), ("b", 1)):
            (self.folder / "tested.toml").write_text(config + table % rule)
            self.assertEqual(run_shunt("check", "tested.toml", folder=self.folder).returncode, code)


if __name__ == "__main__":
    main()
