#!/usr/bin/env python3
"""Reads every #include of ours and names the line that breaks the house's rules (DESIGN: "The house").

Run: python3 tests/layering_test.py [root]
"""
import os
import re
import sys

# A folder may include from itself and from these; the longest prefix that matches a file is its folder.
MAY_INCLUDE = {
    "engine/base": [],
    "storage": ["engine/base"],
    "query": ["engine/base", "storage/reader.h", "storage/ingest_batch.h"],
    "query/promql": ["engine/base", "storage/reader.h"],
    "engine/ingest": ["engine/base", "storage/ingest_batch.h", "storage/reader.h", "storage/resolver.h", "storage/store.h"],
    "engine/slo": ["engine/base", "storage/apply_observer.h", "storage/ingest_batch.h", "storage/reader.h",
                   "storage/resolver.h", "storage/store.h", "query", "engine/notify"],
    "engine/notify": ["engine/base", "engine/http/client.h", "query/promql/durations.h"],
    "engine/actionability": ["engine/base", "engine/notify"],
    "engine/http": ["engine/base"],
    "engine/http/api": ["engine/base", "engine/http", "engine/slo/view.h", "engine/slo/ledger.h", "engine/slo/simulation.h", "engine/actionability", "engine/notify/delivery_stats.h", "engine/notify/webhook.h", "storage/integrity.h", "storage/reader.h",
                        "storage/ingest_batch.h", "storage/store.h", "query"],
    "engine/rpc": ["engine/base", "engine/ingest", "storage/ingest_batch.h", "storage/resolver.h", "storage/store.h",
                   "query"],
    "engine/relay": ["engine/base", "engine/rpc", "storage/ingest_batch.h", "storage/reader.h", "storage/resolver.h", "storage/store.h"],
    "engine/admin": ["engine/base", "engine/ingest", "engine/notify", "storage/integrity.h", "storage/reader.h", "storage/resolver.h", "storage/store.h",
                     "query/promql"],
    "tools": ["engine", "storage", "query", "tools"],
    "bench": ["engine", "storage", "query", "bench", "tests"],
    "tests": ["engine", "storage", "query", "tools", "bench", "tests"],
}

# Third parties, by the folders that may see them (prefix of the include: folders).
THIRD_PARTIES = {
    "rocksdb/": ["storage", "tests/storage", "tests/support", "tests/crash", "bench"],
    "boost/": ["engine/http", "tests/engine/http"],
    "grpcpp/": ["engine/rpc", "tests/engine/rpc"],
    "google/protobuf": ["engine/rpc", "tests/engine/rpc"],
    "basalt/v1/": ["engine/rpc", "tests/engine/rpc"],
    "opentelemetry/proto/": ["engine/rpc"],
    "zstd.h": ["engine/base/compress", "storage", "tests", "bench"],
    "snappy": ["engine/base/compress", "tests"],
    "zlib.h": ["engine/base/compress", "tests"],
    "yaml-cpp/": ["engine/admin", "engine/notify", "engine/slo"],
    "nlohmann/": ["tests"],
    "CLI/": ["tools", "bench"],
    "roaring": ["storage/index", "storage/parts", "bench"],
    "openssl/": ["engine/http", "engine/notify", "tests/engine"],
    "re2/": ["storage/index", "query", "engine/notify", "engine/slo", "engine/http/api", "tests"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    best = ""
    for folder in MAY_INCLUDE:
        if path.startswith(folder + "/") and len(folder) > len(best):
            best = folder
    return best


def allowed(path, target):
    folder = folder_of(path)
    if folder and target.startswith(folder + "/"):
        return True
    # A folder's face is its own: storage/codec sees storage, query/plan sees query.
    return any(target == entry or target.startswith(entry + "/") for entry in MAY_INCLUDE[folder])


def check(root):
    problems = []
    files = 0
    for top in ("engine", "storage", "query", "tools", "bench", "tests"):
        for directory, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if not name.endswith((".h", ".cc")):
                    continue
                path = os.path.relpath(os.path.join(directory, name), root)
                files += 1
                own = own_header(root, path)
                with open(os.path.join(root, path), encoding="utf-8") as source:
                    for number, line in enumerate(source, 1):
                        match = INCLUDE.match(line)
                        if not match:
                            continue
                        problems += judge(path, number, match.group(1), match.group(2))
                        problems += judge_first(path, number, own, match.group(2))
                        own = None
                if own:
                    problems.append("%s: does not include %s" % (path, own))
    return files, problems


def own_header(root, path):
    header = path[:-len(".cc")] + ".h" if path.endswith(".cc") else None
    return header if header and os.path.exists(os.path.join(root, header)) else None


def judge_first(path, number, own, target):
    """A source includes its own header before all else: that is how the header is known to compile alone."""
    return ["%s:%d: %s comes first" % (path, number, own)] if own and target != own else []


def judge(path, number, quote, target):
    where = "%s:%d: " % (path, number)
    for prefix, folders in THIRD_PARTIES.items():
        if target.startswith(prefix) and not any(path.startswith(folder) for folder in folders):
            return [where + "%s may be included by %s only" % (target, ", ".join(folders))]
    if quote == "<" or target.startswith("absl/"):
        return []
    if not target.startswith(("engine/", "storage/", "query/", "tools/", "bench/", "tests/")):
        # What is generated is the only other: messages, judged above, and lists.
        return [] if target.startswith(("basalt/v1/", "opentelemetry/proto/")) or target.endswith(".inc") else [where + '"%s" is not written from the root' % target]
    if not allowed(path, target):
        return [where + "%s does not see %s" % (folder_of(path), target)]
    return []


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The test must be able to fail: these lines break the rules.
    for path, quote, target in (("storage/store.cc", '"', "query/engine.h"), ("query/exec/x.cc", '"', "storage/store.h"),
                                ("engine/http/x.h", "<", "rocksdb/db.h"), ("engine/base/x.h", '"', "x.h")):
        if not judge(path, 1, quote, target):
            sys.exit("layering_test: would not notice %s in %s" % (target, path))
    if not judge_first("storage/store.cc", 1, "storage/store.h", "vector"):
        sys.exit("layering_test: would not notice a source that does not include its own header first")
    files, problems = check(root)
    for problem in problems:
        print(problem)
    print("layering_test: %d files, %d problems" % (files, len(problems)))
    sys.exit(1 if problems or files == 0 else 0)


if __name__ == "__main__":
    main()
