#!/usr/bin/env python3
# The commands that answer questions: `schedule` against what the kernel's IPVS decided, `explain` against what a
# running server does, `import` of what ipvsadm saved, `check` on the configurations we ship, and `demo`.
import json
import re

from harness import ROOT, ShuntTest, farm, free_port, get, main, run_shunt

FINE, WRONG, USAGE = 0, 1, 2
GOLDEN = sorted((ROOT / "tests/data/golden").glob("*.json"))


class ScheduleTest(ShuntTest):
    def test_every_recorded_decision(self):
        self.assertEqual(len(GOLDEN), 14)  # One for each scheduler of IPVS.
        for path in GOLDEN:
            with self.subTest(path.stem):
                cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
                done = run_shunt("schedule", "--verify", path)
                self.assertEqual(done.returncode, FINE, done.stdout)
                self.assertRegex(done.stdout, rf"(?m)^{len(cases)} passed, 0 failed$")

    def test_a_decision_that_differs_is_found(self):
        trace = json.loads((ROOT / "tests/data/golden/wlc.json").read_text(encoding="utf-8"))
        decisions = trace["cases"][0]["decisions"]
        at = next(i for i, decision in enumerate(decisions) if decision == "rs1")
        decisions[at] = "rs2"
        (self.folder / "wrong.json").write_text(json.dumps(trace), encoding="utf-8")
        done = run_shunt("schedule", "--verify", "wrong.json", folder=self.folder)
        self.assertEqual(done.returncode, WRONG)
        self.assertRegex(done.stdout, rf"(?m)^{len(trace['cases']) - 1} passed, 1 failed$")
        self.assertIn(trace["cases"][0]["name"], done.stdout + done.stderr)

    def test_decisions_are_printed(self):
        done = run_shunt("schedule", ROOT / "tests/data/golden/rr.json")
        self.assertEqual(done.returncode, FINE)
        self.assertRegex(done.stdout, r"(?m)^rr-4: rs4 rs3 rs2 rs1 rs4 ")

    NOT_TRACES = [("not JSON", "x"), ("no cases", "{}"), ("another type", '{"cases": 1}'),
                  ("no such scheduler", '{"cases": [{"name": "a", "scheduler": "zz", "dests": [], "events": []}]}')]

    def test_what_is_no_trace(self):
        for description, text in self.NOT_TRACES:
            with self.subTest(description):
                (self.folder / "trace.json").write_text(text, encoding="utf-8")
                done = run_shunt("schedule", "trace.json", folder=self.folder)
                self.assertEqual(done.returncode, WRONG, done.stdout)
                self.assertRegex(done.stderr, r"^trace\.json: error: ")


class ImportTest(ShuntTest):
    GOOD = ("-A -t 192.0.2.1:80 -s wlc -p 300\n"
            "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3\n"
            "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 1\n"
            "-A -u [2001:db8::1]:53 -s rr -o\n"
            "-a -u [2001:db8::1]:53 -r [2001:db8::a]:53 -i -w 1\n")
    BAD = "-A -f 1 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.3:80 -m -w 70000\n"

    def check(self, toml):
        (self.folder / "imported.toml").write_text(toml, encoding="utf-8")
        done = run_shunt("check", "imported.toml", folder=self.folder)
        self.assertEqual((done.returncode, done.stderr), (FINE, ""), done.stdout)

    def test_what_ipvsadm_saved_is_a_configuration(self):
        done = run_shunt("import", "-", "--interface", "lo", stdin=self.GOOD)
        self.assertEqual((done.returncode, done.stderr), (FINE, "shunt: services: 2, servers: 3\n"))
        self.assertEqual(done.stdout.count('interface = "lo"'), 2)
        self.check(done.stdout)

    def test_bad_lines_are_named_and_the_rest_is_carried_over(self):
        (self.folder / "rules.v4").write_text(self.GOOD + self.BAD, encoding="utf-8")
        done = run_shunt("import", "rules.v4", folder=self.folder)
        self.assertEqual(done.returncode, WRONG)
        lines = done.stderr.splitlines()
        self.assertRegex(lines[0], r"^rules\.v4:6: .*firewall mark")
        self.assertRegex(lines[1], r"^rules\.v4:7: .*must be 0 to 65535")
        self.assertEqual(lines[2:], ["shunt: services: 2, servers: 3"])
        self.check(done.stdout)

    def test_nothing_to_import(self):
        done = run_shunt("import", "none", folder=self.folder)
        self.assertEqual((done.returncode, done.stdout), (WRONG, ""))
        self.assertEqual(done.stderr, "shunt: none: No such file or directory\n")
        self.assertEqual(run_shunt("import", "-", stdin="# nothing\n").returncode, WRONG)


class ExplainTest(ShuntTest):
    SCHEDULERS = [("rr", ""), ("wrr", ""), ("wlc", ""), ("lblcr", 'key = "path"'), ("dh", 'key = "path"'),
                  ("mh", 'key = "path"'), ("mh", 'key = "header:X-User"'), ("sh", ""), ("fo", "")]

    def test_order_begins_with_the_server_that_a_fresh_shunt_takes(self):
        origins = [self.origin(name=f"s{i}") for i in (1, 2, 3)]
        for scheduler, key in self.SCHEDULERS:
            for target in ("/a", "/b"):
                with self.subTest(scheduler, key=key, target=target):
                    shunt = self.shunt(farm(free_port(), origins, pool=f'scheduler = "{scheduler}"\n{key}'))
                    done = run_shunt("explain", "farm.toml", "GET", f"http://test{target}", "-H", "X-User: ann",
                                     "--source", "127.0.0.1", folder=self.folder)
                    order = re.findall(r"(?m)^(?:servers)? +\d+\. (s\d)", done.stdout)
                    self.assertEqual(done.returncode, FINE, done.stderr)
                    self.assertEqual((len(order), len(set(order))), (3, 3), done.stdout)
                    self.assertEqual(get(shunt.port, target, [("X-User", "ann")]).text, f"{order[0]}\n")
                    shunt.stop()

    def test_answers_without_a_server(self):
        rules = ('[[rule]]\nname = "old"\nmatch = { path = "/old" }\nredirect = { to = "/new", status = 308 }\n'
                 '[[rule]]\nname = "some"\nmatch = { path_prefix = "/s" }\npool = "pages"\n')
        config = farm(8080, ["127.0.0.1:9"], rules=rules).replace('[[rule]]\nname = "default"\npool = "pages"\n', "")
        (self.folder / "farm.toml").write_text(config, encoding="utf-8")
        for url, answer in (("http://a/old", "redirect 308 to /new"), ("http://a/none", "404: no rule matches")):
            with self.subTest(url):
                done = run_shunt("explain", "farm.toml", url, folder=self.folder)
                self.assertEqual(done.returncode, FINE)
                self.assertRegex(done.stdout, rf"(?m)^answer +{answer}$")

    WRONG_INPUT = [
        ("no such file", ["none.toml", "http://a/"], WRONG),
        ("not a URL", ["farm.toml", "a/b"], WRONG),
        ("no such listener", ["farm.toml", "http://a/", "--listener", "nope"], WRONG),
        ("no such source", ["farm.toml", "http://a/", "--source", "nope"], WRONG),
        ("not a header", ["farm.toml", "http://a/", "-H", "nope"], USAGE),
    ]

    def test_wrong_input(self):
        (self.folder / "farm.toml").write_text(farm(8080, ["127.0.0.1:9"]), encoding="utf-8")
        for description, arguments, exit_code in self.WRONG_INPUT:
            with self.subTest(description):
                done = run_shunt("explain", *arguments, folder=self.folder)
                self.assertEqual((done.returncode, done.stdout), (exit_code, ""))
                self.assertNotEqual(done.stderr, "")


class CheckTest(ShuntTest):
    def test_shipped_configurations_are_fine(self):
        for name in ("farm.toml", "smallest.toml", "reference.toml"):
            with self.subTest(name):
                done = run_shunt("check", ROOT / "config" / name, "--json")
                report = json.loads(done.stdout)
                self.assertEqual((done.returncode, report["fine"], report["errors"], report["diagnostics"]),
                                 (FINE, True, 0, []))
                self.assertEqual(report["tests"]["failed"], 0)


class DemoTest(ShuntTest):
    def test_once(self):
        done = run_shunt("demo", "--once", "--requests", "200", "--port", str(free_port()))
        self.assertEqual(done.returncode, FINE, done.stderr)
        together = re.findall(r"(?m)together +(\d+) +(\d+) .* (\d+) +(\d+) +\d+ %", done.stdout)
        self.assertEqual(len(together), 2, done.stdout)  # Images and pages; scripts have no cache.
        for before, _, after, _ in together:
            self.assertEqual(before, after)  # The same requests in both rounds.


if __name__ == "__main__":
    main()
