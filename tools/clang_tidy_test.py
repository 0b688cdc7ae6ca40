#!/usr/bin/env python3
# Tests of tools/clang_tidy.py: a source is looked at again exactly when something that it is judged by has changed.
# Run by ctest.
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import clang_tidy  # noqa: E402


class Keys(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("core/a.cpp", '#include "core/a.h"\n#include <vector>\n')
        self.write("core/a.h", '#include "core/b.h"\n')
        self.write("core/b.h", '#include "core/a.h"\n#include "not/ours.h"\n')
        self.write("core/c.h", "")

    def write(self, name: str, text: str) -> None:
        path = self.root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def key(self, common: bytes = b"rules", command: str = "c++ -O2") -> str:
        return clang_tidy.key_of(clang_tidy.Sources(self.root), common, "core/a.cpp", command)

    def test_closure(self):
        self.assertEqual(clang_tidy.Sources(self.root).closure("core/a.cpp"), ["core/a.cpp", "core/a.h", "core/b.h"])

    def test_what_changes_the_key(self):
        before = self.key()
        self.assertEqual(before, self.key())
        self.assertNotEqual(before, self.key(common=b"other rules"))
        self.assertNotEqual(before, self.key(command="c++ -O3"))
        for name in ("core/a.cpp", "core/a.h", "core/b.h"):
            text = (self.root / "src" / name).read_text(encoding="utf-8")
            self.write(name, text + "// changed\n")
            self.assertNotEqual(before, self.key(), name)
            self.write(name, text)
        self.assertEqual(before, self.key())

    def test_what_does_not(self):
        before = self.key()
        self.write("core/c.h", "// changed\n")
        self.assertEqual(before, self.key())
        self.assertEqual(self.key(command=f"c++ {self.root}/src/a"), self.key(command="c++ /src/a"))


if __name__ == "__main__":
    unittest.main()
