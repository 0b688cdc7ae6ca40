#!/usr/bin/env python3
# What the command line promises: exit codes, --version and --help, and that `check` and `run -t` tell every problem of
# a configuration at once, each with its place, the line, a caret and a hint.
import json
import re

from harness import Shunt, ShuntTest, farm, free_port, main, run_shunt

FINE, WRONG, USAGE = 0, 1, 2


class CommandLineTest(ShuntTest):
    def test_version(self):
        done = run_shunt("--version")
        self.assertEqual(done.returncode, FINE)
        self.assertRegex(done.stdout, r"\bshunt \d+\.\d+\.\d+")

    def test_help_lists_the_commands(self):
        done = run_shunt("--help")
        self.assertEqual(done.returncode, FINE)
        for command in ("run", "check", "explain", "schedule", "demo", "agent", "import"):
            with self.subTest(command):
                self.assertRegex(done.stdout, rf"(?m)^\s*{command}\b")

    USAGE_ERRORS = [
        ("no command", []),
        ("an unknown command", ["frobnicate"]),
        ("an unknown option", ["check", "--frobnicate", "farm.toml"]),
        ("run without a file", ["run"]),
        ("check without a file", ["check"]),
    ]

    def test_usage_errors(self):
        for description, arguments in self.USAGE_ERRORS:
            with self.subTest(description):
                done = run_shunt(*arguments)
                self.assertEqual(done.returncode, USAGE, done.stdout + done.stderr)
                self.assertNotEqual(done.stderr, "")


class CheckTest(ShuntTest):
    def check(self, text, *options, command=("check",)):
        (self.folder / "farm.toml").write_text(text, encoding="utf-8")
        return run_shunt(*command, "farm.toml", *options, folder=self.folder)

    def test_good_file(self):
        done = self.check(farm(8080, ["127.0.0.1:9001"]))
        self.assertEqual(done.returncode, FINE, done.stdout + done.stderr)

    def test_missing_file(self):
        done = run_shunt("check", "none.toml", folder=self.folder)
        self.assertEqual(done.returncode, WRONG)
        self.assertIn("none.toml", done.stderr + done.stdout)

    def test_all_problems_at_once_with_places_and_hints(self):
        text = ('[[listener]]\nname = "web"\nbind = "127.0.0.1:8080"\n'
                '[[rule]]\nname = "all"\npool = "pagse"\n'
                '[pool.pages]\nschedular = "rr"\nscheduler = "lblccr"\n'
                '[[pool.pages.server]]\naddress = "127.0.0.1:99999"\nweight = "3"\n')
        done = self.check(text)
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode, WRONG, output)
        for line, hint in ((6, "pages"), (8, "scheduler"), (9, "lblcr"), (11, None), (12, None)):
            with self.subTest(line=line):
                found = re.search(rf"(?m)^farm\.toml:{line}:\d+: error: (.+(?:\n(?!farm\.toml:).*)*)", output)
                self.assertIsNotNone(found, output)
                if hint:
                    self.assertRegex(found.group(1), rf'did you mean "{hint}"')

    def test_caret_is_below_the_place(self):
        source = 'schedular = "rr"'
        done = self.check(farm(8080, ["127.0.0.1:9001"], pool=source))
        lines = (done.stdout + done.stderr).split("\n")
        at = next(i for i, line in enumerate(lines) if ": error: " in line)
        column = int(re.match(r"farm\.toml:\d+:(\d+): error: ", lines[at]).group(1))
        self.assertIn(source, lines[at + 1])
        self.assertIn("^", lines[at + 2])
        self.assertEqual(lines[at + 2].index("^") - lines[at + 1].index(source), column - 1)

    def test_syntax_error(self):
        done = self.check('[[listener]\nname = "web"\n')
        self.assertEqual(done.returncode, WRONG)
        self.assertRegex(done.stdout + done.stderr, r"(?m)^farm\.toml:1:\d+: error: ")

    def test_json(self):
        done = self.check(farm(8080, ["127.0.0.1:9001"], pool='schedular = "rr"'), "--json")
        self.assertEqual(done.returncode, WRONG)
        problems = json.loads(done.stdout)
        problems = problems if isinstance(problems, list) else problems["diagnostics"]
        self.assertEqual([problem["severity"] for problem in problems], ["error"])
        self.assertEqual(problems[0]["file"], "farm.toml")
        self.assertIn("scheduler", problems[0]["hint"])

    def test_rule_that_can_never_match_is_a_warning(self):
        never = '[[rule]]\nname = "first"\npool = "pages"\n'  # Always matches, so "default" never does.
        done = self.check(farm(8080, ["127.0.0.1:9001"], rules=never))
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode, FINE, output)
        self.assertRegex(output, r'farm\.toml:\d+:\d+: warning: .*default')

    def test_tables_of_tests(self):
        test = '[[test]]\nrequest = "GET http://a.example/x"\nexpect = {{ pool = "{}" }}\n'
        rule = '[[rule]]\nname = "x"\nmatch = { path = "/x" }\nrespond = { status = 403 }\n'
        self.assertEqual(self.check(farm(8080, ["127.0.0.1:9001"]) + test.format("pages")).returncode, FINE)
        failed = self.check(farm(8080, ["127.0.0.1:9001"], rules=rule) + test.format("pages"))
        self.assertEqual(failed.returncode, WRONG, failed.stdout + failed.stderr)

    def test_run_t_only_checks(self):
        port = free_port()
        good = self.check(farm(port, ["127.0.0.1:9001"]), "-t", command=("run", "-c"))
        self.assertEqual(good.returncode, FINE, good.stderr)
        bad = self.check(farm(port, ["127.0.0.1:9001"], pool="nonsense = 1"), "-t", command=("run", "-c"))
        self.assertEqual(bad.returncode, WRONG)
        self.assertRegex(bad.stdout + bad.stderr, r"farm\.toml:\d+:\d+: error: ")

    def test_run_refuses_a_bad_file(self):
        shunt = Shunt(self.folder, farm(free_port(), ["127.0.0.1:9001"], pool="nonsense = 1"), wait=False)
        self.addCleanup(shunt.kill)
        self.assertEqual(shunt.wait(), WRONG)
        self.assertRegex(shunt.log(), r"farm\.toml:\d+:\d+: error: ")


if __name__ == "__main__":
    main()
