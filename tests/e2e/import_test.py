#!/usr/bin/env python3
"""`basalt import`: files of every format into a running server; wrong lines are named, the rest is stored."""
import json
import os
import subprocess
import time
import unittest

from harness import ServerTest, basalt_binary

NOW = int(time.time())


class Import(ServerTest):
    def setUp(self):
        super().setUp()
        self.server = self.basalt()

    def run_import(self, name, text, *flags):
        path = os.path.join(self.server.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return subprocess.run([basalt_binary(), "import", path, "--url", self.server.url, *flags], capture_output=True,
                              text=True, timeout=60)

    def test_prometheus_text(self):
        lines = ["# TYPE jobs_total counter"] + ['jobs_total{kind="a%d"} %d %d' % (i % 7, i, (NOW - 5000 + i) * 1000)
                                                 for i in range(5000)]
        done = self.run_import("page.txt", "\n".join(lines))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("5001 lines", done.stderr)
        self.assertEqual(self.server.scalar("sum(count_over_time(jobs_total[2h]))"), 5000)
        # Again: nothing changes.
        self.assertEqual(self.run_import("page.txt", "\n".join(lines)).returncode, 0)
        self.assertEqual(self.server.scalar("sum(count_over_time(jobs_total[2h]))"), 5000)

    def test_openmetrics(self):
        done = self.run_import("page.om", "# TYPE a gauge\na 1.5 %d.25\n# EOF\n" % (NOW - 60), "--format",
                               "openmetrics")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.query("a[1h]")["result"][0]["values"], [[NOW - 60 + 0.25, "1.5"]])

    def test_json_lines(self):
        line = {"metric": {"__name__": "j", "x": "y"}, "values": [1, "NaN", 3], "timestamps":
                [(NOW - 60 + i) * 1000 for i in range(3)]}
        done = self.run_import("lines.jsonl", json.dumps(line, separators=(",", ":")) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([v for _, v in self.server.query("j[1h]")["result"][0]["values"]], ["1", "NaN", "3"])

    def test_wrong_lines_are_named(self):
        done = self.run_import("page.txt", "good 1\nbad one\nfine 2\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn('line[2]: value "one" is not a number', done.stderr)
        self.assertEqual(self.server.scalar("good + on() fine"), 3)

    def test_goes_on_after_an_interruption(self):
        done = self.run_import("page.txt", "first 1\nsecond 2\n", "--from-line", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.query("first")["result"], [])
        self.assertEqual(self.server.scalar("second"), 2)
        self.server.process.kill()
        done = subprocess.run([basalt_binary(), "import", "/nonexistent"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent: cannot be opened", done.stderr)


if __name__ == "__main__":
    unittest.main()
