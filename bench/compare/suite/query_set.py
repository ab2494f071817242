"""The queries, about the metrics of a fleet (bench/compare/fleet.h): `wide` is many series for two hours, `long` few for three
days. What a person looks at, what an SLO asks, what a data source asks when a dashboard opens."""
import urllib.parse

HTTP = "prometheus_http_requests_total"
SECONDS = "prometheus_http_request_duration_seconds_bucket"
MINUTE, HOUR, DAY = 60, 3600, 86400


class Query:
    def __init__(self, name, path, parameters, panel=False):
        self.name, self.path, self.parameters, self.panel = name, path, parameters, panel

    def target(self, shift_s=0, **more):
        """Path and parameters, its times `shift_s` later."""
        moved = [(k, v + shift_s if k in ("time", "start", "end") else v) for k, v in self.parameters]
        return self.path + "?" + urllib.parse.urlencode(moved + sorted(more.items()))


def _instant(name, expression, at):
    return Query(name, "/api/v1/query", [("query", expression), ("time", at)])


def _range(name, expression, end, span, step, panel=True):
    return Query(name, "/api/v1/query_range",
                 [("query", expression), ("start", end - span), ("end", end), ("step", step)], panel)


def _meta(end, span):
    when = [("start", end - span), ("end", end)]
    return [
        Query("label values: instance", "/api/v1/label/instance/values", when),
        Query("label values: __name__", "/api/v1/label/__name__/values", when),
        Query("label values of one metric", "/api/v1/label/handler/values", when + [("match[]", SECONDS)]),
        Query("label names", "/api/v1/labels", when),
        Query("series of one metric", "/api/v1/series", when + [("match[]", "node_cpu_seconds_total")]),
    ]


def ratio(window, job=""):
    """Errors by all, of the whole fleet or of one job's instances."""
    return 'sum(rate(%s{code!="200"%s}[%s])) / sum(rate(%s%s[%s]))' % (
        HTTP, "," + job if job else "", window, HTTP, "{%s}" % job if job else "", window)


def page(job=""):
    """The workbook's two pairs of windows for 99.9 %."""
    return "(%s > 14.4 * 0.001 and %s > 14.4 * 0.001) or (%s > 6 * 0.001 and %s > 6 * 0.001)" % (
        ratio("1h", job), ratio("5m", job), ratio("6h", job), ratio("30m", job))


def wide(end):
    """For 200 k series x 2 h."""
    one = 'instance="host-00003:9100"'
    return [
        _range("one series, 1 h / 15 s", "node_load1{%s}" % one, end, HOUR, 15),
        _range("rate of one series, 1 h / 15 s", 'rate(node_cpu_seconds_total{%s,cpu="0",mode="user"}[5m])' % one, end, HOUR, 15),
        _instant("instant: one name", "up", end),
        _instant("instant: 23 k series", "flag", end),
        _instant("instant: one name of one host", "node_cpu_seconds_total{%s}" % one, end),
        _range("sum by rate, 1 h / 15 s", "sum by (mode) (rate(node_cpu_seconds_total[5m]))", end, HOUR, 15),
        _range("sum by rate, 2 h / 15 s", "sum by (handler) (rate(%s[5m]))" % HTTP, end, 2 * HOUR, 15),
        _range("sum by rate of one host, 1 h / 15 s", "sum by (mode) (rate(node_cpu_seconds_total{%s}[5m]))" % one, end, HOUR, 15),
        _range("histogram_quantile, global", "histogram_quantile(0.99, sum by (le) (rate(%s[5m])))" % SECONDS, end, HOUR, 30),
        _range("histogram_quantile by instance", "histogram_quantile(0.9, sum by (instance, le) (rate(%s[5m])))" % SECONDS, end, HOUR, 60),
        _instant("histogram_quantile, instant", "histogram_quantile(0.99, sum by (handler, le) (rate(%s[5m])))" % SECONDS, end),
        _range("topk of hosts", 'topk(5, sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m])))', end, HOUR, 60),
        _instant("topk of 2.8 k rates", "topk(10, rate(%s[5m]))" % SECONDS, end),
        _range("regex of many names and hosts", 'sum by (job) (rate({__name__=~"vm_.+_total",instance=~"host-000[0-2].*[13579]:.*"}[5m]))', end, 30 * MINUTE, 60),
        _instant("regex, instant", 'count({__name__=~"(go|process)_.+",instance=~".+[05]:.+"})', end),
        _instant("count of all series", 'count({job=~".+"})', end),
        _instant("count of all series by name", 'topk(10, count by (__name__) ({job=~".+"}))', end),
        _range("join with group_left", "rate(node_cpu_seconds_total[5m]) * on (instance) group_left (nodename) node_uname_info", end, 30 * MINUTE, 60),
        _instant("join with group_left, instant", "sum by (version) (process_resident_memory_bytes * on (instance) group_left (version) prometheus_build_info)", end),
        _range("or", 'sum by (instance) (rate(%s{code!="200"}[5m])) > 0.1 or sum by (instance) (rate(%s[5m]))' % (HTTP, HTTP), end, HOUR, 60),
        _instant("subquery: max of rate, 1 h", "max_over_time(sum(rate(%s[5m]))[1h:30s])" % HTTP, end),
        _instant("quantile_over_time, 1 h", "quantile_over_time(0.9, go_goroutines[1h])", end),
        _instant("avg_over_time, 1 h", "avg by (job) (avg_over_time(process_resident_memory_bytes[1h]))", end),
        _instant("max_over_time, 1 h, 23 k series", "max(max_over_time(flag[1h]))", end),
        _range("avg_over_time sliding, 1 h / 30 s", "avg by (job) (avg_over_time(go_goroutines[10m]))", end, HOUR, 30),
        _instant("SLO ratio, 5 m", ratio("5m"), end),
        _instant("SLO ratio, 1 h", ratio("1h"), end),
        _instant("SLO page, four windows", page(), end),
        _instant("SLO page, four windows, one host", page('instance="host-00003:9090"'), end),
    ] + _meta(end, 2 * HOUR)


def long(end):
    """For 20 k series x 3 d."""
    return [
        _range("one series, 3 d / 15 min", 'node_load1{instance="host-00001:9100"}', end, 3 * DAY, 15 * MINUTE),
        _range("sum by rate, 6 h / 1 min", "sum by (mode) (rate(node_cpu_seconds_total[5m]))", end, 6 * HOUR, MINUTE),
        _range("sum by rate, 24 h / 5 min", "sum by (mode) (rate(node_cpu_seconds_total[5m]))", end, DAY, 5 * MINUTE),
        _range("sum by rate, 3 d / 15 min", "sum by (handler) (rate(%s[15m]))" % HTTP, end, 3 * DAY, 15 * MINUTE),
        _range("histogram_quantile, 24 h / 5 min", "histogram_quantile(0.99, sum by (le) (rate(%s[5m])))" % SECONDS, end, DAY, 5 * MINUTE),
        _range("topk, 24 h / 5 min", "topk(3, sum by (instance) (rate(process_cpu_seconds_total[5m])))", end, DAY, 5 * MINUTE),
        _instant("subquery: max of rate, 1 d", "max_over_time(sum(rate(%s[5m]))[1d:5m])" % HTTP, end),
        _instant("quantile_over_time, 1 d", "quantile_over_time(0.9, go_goroutines[1d])", end),
        _instant("avg_over_time, 1 d", "avg by (job) (avg_over_time(process_resident_memory_bytes[1d]))", end),
        _instant("max_over_time, 1 d", "max by (job) (max_over_time(go_goroutines[1d]))", end),
        _instant("increase, 1 d, 320 series", "sum by (handler) (increase(%s[1d]))" % SECONDS, end),
        _instant("SLO ratio, 5 m", ratio("5m"), end),
        _instant("SLO ratio, 1 h", ratio("1h"), end),
        _instant("SLO ratio, 1 d", ratio("1d"), end),
        _instant("SLO ratio, 3 d", ratio("3d"), end),
        _instant("SLO page, four windows", page(), end),
        _instant("count of all series", 'count({job=~".+"})', end),
    ] + _meta(end, 3 * DAY)
