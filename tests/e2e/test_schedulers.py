#!/usr/bin/env python3
# Who gets the requests, seen from the servers: exact turns and weights under concurrent clients on two workers, which
# share one scheduler; locality; thresholds; servers that refuse. What IPVS would decide is tested by the golden traces
# (test_cli.py); here it is that the running server asks the scheduler, once per request, and keeps its counts.
import collections
import concurrent.futures
import threading

from harness import Client, ShuntTest, farm, free_port, get, main, response, wait_until


def pool(scheduler, key=None):
    return f'scheduler = "{scheduler}"\n' + (f'key = "{key}"\n' if key else "")


def load(port, targets, clients=8):
    """Each client sends its share of `targets` over one connection; returns the answers' texts in that order."""
    def run(share):
        with Client(port) as client:
            answers = [client.get(target) for target in share]
        return [(answer.status, answer.text.strip()) for answer in answers]

    with concurrent.futures.ThreadPoolExecutor(clients) as executor:
        return [each for done in executor.map(run, [targets[i::clients] for i in range(clients)]) for each in done]


class Weighted:
    """An origin with what a configuration says about it."""

    def __init__(self, origin, **settings):
        self.origin = origin
        self.settings = settings

    def toml(self, name):
        settings = "".join(f", {key} = {value}" for key, value in self.settings.items())
        return f'{{ name = "{name}", address = "{self.origin.address}"{settings} }}'


class SchedulerTest(ShuntTest):
    def farm_of(self, servers, text):
        """Two workers before servers with settings."""
        lines = ", ".join(server.toml(f"s{i}") for i, server in enumerate(servers, 1))
        return self.shunt(farm(free_port(), [], workers=2, pool=text + f"server = [{lines}]\n"))

    def three(self, answer=None):
        return [self.origin(answer, name=f"s{i}") for i in (1, 2, 3)]

    def test_rr_is_exact_with_concurrent_clients(self):
        origins = self.three()
        port = self.shunt_before(origins, workers=2, pool=pool("rr")).port
        for run in range(4):
            with self.subTest(run=run):
                before = [len(origin.requests) for origin in origins]
                answers = load(port, ["/"] * 100)
                self.assertEqual({status for status, _ in answers}, {200})
                got = [len(origin.requests) - count for origin, count in zip(origins, before)]
                self.assertEqual(sum(got), 100)
                self.assertLessEqual(max(got) - min(got), 1, got)

    def test_wrr_follows_the_weights(self):
        origins = self.three()
        servers = [Weighted(origin, weight=weight) for origin, weight in zip(origins, (4, 2, 1))]
        load(self.farm_of(servers, pool("wrr")).port, ["/"] * 140)
        self.assertEqual([len(origin.requests) for origin in origins], [80, 40, 20])

    def test_weight_zero_gets_nothing(self):
        for scheduler in ("rr", "wrr", "lc", "wlc", "sed", "nq", "lblc", "lblcr", "fo", "ovf", "twos"):
            with self.subTest(scheduler):
                origins = self.three()
                servers = [Weighted(origin, weight=weight) for origin, weight in zip(origins, (0, 9, 9))]
                shunt = self.farm_of(servers, pool(scheduler))
                answers = load(shunt.port, [f"/{i}" for i in range(24)])
                self.assertEqual({status for status, _ in answers}, {200})
                self.assertEqual(len(origins[0].requests), 0)
                shunt.stop()

    def test_all_of_weight_zero_is_503(self):
        shunt = self.farm_of([Weighted(self.origin(), weight=0)], pool("wlc"))
        answer = get(shunt.port)
        self.assertEqual((answer.status, "no_server" in answer.text), (503, True))

    def test_locality_keeps_a_path_on_its_server(self):
        for scheduler in ("lblcr", "lblc", "dh", "mh"):
            with self.subTest(scheduler):
                everybody = threading.Barrier(12)  # So that the first requests find busy servers, and spread.

                def answer(request, everybody=everybody):
                    if request.header("X-First"):
                        everybody.wait(10)
                    return response()

                origins = self.three(answer)
                shunt = self.shunt_before(origins, workers=2, pool=pool(scheduler, "path"))
                paths = [f"/image{i}.png" for i in range(12)]
                with concurrent.futures.ThreadPoolExecutor(12) as executor:
                    list(executor.map(lambda path: get(shunt.port, path, [("X-First", "1")]), paths))
                for number, path in enumerate(paths * 3):
                    self.assertEqual(get(shunt.port, f"{path}?{number}").status, 200)
                homes = collections.defaultdict(set)
                for origin in origins:
                    for request in origin.requests:
                        homes[request.target.split("?")[0]].add(origin.name)
                self.assertEqual(set(homes), set(paths))
                self.assertEqual({len(servers) for servers in homes.values()}, {1}, homes)
                self.assertGreater(len(set.union(*homes.values())), 1)
                shunt.stop()

    def test_source_key_keeps_a_client_on_its_server(self):
        port = self.shunt_before(self.three(), workers=2, pool=pool("sh")).port
        homes = collections.defaultdict(set)
        for last in (1, 2, 3, 4, 5, 6, 7, 8) * 4:
            with Client(port, source=f"127.0.0.{last}") as client:
                homes[last].add(client.get(f"/{last}").text)
        self.assertEqual({len(servers) for servers in homes.values()}, {1})
        self.assertGreater(len(set.union(*homes.values())), 1)

    def test_upper_threshold(self):
        # A server with `upper` requests in flight gets no more; the others take them, and then nobody does.
        release = threading.Event()
        self.addCleanup(release.set)

        def hold(name):
            def answer(_):
                release.wait(10)
                return response(body=f"{name}\n")
            return answer

        origins = [self.origin(hold("s1"), name="s1"), self.origin(hold("s2"), name="s2")]
        servers = [Weighted(origins[0], upper=2, lower=1), Weighted(origins[1], upper=3, lower=1)]
        port = self.farm_of(servers, pool("rr")).port
        clients = [self.client(port) for _ in range(6)]
        for count, client in enumerate(clients[:5], 1):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: sum(len(origin.requests) for origin in origins) == count, f"request {count}")
        self.assertEqual([len(origin.requests) for origin in origins], [2, 3])
        self.assertEqual(clients[5].get("/").status, 503)
        release.set()
        self.assertEqual([client.response().status for client in clients[:5]], [200] * 5)
        self.assertEqual(clients[5].get("/").status, 200)

    def test_refusing_server_is_passed_over(self):
        for scheduler in ("rr", "wlc", "lblcr", "twos", "mh", "sh", "dh"):
            with self.subTest(scheduler):
                origins = self.three()
                shunt = self.shunt_before(origins, workers=2, pool=pool(scheduler, "path"))
                origins[1].stop()
                answers = load(shunt.port, [f"/{i}" for i in range(60)])
                self.assertEqual({status for status, _ in answers}, {200})
                self.assertLessEqual({name for _, name in answers}, {"s1", "s3"})
                shunt.stop()

    def test_a_refusing_home_moves_nothing_else(self):
        # What hashes to a server that refuses goes elsewhere for now; the other servers keep their own.
        origins = self.three()
        port = self.shunt_before(origins, workers=2, pool=pool("mh", "path")).port
        paths = [f"/{i}" for i in range(60)]
        homes = {path: get(port, path).text for path in paths}
        origins[1].stop()
        for path in paths:
            answer = get(port, path)
            self.assertEqual(answer.status, 200)
            if homes[path] != "s2\n":
                self.assertEqual(answer.text, homes[path])


if __name__ == "__main__":
    main()
