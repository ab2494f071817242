#!/usr/bin/env python3
"""bench/compare in small: what it sends arrives, by every protocol and in every order, and its report has all its parts.

Against Basalt, and against the peers of tools/peers when they are there. The sizes mean that its numbers mean nothing.
"""
import json
import os
import subprocess
import sys
import unittest

from harness import PEERS, ROOT, ServerTest, basalt_binary

TOOLS = os.environ.get("BASALT_COMPARE_TOOLS", os.path.join(ROOT, "build", "release", "bin"))


class Compare(ServerTest):
    def run_compare(self, chapter, *flags, peers="basalt"):
        if not os.access(os.path.join(TOOLS, "compare_push"), os.X_OK):
            self.skipTest("no %s/compare_push; run tools/test once" % TOOLS)
        out = os.path.join(self.directory, "out")
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "bench", "compare", "run"), chapter, "--no-build", "--out", out, "--peers", peers,
             *flags], capture_output=True, text=True, check=False, timeout=120,
            env=dict(os.environ, BASALT_BINARY=basalt_binary(), BASALT_COMPARE_TOOLS=TOOLS))
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(out, "results.json"), encoding="utf-8") as f:
            results = json.load(f)
        with open(os.path.join(out, "results.md"), encoding="utf-8") as f:
            self.assertIn("| Basalt |", f.read())
        with open(os.path.join(out, chapter + ".svg"), encoding="utf-8") as f:
            self.assertTrue(f.read().startswith("<svg"))
        self.assertEqual(sorted(os.listdir(out)), sorted(["results.json", "results.md", chapter + ".svg"]), "something stays")
        return results[chapter]

    def check_storage(self, found, name):
        server = found["servers"][name]
        self.assertEqual(server["send"]["acked_samples"], found["data"]["samples"])
        self.assertGreater(server["disk"][0], 0)
        self.assertGreater(server["memory_sent"]["peak"], 1 << 20)
        return server

    def test_storage_finds_every_sample_and_basalt_loses_none(self):
        server = self.check_storage(found := self.run_compare("storage", "--series", "600", "--hours", "0.1", "--tail", "60"),
                                    "basalt")
        self.assertEqual(server["found"], found["data"]["samples"])
        self.assertGreater(server["acked_tail"], 0)
        self.assertEqual(server["lost"], 0)

    def test_ingest_sends_every_case(self):
        cases = self.run_compare("ingest", "--series", "500", "--hours", "0.05")["cases"]
        self.assertEqual(sorted(cases), ["crowd", "new", "sharded", "stream", "write1", "write2"])
        for key, case in cases.items():
            self.assertEqual(case["servers"]["basalt"][0]["send"]["acked_samples"], case["data"]["samples"], key)

    def test_overload_counts_what_was_acknowledged(self):
        server = self.run_compare("overload", "--seconds", "2")["servers"]["basalt"]
        self.assertGreater(server["acked"], 0)
        self.assertGreaterEqual(server["found"], server["acked"])
        self.assertLessEqual(server["found"], server["acked"] + server["unknown"])

    def test_queries_answer_without_failure(self):
        asked = [e for s in self.run_compare("queries", "--series", "4400", "--hours", "0.02")["sets"].values() for e in s["asked"]]
        self.assertGreater(len(asked), 40)
        self.assertEqual([e["failed"] for e in asked if e["failed"]], [])

    def test_panels_are_refreshed_while_samples_arrive(self):
        found = self.run_compare("panels", "--series", "600", "--hours", "0.1", "--seconds", "2")["servers"]["basalt"]
        self.assertGreater(found["refreshes"], 0)
        self.assertGreater(found["send"]["acked_samples"], 0)

    def test_every_outage_pages(self):
        if not os.access(os.path.join(PEERS, "usr", "bin", "prometheus-alertmanager"), os.X_OK):
            self.skipTest("no Alertmanager in %s; run tools/peers" % PEERS)
        found = self.run_compare("slo", "--slos", "20", "--outages", "2", "--load", "500", "--series", "600")["servers"]["basalt"]
        self.assertEqual((len(found["took_ms"]), found["false_pages"]), (2, []))

    def test_peers_are_filled_and_asked_alike(self):
        if not os.access(os.path.join(PEERS, "usr", "bin", "victoria-metrics"), os.X_OK):
            self.skipTest("no peers in %s; run tools/peers" % PEERS)
        found = self.run_compare("storage", "--series", "600", "--hours", "0.1", "--tail", "60", peers="basalt,victoriametrics,prometheus")
        for name in ("basalt", "prometheus"):
            self.assertEqual(self.check_storage(found, name)["found"], found["data"]["samples"], name)
        self.check_storage(found, "victoriametrics")


if __name__ == "__main__":
    unittest.main(verbosity=2)
