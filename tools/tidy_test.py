#!/usr/bin/env python3
# Tests of tidy.py: each rule with code it must refuse, and with code near to it that it must leave alone.
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tidy  # noqa: E402


def rules(violations):
    return [(violation.line, violation.rule) for violation in violations]


def body(lines):
    return "// What it is.\n" + "int f() {\n" + "  g();\n" * (lines - 2) + "}\n"


class FileRules(unittest.TestCase):
    # (description, check, path, text, [(line, rule)])
    CASES = [
        ("a file at the limit", tidy.check_file_length, "src/core/a.h", "x\n" * 400, []),
        ("a file over it", tidy.check_file_length, "src/core/a.h", "x\n" * 401, [(401, "file-length")]),
        ("tests may be longer", tidy.check_file_length, "tests/unit/core/a_test.cpp", "x\n" * 600, []),
        ("but not without end", tidy.check_file_length, "tests/e2e/a.py", "x\n" * 601, [(601, "file-length")]),

        ("a function at the limit", tidy.check_function_length, "src/core/a.cpp", body(70), []),
        ("a function over it", tidy.check_function_length, "src/core/a.cpp", body(71), [(2, "function-length")]),
        ("a member with qualifiers", tidy.check_function_length, "src/core/a.cpp",
         "namespace shunt {\nclass A final : public B {\n  int f(int x = 0) const noexcept override {\n" + "x;\n" * 70 +
         "  }\n};\n}\n", [(3, "function-length")]),
        ("a constructor with initialisers", tidy.check_function_length, "src/core/a.cpp",
         "A::A(int x)\n    : x_(x) {\n" + "x;\n" * 70 + "}\n", [(1, "function-length")]),
        ("a long class of short functions", tidy.check_function_length, "src/core/a.h",
         "struct A {\n" + "  void f() { g(); }\n" * 100 + "};\n", []),
        ("a long table", tidy.check_function_length, "src/core/a.cpp",
         "constexpr A kTable[] = {\n" + "  {1, 2},\n" * 100 + "};\n", []),
        ("a long table in a short test", tidy.check_function_length, "tests/unit/core/a_test.cpp",
         "BOOST_AUTO_TEST_CASE(a) {\n  const struct {\n int x;\n } cases[] = {\n" + "  {1},\n" * 100 +
         "  };\n  f();\n}\n", []),
        ("a short table in a long test", tidy.check_function_length, "tests/unit/core/a_test.cpp",
         "BOOST_AUTO_TEST_SUITE(s)\n\nBOOST_AUTO_TEST_CASE(a) {\n  int cases[] = {\n  {1},\n  };\n" + "  f();\n" * 70 +
         "}\n", [(3, "function-length")]),
        ("a table of one function is not another's", tidy.check_function_length, "src/core/a.cpp",
         "void f() {\n  int t[] = {\n" + "  1,\n" * 100 + "  };\n}\nvoid g() {\n" + "  f();\n" * 70 + "}\n",
         [(105, "function-length")]),
        ("a long enum", tidy.check_function_length, "src/core/a.h", "enum class A {\n" + "  kB,\n" * 100 + "};\n", []),
        ("braces in literals and comments", tidy.check_function_length, "src/core/a.cpp",
         "void f() {\n  g('{', \"{\", R\"({)\"); // {\n}\n" + "int x;\n" * 100, []),
        ("digit separators are no character literals", tidy.check_function_length, "src/core/a.cpp",
         "void f() { g(1'000'000); }\nvoid h() {\n" + "x;\n" * 70 + "}\n", [(2, "function-length")]),

        ("a header as it should be", tidy.check_purpose, "src/core/a.h", "// What.\n// Who.\n#pragma once\n", []),
        ("no comment", tidy.check_purpose, "src/core/a.cpp", "int x;\n", [(1, "purpose")]),
        ("an essay", tidy.check_purpose, "src/core/a.cpp", "// a\n" * 17, [(1, "purpose")]),
        ("no guard", tidy.check_purpose, "src/core/a.h", "// What.\nint x;\n", [(1, "pragma-once")]),
        ("a late guard", tidy.check_purpose, "src/core/a.h", "// What.\n#include <x>\n#pragma once\n",
         [(2, "pragma-once")]),
        ("a script", tidy.check_purpose, "tests/e2e/a.py", "#!/usr/bin/env python3\n# What.\nx = 1\n", []),
        ("a script with a docstring", tidy.check_purpose, "tests/e2e/a.py", '#!/usr/bin/python3\n"""What."""\n', []),
        ("a script without", tidy.check_purpose, "tests/e2e/a.py", "#!/usr/bin/env python3\nx = 1\n", [(1, "purpose")]),

        ("down one layer", tidy.check_layers, "src/proxy/a.cpp", '#include "io/op.h"\n#include <vector>\n', []),
        ("down two", tidy.check_layers, "src/app/a.cpp", '#include "core/result.h"\n', []),
        ("up", tidy.check_layers, "src/core/a.cpp", '// x\n#include "io/op.h"\n', [(2, "layers")]),
        ("across: proxy and l4", tidy.check_layers, "src/proxy/a.h", '#include "l4/packet.h"\n', [(1, "layers")]),
        ("across: l4 and proxy", tidy.check_layers, "src/l4/a.h", '#include "proxy/message.h"\n', [(1, "layers")]),
        ("across: rules and io", tidy.check_layers, "src/rules/a.h", '# include "io/op.h"\n', [(1, "layers")]),
        ("across: sched and rules", tidy.check_layers, "src/sched/a.h", '#include "rules/rule.h"\n', [(1, "layers")]),
        ("not from a layer", tidy.check_layers, "src/core/a.cpp", '#include "result.h"\n', [(1, "layers")]),
        ("an unknown layer", tidy.check_layers, "src/util/a.cpp", "", [(1, "layers")]),
        ("tests are free", tidy.check_layers, "tests/unit/core/a_test.cpp", '#include "app/x.h"\n', []),

        ("toml++ at home", tidy.check_wrappers, "src/core/config_load_pool.cpp", "#include <toml++/toml.h>\n", []),
        ("toml++ elsewhere", tidy.check_wrappers, "src/app/a.cpp", "#include <toml++/toml.h>\n", [(1, "third-party")]),
        ("liburing at home", tidy.check_wrappers, "src/io/uring_io.cpp", "#include <liburing.h>\n", []),
        ("liburing elsewhere", tidy.check_wrappers, "src/io/listener.cpp", "#include <liburing.h>\n",
         [(1, "third-party")]),
        ("RE2 elsewhere", tidy.check_wrappers, "src/core/a.h", "#include <re2/re2.h>\n", [(1, "third-party")]),
        ("llhttp elsewhere", tidy.check_wrappers, "src/proxy/session.cpp", '#include "llhttp.h"\n',
         [(1, "third-party")]),
        ("JSON elsewhere", tidy.check_wrappers, "src/core/log.cpp", "#include <nlohmann/json.hpp>\n",
         [(1, "third-party")]),
        ("JSON in a test", tidy.check_wrappers, "tests/unit/sched/a.cpp", "#include <nlohmann/json.hpp>\n", []),
        ("fmt anywhere", tidy.check_wrappers, "src/sched/a.cpp", "#include <fmt/format.h>\n", []),

        ("std::function on the data path", tidy.check_bans, "src/io/a.h", "std::function<void()> f;\n", [(1, "ban")]),
        ("std::function in a command", tidy.check_bans, "src/app/a.h", "std::function<void()> f;\n", []),
        ("only spoken of", tidy.check_bans, "src/io/a.h", '// no std::function, new or errno\nf("new");\n', []),
        ("a shared generation", tidy.check_bans, "src/proxy/a.h", "std::shared_ptr<const Snapshot> s;\n", []),
        ("shared for comfort", tidy.check_bans, "src/proxy/a.h", "std::shared_ptr<Session> s;\n", [(1, "ban")]),
        ("heap per operation", tidy.check_bans, "src/proxy/a.cpp", "auto* p = new Session;\n", [(1, "ban")]),
        ("a private constructor", tidy.check_bans, "src/proxy/a.cpp", "std::unique_ptr<A>(new A(1));\n", []),
        ("placement new", tidy.check_bans, "src/proxy/a.cpp", "::new (slot) Session;\n", []),
        ("a name with new in it", tidy.check_bans, "src/proxy/a.cpp", "int new_size = renew(x);\n", []),
        ("errno at home", tidy.check_bans, "src/io/a.cpp", "return -errno;\n", []),
        ("errno elsewhere", tidy.check_bans, "src/rules/a.cpp", "return -errno;\n", [(1, "ban")]),
        ("a clock", tidy.check_bans, "src/sched/a.cpp", "auto t = std::chrono::steady_clock::now();\n", [(1, "ban")]),
        ("a sleep in a test", tidy.check_bans, "tests/e2e/test_a.py", "time.sleep(1)\n", [(1, "ban")]),
        ("a sleep spoken of in Python", tidy.check_bans, "tests/e2e/test_a.py",
         '"""no time.sleep,\nreally"""\nx = "time.sleep"  # time.sleep\n', []),
        ("a number that may be none", tidy.check_bans, "src/io/a.cpp", "int x = std::atoi(text);\n", [(1, "ban")]),
        ("an exception", tidy.check_bans, "src/core/a.cpp", "throw 1;\n", [(1, "ban")]),
        ("assert", tidy.check_bans, "src/core/a.cpp", "assert(x);\nstatic_assert(y);\nSHUNT_ASSERT(z);\n",
         [(1, "ban")]),
        ("something left over", tidy.check_bans, "src/core/a.cpp", "// FIXME: later\n", [(1, "left-over")]),
        ("a TODO of no kind", tidy.check_bans, "src/core/a.cpp", "// TODO: later\n", [(1, "left-over")]),
        ("a TODO that blocks", tidy.check_bans, "src/core/a.cpp", "// TODO(now): this\n", [(1, "left-over")]),
        ("a TODO of a kind", tidy.check_bans, "src/core/a.cpp", "// TODO(perf): batch these\n", []),
        ("a merge conflict", tidy.check_bans, "src/core/a.cpp", "<<<<<<< ours\n", [(1, "left-over")]),

        ("a tab", tidy.check_whitespace, "src/core/a.cpp", "\tx;\n", [(1, "whitespace")]),
        ("blanks at the end", tidy.check_whitespace, "src/core/a.cpp", "x;\ny; \n", [(2, "whitespace")]),
        ("no last newline", tidy.check_whitespace, "src/core/a.cpp", "x;", [(1, "whitespace")]),
        ("a wide line of Python", tidy.check_whitespace, "tools/a.py", "x" * 121 + "\n", [(1, "line-length")]),
    ]

    def test_cases(self):
        for description, check, path, text, expected in self.CASES:
            with self.subTest(description):
                self.assertEqual(rules(check(path, text)), expected)


class OwnHeaderFirst(unittest.TestCase):
    PATHS = {"src/io/a.cpp", "src/io/a.h"}

    def check(self, text, paths=PATHS):
        return rules(tidy.check_own_header_first("src/io/a.cpp", text, paths))

    def test_first(self):
        self.assertEqual(self.check('// x\n#include "io/a.h"\n#include <vector>\n'), [])

    def test_second(self):
        self.assertEqual(self.check('#include <vector>\n#include "io/a.h"\n'), [(1, "own-header-first")])

    def test_missing(self):
        self.assertEqual(self.check("int x;\n"), [(1, "own-header-first")])

    def test_has_none(self):
        self.assertEqual(self.check("#include <vector>\n", {"src/io/a.cpp"}), [])


class DeadFiles(unittest.TestCase):
    def test_header_that_nobody_includes(self):
        files = {"src/io/a.h": '#include "io/b.h"\n', "src/io/b.h": ""}
        self.assertEqual([v.path for v in tidy.check_dead_files(files, {})], ["src/io/a.h"])

    def test_header_that_only_includes_itself(self):
        files = {"src/io/a.h": '#include "io/a.h"\n'}
        self.assertEqual([v.path for v in tidy.check_dead_files(files, {})], ["src/io/a.h"])

    def test_header_included_from_beside_it(self):
        files = {"tests/sim/a.h": "", "tests/sim/b.cpp": '#include "a.h"\n'}
        self.assertEqual(list(tidy.check_dead_files(files, {"tests/sim/CMakeLists.txt": "b.cpp"})), [])

    def test_source_that_is_not_built(self):
        files = {"src/io/a.cpp": "", "src/io/ba.cpp": ""}
        found = tidy.check_dead_files(files, {"src/io/CMakeLists.txt": "shunt_layer(io SOURCES ba.cpp)"})
        self.assertEqual([v.path for v in found], ["src/io/a.cpp"])

    def test_source_named_without_its_suffix(self):
        files = {"tests/fuzz/rules_fuzz.cpp": ""}
        found = tidy.check_dead_files(files, {"tests/fuzz/CMakeLists.txt": "shunt_fuzz(rules_fuzz LINK shunt_rules)"})
        self.assertEqual(list(found), [])


class Exceptions(unittest.TestCase):
    LONG = tidy.Violation("src/io/a.h", 401, "file-length", "410 lines, at most 400: split by concept")

    def apply(self, violations, **exception):
        entry = {"rule": "file-length", "path": "src/io/a.h", "reason": "one table", **exception}
        return [v.rule for v in tidy.apply_exceptions(violations, [entry])]

    def test_allowed(self):
        self.assertEqual(self.apply([self.LONG]), [])
        self.assertEqual(self.apply([self.LONG], lines=410), [])

    def test_grown_past_its_exception(self):
        self.assertEqual(self.apply([self.LONG], lines=409), ["file-length", "exception"])

    def test_of_another_file_or_rule_or_text(self):
        self.assertIn("file-length", self.apply([self.LONG], path="src/io/b.h"))
        self.assertIn("file-length", self.apply([self.LONG], rule="ban"))
        self.assertIn("file-length", self.apply([self.LONG], about="something else"))

    def test_no_longer_needed(self):
        self.assertEqual(self.apply([]), ["exception"])

    def test_without_reason(self):
        self.assertEqual(self.apply([self.LONG], reason=""), ["exception"])


class WholeTree(unittest.TestCase):
    def run_on(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in {"tools/tidy.toml": "", **files}.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            output = []
            tidy.print = lambda line: output.append(str(line))
            try:
                return tidy.main([root]), output
            finally:
                del tidy.print

    def test_clean(self):
        status, output = self.run_on({"src/core/CMakeLists.txt": "a.cpp", "src/core/a.cpp": "// What.\n"})
        self.assertEqual((status, output), (0, ["tidy: 1 files, 0 violations"]))

    def test_violation(self):
        status, output = self.run_on({"src/core/CMakeLists.txt": "a.cpp", "src/core/a.cpp": "// What.\nthrow 1;\n"})
        self.assertEqual(status, 1)
        self.assertEqual(output[0], "src/core/a.cpp:2: ban: throw: use Result: nothing of ours throws")

    def test_nothing_there_is_an_error(self):
        self.assertEqual(self.run_on({})[0], 1)


if __name__ == "__main__":
    unittest.main()
