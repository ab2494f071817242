#!/usr/bin/env python3
"""Holds the pages against the tree: what they name is there, and the table of endpoints is that of the code.

Run: python3 tests/pages_test.py [root]
"""
import os
import re
import sys

TOPS = ("bench", "cmake", "engine", "proto", "query", "storage", "tests", "tools")
# Files of others that pages speak of.
OTHERS_FILES = {"prometheus.yml", "results.md", "victoria-metrics.yml"}
TABLE = "engine/http/api/README.md"


def read_tree(root):
    """Path -> text, of everything but corpora and recordings."""
    texts = {}
    for top in TOPS + ("",):
        for directory, folders, names in os.walk(os.path.join(root, top)):
            if top == "":
                folders[:] = [f for f in folders if f == ".ci"]
            folders[:] = [f for f in folders if f not in ("corpus", "__pycache__", "node_modules")]
            for name in names:
                path = os.path.relpath(os.path.join(directory, name), root)
                try:
                    with open(os.path.join(root, path), encoding="utf-8") as f:
                        texts[path] = f.read()
                except UnicodeDecodeError:
                    texts[path] = ""
    return texts


def judge_page(path, page, files, code):
    """`files`: all paths; `code`: all that is no page, as one text."""
    folder = os.path.dirname(path)
    for number, line in enumerate(page.splitlines(), 1):
        where = "%s:%d: " % (path, number)
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
            target = os.path.normpath(os.path.join(folder, link))
            if "://" not in link and target not in files and not any(f.startswith(target + "/") for f in files):
                yield where + "no " + link
        for name in re.findall(r"`([\w./-]+\.(?:h|cc|py|md|proto|yml|cmake))`", line):
            near = os.path.normpath(os.path.join(folder, name))
            if name not in OTHERS_FILES and near not in files and not any(("/" + f).endswith("/" + name) for f in files):
                yield where + "no file " + name
        for option in re.findall(r"(?<![\w-])--(?!gtest_|benchmark_)[a-z][a-z0-9-]+", line):
            if not re.search(re.escape(option) + r"(?![\w-])", code):
                yield where + "no option " + option
        for program in re.findall(r"build/\w+/bin/(\w+)", line):
            if not re.search(r"\b%s\b" % program, code):
                yield where + "no program " + program
        if "Not yet" not in line:
            for name in re.findall(r"\b(?:basalt_[a-z0-9_]+|BASALT_[A-Z0-9_]+)", line):
                if name not in code:
                    yield where + "nothing is called " + name


def routes_of(path, source):
    """(methods, path) of what a source registers, and the paths in it that this did not understand."""
    routes = {}
    understood = set()
    call = r'Add(?:RawEndpoint|Endpoint|Admin)\(\s*context,\s*router,\s*(\{[^}]*\}|[\w:]+),\s*"([^"]+)"'
    for match in list(re.finditer(call, source)) + list(re.finditer(r'router\.Add\(\s*([\w:]+),\s*"([^"]+)"', source)):
        names = re.findall(r"k(Get|Post|Put|Delete)\b", match.group(1)) or [match.group(1)]
        routes.setdefault(match.group(2), set()).update(name.upper() for name in names)
        understood.add(match.start(2))
    for match in re.finditer(r'\{\.path = "([^"]+)", \.handler', source):
        routes.setdefault(match.group(1), set()).add("POST")
        understood.add(match.start(1))
    code = re.sub(r"//[^\n]*", lambda comment: " " * len(comment.group()), source)
    strange = []
    if path.startswith("engine/http/api/"):
        strange = [m.group(1) for m in re.finditer(r'"(/(?:api/|-/|metrics)[^"]*)"', code) if m.start(1) not in understood]
    return routes, strange


def judge_table(page, sources):
    """The rows `| methods | path | source | ...` against what the sources register."""
    found = {}
    for path, source in sources.items():
        routes, strange = routes_of(path, source)
        for route in strange:
            yield "%s: a route that pages_test.py does not see: %s" % (path, route)
        for route, methods in routes.items():
            found[(route, path)] = methods
    told = {}
    for row in re.findall(r"^\| ([A-Z, ]+) \| `([^`]+)` \| `([^`]+)` \|", page, re.M):
        source = os.path.normpath(os.path.join(os.path.dirname(TABLE), row[2]))
        told[(row[1], source)] = set(row[0].split(", "))
    for key in sorted(found.keys() | told.keys()):
        if found.get(key) != told.get(key):
            yield "%s: %s of %s: the page says %s, the source %s" % (
                TABLE, key[0], key[1], sorted(told.get(key, [])), sorted(found.get(key, [])))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The test must be able to fail: each of these lines is wrong.
    for line in ("[x](no.md)", "`no.cc`", "basalt serve --no-such", "build/dev/bin/no_test", "basalt_no_such", "BASALT_NO"):
        if not list(judge_page("README.md", line, {"README.md"}, "")):
            sys.exit("pages_test: would not notice " + line)
    for page, source in (("", 'AddEndpoint(context, router, {Method::kGet}, "/api/v1/x", X);'),
                         ("| GET | `/api/v1/x` | `x.cc` | |", ""),
                         ("| GET | `/api/v1/x` | `x.cc` | |", 'AddEndpoint(context, router, {Method::kPost}, "/api/v1/x", X);'),
                         ("", 'Add("/api/v1/x");')):
        if not list(judge_table(page, {"engine/http/api/x.cc": source})):
            sys.exit("pages_test: would not notice that %r is not %r" % (page, source))

    texts = read_tree(root)
    pages = {path: text for path, text in texts.items() if path.endswith(".md")}
    code = "\n".join(text for path, text in texts.items() if path not in pages and path != "tests/pages_test.py")
    problems = [problem for path, page in sorted(pages.items()) for problem in judge_page(path, page, texts.keys(), code)]
    sources = {path: text for path, text in texts.items()
               if path.endswith(".cc") and path.startswith(("engine/http/api/", "tools/serve", "tools/relay"))}
    problems += judge_table(pages.get(TABLE, ""), sources)
    for problem in problems:
        print(problem)
    print("pages_test: %d pages, %d problems" % (len(pages), len(problems)))
    sys.exit(1 if problems or not pages else 0)


if __name__ == "__main__":
    main()
