#!/usr/bin/env python3
"""Queries over their budgets: each fails in the words of its limit, the server's memory stays inside the budget, and whoever asks
for less is answered meanwhile and afterwards. Prints how long each took to fail and what the memory came to.
"""
import concurrent.futures
import json
import os
import time
import unittest
import urllib.parse

from harness import ServerTest, http

SERIES = 4000
SAMPLES = 40
INTERVAL_S = 15
MIB = 1 << 20
MEMORY = 24 * MIB
MAX_SAMPLES = 1_000_000  # 15 MiB of them: one query fits into query.memory, two do not
CONFIG = """
self: {interval: 0s, slo: false}
query: {max_samples: %d, max_series: 3000, memory: %dMiB, result_cache: 0}
"""
# What answering takes beside samples that are accounted for: labels, blocks being decoded, JSON of answers that fit, what the
# allocator keeps.
BESIDE = 128 * MIB


def status_kib(pid, field):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(field + ":"))


class QueryLimits(ServerTest):
    def setUp(self):
        super().setUp()
        self.config = os.path.join(self.directory, "basalt.yml")
        self.configure(MAX_SAMPLES, MEMORY)
        self.server = self.basalt("--config", self.config)
        self.end = int(time.time()) // INTERVAL_S * INTERVAL_S
        times = [(self.end - INTERVAL_S * i) * 1000 for i in range(SAMPLES)][::-1]
        for half in range(2):
            series = [({"__name__": "load", "job": "j%d" % (s % 20), "half": str(half), "s": str(s)},
                       [(t, float(s * i)) for i, t in enumerate(times)])
                      for s in range(half * SERIES // 2, (half + 1) * SERIES // 2)]
            status, text = self.server.write(series)
            self.assertEqual(status // 100, 2, text)

    def configure(self, max_samples, memory):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG % (max_samples, memory // MIB))

    def ask(self, path, **params):
        """(seconds, HTTP status, the answer)"""
        begin = time.monotonic()
        status, _, body = http("GET", self.server.url + path + "?" + urllib.parse.urlencode(params))
        return time.monotonic() - begin, status, json.loads(body)

    def grid(self, query, step=1, **more):
        return self.ask("/api/v1/query_range", query=query, start=self.end - 600, end=self.end, step=step, **more)

    def refused(self, what, answer, *words):
        took, status, answer = answer
        print("%s: HTTP %d after %.0f ms: %s" % (what, status, took * 1e3, answer.get("error", "")[:110]), flush=True)
        self.assertEqual(answer["status"], "error", what)
        for word in words:
            self.assertIn(word, answer["error"])
        return answer["errorType"]

    def test_each_limit_names_itself_and_memory_stays(self):
        pid = self.server.process.child.pid
        small = {"query": 'count(load{half="0"})', "time": self.end}
        self.assertEqual(self.ask("/api/v1/query", **small)[2]["data"]["result"][0]["value"][1], "2000")
        before = status_kib(pid, "VmRSS") << 10
        kinds = [
            self.refused("series", self.ask("/api/v1/query", query="load", time=self.end), "query.max_series", "3000"),
            self.refused("samples", self.grid('load{half="0"}'), "query.max_samples", str(MAX_SAMPLES)),
            self.refused("samples, rates", self.grid('rate(load{half="0"}[5m])'), "query.max_samples"),
            self.refused("samples, product", self.grid('load{half="0"} * 2'), "query.max_samples"),
            self.refused("samples, subquery", self.ask("/api/v1/query", time=self.end,
                                                       query='max_over_time((load{half="0"} * 2)[10m:1s])'), "query.max_samples"),
            self.refused("steps of a subquery", self.ask("/api/v1/query", query="sum_over_time(vector(1)[90d:1s])",
                                                         time=self.end), "query.max_samples", "steps"),
        ]
        self.assertEqual(set(kinds), {"execution"})
        self.assertEqual(self.refused("steps", self.grid("load", step=0.01), "11,000 points"), "bad_data")
        self.assertEqual(self.refused("time", self.ask("/api/v1/query_range", timeout="1ms", start=self.end - 600,
                                                       end=self.end, step=1, query='sum(quantile_over_time(0.5, load{half="0"}[10m]))'),
                                      "timed out", "the request's timeout"), "timeout")
        # Together they would hold more than query.memory, each by itself not.
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda _: self.grid('load{half="0"} + 1', step=3), range(24)))
        failed = [answer for answer in together if answer[1] != 200]
        for answer in failed:
            self.refused("together", answer, "query.memory")
        print("together: %d of %d answered" % (len(together) - len(failed), len(together)))
        self.assertLess(len(failed), len(together))
        grown = (status_kib(pid, "VmHWM") << 10) - before
        print("memory: %.1f MiB more than before at its peak, of which query.memory allows %d" % (grown / MIB, MEMORY // MIB))
        self.assertLess(grown, MEMORY + BESIDE)
        # Nothing is held any more.
        self.assert_small_answers(small)
        # What all queries may hold together binds one of them, too.
        self.assertEqual(self.server.process.terminate(), 0)
        self.configure(100 * MAX_SAMPLES, 8 * MIB)
        self.server.start()
        self.assertEqual(self.refused("memory", self.grid('load{half="0"}'), "query.memory", str(8 * MIB)), "execution")
        self.assert_small_answers(small)

    def assert_small_answers(self, small):
        for _ in range(3):
            self.assertEqual(self.ask("/api/v1/query", **small)[2]["data"]["result"][0]["value"][1], "2000")
        self.assertEqual(self.grid('load{half="0"}', step=3)[1], 200)


if __name__ == "__main__":
    unittest.main()
