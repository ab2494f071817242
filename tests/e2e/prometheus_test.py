#!/usr/bin/env python3
"""A real Prometheus scrapes real targets and remote-writes them to Basalt: nothing fails, nothing is retried, and the two
answer alike.

BASALT_E2E_SECONDS says how long it pushes before the answers are compared (default 25; ten minutes is the long form).
"""
import math
import os
import shutil
import time
import unittest

from harness import Process, Prometheus, ServerTest, free_port, http, newest_peer, system_peer, wait_until

SECONDS = float(os.environ.get("BASALT_E2E_SECONDS", "25"))

# Semantics that are the same in every Prometheus since 2.42. Instants are a millisecond off any sample and window edge,
# because 3.0 made range selectors left-open.
EXPRESSIONS = [
    "up", "node_load1", "node_cpu_seconds_total", 'node_cpu_seconds_total{mode=~"user|system"}',
    'node_cpu_seconds_total{mode!~"idle|user", cpu="0"}', 'count({__name__=~"node_memory_.+"})',
    "rate(node_cpu_seconds_total[20s])", "irate(node_cpu_seconds_total[20s])", "increase(prometheus_http_requests_total[20s])",
    "delta(node_memory_MemFree_bytes[20s])", "deriv(node_memory_MemFree_bytes[20s])",
    "sum by (mode) (rate(node_cpu_seconds_total[20s]))", "avg without (cpu) (node_cpu_seconds_total)",
    "min by (job) (process_resident_memory_bytes)", "max(process_resident_memory_bytes)", "count by (job) (up)",
    "topk(3, node_cpu_seconds_total)", "bottomk(2, node_cpu_seconds_total)", "quantile(0.9, node_cpu_seconds_total)",
    "stddev(node_cpu_seconds_total)", 'count_values("v", up)', "group(up)",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[20s])))",
    "histogram_quantile(0.5, prometheus_http_request_duration_seconds_bucket)",
    "avg_over_time(node_load1[15s])", "min_over_time(node_load1[15s])", "max_over_time(node_memory_MemFree_bytes[15s])",
    "sum_over_time(up[15s])", "count_over_time(up[15s])", "quantile_over_time(0.5, node_load1[15s])",
    "stddev_over_time(node_memory_MemFree_bytes[15s])", "last_over_time(node_load1[15s])", "present_over_time(up[15s])",
    "changes(node_memory_MemFree_bytes[15s])", "resets(node_cpu_seconds_total[15s])",
    "node_memory_MemFree_bytes / node_memory_MemTotal_bytes", "node_load1 > bool 0.1", "up == 1", "up * 2 ^ 3 % 5",
    "node_load1 + on(instance) group_left(job) up", "node_cpu_seconds_total - ignoring(mode) group_left node_load1",
    "up and on(job) process_resident_memory_bytes", "up or vector(1)", "up unless on(job) node_load1",
    "up offset 5s", "rate(node_cpu_seconds_total[10s] offset 5s)", "max_over_time(rate(node_cpu_seconds_total[10s])[15s:3s])",
    "scalar(count(up))", "vector(time())", "time()", "timestamp(up)", "absent(nothing_there)", "absent(up)",
    'label_replace(up, "x", "$1", "job", "(.).*")', 'label_join(up, "x", "-", "job", "instance")',
    "sort_desc(node_load1)", "clamp(node_load1, 0, 0.5)", "round(node_load1, 0.1)", "abs(-node_load1)", "ceil(node_load1)",
    "predict_linear(node_memory_MemFree_bytes[15s], 60)", "hour()", "day_of_week()", "-up", '"text"', "1 / 0", "NaN",
]

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{node}"]}}]
  - job_name: basalt
    static_configs: [{{targets: ["127.0.0.1:{basalt}"]}}]
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{self}"]}}]
remote_write:
  - url: http://127.0.0.1:{basalt}/api/v1/write
    send_exemplars: true
    queue_config: {{batch_send_deadline: 500ms, min_backoff: 50ms, max_backoff: 500ms}}
"""


def close_enough(a, b):
    x, y = float(a), float(b)
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    return x == y or math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9)


def as_map(data):
    """{labels: [(time, value), ...]}, whatever the result's type."""
    kind, result = data["resultType"], data["result"]
    if kind in ("scalar", "string"):
        return {kind: [tuple(result)]}
    return {tuple(sorted(series["metric"].items())):
            [tuple(p) for p in (series["values"] if kind == "matrix" else [series["value"]])] for series in result}


class WithPrometheus:
    """Mixed into a ServerTest a Prometheus version."""

    def find(self):
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        binary = self.find()
        node_exporter = shutil.which("prometheus-node-exporter")
        if node_exporter is None:
            self.skipTest("no prometheus-node-exporter on this system; run tools/deps --test")
        node_port = free_port()
        self.keep(Process("node_exporter", [node_exporter, "--web.listen-address=127.0.0.1:%d" % node_port],
                          self.directory))
        self.server = self.basalt()
        port = free_port()
        self.prometheus = self.keep(Prometheus(binary, self.directory, CONFIG.format(
            node=node_port, basalt=self.server.port, self=port), "prometheus", port))

    # Pushed at least this long before answers are compared.
    least_seconds = 0

    def push(self, seconds):
        wait_until(lambda: self.prometheus.scalar("count(up)"), "the first scrape")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.5)
            self.assertTrue(self.server.process.alive(), self.server.process.log())

    def caught_up(self, at):
        """True when Basalt has every series of `at` that Prometheus has."""
        count = 'count({job=~".+"})'
        return self.server.scalar(count, at) == self.prometheus.scalar(count, at)

    def compare(self, at):
        different = []
        compared = 0
        for expression in EXPRESSIONS:
            ours, theirs = as_map(self.server.query(expression, at)), as_map(self.prometheus.query(expression, at))
            compared += len(theirs)
            if ours.keys() != theirs.keys():
                different.append("%s: %d series here, %d there; only here %s, only there %s" % (
                    expression, len(ours), len(theirs), list(ours.keys() - theirs.keys())[:1],
                    list(theirs.keys() - ours.keys())[:1]))
                continue
            for key, points in theirs.items():
                if len(points) != len(ours[key]) or not all(
                        t == u and (v == w or close_enough(v, w)) for (t, v), (u, w) in zip(points, ours[key])):
                    different.append("%s: %s: %s here, %s there" % (expression, key, ours[key][:2], points[:2]))
                    break
        self.assertEqual(different, [])
        self.assertGreater(compared, 150, "almost nothing was compared")

    def test_nothing_fails_or_is_retried_and_answers_are_equal(self):
        self.push(max(SECONDS, self.least_seconds))
        for name in ("prometheus_remote_storage_samples_failed_total", "prometheus_remote_storage_samples_retried_total",
                     "prometheus_remote_storage_samples_dropped_total", "prometheus_remote_storage_exemplars_failed_total",
                     "prometheus_remote_storage_metadata_failed_total"):
            self.assertEqual(self.prometheus.metric(name), 0, name)
        self.assertGreater(self.prometheus.metric("prometheus_remote_storage_samples_total"), 1000)
        # A few seconds back, where all is delivered; off the scrapes, which come at whole milliseconds.
        at = math.floor(time.time()) - 4 + 0.0007
        wait_until(lambda: self.caught_up(at), "Basalt has what Prometheus has")
        self.compare(at)
        start, step = at - 15, 3
        for expression in ("up", "sum by (mode) (rate(node_cpu_seconds_total[10s]))"):
            ours = as_map(self.server.range(expression, start, at, step))
            theirs = as_map(self.prometheus.range(expression, start, at, step))
            self.assertEqual(ours.keys(), theirs.keys())
            for key, points in theirs.items():
                self.assertEqual([t for t, _ in points], [t for t, _ in ours[key]])
                self.assertTrue(all(close_enough(v, w) for (_, v), (_, w) in zip(points, ours[key])), (expression, key))

    def test_kill_9_in_the_middle_loses_nothing(self):
        self.push(6)
        self.server.process.kill()
        time.sleep(1.5)
        self.server.start()
        self.push(6)
        at = math.floor(time.time()) - 3 + 0.0007
        wait_until(lambda: self.caught_up(at), "Basalt has what Prometheus has", 60)
        # Prometheus buffers what was not acknowledged; so every sample must be in both. A name at a time: counting drops
        # the name.
        names = self.prometheus.get("/api/v1/label/__name__/values", **{"match[]": '{job=~".+"}'})
        self.assertGreater(len(names), 100)

        def differing():
            return [name for name in names
                    for expression in ['count_over_time({__name__="%s"}[20s])' % name]
                    if as_map(self.server.query(expression, at)) != as_map(self.prometheus.query(expression, at))]
        wait_until(lambda: not differing(), "every sample is in both", 60)


class DebianPrometheus(WithPrometheus, ServerTest):
    # Where a counter begins inside the window, 2.42 extrapolates further than its successors do ("promql: Fix limiting
    # of extrapolation to negative values", 3.0): no window of ours may reach back to the processes' beginning.
    least_seconds = 40

    def find(self):
        return system_peer("prometheus")


class NewestPrometheus(WithPrometheus, ServerTest):
    def find(self):
        return newest_peer("prometheus")


if __name__ == "__main__":
    unittest.main(verbosity=2)
