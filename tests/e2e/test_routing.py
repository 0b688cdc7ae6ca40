#!/usr/bin/env python3
# Content switching: each key of a match, negation and alternation, against the running server; and that
# `shunt explain` says of each request what the server then does. The table is the test.
import re
import socket

from harness import ShuntTest, Stream, farm, free_port, get, main, read_response, run_shunt

CONFIG = """
[global]
workers = 1
access_log = "access.log"
[[listener]]
name = "web"
bind = ["127.0.0.1:{web}"]
[[listener]]
name = "side"
bind = "127.0.0.1:{side}"

{rules}

[pool.documents]
type = "document"
server = [{{ name = "d", address = "{documents}" }}]
[pool.images]
type = "image"
server = [{{ name = "i", address = "{images}" }}]
[pool.scripts]
type = "cgi"
server = [{{ name = "s", address = "{scripts}" }}]
[pool.records]
type = "database"
server = [{{ name = "r", address = "{records}" }}]
[pool.archive]
type = "cache"
server = [{{ name = "a", address = "{archive}" }}]
"""
POOLS = ("documents", "images", "scripts", "records", "archive")

# Name, match, what then. In this order.
RULES = [
    ("blocked", '{ source = ["127.0.0.66", "203.0.113.0/24"] }', 'respond = { status = 403, body = "no\\n" }'),
    ("side-door", '{ listener = "side", path_prefix = "/admin/" }', 'pool = "records"'),
    ("old", '{ path = "/old" }', 'redirect = { to = "/new?a=b", status = 301 }'),
    ("gone", '{ path = ["/gone", "/away"] }', 'respond = { status = 410, body = "{}", content_type = "text/json" }'),
    ("cdn", '{ host = "*.cdn.example" }', 'pool = "archive"'),
    ("exact-host", '{ host = "db.example", not = { path_prefix = "/public/" } }', 'pool = "records"'),
    ("canary", '{ path_prefix = "/api/", header = { "x-canary" = "1" } }', 'pool = "scripts"'),
    ("agent", '{ header = { user-agent = { prefix = "Robot/" } } }', 'pool = "archive"'),
    ("debug", '{ header = { x-debug = true } }', 'pool = "records"'),
    ("session", '{ cookie = { session = { regex = "^[0-9a-f]{4}$" } } }', 'pool = "scripts"'),
    ("query", '{ query = { page = { present = true }, kind = "full" } }', 'pool = "records"'),
    ("upload", '{ method = ["PUT", "POST"], content_type = "image/*" }', 'pool = "images"'),
    ("post", '{ method = "POST", scheme = "http" }', 'pool = "scripts"'),
    ("tls", '{ scheme = "https", path_prefix = "/" }', 'pool = "records"'),
    ("pictures", r"{ path_regex = '\.(png|jpe?g)$' }", 'pool = "images"'),
    ("scripts", '{ extension = ["cgi", "php"] }', 'pool = "scripts"'),
    ("either", '{ any = [ { path_prefix = "/a/" }, { header = { accept = { prefix = "text/" } } } ] }',
     'pool = "archive"'),
    ("pages", '{ path_prefix = "/doc" }', 'pool = "documents"'),
]

# Method, target, Host, fields, and the rule and pool that must take it; None: nothing does, 404.
REQUESTS = [
    ("GET", "/old", "x", [], "old", None),
    ("GET", "/old?q=1", "x", [], "old", None),
    ("GET", "/old/", "x", [], None, None),
    ("GET", "/old2", "x", [], None, None),
    ("GET", "/gone", "x", [], "gone", None),
    ("HEAD", "/away", "x", [], "gone", None),
    ("GET", "/Gone", "x", [], None, None),
    ("GET", "/", "a.cdn.example", [], "cdn", "archive"),
    ("GET", "/", "a.b.CDN.Example:81", [], "cdn", "archive"),
    ("GET", "/", "cdn.example", [], None, None),
    ("GET", "/", "evilcdn.example", [], None, None),
    ("GET", "/", "DB.example:8080", [], "exact-host", "records"),
    ("GET", "/public/x", "db.example", [], None, None),
    ("GET", "/public/x.png", "db.example", [], "pictures", "images"),
    ("GET", "/public", "db.example", [], "exact-host", "records"),
    ("GET", "/api/x", "x", [("X-Canary", "1")], "canary", "scripts"),
    ("GET", "/api/x", "x", [("X-Canary", "2")], None, None),
    ("GET", "/api", "x", [("X-Canary", "1")], None, None),
    ("GET", "/x", "x", [("User-Agent", "Robot/1.0")], "agent", "archive"),
    ("GET", "/x", "x", [("User-Agent", "a Robot/1.0")], None, None),
    ("GET", "/x", "x", [("X-Debug", "")], "debug", "records"),
    ("GET", "/x", "x", [("X-Debug", "0")], "debug", "records"),
    ("GET", "/x", "x", [("Cookie", "a=b; session=00ff; c=d")], "session", "scripts"),
    ("GET", "/x", "x", [("Cookie", "session=00ff0")], None, None),
    ("GET", "/x", "x", [("Cookie", "xsession=00ff")], None, None),
    ("GET", "/x?page=1&kind=full", "x", [], "query", "records"),
    ("GET", "/x?kind=full&page", "x", [], "query", "records"),
    ("GET", "/x?kind=fuller&page=1", "x", [], None, None),
    ("GET", "/x?kind=full", "x", [], None, None),
    ("POST", "/x", "x", [("Content-Type", "image/png; q=1"), ("Content-Length", "0")], "upload", "images"),
    ("PUT", "/x", "x", [("Content-Type", "IMAGE/webp"), ("Content-Length", "0")], "upload", "images"),
    ("POST", "/x", "x", [("Content-Type", "text/plain"), ("Content-Length", "0")], "post", "scripts"),
    ("PUT", "/x", "x", [("Content-Type", "text/plain"), ("Content-Length", "0")], None, None),
    ("GET", "/a/b.png", "x", [], "pictures", "images"),
    ("GET", "/b.jpeg?x=.cgi", "x", [], "pictures", "images"),
    ("GET", "/b.png/c", "x", [], None, None),
    ("GET", "/%62.p%6Eg", "x", [], "pictures", "images"),
    ("GET", "/x.PHP", "x", [], "scripts", "scripts"),
    ("GET", "/x.php/info", "x", [], None, None),
    ("GET", "/a/b", "x", [], "either", "archive"),
    ("GET", "/b", "x", [("Accept", "text/html")], "either", "archive"),
    ("GET", "/x/../a/b", "x", [], "either", "archive"),
    ("GET", "/document.png", "x", [], "pictures", "images"),
    ("GET", "/documents", "x", [], "pages", "documents"),
]


class RoutingTest(ShuntTest):
    def setUp(self):
        self.web, self.side = free_port(), free_port()
        self.origins = {pool: self.origin(name=pool) for pool in POOLS}
        rules = "".join(f'[[rule]]\nname = "{name}"\nmatch = {match}\n{then}\n' for name, match, then in RULES)
        addresses = {pool: origin.address for pool, origin in self.origins.items()}
        self.proxy = self.shunt(CONFIG.format(web=self.web, side=self.side, rules=rules, **addresses))

    def explained(self, method, target, host, fields, *options):
        """The rule and the pool that `shunt explain` finds."""
        headers = [word for name, value in fields for word in ("-H", f"{name}: {value}")]
        done = run_shunt("explain", "farm.toml", method, f"http://{host}{target}", *headers, *options,
                         folder=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        rule = re.search(r"(?m)^(?:rules)? +yes (\S+)", done.stdout)
        pool = re.search(r"(?m)^pool +(\w+),", done.stdout)
        return (rule and rule.group(1), pool and pool.group(1))

    def test_each_request_takes_its_rule_and_explain_knows_it(self):
        client = self.client(self.web)
        for method, target, host, fields, _, pool in REQUESTS:
            answer = client.request(method, target, fields, host=host)
            if pool and method != "HEAD":
                self.assertEqual((answer.status, answer.text), (200, f"{pool}\n"), (method, target, host, fields))
        log = self.proxy.wait_for_access_log(len(REQUESTS))
        for (method, target, host, fields, rule, pool), entry in zip(REQUESTS, log, strict=True):
            with self.subTest(f"{method} {host}{target} {fields}"):
                self.assertEqual((entry["target"], entry["rule"], entry["pool"]), (target, rule, pool))
                self.assertEqual(self.explained(method, target, host, fields, "--listener", "web"), (rule, pool))
                if rule is None:
                    self.assertEqual((entry["status"], entry["reason"]), (404, "no_rule"))

    def test_listener(self):
        for port, name, rule, pool in ((self.side, "side", "side-door", "records"), (self.web, "web", None, None)):
            with self.subTest(name):
                self.assertEqual(get(port, "/admin/x").status, 200 if pool else 404)
                self.assertEqual(self.explained("GET", "/admin/x", "x", [], "--listener", name), (rule, pool))

    def test_source(self):
        with self.client(self.web, source="127.0.0.66") as client:
            answer = client.get("/documents")
        self.assertEqual((answer.status, answer.text), (403, "no\n"))
        for source, expected in (("203.0.113.9", ("blocked", None)), ("203.0.114.9", ("pages", "documents"))):
            self.assertEqual(self.explained("GET", "/documents", "x", [], "--source", source), expected)

    def test_redirect(self):
        answer = get(self.web, "/old")
        self.assertEqual((answer.status, answer.header("Location")), (301, "/new?a=b"))

    def test_respond(self):
        client = self.client(self.web)
        answer = client.get("/gone")
        self.assertEqual((answer.status, answer.text, answer.header("Content-Type")), (410, "{}", "text/json"))
        head = client.request("HEAD", "/gone")
        self.assertEqual((head.status, head.header("Content-Length")), (410, "2"))
        self.assertEqual(client.get("/documents").text, "documents\n")  # The connection went on.

    def test_answers_of_our_own_do_not_leave_the_body_behind(self):
        client = self.client(self.web)
        body = b"GET /documents HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(client.request("PATCH", "/gone", body=body).status, 410)
        self.assertEqual(client.get("/a/b").text, "archive\n")
        self.assertEqual(self.origins["documents"].requests, [])


class NoRulesTest(ShuntTest):
    def test_only_pool_takes_everything(self):
        origin = self.origin()
        config = farm(free_port(), [origin]).replace('[[rule]]\nname = "default"\npool = "pages"\n', "")
        self.assertNotIn("[[rule]]", config)
        self.assertEqual(get(self.shunt(config).port, "/any/thing").status, 200)

    def test_rules_of_hosts_without_a_host(self):
        rules = '[[rule]]\nname = "host"\nmatch = { host = "a" }\nrespond = { status = 204 }'
        port = self.shunt_before([self.origin()], rules=rules).port
        with Stream(socket.create_connection(("127.0.0.1", port))) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(read_response(client).status, 200)


if __name__ == "__main__":
    main()
