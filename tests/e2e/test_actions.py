#!/usr/bin/env python3
# What a rule does to the messages that it lets pass: targets and hosts rewritten, fields edited, redirects and
# answers with variables, splits, timeouts and retries of its own; and that `shunt explain` says what the server sees.
import re
import subprocess
import time

from harness import Client, ShuntTest, farm, free_port, get, main, run_shunt
from origins import response

RULES = r"""
[[rule]]
name = "api"
match = { path_prefix = "/api/" }
pool = "pages"
[rule.rewrite]
prefix = "/api/"
to = "/v2/"
host = "api.internal"
query = { set = { from = "${client.ip}" }, remove = ["debug"] }
[rule.request_headers]
set = { x-user = "${cookie.user}", x-rule = "${rule}/${pool}/${server.name}", x-forwarded-proto = "https" }
add = { x-tag = ["a", "b"] }
remove = ["x-debug"]
[rule.response_headers]
set = { server = "shunt", x-path = "${path}" }
remove = ["x-powered-by"]

[[rule]]
name = "user"
match = { path_regex = '^/u/(?P<id>[0-9]+)/(.*)$' }
pool = "pages"
rewrite = { to = "/users/${capture.2}" }
request_headers = { set = { x-id = "${capture.id}", x-name = "${query.name}" } }

[[rule]]
name = "files"
match = { path = "/file" }
pool = "pages"
rewrite = { to = "/files/${query.name}" }

[[rule]]
name = "moved"
match = { host = "old.example" }
redirect = { to = "https://new.example${target}", status = 308 }
response_headers = { set = { x-rule = "${rule}" } }

[[rule]]
name = "hello"
match = { path = "/hello" }
[rule.respond]
body = "<p>${query.name}</p>"
content_type = "text/html"
[rule.response_headers]
set = { cache-control = "no-store" }

[[rule]]
name = "large"
match = { path = "/large" }
pool = "pages"
rewrite = { to = "${header.x-large}${header.x-large}${header.x-large}" }

[[rule]]
name = "large-fields"
match = { path = "/large-fields" }
pool = "pages"
[rule.request_headers.add]
x-copy = ["${header.x-large}", "${header.x-large}", "${header.x-large}", "${header.x-large}"]

[[rule]]
name = "large-answer"
match = { path = "/large-answer" }
pool = "pages"
[rule.response_headers.add]
x-copy = ["${header.x-large}", "${header.x-large}", "${header.x-large}", "${header.x-large}"]

[[rule]]
name = "large-own"
match = { path = "/large-own" }
respond = { body = "own\n" }
[rule.response_headers.add]
x-copy = ["${header.x-large}", "${header.x-large}", "${header.x-large}", "${header.x-large}"]
"""

LARGE = "x" * 20000


class Actions(ShuntTest):
    def start(self, answer=None, **options):
        self.pages = self.origin(answer or (lambda request: response(
            body=b"ok", headers=[("Server", "origin"), ("X-Powered-By", "luck")])))
        return self.shunt_before([self.pages], rules=RULES, **options)

    def ask(self, shunt, path, headers=(), **options):
        """The answer, and the request that reached the server or None."""
        before = len(self.pages.requests)
        answer = get(shunt.port, path, headers=list(headers), **options)
        return answer, (self.pages.requests[before] if len(self.pages.requests) > before else None)

    def test_path_host_query_and_fields(self):
        shunt = self.start()
        answer, request = self.ask(shunt, "/api/a%20b?debug=1&x=%41", [
            ("Cookie", "user=eve"), ("X_User", "admin"), ("X-User", "root"), ("X-Debug", "1"), ("X-Tag", "0")])
        self.assertEqual(request.target, "/v2/a%20b?x=%41&from=127.0.0.1")
        self.assertEqual(request.header("host"), "api.internal")
        self.assertEqual(request.header_all("x-user"), ["eve"])
        self.assertEqual(request.header_all("x_user"), [])
        self.assertEqual(request.header_all("x-tag"), ["0", "a", "b"])
        self.assertEqual(request.header_all("x-debug"), [])
        self.assertEqual(request.header_all("x-forwarded-proto"), ["https"])
        self.assertEqual(request.header("x-rule"), "api/pages/s1")
        self.assertEqual(answer.header_all("server"), ["shunt"])
        self.assertEqual(answer.header_all("x-powered-by"), [])
        self.assertEqual(answer.header("x-path"), "/api/a%20b")
        # A field whose value comes to nothing is left out.
        _, request = self.ask(shunt, "/api/x", [("X-User", "root")])
        self.assertEqual(request.header_all("x-user"), [])
        self.assertEqual(request.target, "/v2/x?from=127.0.0.1")

    def test_captures_and_values_that_would_split_a_head(self):
        shunt = self.start()
        _, request = self.ask(shunt, "/u/42/a/b?name=x%0d%0aX-Evil:%201%00")
        self.assertEqual(request.target, "/users/a/b?name=x%0d%0aX-Evil:%201%00")
        self.assertEqual(request.header("x-id"), "42")
        self.assertEqual(request.header("x-name"), "x%0D%0AX-Evil: 1%00")
        self.assertEqual(request.header_all("x-evil"), [])

    def test_what_is_not_rewritten_goes_as_it_came(self):
        shunt = self.start()
        _, request = self.ask(shunt, "/%41/./b//c/..?x=%zz")
        self.assertEqual(request.target, "/%41/./b//c/..?x=%zz")

    def test_a_value_cannot_climb(self):
        shunt = self.start()
        _, request = self.ask(shunt, "/file?name=../../etc")
        self.assertEqual(request.target, "/files/..%2F..%2Fetc?name=../../etc")
        answer, request = self.ask(shunt, "/file?name=..")
        self.assertEqual(answer.status, 400)
        self.assertIn("rewrite_invalid", answer.text)
        self.assertIsNone(request)

    def test_redirect_and_respond_with_variables(self):
        shunt = self.start()
        answer, request = self.ask(shunt, "/a//b?c=d", host="old.example")
        self.assertEqual((answer.status, answer.header("location")), (308, "https://new.example/a/b?c=d"))
        self.assertEqual(answer.header("x-rule"), "moved")
        answer, request = self.ask(shunt, "/hello?name=%3Cscript%3E")
        self.assertEqual(answer.text, "<p>&lt;script&gt;</p>")
        self.assertEqual(answer.header("cache-control"), "no-store")
        self.assertIsNone(request)

    def test_what_grows_beyond_the_limits_is_refused_with_a_reason(self):
        shunt = self.start()
        for path, status, reason in (("/large", 431, "rewrite_too_large"), ("/large-fields", 431, "rewrite_too_large"),
                                     ("/large-answer", 500, "answer_too_large"),
                                     ("/large-own", 500, "answer_too_large")):
            with self.subTest(path):
                large = "/" + LARGE if path == "/large" else LARGE
                answer, _ = self.ask(shunt, path, [("X-Large", large)])
                self.assertEqual(answer.status, status)
                self.assertIn(reason, answer.text)
        lines = shunt.wait_for_access_log(4)
        self.assertEqual([line["reason"] for line in lines],
                         ["rewrite_too_large"] * 2 + ["answer_too_large"] * 2)
        answer, _ = self.ask(shunt, "/large-own", [("X-Large", "small")])
        self.assertEqual(answer.header_all("x-copy"), ["small"] * 4)

    def test_request_ids_differ(self):
        pages = self.origin()
        rules = ('[[rule]]\nname = "id"\npool = "pages"\nrequest_headers = { set = { x-id = "${request.id}" } }\n'
                 'response_headers = { set = { x-id = "${request.id}" } }')
        shunt = self.shunt_before([pages], rules=rules)
        seen = set()
        for _ in range(20):
            answer = get(shunt.port, "/")
            self.assertRegex(answer.header("x-id"), "^[0-9a-f]{32}$")
            self.assertEqual(answer.header("x-id"), pages.requests[-1].header("x-id"))
            seen.add(answer.header("x-id"))
        self.assertEqual(len(seen), 20)

    def test_edits_hold_for_every_attempt(self):
        # A body that is relayed, and a server that refuses: the head is written again for the next.
        dead = free_port()
        pages = self.origin()
        rules = ('[[rule]]\nname = "r"\npool = "pages"\nrewrite = { to = "/to${path}" }\n'
                 'request_headers = { set = { x-server = "${server.name} ${server.address}" } }\n'
                 'response_headers = { set = { x-agent = "${header.user-agent}" } }')
        shunt = self.shunt_before([f"127.0.0.1:{dead}", pages], rules=rules, pool='scheduler = "rr"')
        for _ in range(4):
            body = b"x" * 300000
            with Client(shunt.port) as client:
                answer = client.request("POST", "/p", [("User-Agent", "agent/1")], body=body)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.header("x-agent"), "agent/1")
            self.assertEqual(pages.requests[-1].target, "/to/p")
            self.assertEqual(pages.requests[-1].header("x-server"), f"s2 {pages.address}")
            self.assertEqual(pages.requests[-1].body, body)

    def test_curl_and_nginx(self):
        nginx = self.nginx(extra='location /new/ { return 200 "$request_uri $host $http_x_client $http_x_gone.\\n"; }')
        rules = ('[[rule]]\nname = "old"\nmatch = { path_prefix = "/old/" }\npool = "pages"\n'
                 'rewrite = { prefix = "/old/", to = "/new/", host = "site.internal" }\n'
                 'request_headers = { set = { x-client = "${client.ip}" }, remove = ["x-gone"] }')
        shunt = self.shunt_before([nginx], rules=rules)
        out = subprocess.run(["curl", "-sS", "-H", "X-Gone: 1", f"http://127.0.0.1:{shunt.port}/old/a%2fb?q=1"],
                             capture_output=True, text=True, timeout=30, check=True).stdout
        self.assertEqual(out, "/new/a%2Fb?q=1 site.internal 127.0.0.1 .\n")


class Split(ShuntTest):
    CONFIG = """
[global]
workers = 2
access_log = "off"
[[listener]]
name = "web"
bind = "127.0.0.1:{port}"
[[rule]]
name = "canary"
split = {{ new = {new}, old = {old} }}
split_key = "cookie:id"
[pool.new]
server = [{{ address = "{new_address}" }}]
[pool.old]
server = [{{ address = "{old_address}" }}]
"""

    def test_by_weight_and_stable(self):
        new, old = self.origin(name="new"), self.origin(name="old")
        options = {"new_address": new.address, "old_address": old.address, "port": free_port()}
        shunt = self.shunt(self.CONFIG.format(new=1, old=9, **options))

        def places():
            return [get(shunt.port, "/", headers=[("Cookie", f"id={i}")]).text.strip() for i in range(300)]

        first = places()
        self.assertEqual(first, places())
        self.assertTrue(10 <= first.count("new") <= 60, first.count("new"))
        shunt.write(self.CONFIG.format(new=5, old=5, **options))
        shunt.send_signal(1)
        shunt.wait_for_log("reload: generation 2")
        second = places()
        self.assertTrue(110 <= second.count("new") <= 190, second.count("new"))
        self.assertFalse([i for i in range(300) if first[i] == "new" and second[i] == "old"])
        # What explain says is what happens; without the cookie the client's address decides.
        for i in (0, 1, 2, 3, 4, 5, 6, 7):
            out = run_shunt("explain", shunt.config_file, "GET", f"http://127.0.0.1:{shunt.port}/", "-H",
                            f"Cookie: id={i}").stdout
            self.assertRegex(out, rf"(?m)^pool +{second[i]},")
        self.assertEqual(len({get(shunt.port, "/").text for _ in range(10)}), 1)


class Overrides(ShuntTest):
    def test_a_rule_has_its_own_timeout(self):
        silent = self.origin(script=lambda origin, stream, index: stream.read_to_end(timeout=60))
        rules = ('[[rule]]\nname = "quick"\nmatch = { path = "/quick" }\npool = "pages"\n'
                 'response_timeout = "200ms"\nretries = 0')
        shunt = self.shunt_before([silent], rules=rules)
        begun = time.monotonic()
        answer = get(shunt.port, "/quick")
        self.assertEqual(answer.status, 504)
        self.assertIn("response_timeout", answer.text)
        self.assertLess(time.monotonic() - begun, 10)

    def test_a_rule_has_its_own_retries(self):
        pages = self.origin()
        rules = '[[rule]]\nname = "once"\nmatch = { path = "/once" }\npool = "pages"\nretries = 0'
        servers = [f"127.0.0.1:{free_port()}", pages]
        shunt = self.shunt_before(servers, rules=rules, pool='scheduler = "rr"')
        self.assertEqual({get(shunt.port, "/").status for _ in range(4)}, {200})
        self.assertEqual({get(shunt.port, "/once").status for _ in range(4)}, {200, 502})


class Explained(ShuntTest):
    TESTS = """
[[test]]
request = "GET http://www.example.com/api/a?debug=1"
headers = { cookie = "user=eve", x-debug = "1", x-tag = "0" }
[test.expect]
rule = "api"
target = "/v2/a?from=192.0.2.1"
host = "api.internal"
headers = { x-user = "eve", x-debug = false, x-tag = "0, a, b", x-none = false }
response_headers = { server = "shunt", x-powered-by = false, x-path = "/api/a" }
[[test]]
request = "GET http://old.example/a?b"
expect = { status = 308, location = "https://new.example/a?b" }
[[test]]
request = "GET http://www.example.com/file?name=.."
expect = { rule = "files", status = 400 }
"""

    def test_explain_and_tests(self):
        path = self.folder / "farm.toml"
        path.write_text(farm(free_port(), ["127.0.0.1:9"], rules=RULES) + self.TESTS)
        done = run_shunt("check", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 tests passed", done.stdout)
        out = run_shunt("explain", path, "GET", "http://www.example.com/api/a?debug=1", "-H", "Cookie: user=eve").stdout
        for line in (r"target +/v2/a\?from=192\.0\.2\.1", r"host +api\.internal", r"request +without x-debug",
                     r" +x-user: eve", r" +x-rule: api/pages/s1", r" +x-tag: b  \(added\)",
                     r"response +without x-powered-by", r" +server: shunt"):
            self.assertRegex(out, rf"(?m)^{line}$")

    def test_expectations_that_fail_say_what_came(self):
        path = self.folder / "farm.toml"
        wrong = self.TESTS.replace('"/v2/a?', '"/v3/a?').replace('x-user = "eve"', 'x-user = "bob"')
        path.write_text(farm(free_port(), ["127.0.0.1:9"], rules=RULES) + wrong)
        done = run_shunt("check", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn('expected target "/v3/a?from=192.0.2.1", got "/v2/a?from=192.0.2.1"', done.stderr)
        self.assertIn('expected header x-user: "bob", got "eve"', done.stderr)

    def test_errors_have_a_place_and_a_way_out(self):
        path = self.folder / "farm.toml"
        cases = (
            ('rewrite = { to = "/a/${hst}" }', r':\d+:24: error: unknown variable "hst"', "did you mean \"host\""),
            ('request_headers = { set = { Host = "x" } }', '"Host" cannot be edited: it is more than a field',
             "use rewrite = { host"),
            ('request_headers = { remove = ["connection"] }', '"connection" cannot be edited', ""),
            ('response_headers = { set = { content_length = "1" } }', '"content_length" cannot be edited', ""),
            ('redirect = { to = "/${server.name}" }', "no server has been chosen", ""),
            ('rewrite = { to = "/x?a=1" }', 'is a path, which has no "?"', "query = { set"),
            ('split = { pagse = 1 }', 'unknown pool "pagse"', 'did you mean "pages"'),
        )
        for keys, text, hint in cases:
            with self.subTest(keys):
                action = "" if keys.startswith(("redirect", "split")) else 'pool = "pages"\n'
                path.write_text(farm(free_port(), ["127.0.0.1:9"], rules=f'[[rule]]\nname = "r"\n{action}{keys}\n'))
                done = run_shunt("check", path)
                self.assertEqual(done.returncode, 1)
                pattern = text if text.startswith(":") else re.escape(text)
                self.assertRegex(done.stderr, pattern)
                self.assertIn(hint, done.stderr)


if __name__ == "__main__":
    main()
