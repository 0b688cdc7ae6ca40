#!/usr/bin/env python3
# Reload by HUP: the new configuration is complete or the old one stays; nobody's request fails, whatever changes around
# it; requests in flight finish on what they began with; listeners come and go.
import threading

from harness import (Client, ShuntTest, Wrk, farm, free_port, free_ports, get, listening_ports, main, response, signal,
                     wait_until)

RELOADED = r"reload: generation (\d+):"


def side_listener(port):
    return f'[[listener]]\nname = "side"\nbind = "127.0.0.1:{port}"\n'


class ReloadTest(ShuntTest):
    def reload(self, shunt, config):
        """Returns when the new configuration serves."""
        count = shunt.log().count("info reload: generation")
        shunt.write(config)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(RELOADED, count + 1)

    def test_fifty_reloads_under_load_fail_no_request(self):
        servers = [self.nginx(name=f"n{i}") for i in (1, 2, 3)]
        port, side = free_ports(2)

        def config(generation):
            """Each differs from the one before in weights, servers, scheduler and listeners."""
            odd = generation % 2
            addresses = [server.address for server in servers[:2 + odd]]
            lines = ", ".join(f'{{ name = "s{i}", address = "{address}", weight = {1 + (generation + i) % 3} }}'
                              for i, address in enumerate(addresses))
            return farm(port, [], workers=2, pool=f'scheduler = "{"wlc" if odd else "wrr"}"\nserver = [{lines}]\n',
                        rules=side_listener(side) if odd else "")

        shunt = self.shunt(config(0))
        load = Wrk(port, seconds=60, connections=16)
        for generation in range(1, 51):
            self.reload(shunt, config(generation))
            wait_until(lambda wanted=bool(generation % 2): (side in listening_ports()) == wanted, "the side listener")
        result = load.stop()
        self.assertGreater(result.requests, 100)
        self.assertEqual(result.failed, 0, result)
        shunt.stop()
        self.assertNotIn(" error ", shunt.log())

    def test_bad_file_keeps_the_old_configuration(self):
        origin = self.origin()
        port = free_port()
        good = farm(port, [origin])
        shunt = self.shunt(good)
        shunt.write(good.replace('pool = "pages"', 'pool = "pagse"') + 'nonsense = 1\nweight = "x"\n')
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(r"error reload of farm\.toml refused, generation 1 stays")
        shunt.wait_for_log(r'farm\.toml:\d+:\d+: error: .*"pagse"')
        shunt.wait_for_log(r"farm\.toml:\d+:\d+: error: .*nonsense")
        shunt.wait_for_log(r"farm\.toml:\d+:\d+: error: .*weight")
        self.assertEqual(get(port).status, 200)
        self.reload(shunt, good)
        self.assertEqual(get(port).status, 200)

    def test_a_failing_test_in_the_file_keeps_the_old_configuration(self):
        origin = self.origin()
        port = free_port()
        good = farm(port, [origin])
        failing = good + '[[test]]\nrequest = "GET http://a/"\nexpect = { status = 404 }\n'
        shunt = self.shunt(good)
        shunt.write(failing)
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(r"error reload of farm\.toml refused, generation 1 stays")
        shunt.wait_for_log(r'farm\.toml:\d+:\d+: error: test "GET http://a/" failed')
        self.assertEqual(get(port).status, 200)

    def test_keys_for_a_restart_are_held_against_the_start(self):
        origin = self.origin()
        port = free_port()
        warning = "global.workers has changed and takes effect with a restart"
        shunt = self.shunt(farm(port, [origin], workers=2))
        for workers, warnings in ((1, 1), (1, 2), (2, 2)):
            self.reload(shunt, farm(port, [origin], workers=workers))
            self.assertEqual(shunt.log().count(warning), warnings)

    def test_address_in_use_keeps_the_old_configuration(self):
        origin = self.origin()
        port, new = free_ports(2)
        shunt = self.shunt(farm(port, [origin]))
        taken = self.origin()
        shunt.write(farm(port, [origin], rules=side_listener(taken.port) + side_listener(new).replace("side", "new")))
        shunt.send_signal(signal.SIGHUP)
        shunt.wait_for_log(rf"error reload of farm\.toml refused[^\n]*\n.*127\.0\.0\.1:{taken.port}")
        self.assertEqual(get(port).status, 200)
        self.assertNotIn(new, listening_ports())

    def test_requests_in_flight_finish_on_the_old_rules(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def slow(request):
            if request.target == "/slow":
                release.wait(10)
            return response(body="old\n")

        old, new = self.origin(slow, name="old"), self.origin(name="new")
        port = free_port()
        shunt = self.shunt(farm(port, [old]))
        busy, idle = self.client(port), self.client(port)
        self.assertEqual(idle.get("/").text, "old\n")
        busy.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: len(old.requests) == 2, "the slow request")
        self.reload(shunt, farm(port, [new]).replace('"s1"', '"n1"'))
        self.assertEqual(idle.get("/").text, "new\n")  # The same connection, the new rules.
        release.set()
        self.assertEqual(busy.response().text, "old\n")
        self.assertEqual(busy.get("/").text, "new\n")

    def test_body_in_flight_survives_the_end_of_its_listener_and_server(self):
        origin, other = self.origin(), self.origin(name="other")
        port, side = free_ports(2)
        shunt = self.shunt(farm(port, [origin], rules=side_listener(side)))
        client = self.client(side)
        client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        wait_until(lambda: origin.connections, "the request")
        self.reload(shunt, farm(port, [other]).replace('"s1"', '"o1"'))
        wait_until(lambda: side not in listening_ports(), "the listener to close")
        with self.assertRaises(ConnectionRefusedError):
            Client(side)
        client.send(b"half")
        answer = client.response()
        self.assertEqual((answer.status, answer.text, answer.header("Connection")), (200, "origin\n", "close"))
        self.assertEqual(origin.requests[0].body, b"halfhalf")
        self.assertTrue(client.is_closed())

    def test_state_of_a_server_survives_by_its_name(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(request):
            if request.target == "/slow":
                release.wait(10)
            return response()

        one, two = self.origin(answer), self.origin(answer)
        port = free_port()
        text = 'scheduler = "lc"\n'
        shunt = self.shunt(farm(port, [one, two], pool=text))
        holder = self.client(port)
        holder.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        busy, idle = wait_until(lambda: one.requests and (one, two) or two.requests and (two, one), "a request")
        self.reload(shunt, farm(port, [one, two], pool=text + "retries = 1\n"))
        for _ in range(6):  # Whoever is busy is known to be, so all of these go to the other.
            self.assertEqual(get(port).status, 200)
        self.assertEqual((len(busy.requests), len(idle.requests)), (1, 6))
        release.set()
        self.assertEqual(holder.response().status, 200)

    def test_access_log_and_limits_change(self):
        origin = self.origin()
        port = free_port()
        config = farm(port, [origin])
        shunt = self.shunt(config)
        client = self.client(port)
        client.get("/first")
        self.reload(shunt, config.replace('"access.log"', '"second.log"').replace(
            'name = "web"', 'name = "web"\nrequest_line_max = "256B"'))
        self.assertEqual(client.get("/" + "x" * 300).status, 414)
        entries = shunt.wait_for_access_log(1, "second.log")
        self.assertEqual(entries[-1]["status"], 414)
        self.assertEqual(len(shunt.access_log() + shunt.access_log("second.log")), 2)


if __name__ == "__main__":
    main()
