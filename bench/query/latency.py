#!/usr/bin/env python3
"""Query latency of Basalt beside VictoriaMetrics and Prometheus, on the same data (query_load), result caches off.

  latency.py --end 1767225600 basalt=http://127.0.0.1:7480 vm=http://127.0.0.1:8428 prometheus=http://127.0.0.1:9090

For each query: servers take turns, `--rounds` times; the median counts. Printed are milliseconds, the ratio of the first
server to the faster of the others, and the geometric mean of those ratios. With --check the first server's answers are
compared with the last one's (Prometheus), values to 1e-9.
"""
import argparse, json, math, re, socket, statistics, sys, time, urllib.parse

H = 3600


def queries(end):
    """(name, endpoint, parameters) of every query of the set."""
    def instant(name, expr, at=end):
        return (name, "/api/v1/query", {"query": expr, "time": at})

    def over(name, expr, hours, step):
        return (name, "/api/v1/query_range", {"query": expr, "start": end - int(hours * H), "end": end, "step": step})

    bad = 'sum(rate(slo_requests_total{job="slo-3",code="500"}[%s]))'
    all_ = 'sum(rate(slo_requests_total{job="slo-3"}[%s]))'
    burn = lambda w: "(" + bad % w + "/" + all_ % w + ")"
    page = "(%s > 14.4*0.001 and %s > 14.4*0.001) or (%s > 6*0.001 and %s > 6*0.001)" % tuple(
        burn(w) for w in ("1h", "5m", "6h", "30m"))
    page_all = re.sub(r'job="slo-3",?', "", page).replace("sum(", "sum by (job) (")
    http_page = ("(%s > 0.001 and %s > 0.001) or (%s > 0.002 and %s > 0.002)" % tuple(
        'sum by (job) (rate(http_requests_total{code="500"}[%s])) / sum by (job) (rate(http_requests_total[%s]))' % (w, w)
        for w in ("1h", "5m", "2h", "30m")))
    one = '{job="svc-1",instance="10.0.1.1:8080",method="GET",path="/api/1",code="200"}'
    match = [("match[]", 'http_requests_total'), ("start", end - H), ("end", end)]
    return [
        over("one series, 1 h", "http_requests_total" + one, 1, 15),
        over("rate of one series, 1 h", "rate(http_requests_total%s[5m])" % one, 1, 15),
        instant("instant, one name", "up"),
        instant("instant, 6 k series", "http_requests_total"),
        instant("instant, one name of a job", 'http_requests_total{job="svc-3"}'),
        over("sum by rate, 1 h/15 s", "sum by (job) (rate(http_requests_total[5m]))", 1, 15),
        over("sum by rate, 2 h/15 s, 8 k series", 'sum by (mode) (rate(node_cpu_seconds_total[5m]))', 2, 15),
        over("sum rate of a job, 1 h/15 s", 'sum(rate(http_requests_total{job="svc-3"}[5m]))', 1, 15),
        over("sum by rate, 6 h/1 m", "sum by (job) (rate(slo_requests_total[5m]))", 6, 60),
        over("sum by rate, 24 h/5 m", "sum by (job) (rate(slo_requests_total[5m]))", 24, 300),
        over("sum by rate, 3 d/15 m", "sum by (job) (rate(slo_requests_total[30m]))", 72, 900),
        over("histogram_quantile global", "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))", 1, 60),
        over("histogram_quantile by instance", "histogram_quantile(0.9, sum by (instance, le) (rate(http_request_duration_seconds_bucket[5m])))", 1, 60),
        instant("histogram_quantile, instant", "histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))"),
        instant("topk of rate", "topk(5, sum by (instance) (rate(http_requests_total[5m])))"),
        over("topk of 6 k series, 1 h/1 m", "topk(10, rate(http_requests_total[5m]))", 1, 60),
        over("regex of high cardinality", 'sum(rate(http_requests_total{instance=~"10\\\\.0\\\\..*[13579]:8080",path=~"/api/[2-4]"}[5m]))', 1, 60),
        instant("regex, instant", 'count({__name__=~"http_.+",instance=~".+5:8080"})'),
        instant("count of all series", 'count({__name__=~".+"})'),
        over("join with group_left", "sum by (version) (rate(process_cpu_seconds_total[5m]) * on (instance, job) group_left (version) build_info)", 1, 60),
        over("join of 6 k series", "http_requests_total * on (instance, job) group_left (version) build_info", 0.5, 60),
        over("or", 'queue_length > 100 or go_goroutines > 100', 1, 60),
        over("ratio by job", 'sum by (job) (rate(http_requests_total{code="500"}[5m])) / sum by (job) (rate(http_requests_total[5m]))', 1, 60),
        instant("max of rate, subquery over 1 d", 'max_over_time(sum(rate(slo_requests_total{job="slo-7"}[5m]))[1d:5m])'),
        instant("max of rate by series, 1 d", 'max_over_time(rate(slo_requests_total{job="slo-7"}[5m])[1d:1m])'),
        instant("quantile_over_time, 1 h", "quantile_over_time(0.95, memory_usage_bytes[1h])"),
        instant("avg_over_time, 1 h", "avg by (job) (avg_over_time(memory_usage_bytes[1h]))"),
        instant("max_over_time, 1 h", "max by (container) (max_over_time(memory_usage_bytes[1h]))"),
        instant("max_over_time, 1 d", 'max_over_time(slo_requests_total{job=~"slo-1.*"}[1d])'),
        instant("avg_over_time, 1 d", 'avg_over_time(slo_requests_total{job=~"slo-1.*"}[1d])'),
        instant("quantile_over_time, 1 d", 'quantile_over_time(0.5, slo_requests_total{job="slo-1"}[1d])'),
        over("max_over_time 1 h sliding", 'max_over_time(queue_length[1h])', 1, 30),
        over("sum_over_time 1 h sliding", 'sum(sum_over_time(go_goroutines[1h]))', 1, 30),
        instant("increase over 1 d, all", "sum by (code) (increase(slo_requests_total[1d]))"),
        instant("SLO ratio, 5 m", burn("5m")),
        instant("SLO ratio, 1 h", burn("1h")),
        instant("SLO ratio, 1 d", burn("1d")),
        instant("SLO ratio, 3 d", burn("3d")),
        instant("SLO page, 4 windows, one service", page),
        instant("SLO page, 4 windows, 1 k series", page_all),
        instant("SLO page, 4 windows, 6 k series", http_page),
        instant("stddev by", "stddev by (job) (memory_usage_bytes)"),
        instant("count_values", 'count_values("v", up)'),
        ("label values", "/api/v1/label/instance/values", [("start", end - H), ("end", end)]),
        ("label values, matched", "/api/v1/label/path/values", match),
        ("label names", "/api/v1/labels", [("start", end - H), ("end", end)]),
        ("series, 6 k", "/api/v1/series", match),
        ("series of a job", "/api/v1/series", [("match[]", 'http_requests_total{job="svc-2"}')] + match[1:]),
    ]


class Connection:
    """One kept-alive HTTP connection that only measures."""

    def __init__(self, url):
        u = urllib.parse.urlsplit(url)
        self.address = (u.hostname, u.port)
        self.open()

    def open(self):
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, target, body=True):
        """Milliseconds until the whole answer is here, and the answer."""
        request = ("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target).encode()
        began = time.perf_counter()
        self.socket.sendall(request)
        data = bytearray()
        end = length = None
        chunked = False
        while True:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise ConnectionError("closed")
            data += piece
            if end is None:
                end = data.find(b"\r\n\r\n")
                if end < 0:
                    end = None
                    continue
                head = bytes(data[:end]).lower()
                found = re.search(rb"content-length: *(\d+)", head)
                length = int(found.group(1)) if found else None
                chunked = b"transfer-encoding: chunked" in head
            if length is not None and len(data) >= end + 4 + length:
                break
            if chunked and data.endswith(b"0\r\n\r\n"):
                break
        took = (time.perf_counter() - began) * 1e3
        status = int(data[9:12])
        content = bytes(data[end + 4:])
        if chunked and body:
            out, at = bytearray(), 0
            while True:
                line = content.index(b"\r\n", at)
                n = int(content[at:line], 16)
                if n == 0:
                    break
                out += content[line + 2:line + 2 + n]
                at = line + 4 + n
            content = bytes(out)
        return took, status, content


def target(path, params):
    pairs = list(params.items()) if isinstance(params, dict) else list(params)
    return path + "?" + urllib.parse.urlencode(pairs + [("nocache", "1")])


def canonical(data):
    """An answer as {labels: [(time, value)]} or a sorted list, for comparing."""
    if isinstance(data, list):
        return sorted(json.dumps(x, sort_keys=True) for x in data)
    result = data["result"]
    if data["resultType"] in ("scalar", "string"):
        return {"": [result]}
    return {json.dumps(s["metric"], sort_keys=True): s.get("values") or [s.get("value")] for s in result}


def same(a, b):
    if isinstance(a, list) or isinstance(b, list):
        return a == b
    if a.keys() != b.keys():
        return False
    for key, points in a.items():
        if len(points) != len(b[key]):
            return False
        for (t, v), (u, w) in zip(points, b[key]):
            v, w = float(v), float(w)
            if t != u or not (v == w or (math.isnan(v) and math.isnan(w)) or abs(v - w) <= 1e-9 * max(abs(v), abs(w))):
                return False
    return True


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--end", type=int, required=True, help="what query_load was given")
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--filter", default="", help="only queries whose name matches this regex")
    ap.add_argument("--check", action="store_true", help="compare the answers of the first and the last server")
    ap.add_argument("--json", help="write the measurements here")
    ap.add_argument("servers", nargs="+", metavar="name=url")
    opts = ap.parse_args()
    names = [s.split("=", 1)[0] for s in opts.servers]
    connections = [Connection(s.split("=", 1)[1]) for s in opts.servers]
    print("%-38s" % "query, ms" + "".join("%11s" % n for n in names) + "   ratio")
    ratios, slower, table = [], [], {}
    for name, path, params in queries(opts.end):
        if not re.search(opts.filter, name):
            continue
        what = target(path, params)
        answers = []
        for c in connections:
            _, status, content = c.get(what)
            answers.append(content)
            if status != 200:
                print("%s: HTTP %d %s" % (name, status, content[:200]), file=sys.stderr)
        if opts.check and len(answers) > 1:
            a, b = (canonical(json.loads(x)["data"]) for x in (answers[0], answers[-1]))
            if not same(a, b):
                print("DIFFERS: " + name, file=sys.stderr)
        times = [[] for _ in connections]
        for _ in range(opts.rounds):
            for i, c in enumerate(connections):
                times[i].append(c.get(what, body=False)[0])
        medians = [statistics.median(t) for t in times]
        line = "%-38s" % name + "".join("%11.2f" % m for m in medians)
        table[name] = dict(zip(names, medians))
        if len(medians) > 1:
            best = min(medians[1:])
            ratios.append(medians[0] / best)
            if medians[0] > best + 0.2:
                slower.append(name)
            line += "%8.2f" % ratios[-1] + ("  slower" if medians[0] > best + 0.2 else "")
        print(line, flush=True)
    if ratios:
        print("geometric mean of %d ratios: %.3f; slower by more than 0.2 ms: %s" %
              (len(ratios), math.exp(sum(map(math.log, ratios)) / len(ratios)), ", ".join(slower) or "none"))
    if opts.json:
        with open(opts.json, "w") as f:
            json.dump(table, f, indent=1)


if __name__ == "__main__":
    main()
