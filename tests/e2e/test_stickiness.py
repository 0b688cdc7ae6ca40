#!/usr/bin/env python3
# Stickiness: clients come back to their server by cookie, inserted, prefixed or learned, or by a key; until the server
# is gone or fails, but not because it has weight 0. Nobody can make up a cookie, and servers do not see ours.
import signal

from harness import ShuntTest, get, main, response, wait_until

SECRET = 'secret = "0123456789abcdef"'


class StickyTest(ShuntTest):
    def start(self, sticky, servers, more="", **options):
        return self.shunt_before(servers, pool=f'scheduler = "rr"\n{more}\nsticky = {{ {sticky} }}', **options)

    def named(self, count, headers=()):
        """Origins that answer with their names."""
        def answering(name):
            return lambda request: response(body=name, headers=headers)
        return [self.origin(answering(f"s{i + 1}"), name=f"s{i + 1}") for i in range(count)]

    def ask(self, shunt, cookie=None, path="/"):
        return get(shunt.port, path, [("Cookie", cookie)] if cookie else [])

    def cookie_of(self, answer):
        return answer.header("set-cookie").split(";")[0]

    def reload(self, shunt, config, generation=2):
        shunt.write(config)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(f"generation {generation}")


class InsertTest(StickyTest):
    def test_a_client_comes_back(self):
        servers = self.named(3)
        shunt = self.start('cookie = "SHUNT"', servers, workers=2)
        cookies = {}
        for _ in range(3):
            answer = self.ask(shunt)
            self.assertRegex(answer.header("set-cookie"),
                             r"^SHUNT=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax$")
            self.assertEqual(answer.header("cache-control"), "private")
            cookies[answer.text] = self.cookie_of(answer)
        self.assertEqual(len(set(cookies.values())), 3)
        for name, cookie in list(cookies.items()) * 3:
            answer = self.ask(shunt, f"a=1; {cookie}; b=2")
            self.assertEqual((answer.text, answer.header("set-cookie")), (name, None))
            self.assertEqual(servers[int(name[1]) - 1].requests[-1].header("cookie"), "a=1; b=2")
        answer = self.ask(shunt, cookies["s1"])
        self.assertIsNone(servers[0].requests[-1].header("cookie"))

    def test_the_log_tells_who_was_kept_and_who_was_moved(self):
        servers = self.named(2)
        shunt = self.start('cookie = "SHUNT"', servers)
        cookie = self.cookie_of(self.ask(shunt))
        self.ask(shunt, cookie)
        next(each for each in servers if each.requests).stop()
        self.ask(shunt, cookie)
        shunt.stop()
        self.assertEqual([entry["sticky"] for entry in shunt.access_log()], ["new", "kept", "moved"])

    def test_nobody_can_make_one_up(self):
        servers = self.named(2)
        shunt = self.start('cookie = "SHUNT"', servers)
        real = self.cookie_of(self.ask(shunt))
        digit = "0" if real[-1] != "0" else "1"
        for forged in ["SHUNT=", "SHUNT=s1", f"SHUNT={servers[0].address}", real[:-1] + digit, real + "0",
                       real.lower(), "SHUNT=" + "0" * 32]:
            seen = {self.ask(shunt, forged).text for _ in range(4)}
            self.assertEqual(seen, {"s1", "s2"}, forged)

    def test_another_instance_and_a_reload_know_it_by_the_secret(self):
        servers = self.named(3)
        first = self.start(f'cookie = "SHUNT", {SECRET}', servers)
        second = self.start(f'cookie = "SHUNT", {SECRET}', servers)
        other = self.start('cookie = "SHUNT"', servers)
        answer = self.ask(first)
        cookie = self.cookie_of(answer)
        for _ in range(3):
            self.assertEqual(self.ask(second, cookie).text, answer.text)
        self.assertEqual(len({self.ask(other, cookie).text for _ in range(3)}), 3)
        # Without a secret, the process keeps its own.
        answer = self.ask(other)
        cookie = self.cookie_of(answer)
        self.reload(other, other.config_file.read_text() + "\n# Again.\n")
        for _ in range(4):
            self.assertEqual(self.ask(other, cookie).text, answer.text)

    def quiesce(self, expire):
        """The answer to a client of s1 after s1 got weight 0."""
        shunt = self.start(f'cookie = "SHUNT", expire_quiescent = {expire}', self.named(2))
        cookies = {}
        for _ in range(2):
            answer = self.ask(shunt)
            cookies[answer.text] = self.cookie_of(answer)
        text = shunt.config_file.read_text()
        self.reload(shunt, text.replace('name = "s1"', 'name = "s1"\nweight = 0'))
        wait_until(lambda: {self.ask(shunt).text for _ in range(4)} == {"s2"}, "new clients at s2 only")
        return self.ask(shunt, cookies["s1"])

    def test_a_quiesced_server_keeps_its_clients(self):
        answer = self.quiesce("false")
        self.assertEqual((answer.text, answer.header("set-cookie")), ("s1", None))

    def test_a_quiesced_server_loses_its_clients_if_told_so(self):
        answer = self.quiesce("true")
        self.assertEqual(answer.text, "s2")
        self.assertIn("SHUNT=", answer.header("set-cookie"))

    def test_a_dead_server_loses_its_clients_to_one_that_keeps_them(self):
        servers = self.named(3)
        shunt = self.start('cookie = "SHUNT"', servers)
        cookie = self.cookie_of(self.ask(shunt))
        gone = next(each for each in servers if each.requests)
        gone.stop()
        answer = self.ask(shunt, cookie)
        self.assertEqual(answer.status, 200)
        self.assertNotEqual(answer.text, gone.name)
        moved = self.cookie_of(answer)
        for _ in range(4):
            again = self.ask(shunt, moved)
            self.assertEqual((again.text, again.header("set-cookie")), (answer.text, None))

    def test_attributes(self):
        shunt = self.start('cookie = "SHUNT", ttl = "1h", path = "/a", same_site = "strict", private = false',
                           self.named(1))
        answer = self.ask(shunt)
        self.assertRegex(answer.header("set-cookie"),
                         "^SHUNT=[0-9a-f]{32}; Path=/a; Max-Age=3600; HttpOnly; SameSite=Strict$")
        self.assertIsNone(answer.header("cache-control"))


class PrefixTest(StickyTest):
    def test_a_mark_in_front_of_the_servers_own_cookie(self):
        servers = self.named(3, headers=[("Set-Cookie", "id=abc; Path=/x"), ("Set-Cookie", "other=1")])
        shunt = self.start('cookie = "id", mode = "prefix"', servers)
        for _ in range(3):
            answer = self.ask(shunt)
            fields = answer.header_all("set-cookie")
            self.assertRegex(fields[0], r"^id=[0-9a-f]{32}~abc; Path=/x$")
            self.assertEqual(fields[1:], ["other=1"])
            cookie = fields[0].split(";")[0]
            for _ in range(3):
                self.assertEqual(self.ask(shunt, f"x=1; {cookie}").text, answer.text)
            origin = servers[int(answer.text[1]) - 1]
            self.assertEqual(origin.requests[-1].header("cookie"), "x=1; id=abc")
        self.assertEqual({self.ask(shunt, "id=abc").text for _ in range(3)}, {"s1", "s2", "s3"})


class LearnTest(StickyTest):
    def test_what_a_server_sets_leads_back_to_it(self):
        count = iter(range(1000))

        def answering(name):
            def answer(request):
                new = request.header("cookie") is None
                return response(body=name, headers=[("Set-Cookie", f"id=v{next(count)}; Path=/")] if new else [])
            return answer

        servers = [self.origin(answering(f"s{i}"), name=f"s{i}") for i in (1, 2, 3)]
        shunt = self.start('cookie = "id", mode = "learn"', servers, workers=2)
        known = [(self.cookie_of(answer), answer.text) for answer in (self.ask(shunt) for _ in range(6))]
        self.assertEqual({name for _, name in known}, {"s1", "s2", "s3"})
        for cookie, name in known * 2:
            self.assertEqual(self.ask(shunt, cookie).text, name)
        self.assertEqual(len({self.ask(shunt, "id=unknown").text for _ in range(3)}), 3)
        # The table is the pool's, not a configuration's.
        self.reload(shunt, shunt.config_file.read_text() + "\n# Again.\n")
        for cookie, name in known:
            self.assertEqual(self.ask(shunt, cookie).text, name)
        shunt.stop()
        outcomes = [entry["sticky"] for entry in shunt.access_log()]
        # Six new clients, who come again, one that nobody knows, and the six after the reload.
        self.assertEqual([outcomes.count(each) for each in ("new", "kept", None)], [6, 18, 3])


class KeyTest(StickyTest):
    def test_by_source(self):
        shunt = self.start('key = "source"', self.named(3), workers=2)
        self.assertEqual(len({self.ask(shunt).text for _ in range(9)}), 1)
        shunt.stop()
        # The clocks of workers differ, and so may the order of their lines.
        self.assertEqual(sorted(entry["sticky"] for entry in shunt.access_log()), ["kept"] * 8 + ["new"])

    def test_by_a_header_with_a_bound(self):
        shunt = self.start('key = "header:x-user", entries = 2', self.named(3))

        def ask(user):
            return get(shunt.port, "/", [("X-User", user)] if user else []).text

        first = {user: ask(user) for user in ("a", "b")}
        self.assertNotEqual(first["a"], first["b"])
        for _ in range(3):
            self.assertEqual({user: ask(user) for user in ("a", "b")}, first)
        self.assertEqual(len({ask(None) for _ in range(3)}), 3)  # Who is nobody goes anywhere.

    def test_a_failing_server_loses_its_clients_for_good(self):
        servers = self.named(2)
        shunt = self.start('key = "source"', servers)
        name = self.ask(shunt).text
        gone = next(each for each in servers if each.name == name)
        gone.stop()
        other = self.ask(shunt).text
        self.assertNotEqual(other, name)
        gone.start()
        self.assertEqual({self.ask(shunt).text for _ in range(4)}, {other})


if __name__ == "__main__":
    main()
