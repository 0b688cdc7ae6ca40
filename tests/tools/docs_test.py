#!/usr/bin/env python3
# Pages in docs/ tell the truth. limits.md has every reason of core/reason.h and every timeout and limit of
# config/reference.toml, and each test that it names is there and looks at the reason beside it. access-log.md has the
# keys of a line.
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
NONE = "–"

# Keys that set a time or a number that something can reach. Layer 4 has a page of its own.
LIMITS = re.compile(r"timeout|_max$|_rate_min$|^max_|_limit$|_per_source$|^keep_alive_requests$|^retries$|^idle_age$"
                    r"|^idle_connections$|^ttl$|^entries$|^retry_budget$|^ambiguous_path$")
LIMITS_OF = {"pool.queue": ("size", "target"), "pool.ejection": ("failures",),
             "pool.server.breaker": ("requests", "pending", "retries"), "resolver": ("start_wait",)}
TABLE = re.compile(r"^(?:# )?\[+([a-z0-9_.-]+)\]+")
KEY = re.compile(r"^(?:# )?([a-z0-9_]+) = ")


def reasons():
    """{name in the log: identifier} of the table."""
    table = (ROOT / "src/core/reason.h").read_text(encoding="utf-8")
    return {name: identifier for identifier, name in re.findall(r'^  X\((k\w+), "(\w+)"', table, re.MULTILINE)}


def rows():
    """The cells of each line of the page's tables: key and text, if it has them, reason, test."""
    page = (ROOT / "docs/limits.md").read_text(encoding="utf-8")
    for line in re.findall(r"^\| (.*) \|$", page, re.MULTILINE):
        cells = [cell.strip() for cell in line.split(" | ")]
        if cells[-1] != "test":
            yield cells


def limits_of_reference():
    """ "listener.header_timeout", "pool.queue.size" and so on."""
    table, found = "", set()
    for line in (ROOT / "config/reference.toml").read_text(encoding="utf-8").splitlines():
        if header := TABLE.match(line):
            table = re.sub(r"^pool\.[a-z]+", "pool", header.group(1))
            parent, _, name = table.rpartition(".")
            if LIMITS.search(name):  # A table of its own.
                found.add(f"{parent}.{name}")
        elif (key := KEY.match(line)) and not table.startswith("service"):
            if LIMITS.search(key.group(1)) or key.group(1) in LIMITS_OF.get(table, ()):
                found.add(f"{table}.{key.group(1)}")
    return found - {"pool.ejection.time_max", "pool.ejection.max_share"}  # How it goes on, not when it begins.


def body_of(test):
    """The text of "sim/x_test.cpp name", or of the class that "e2e/test_x.py name" is in; nothing if there is none."""
    path, name = test.split(" ")
    text = (TESTS / path).read_text(encoding="utf-8")
    if path.endswith(".cpp"):
        found = re.search(rf"BOOST_AUTO_TEST_CASE\({name}\)(.*?)(?=BOOST_AUTO_TEST_)", text, re.DOTALL)
    else:
        classes = re.split(r"^(?=class )", text, flags=re.MULTILINE)
        found = next((re.match(r".*", each, re.DOTALL) for each in classes if f"    def {name}(" in each), None)
    return found.group() if found else ""


class LimitsTest(unittest.TestCase):
    def test_every_reason_is_there(self):
        told = {reason.strip("`") for *_, reason, _ in rows()} - {NONE}
        self.assertEqual(told, set(reasons()))

    def test_every_timeout_and_limit_is_there(self):
        told = {cells[0] for cells in rows() if len(cells) > 2}
        self.assertEqual(limits_of_reference() - told, set())
        of_config = {key for key in told if re.fullmatch(r"[a-z_.]+", key)}
        self.assertEqual(of_config - limits_of_reference(), set())

    def test_tests_are_there_and_look_at_the_reason(self):
        known = reasons()
        for *_, reason, test in rows():
            with self.subTest(test, reason=reason):
                body = body_of(test)
                self.assertNotEqual(body, "", "no such test")
                if reason == NONE:
                    continue
                name = reason.strip("`")
                self.assertTrue(re.search(rf'Reason::{known[name]}\b|"{name}"', body), "it does not look at the reason")


class AccessLogTest(unittest.TestCase):
    def test_keys_are_those_of_a_line(self):
        page = (ROOT / "docs/access-log.md").read_text(encoding="utf-8")
        cells = re.findall(r"^\| (`.*?) \| ", page, re.MULTILINE)
        told = [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]
        source = (ROOT / "src/proxy/access_log_format.cpp").read_text(encoding="utf-8")
        self.assertEqual(sorted(told), sorted(set(re.findall(r'\\"(\w+)\\":', source))))


if __name__ == "__main__":
    unittest.main()
