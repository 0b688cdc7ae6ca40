#!/usr/bin/env python3
# The project's own rules, checked over the whole tree: lengths, purpose comments, include arrows between layers,
# third-party headers in their wrappers, banned words with their replacement, dead files. Prints
# `file:line: rule: message` and exits 1 if anything is wrong. Exceptions, each with its reason: tools/tidy.toml.
# Standard library only; run by ./dev lint and by ctest. The rules themselves are tested by tools/tidy_test.py.
import dataclasses
import pathlib
import re
import sys
import tomllib

FILE_LINES_MAX = {"src": 400, "bench": 400, "tests": 600, "tools": 600}
FUNCTION_LINES_MAX = 70
PURPOSE_LINES_MAX = 16
PYTHON_COLUMNS_MAX = 120  # C++ is clang-format's.
CHECKED_SUFFIXES = {".h", ".cpp", ".py"}

# What each layer may include; itself always. docs/ARCHITECTURE.md has the picture.
LAYERS = {
    "core": set(),
    "rules": {"core"},
    "sched": {"core"},
    "io": {"core"},
    "proxy": {"core", "rules", "sched", "io"},
    "l4": {"core", "rules", "sched", "io"},
    "app": {"core", "rules", "sched", "io", "proxy", "l4"},
}

# Third-party headers, and the only files of src/ that may include them. fmt is free.
WRAPPERS = [
    ("toml++", r"toml\+\+/|toml\.hpp", r"core/config_load\w*\.\w+"),
    ("liburing", r"liburing", r"io/(uring|probe|buffer_ring)\w*\.\w+"),
    ("OpenSSL", r"openssl/", r"io/(tls|client_hello)\w*\.\w+"),
    ("c-ares", r"ares(_\w+)?\.h", r"io/resolver\.\w+"),
    ("RE2", r"re2/", r"rules/\w+\.\w+"),
    ("llhttp", r"llhttp", r"proxy/http_parser\w*\.\w+"),
    ("CLI11", r"CLI/", r"app/\w+\.\w+"),
    ("nlohmann-json", r"nlohmann/", r"app/\w+\.\w+"),
]

DATA_PATH = ("src/io/", "src/proxy/", "src/l4/")
SOURCE = ("src/",)


@dataclasses.dataclass(frozen=True)
class Ban:
    name: str
    pattern: str
    folders: tuple[str, ...]
    instead: str
    but_in: tuple[str, ...] = ()


BANS = [
    Ban("std::function", r"std::(move_only_)?function\b", DATA_PATH + ("src/sched/", "src/rules/"),
        "a function pointer with its owner, as io::Op has"),
    # Generations of the configuration live as long as the last request that began with them.
    Ban("shared_ptr",
        r"\bshared_ptr<(?!const (proxy::)?Snapshot>|sched::ServerSet>|PoolState>|RateLimiter>)|\bmake_shared\b",
        DATA_PATH, "one owner, and references for the others"),
    # Placement is no allocation; unique_ptr(new …) is make_unique where the constructor is private.
    Ban("new", r"(?<!>\()\bnew\b(?!\s*\()|\bmalloc\s*\(|\bcalloc\s*\(", DATA_PATH, "a slab or pool sized at start-up"),
    Ban("errno", r"\berrno\b", SOURCE, "Result, or the negative errno that src/io returns",
        ("src/io/", "src/app/", "src/core/config_load.cpp", "src/proxy/access_log.cpp")),
    Ban("clock", r"\bclock_gettime\b|\b(steady|system|high_resolution)_clock::now\b|\bgettimeofday\b", SOURCE,
        "the Instant that the caller passes in", ("src/io/", "src/app/", "src/core/wall_clock.h")),
    Ban("sleep", r"\bsleep_for\b|\bsleep_until\b|\busleep\b|\bnanosleep\b|\btime\.sleep\b", ("src/", "tests/"),
        "waiting for the event itself", ("src/app/demo", "tests/e2e/ports.py")),
    Ban("cassert", r"<cassert>|<assert\.h>|(?<![\w.])assert\s*\(", SOURCE,
        "SHUNT_ASSERT, which stays on in release builds"),
    Ban("throw", r"\bthrow\b", SOURCE, "Result: nothing of ours throws"),
    Ban("iostream", r"<iostream>|std::cout\b|std::cerr\b", SOURCE, "fmt::print, or the log"),
    Ban("std::regex", r"<regex>|std::regex\b", SOURCE, "RE2, which cannot be made to run forever"),
    Ban("rand", r"(?<!\w)s?rand\s*\(|std::random_device\b", SOURCE, "a generator with a seed that is logged",
        ("src/app/",)),
    Ban("C string functions", r"\b(sprintf|vsprintf|strcpy|strcat|strtok|gets)\s*\(", ("src/", "tests/", "bench/"),
        "fmt::format_to, string_view"),
    Ban("atoi", r"\b(atoi|atol|atoll|atof|strtol|strtoul|strtoull)\s*\(", SOURCE, "std::from_chars, it tells errors"),
    Ban("using namespace std", r"\busing namespace std;", ("src/", "tests/", "bench/"), "the std:: prefix"),
]

# Left-overs that must not reach the main branch, comments included.
LEFT_OVERS = r"\bFIXME\b|\bXXX\b|\bTODO\((?!perf|security|cleanup|test\b)|\bTODO\b(?!\()|^(<{7}|>{7}|={7})(\s|$)"


@dataclasses.dataclass(frozen=True, order=True)
class Violation:
    path: str
    line: int
    rule: str
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def blank(match):
    """Spaces in place of a comment or literal, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


CPP_TOKENS = re.compile(r"""
    //[^\n]* | /\*.*?\*/                                            # Comments.
    | R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)" | "(?:\\.|[^"\\\n])*"  # Strings.
    | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'                          # Characters, not digit separators.
    """, re.S | re.X)
PYTHON_TOKENS = re.compile(r"""
    \"{3}(?:\\.|.)*?\"{3} | '{3}(?:\\.|.)*?'{3} | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'  # Strings.
    | \#[^\n]*                                                                          # Comments.
    """, re.S | re.X)


def code_only(path, text):
    """The text without comments and literals; a C++ #include keeps its name."""
    if path.endswith(".py"):
        return PYTHON_TOKENS.sub(blank, text)
    kept = CPP_TOKENS.sub(blank, text)
    lines = kept.split("\n")
    for number, original in enumerate(text.split("\n")):
        if re.match(r"\s*#\s*include", lines[number]):
            lines[number] = original
    return "\n".join(lines)


def includes(text):
    """(line, name, quoted) of each #include."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            found.append((number, match.group(1) or match.group(2), match.group(1) is not None))
    return found


def check_file_length(path, text):
    limit = FILE_LINES_MAX.get(path.split("/")[0])
    lines = text.count("\n")
    if limit is not None and lines > limit:
        yield Violation(path, limit + 1, "file-length", f"{lines} lines, at most {limit}: split by concept")


def functions(text):
    """(first line, lines, head) of each function in C++ code without comments and literals. The lines of a table in it,
    `cases[] = {…}`, are data and do not count."""
    kinds, found = [], []  # Of the open braces: "container", "function", "table" or "block".
    table_lines = 0  # Of the function that is open.
    start = 0  # Where the text before the next brace begins.
    position = 0
    for match in re.finditer(r"[{};]|^[ \t]*#[^\n]*(?:\\\n[^\n]*)*|\b(?:public|private|protected)\s*:"
                             r"|^BOOST_\w+_TEST_SUITE\w*\([^\n]*", text, re.M):
        position, token = match.start(), match.group(0)
        if token == "{":
            head = text[start:position]
            outside = all(kind == "container" for kind, _, _ in kinds)
            if not outside:
                kind = "table" if re.search(r"\]\s*=\s*$", head) else "block"
            elif re.search(r"\b(namespace|extern|enum)\b", head):
                kind = "container"
            elif re.search(r"\b(class|struct|union)\b", head) and not re.search(r"\)(const|noexcept|\s)*$", head):
                kind = "container"
            else:
                kind = "function" if "(" in head and not re.search(r"=\s*$", head) else "block"
            lead = len(head) - len(head.lstrip())
            kinds.append((kind, text.count("\n", 0, start + lead) + 1, " ".join(head.split())))
        elif token == "}" and kinds:
            kind, first, head = kinds.pop()
            lines = text.count("\n", 0, position) + 2 - first
            if kind == "table":
                table_lines += lines - 1
            elif kind == "function":
                found.append((first, lines - table_lines, head))
                table_lines = 0
        start = match.end()
    return found


def check_function_length(path, text):
    if not path.endswith((".h", ".cpp")):
        return
    for first, lines, head in functions(code_only(path, text)):
        if lines > FUNCTION_LINES_MAX:
            name = re.sub(r"\s*\(.*", "", head).split(" ")[-1]
            yield Violation(path, first, "function-length",
                            f"{name} has {lines} lines, at most {FUNCTION_LINES_MAX}: split it")


def check_purpose(path, text):
    lines = text.split("\n")
    marker = "#" if path.endswith(".py") else "//"
    first = 1 if lines[0].startswith("#!") else 0
    end = first
    while end < len(lines) and lines[end].startswith(marker):
        end += 1
    if end == first and not (path.endswith(".py") and lines[first].startswith('"""')):
        yield Violation(path, 1, "purpose", "starts without a comment that says what it is and who owns it")
    elif end - first > PURPOSE_LINES_MAX:
        yield Violation(path, 1, "purpose", f"{end - first} lines of opening comment, at most {PURPOSE_LINES_MAX}")
    if path.endswith(".h"):
        if text.count("#pragma once") != 1:
            yield Violation(path, 1, "pragma-once", "a header has exactly one #pragma once")
        elif lines[end].strip() != "#pragma once":
            yield Violation(path, end + 1, "pragma-once", "follows the opening comment directly")


def check_layers(path, text):
    parts = path.split("/")
    if parts[0] != "src" or len(parts) < 3:
        return
    layer = parts[1]
    if layer not in LAYERS:
        yield Violation(path, 1, "layers", f"src/{layer} is not a layer; there are: {', '.join(LAYERS)}")
        return
    for line, name, quoted in includes(text):
        if not quoted:
            continue
        target = name.split("/")[0]
        if target not in LAYERS:
            yield Violation(path, line, "layers", f'"{name}" is not written from a layer, as "core/result.h" is')
        elif target != layer and target not in LAYERS[layer]:
            allowed = ", ".join(sorted(LAYERS[layer])) or "nothing of ours"
            yield Violation(path, line, "layers", f"{layer} may include {allowed}, not {target}")


def check_wrappers(path, text):
    if not path.startswith("src/"):
        return
    for line, name, _ in includes(text):
        for library, header, home in WRAPPERS:
            if re.match(header, name) and not re.fullmatch(home, path.removeprefix("src/")):
                yield Violation(path, line, "third-party", f"{library} is included only by its wrapper, src/{home}")


def check_bans(path, text):
    code = code_only(path, text).split("\n")
    for ban in BANS:
        if not path.startswith(ban.folders) or path.startswith(ban.but_in):
            continue
        for number, line in enumerate(code, 1):
            if re.search(ban.pattern, line):
                yield Violation(path, number, "ban", f"{ban.name}: use {ban.instead}")
    # The rules' own files are about these words.
    if not path.startswith("tools/tidy"):
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(LEFT_OVERS, line):
                yield Violation(path, number, "left-over",
                                "finish it, or say TODO(perf|security|cleanup|test) and why")


def check_whitespace(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if path.endswith(".py") and len(line) > PYTHON_COLUMNS_MAX:
            yield Violation(path, number, "line-length", f"{len(line)} columns, at most {PYTHON_COLUMNS_MAX}")
        if "\t" in line or line != line.rstrip():
            yield Violation(path, number, "whitespace", "a tab, or blanks at the end of the line")
    if text and not text.endswith("\n"):
        yield Violation(path, text.count("\n") + 1, "whitespace", "no newline at the end of the file")


def check_own_header_first(path, text, paths):
    """A source shows that its header needs nothing before it by including it first."""
    own = path.removesuffix(".cpp") + ".h"
    if not path.startswith("src/") or not path.endswith(".cpp") or own not in paths:
        return
    found = includes(text)
    if not found or found[0][1] != own.removeprefix("src/"):
        yield Violation(path, found[0][0] if found else 1, "own-header-first",
                        f'the first include is "{own.removeprefix("src/")}"')


FILE_CHECKS = [check_file_length, check_function_length, check_purpose, check_layers, check_wrappers, check_bans,
               check_whitespace]


def check_dead_files(files, cmake):
    """Headers that nobody includes and sources that no CMakeLists.txt names."""
    included = set()
    for path, text in files.items():
        folder = path.rsplit("/", 1)[0]
        for _, name, quoted in includes(text) if path.endswith((".h", ".cpp")) else []:
            if quoted:
                # From the roots that CMake gives, or from beside the file. Including oneself is nothing.
                included |= {f"src/{name}", f"tests/{name}", f"{folder}/{name}"} - {path}
    for path in files:
        if path.endswith(".h") and path not in included:
            yield Violation(path, 1, "dead-file", "no file includes this header")
        if path.endswith(".cpp"):
            name = path.rsplit("/", 1)[1]
            if not any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])|(?<![\w.-]){name[:-4]}(?![\w.-])", text)
                       for text in cmake.values()):
                yield Violation(path, 1, "dead-file", "no CMakeLists.txt names this source")


def check_tree(files, cmake):
    """All violations of `files` (path -> text), exceptions not yet applied."""
    found = []
    for path, text in files.items():
        for check in FILE_CHECKS:
            found.extend(check(path, text))
        found.extend(check_own_header_first(path, text, files.keys()))
    found.extend(check_dead_files(files, cmake))
    return sorted(found)


def apply_exceptions(violations, exceptions):
    """Takes out what tools/tidy.toml allows. An exception that is not needed, or larger than needed, is a violation:
    the list can only shrink."""
    kept, used = [], set()
    for violation in violations:
        allowed = False
        for index, exception in enumerate(exceptions):
            if exception["rule"] != violation.rule or exception["path"] != violation.path:
                continue
            if exception.get("about", "") not in violation.message:
                continue
            lines = re.search(r"(\d+) lines", violation.message)
            if "lines" in exception and lines and int(lines.group(1)) > exception["lines"]:
                continue
            allowed = True
            used.add(index)
        if not allowed:
            kept.append(violation)
    for index, exception in enumerate(exceptions):
        if index not in used:
            kept.append(Violation("tools/tidy.toml", 1, "exception",
                                  f"{exception['rule']} of {exception['path']} is no longer needed: remove it"))
        if not exception.get("reason"):
            kept.append(Violation("tools/tidy.toml", 1, "exception",
                                  f"{exception['rule']} of {exception['path']} gives no reason"))
    return kept


def read_tree(root):
    files, cmake = {}, {}
    for folder in FILE_LINES_MAX:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root).as_posix()
            if not path.is_file() or relative.startswith("tests/data/") or "__pycache__" in relative:
                continue
            if path.suffix in CHECKED_SUFFIXES:
                files[relative] = path.read_text(encoding="utf-8")
            elif path.name == "CMakeLists.txt":
                cmake[relative] = path.read_text(encoding="utf-8")
    return files, cmake


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent).resolve()
    files, cmake = read_tree(root)
    if not files:
        print(f"{root}: no sources there")
        return 1
    exceptions = tomllib.loads((root / "tools/tidy.toml").read_text(encoding="utf-8")).get("exception", [])
    violations = apply_exceptions(check_tree(files, cmake), exceptions)
    for violation in violations:
        print(violation)
    print(f"tidy: {len(files)} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
