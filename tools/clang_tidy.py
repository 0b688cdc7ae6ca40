#!/usr/bin/env python3
# clang-tidy over src/, but not over what it has found clean before: what a source is judged by (itself, our headers
# that it includes, the command that compiles it, the checks, the tool and the versions of libraries) is hashed, and
# hashes of clean sources are kept in ~/.cache/shunt-tidy (XDG_CACHE_HOME), where other checkouts find them too.
# Usage: clang_tidy.py BUILD_FOLDER JOBS. Prints what is wrong; exits 1 if anything is. Run by ./dev lint.
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = "clang-tidy-19"
EXTRA = ("-extra-arg=-Wno-unknown-warning-option",)
KEPT_DAYS = 30
INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
PROGRESS = re.compile(r"^\d+ warnings? |^Suppressed |^Use -header-filter|^\[ *\d+/|^$")


def cache_folder() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "shunt-tidy"


def output_of(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=False).stdout


class Sources:
    """Contents of our files and what they include, each read once."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self._known: dict[str, tuple[bytes, list[str]]] = {}

    def read(self, name: str) -> tuple[bytes, list[str]]:
        """Digest and includes of a file below src/."""
        if name not in self._known:
            data = (self.root / "src" / name).read_bytes()
            names = [found.decode() for found in INCLUDE.findall(data)]
            ours = [included for included in names if (self.root / "src" / included).is_file()]
            self._known[name] = hashlib.sha256(data).digest(), ours
        return self._known[name]

    def closure(self, name: str) -> list[str]:
        """The file and all of ours that it includes, directly or not, sorted."""
        found, waiting = {name}, [name]
        while waiting:
            for included in self.read(waiting.pop())[1]:
                if included not in found:
                    found.add(included)
                    waiting.append(included)
        return sorted(found)


def environment(root: pathlib.Path) -> bytes:
    """What all sources are judged by."""
    packages = output_of("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "*-dev", TOOL, "node-llhttp")
    rules = (root / ".clang-tidy").read_bytes()
    return b"\n".join((rules, output_of(TOOL, "--version"), packages, *map(str.encode, EXTRA)))


def key_of(sources: Sources, common: bytes, name: str, command: str) -> str:
    digest = hashlib.sha256(common)
    digest.update(command.replace(str(sources.root), "").encode())
    for part in sources.closure(name):
        digest.update(part.encode() + sources.read(part)[0])
    return digest.hexdigest()


def stale(root: pathlib.Path, build: pathlib.Path, cache: pathlib.Path) -> dict[str, str]:
    """Paths of the sources that are not known to be clean, each with its key."""
    sources, common, found = Sources(root), environment(root), {}
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        path = pathlib.Path(entry["file"])
        if root / "src" not in path.parents or path.suffix != ".cpp":
            continue
        key = key_of(sources, common, str(path.relative_to(root / "src")), entry["command"])
        if (cache / key).exists():
            (cache / key).touch()
        else:
            found[str(path)] = key
    return found


def forget_old(cache: pathlib.Path) -> None:
    oldest = time.time() - KEPT_DAYS * 86400
    for entry in cache.iterdir():
        if entry.stat().st_mtime < oldest:
            entry.unlink()


def check(build: pathlib.Path, path: str) -> str:
    """What is wrong with it; empty: nothing."""
    done = subprocess.run([TOOL, "--quiet", "-p", build, *EXTRA, path], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = (done.stdout + done.stderr).splitlines()
    return "\n".join(line for line in lines if not PROGRESS.match(line)) or f"{path}: {TOOL} failed without a word"


def main() -> int:
    build, jobs = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    todo = stale(ROOT, build, cache)
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda path: check(build, path), todo)
        wrong = 0
        for key, complaint in zip(todo.values(), results):
            if complaint:
                wrong += 1
                print(complaint, flush=True)
            else:
                (cache / key).touch()
    forget_old(cache)
    print(f"clang-tidy: {len(todo)} sources looked at, {wrong} with faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
