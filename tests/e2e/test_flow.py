#!/usr/bin/env python3
# Servers with all the requests that they take, slow ones, and failing ones that come back. No server gets more requests
# at a time than its max_connections, over all workers, and who waits is served as soon as there is room.
import re
import threading

from harness import SLOWNESS, ShuntTest, Wrk, farm, free_port, get, main, response, wait_until

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class EjectionTest(ShuntTest):
    def test_a_server_comes_back(self):
        broken = threading.Event()
        broken.set()
        first = self.origin(lambda request: response(503) if broken.is_set() else response(body="first\n"))
        second = self.origin(lambda request: response(body="second\n"))
        shunt = self.shunt_before([first, second], pool='scheduler = "rr"\nretry_on = ["503"]\n'
                                  'ejection = { failures = 3, time = "200ms" }')
        for _ in range(10):
            self.assertEqual(get(shunt.port).text, "second\n")
        shunt.wait_for_log(r"pool pages: server s1 is left out for 200 ms after 3 failures")
        broken.clear()
        wait_until(lambda: get(shunt.port).text == "first\n", "the first server")
        shunt.wait_for_log(r"pool pages: server s1 is back")


class BreakerTest(ShuntTest):
    def test_a_busy_server_gets_nothing_for_a_while(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def slow(_):
            release.wait(60)
            return response(body="first\n")

        first = self.origin(slow)
        second = self.origin(lambda request: response(body="second\n"))
        # The first server takes everything, as long as it may.
        shunt = self.shunt(farm(free_port(), [first, second], pool='scheduler = "fo"').replace(
            'name = "s1"', 'name = "s1"\nweight = 2\nbreaker = { requests = 3, time = "1s" }'))
        held = [self.client(shunt.port) for _ in range(3)]
        for count, client in enumerate(held, 1):
            client.send(GET)
            wait_until(lambda count=count: len(first.requests) == count, "a request at the first server")
        self.assertEqual(get(shunt.port).text, "second\n")
        release.set()
        for client in held:
            self.assertEqual(client.response().text, "first\n")
        shunt.wait_for_log("pool pages: server s1 is left out: its breaker's limit of requests is reached")
        wait_until(lambda: get(shunt.port).text == "first\n", "the first server")


class HedgeTest(ShuntTest):
    def test_a_second_server_answers_for_one_that_takes_long(self):
        stuck = threading.Event()
        release = threading.Event()
        self.addCleanup(release.set)

        def first(_):
            if stuck.is_set():
                release.wait(60)
            return response(body="first\n")

        second = self.origin(lambda request: response(body="second\n"))
        shunt = self.shunt_before([self.origin(first), second],
                                  pool='scheduler = "rr"\nhedge = { percentile = 90, delay_min = "20ms" }')
        for _ in range(110):
            self.assertEqual(get(shunt.port).status, 200)
        stuck.set()
        for _ in range(4):
            self.assertEqual(get(shunt.port).text, "second\n")
        entries = shunt.wait_for_access_log(114)[-4:]
        self.assertEqual({entry["server"] for entry in entries}, {"s2"})
        self.assertIn(2, [entry["attempts"] for entry in entries])


class Busy:
    """Answers after a while, and knows how many requests it had at a time."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.now = self.most = self.count = 0
        self._lock = threading.Lock()
        self._never = threading.Event()

    def __call__(self, request):
        with self._lock:
            self.now += 1
            self.count += 1
            self.most = max(self.most, self.now)
        self._never.wait(self.seconds)  # At work.
        with self._lock:
            self.now -= 1
        return response(body="done\n")


class QueueTest(ShuntTest):
    def farm(self, servers, workers, pool="", limit=1):
        text = farm(free_port(), servers, workers=workers, pool=pool)
        return text.replace('name = "s', f'max_connections = {limit}\nname = "s')

    def test_no_server_gets_more_than_it_takes_and_nobody_fails(self):
        work = [Busy(0.01), Busy(0.01)]
        shunt = self.shunt(self.farm([self.origin(each) for each in work], workers=3, limit=2))
        result = Wrk(shunt.port, seconds=2, connections=30).result()
        self.assertEqual(result.failed, 0, result)
        self.assertEqual([each.most for each in work], [2, 2])  # And they got them.
        shunt.stop()
        waits = [entry["queue_us"] for entry in shunt.access_log()]
        self.assertGreater(max(waits), 20_000)

    def test_workers_take_turns(self):
        """One request at a time, and clients at both workers."""
        work = Busy(0.002)
        shunt = self.shunt(self.farm([self.origin(work)], workers=2))
        result = Wrk(shunt.port, seconds=2, connections=8).result()
        self.assertEqual(result.failed, 0, result)
        self.assertEqual(work.most, 1)
        self.assertGreater(result.requests, 20)

    def test_the_queue_is_bounded_in_number_and_time(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(_):
            release.wait(60)
            return response(body="done\n")

        origin = self.origin(answer)
        timeout = f"{int(1500 * SLOWNESS)}ms"
        shunt = self.shunt(self.farm([origin], workers=2, pool=f'queue = {{ size = 2, timeout = "{timeout}" }}'))
        served = self.client(shunt.port)
        served.send(GET)
        wait_until(lambda: origin.requests, "the request that is served")
        others = [self.client(shunt.port) for _ in range(5)]
        for client in others:
            client.send(GET)
        answers = [client.response() for client in others]
        self.assertEqual([(each.status, each.header("retry-after")) for each in answers], [(503, "1")] * 5)
        reasons = sorted(re.search(r"^(\w+): ", each.text, re.MULTILINE).group(1) for each in answers)
        self.assertEqual(reasons, ["queue_full"] * 3 + ["queue_timeout"] * 2)
        release.set()
        self.assertEqual(served.response().text, "done\n")


if __name__ == "__main__":
    main()
