#!/usr/bin/env python3
# The corpus of malformed and ambiguous HTTP against the real binary: no request or answer in it may mean one thing to
# Shunt and another to the server or the client behind it. Cases run in parallel, each lane with a listener, a pool and
# an origin of its own, so that a stray request cannot hide among another case's.
import collections
import concurrent.futures

from corpus.runner import Lane, Verdict, load
from harness import ShuntTest, free_ports, main
from tls import TlsTunnel, make_certificate

LANES = 16


class CorpusTest(ShuntTest):
    tls = False

    def lanes(self, cases):
        lanes = [Lane(cases) for _ in range(LANES)]
        lines = ["[global]", "workers = 2", 'access_log = "access.log"']
        for index, (lane, port) in enumerate(zip(lanes, free_ports(LANES))):
            self.addCleanup(lane.origin.close)
            lane.port = port
            lines += ["[[listener]]", f'name = "lane{index}"', f'bind = "127.0.0.1:{port}"',
                      'tls = { certificate = "site.pem", key = "site.key" }' if self.tls else "",
                      "[[rule]]", f'listener = "lane{index}"', f'pool = "lane{index}"',
                      f"[pool.lane{index}]", f'server = [{{ address = "127.0.0.1:{lane.origin.port}" }}]']
        if self.tls:
            make_certificate(self.folder, "site", ["localhost"])
        self.shunt("\n".join(lines) + "\n")
        for lane in lanes if self.tls else []:
            tunnel = TlsTunnel(lane.port)
            self.addCleanup(tunnel.close)
            lane.port = tunnel.port
        return lanes

    def play(self, cases, all_cases, check):
        """Runs check(lane, case) for each; fails with all that went wrong."""
        waiting, failed, passed = collections.deque(cases), [], []

        def run(lane):
            while True:
                try:
                    case = waiting.popleft()
                except IndexError:
                    return
                try:
                    check(lane, case)
                    passed.append(case["id"])
                except (Verdict, OSError) as error:
                    failed.append(f"{case['id']} ({case['verdict']}): {error!r}")

        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            for done in [pool.submit(run, lane) for lane in self.lanes(all_cases)]:
                done.result()
        self.assertEqual((failed, len(passed)), ([], len(cases)))

    def test_requests(self):
        cases = load("corpus_request")
        self.assertEqual(len(cases), 231)
        self.play(cases, cases, Lane.check_request)

    def test_responses(self):
        cases = load("corpus_response")
        self.assertEqual(len(cases), 75)
        places = {case["id"]: index for index, case in enumerate(cases)}
        self.play(cases, cases, lambda lane, case: lane.check_response(case, places[case["id"]]))

    def test_pipelined(self):
        cases = [case for case in load("corpus_request") if case["verdict"] == "must-accept"]
        self.assertEqual(len(cases), 40)
        self.play(cases, cases, Lane.check_pipelined)


class CorpusByTlsTest(CorpusTest):
    tls = True


if __name__ == "__main__":
    main()
