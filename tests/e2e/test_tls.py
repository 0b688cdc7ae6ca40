#!/usr/bin/env python3
# TLS on both sides: which certificate, version and cipher is agreed on, who may come in, what servers are told of it,
# what a handshake that fails leaves in the log, and that certificates change with a reload and never break one.
import hashlib
import os
import ssl
import subprocess
import threading
import unittest

from harness import (TIMEOUT, ShuntTest, Wrk, farm, free_port, main, read_response, response, run_shunt,
                     signal, wait_until)
from tls import TlsClient, client_context, make_certificate, openssl

RELOADED = r"reload: generation (\d+):"


class TlsTest(ShuntTest):
    def certificate(self, name, hosts=(), **options):
        return make_certificate(self.folder, name, hosts, **options)

    def tls_client(self, port, host="localhost", context=None, session=None):
        client = TlsClient(port, host, context, session)
        self.addCleanup(client.close)
        return client

    def start(self, servers, tls, **options):
        """Starts Shunt with a TLS listener, whose `tls` key has this value."""
        return self.shunt_before(servers, listener=f"tls = {tls}", **options)

    def ask(self, client, target="/", headers=()):
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
        client.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        return self.read(client)

    def reload(self, shunt, config=None):
        count = shunt.log().count("info reload: generation")
        if config is not None:
            shunt.write(config)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(RELOADED, count + 1)

    def read(self, client):
        head = client.read_until(b"\r\n\r\n").decode()
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
        return int(head.split(" ")[1]), client.read(length)


ONE = '{ certificate = "site.pem", key = "site.key" }'


class ListenerTest(TlsTest):
    def setUp(self):
        self.site = self.certificate("site", ["localhost", "127.0.0.1"])

    def test_requests_and_what_servers_are_told(self):
        origin = self.origin()
        shunt = self.start([origin], ONE)
        client = self.tls_client(shunt.port, context=client_context(self.site))
        for target in ("/a", "/b"):
            self.assertEqual(self.ask(client, target), (200, b"origin\n"))
        self.assertEqual(client.socket.version(), "TLSv1.3")
        self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")
        self.assertEqual(origin.requests[0].header("X-Forwarded-Proto"), "https")
        self.assertIn("proto=https", origin.requests[0].header("Forwarded"))
        entries = shunt.wait_for_access_log(2)
        self.assertEqual([entry["scheme"] for entry in entries], ["https", "https"])
        self.assertEqual(origin.connections, 1)

    def test_large_bodies_both_ways(self):
        body = bytes(range(256)) * 40_000  # 10 MB.
        origin = self.origin(lambda request: response(body=request.body))
        shunt = self.start([origin], ONE)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = self.tls_client(shunt.port, context=client_context(maximum_version=version))
            client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            status, answer = self.read(client)
            self.assertEqual((status, hashlib.sha256(answer).digest()), (200, hashlib.sha256(body).digest()))
            self.assertEqual(self.ask(client), (200, b""))

    def test_pipelined_requests_in_one_record(self):
        shunt = self.start([self.origin(lambda request: response(body=request.target))], ONE)
        client = self.tls_client(shunt.port)
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(300)))
        self.assertEqual([self.read(client)[1] for _ in range(300)], [b"/%d" % i for i in range(300)])

    def test_slow_reader_of_a_large_answer(self):
        body = bytes(range(256)) * 20_000
        shunt = self.start([self.origin(lambda _: response(body=body))], ONE)
        client = self.tls_client(shunt.port)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: shunt.sockets() >= 3, "the exchange")
        head = client.read_until(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        received = b"".join(client.read(10_240) for _ in range(len(body) // 10_240))
        self.assertEqual(received, body)

    def test_close_is_announced(self):
        shunt = self.start([self.origin()], ONE)
        client = self.tls_client(shunt.port)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.read(client)
        client.socket.suppress_ragged_eofs = False  # Without close_notify this raises.
        self.assertEqual(client.read_to_end(), b"")

    def test_old_versions_and_foreign_protocols_are_refused_and_logged(self):
        shunt = self.start([self.origin()], ONE)
        old = client_context(ciphers="ALL:@SECLEVEL=0", minimum_version=ssl.TLSVersion.TLSv1,
                             maximum_version=ssl.TLSVersion.TLSv1_1)
        for context in (old, client_context(alpn=["h2"])):
            with self.assertRaises(ssl.SSLError):
                self.tls_client(shunt.port, context=context)
        plain = self.client(shunt.port)
        plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        plain.read_to_end()
        self.client(shunt.port).close()  # Says nothing, so nothing is said of it.
        self.assertEqual(self.ask(self.tls_client(shunt.port))[0], 200)
        entries = shunt.wait_for_access_log(4)
        self.assertEqual([entry["reason"] for entry in entries], ["tls_handshake"] * 3 + ["done"])
        self.assertEqual([entry["detail"] for entry in entries[1:3]],
                         ["no application protocol", "http request"])

    def test_minimum_version_and_ciphers(self):
        settings = '"site.pem", key = "site.key", minimum_version = "1.3"'
        shunt = self.start([self.origin()], f"{{ certificate = {settings} }}")
        with self.assertRaises(ssl.SSLError):
            self.tls_client(shunt.port, context=client_context(maximum_version=ssl.TLSVersion.TLSv1_2))
        self.assertEqual(self.ask(self.tls_client(shunt.port))[0], 200)

    def test_order_of_ciphers_is_the_servers(self):
        shunt = self.start([self.origin()], ONE)
        old = ssl.TLSVersion.TLSv1_2
        for wish, version, chosen in [
            ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", old, "AES128-GCM-SHA256"),
            ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", old, "CHACHA20-POLY1305"),
            ("DEFAULT", ssl.TLSVersion.TLSv1_3, "AES_128_GCM_SHA256"),
        ]:
            with self.subTest(wish):
                client = self.tls_client(shunt.port, context=client_context(ciphers=wish, maximum_version=version))
                self.assertIn(chosen, client.socket.cipher()[0])

    def test_handshake_that_never_ends_is_ended(self):
        shunt = self.shunt_before([self.origin()], listener=f'tls = {ONE}\nheader_timeout = "200ms"')
        client = self.client(shunt.port)
        client.send(b"\x16\x03\x01\x02\x00\x01")
        self.assertTrue(client.is_closed())
        entry = shunt.wait_for_access_log(1)[0]
        self.assertEqual((entry["reason"], entry["detail"]), ("tls_handshake", "the handshake did not end in time"))

    def test_rules_by_scheme_and_name(self):
        rules = ('[[rule]]\nmatch = { sni = "*.example.com" }\nrespond = { body = "by name" }\n'
                 '[[rule]]\nmatch = { scheme = "https" }\nrespond = { body = "by scheme" }\n')
        port, plain = free_port(), free_port()
        rules += f'[[listener]]\nname = "plain"\nbind = "127.0.0.1:{plain}"\n'
        self.shunt(farm(port, [self.origin()], listener=f"tls = {ONE}", rules=rules))
        self.assertEqual(self.ask(self.tls_client(port, "WWW.example.com"))[1], b"by name")
        self.assertEqual(self.ask(self.tls_client(port, "example.com"))[1], b"by scheme")
        self.assertEqual(self.ask(self.tls_client(port, None))[1], b"by scheme")
        self.assertEqual(self.client(plain).get("/").text, "origin\n")

    def test_tickets_are_good_at_every_worker(self):
        shunt = self.start([self.origin()], ONE, workers=4)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context(maximum_version=version)
            first = self.tls_client(shunt.port, context=context)
            self.ask(first)  # In TLS 1.3 the ticket comes behind the handshake.
            self.assertFalse(first.socket.session_reused)
            for _ in range(12):
                again = self.tls_client(shunt.port, context=context, session=first.socket.session)
                self.assertEqual(self.ask(again)[0], 200)
                self.assertTrue(again.socket.session_reused)

    @unittest.skipIf(os.environ.get("SHUNT_SANITIZER"), "a sanitizer keeps what was freed")
    def test_idle_connections_take_little_memory(self):
        shunt = self.start([self.origin()], ONE)
        context = client_context()
        for _ in range(50):  # What the first ones need stays.
            self.ask(self.tls_client(shunt.port, context=context))
        before = shunt.memory()
        count = 400
        for _ in range(count):
            self.ask(self.tls_client(shunt.port, context=context))
        self.assertLess((shunt.memory() - before) / count, 16 * 1024)


class CertificatesTest(TlsTest):
    def test_choice_by_name_and_kind_of_key(self):
        self.certificate("first", ["first.test"])
        self.certificate("exact-ec", ["www.example.com"])
        self.certificate("exact-rsa", ["www.example.com"], key="rsa")
        self.certificate("wild", ["*.example.com", "example.com"])
        names = ("first", "wild", "exact-ec", "exact-rsa")
        tables = ", ".join(f'{{ certificate = "{name}.pem", key = "{name}.key" }}' for name in names)
        shunt = self.start([self.origin()], f"[ {tables} ]")
        rsa = {"maximum_version": ssl.TLSVersion.TLSv1_2, "ciphers": "ECDHE-RSA-AES128-GCM-SHA256"}
        cases = [
            ("exact before wildcard", "www.example.com", {}, "exact-ec"),
            ("exact, another kind of key", "www.example.com", rsa, "exact-rsa"),
            ("wildcard", "a.example.com", {}, "wild"),
            ("case aside", "A.EXAMPLE.com", {}, "wild"),
            ("a wildcard is one label", "a.b.example.com", {}, "first"),
            ("the domain itself", "example.com", {}, "wild"),
            ("unknown", "else.test", {}, "first"),
            ("no name", None, {}, "first"),
        ]
        for description, host, settings, expected in cases:
            with self.subTest(description):
                client = self.tls_client(shunt.port, host, client_context(**settings))
                self.assertEqual(client.subject(), expected)
                self.assertEqual(self.ask(client)[0], 200)

    def test_stapled_answer(self):
        authority = self.certificate("authority")
        site = self.certificate("site", ["localhost"], signed_by=authority)
        (self.folder / "index.txt").write_text("")
        serial = openssl("x509", "-noout", "-serial", "-in", site.path).decode().strip().partition("=")[2]
        (self.folder / "index.txt").write_text(f"V\t490101000000Z\t\t{serial}\tunknown\t/O=Shunt/CN=site\n")
        openssl("ocsp", "-index", "index.txt", "-rsigner", authority.path, "-rkey", authority.key,
                "-CA", authority.path, "-issuer", authority.path, "-cert", site.path,
                "-ndays", 3, "-respout", "site.ocsp", folder=self.folder)
        shunt = self.start([self.origin()], '{ certificate = "site.pem", key = "site.key", ocsp = "site.ocsp" }')
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{shunt.port}", "-status", "-CAfile", authority.path,
             "-verify_return_error"], input=b"", capture_output=True, timeout=TIMEOUT, check=False)
        self.assertIn(b"OCSP Response Status: successful", done.stdout)
        self.assertIn(b"Cert Status: good", done.stdout)

    def test_clients_certificates(self):
        authority, stranger = self.certificate("authority"), self.certificate("stranger")
        self.certificate("site", ["localhost"])
        known = self.certificate("alice", ["alice"], signed_by=authority)
        unknown = self.certificate("mallory", ["mallory"], signed_by=stranger)
        files = 'certificate = "site.pem", key = "site.key", client_ca = "authority.pem"'
        for mode, expected in (("optional", [200, 200, None]), ("required", [None, 200, None])):
            origin = self.origin()
            shunt = self.start([origin], f'{{ {files}, client_certificate = "{mode}", client_header = '
                                         f'"X-Client-Subject" }}')
            forged = [("X-Client-Subject", "CN=root"), ("x_client_subject", "CN=root"), ("X-Else", "1")]
            for shown, wanted in zip((None, known, unknown), expected):
                with self.subTest(mode=mode, shown=shown):
                    context = client_context(certificate=shown)
                    if wanted is None:
                        with self.assertRaises((ssl.SSLError, ConnectionError)):
                            self.ask(self.tls_client(shunt.port, context=context))
                        continue
                    self.assertEqual(self.ask(self.tls_client(shunt.port, context=context), headers=forged)[0], wanted)
                    request = origin.requests[-1]
                    subjects = ["CN=alice,O=Shunt"] if shown else []
                    self.assertEqual(request.header_all("X-Client-Subject"), subjects)
                    self.assertEqual(request.header_all("x_client_subject"), [])
                    self.assertEqual(request.header_all("X-Else"), ["1"])
            shunt.stop()

    def test_certificates_change_with_a_reload_and_a_bad_one_does_not(self):
        self.certificate("site", ["localhost"])
        origin = self.origin()
        shunt = self.start([origin], ONE)
        old = self.tls_client(shunt.port)
        before = old.socket.getpeercert(binary_form=True)
        self.assertEqual(self.ask(old)[0], 200)
        (self.folder / "site.key").write_text("-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n")
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(r"error reload of farm\.toml refused, generation 1 stays")
        shunt.wait_for_log(r"farm\.toml:\d+:\d+: error: .*site\.key.*damaged")
        self.assertEqual(self.tls_client(shunt.port).socket.getpeercert(binary_form=True), before)
        self.certificate("site", ["localhost"])
        self.reload(shunt)
        self.assertNotEqual(self.tls_client(shunt.port).socket.getpeercert(binary_form=True), before)
        self.assertEqual(self.ask(old)[0], 200)  # Those that are there stay.

    def test_fifty_reloads_under_load_fail_no_request(self):
        self.certificate("site", ["localhost"])
        self.certificate("other", ["localhost"], key="rsa")
        nginx = self.nginx()
        port = free_port()

        def config(generation):
            other = ', { certificate = "other.pem", key = "other.key" }' if generation % 2 else ""
            return farm(port, [nginx], workers=2, listener=f"tls = [ {ONE}{other} ]")

        shunt = self.shunt(config(0))
        load = Wrk(port, seconds=60, connections=16, scheme="https")
        for generation in range(1, 51):
            self.reload(shunt, config(generation))
        result = load.stop()
        self.assertGreater(result.requests, 100)
        self.assertEqual(result.failed, 0, result)
        shunt.stop()
        self.assertNotIn(" error ", shunt.log())

    def test_check_finds_what_is_wrong_with_the_files(self):
        self.certificate("site", ["localhost"])
        self.certificate("other", ["localhost"])
        self.certificate("weak", ["localhost"])
        openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "weak.key", "-out", "weak.pem", "-subj",
                "/CN=localhost", folder=self.folder)
        openssl("pkey", "-in", "site.key", "-aes256", "-passout", "pass:x", "-out", "locked.key", folder=self.folder)
        cases = [
            ('certificate = "none.pem"', "none.pem.*cannot be read: No such file"),
            ('certificate = "site.key", key = "site.pem"', "are \"certificate\" and \"key\" swapped"),
            ('certificate = "site.pem", key = "other.key"', "does not belong to the certificate"),
            ('certificate = "site.pem", key = "locked.key"', "passphrase(.|\n)*openssl pkey"),
            ('certificate = "weak.pem", key = "weak.key"', "key too small(.|\n)*2048 bits"),
            ('certificate = "site.pem", key = "site.key", ocsp = "site.pem"', "is no OCSP answer"),
            ('certificate = "site.pem", key = "site.key", ciphers = "NONE-SUCH"', "ciphers.*no cipher match"),
            ('certificate = "site.pem", key = "site.key", client_ca = "site.key"', "holds no certificate"),
        ]
        for tls, expected in cases:
            with self.subTest(tls):
                (self.folder / "farm.toml").write_text(farm(1, ["127.0.0.1:1"], listener=f"tls = {{ {tls} }}"))
                done = run_shunt("check", "farm.toml", folder=self.folder)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, r"farm\.toml:\d+:\d+: error: (.|\n)*" + expected)


class ServerTest(TlsTest):
    def setUp(self):
        self.authority = self.certificate("authority")
        self.certificate("origin", ["origin.test", "127.0.0.1"], signed_by=self.authority)
        self.certificate("us", ["us"], signed_by=self.authority)
        self.port = free_port()

    def tls_origin(self, extra=""):
        files = {"index.html": b"index\n", "big": bytes(range(256)) * 20_000}
        return self.nginx(files, extra=f"""
            listen 127.0.0.1:{self.port} ssl;
            ssl_certificate {self.folder}/origin.pem;
            ssl_certificate_key {self.folder}/origin.key;
            location = /who {{ return 200 "$ssl_server_name $ssl_client_s_dn\\n"; }}
            {extra}""")

    def ask_by(self, tls, target="/", count=1):
        """What Shunt makes of requests to the origin with this `tls` at the server."""
        pool = f'server = [ {{ address = "127.0.0.1:{self.port}", tls = {tls} }} ]'
        shunt = self.shunt(farm(free_port(), [], pool=pool))
        client = self.client(shunt.port)
        answers = [client.get(target) for _ in range(count)]
        entries = shunt.wait_for_access_log(count)
        shunt.stop()
        return answers, entries

    def test_requests_over_one_connection(self):
        self.tls_origin()
        answers, entries = self.ask_by('{ ca = "authority.pem" }', "/big", count=3)
        self.assertEqual([len(answer.body) for answer in answers], [256 * 20_000] * 3)
        self.assertEqual([entry["reused"] for entry in entries], [False, True, True])

    def test_name_and_our_certificate(self):
        self.tls_origin(f"ssl_client_certificate {self.folder}/authority.pem; ssl_verify_client on;")
        tls = '{ ca = "authority.pem", name = "origin.test", certificate = "us.pem", key = "us.key" }'
        answers, _ = self.ask_by(tls, "/who")
        self.assertEqual(answers[0].text, "origin.test CN=us,O=Shunt\n")

    def test_who_cannot_be_verified_is_not_asked(self):
        nginx = self.tls_origin()
        cases = [
            ('{ ca = "us.pem" }', "unable to get local issuer certificate"),
            ("{}", "unable to get local issuer certificate"),
            ('{ ca = "authority.pem", name = "else.test" }', "hostname mismatch"),
        ]
        for tls, detail in cases:
            with self.subTest(tls):
                answers, entries = self.ask_by(tls)
                self.assertEqual(answers[0].status, 502)
                self.assertEqual((entries[0]["reason"], entries[0]["detail"]), ("server_tls", detail))
                (self.folder / "access.log").unlink()
        self.assertEqual(nginx.requests(), [])
        self.assertEqual(self.ask_by('{ verify = false }')[0][0].status, 200)

    def test_tls_on_both_sides(self):
        self.certificate("site", ["localhost"])
        self.tls_origin()
        pool = f'server = [ {{ address = "127.0.0.1:{self.port}" }} ]\ntls = {{ ca = "authority.pem" }}'
        shunt = self.shunt(farm(free_port(), [], pool=pool, listener=f"tls = {ONE}"))
        client = self.tls_client(shunt.port)
        for _ in range(3):
            status, body = self.ask(client, "/big")
            self.assertEqual((status, len(body)), (200, 256 * 20_000))

    def test_second_connection_is_resumed_unless_settings_have_changed(self):
        self.tls_origin("ssl_protocols TLSv1.3;"
                        'location = /reused { return 200 "$ssl_protocol $ssl_session_reused\\n"; }')
        servers = f'server = [ {{ address = "127.0.0.1:{self.port}" }} ]\nidle_connections = 0\n'
        port = free_port()
        by_name = farm(port, [], pool=servers + 'tls = { ca = "authority.pem", name = "origin.test" }')
        by_address = farm(port, [], pool=servers + 'tls = { ca = "authority.pem" }')
        shunt = self.shunt(by_name)

        def ask():
            return self.client(port).get("/reused").text

        self.assertEqual([ask() for _ in range(6)], ["TLSv1.3 .\n"] + ["TLSv1.3 r\n"] * 5)
        self.reload(shunt, by_address)
        self.assertEqual([ask() for _ in range(3)], ["TLSv1.3 .\n"] + ["TLSv1.3 r\n"] * 2)

    def test_resumption_with_the_old_version(self):
        self.tls_origin('ssl_protocols TLSv1.2; location = /reused { return 200 "$ssl_session_reused\\n"; }')
        pool = f'server = [ {{ address = "127.0.0.1:{self.port}" }} ]\nidle_connections = 0\ntls = {{ verify = false }}'
        shunt = self.shunt(farm(free_port(), [], pool=pool))
        self.assertEqual([self.client(shunt.port).get("/reused").text for _ in range(4)], [".\n"] + ["r\n"] * 3)

    def test_a_server_that_comes_while_a_request_waits_is_not_asked_in_clear(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def hold(_):
            release.wait(TIMEOUT)
            return response(body="plain\n")

        origin, nginx = self.origin(hold), self.tls_origin()
        port = free_port()
        plain = f'{{ name = "plain", address = "127.0.0.1:{origin.port}", max_connections = 1 }}'
        new = f'{{ name = "new", address = "127.0.0.1:{self.port}", tls = {{ ca = "authority.pem" }} }}'
        shunt = self.shunt(farm(port, [], workers=1, pool=f"server = [ {plain} ]"))
        first, second = self.client(port), self.client(port)
        first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: origin.requests, "the first request")
        second.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        later = self.client(port)
        later.send(b"NO-REQUEST\r\n\r\n")
        self.assertEqual(read_response(later, "GET").status, 400)  # So the second one has been seen, and waits.
        self.reload(shunt, farm(port, [], workers=1, pool=f"server = [ {plain}, {new} ]"))
        self.assertEqual(read_response(second, "GET").body, b"index\n")
        wait_until(lambda: len(nginx.requests()) == 1, "its line in the log of nginx")

    def test_plain_server_is_not_taken_for_one(self):
        self.port = self.nginx().port  # Answers with an error page, in the clear.
        answers, entries = self.ask_by("{ verify = false }")
        self.assertEqual((answers[0].status, entries[0]["reason"]), (502, "server_tls"))


if __name__ == "__main__":
    main()
