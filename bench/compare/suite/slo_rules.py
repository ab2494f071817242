"""The same objectives in two languages: a sloth file for Basalt, and for Prometheus and vmalert the rules that sloth makes of
such a file (its recorded windows, its metadata series, its two alerts; no `for`)."""

OBJECTIVE = 99.9
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
PAGE = (("5m", "1h", 14.4), ("30m", "6h", 6))
TICKET = (("2h", "1d", 3), ("6h", "3d", 1))


def name(i):
    return "s%05d" % i


def errors(i, window):
    return 'sum(rate(orders_total{slo="%s",code=~"5.."}[%s]))' % (name(i), window)


def total(i, window):
    return 'sum(rate(orders_total{slo="%s"}[%s]))' % (name(i), window)


def sloth(count):
    lines = ["version: prometheus/v1", "service: shop", "labels: {owner: payments}", "slos:"]
    for i in range(count):
        lines += [
            "  - name: " + name(i), "    objective: %g" % OBJECTIVE, "    sli:", "      events:",
            "        error_query: " + errors(i, "{{.window}}"), "        total_query: " + total(i, "{{.window}}"),
            "    alerting:", "      name: OrdersFail", "      page_alert: {labels: {severity: page}}",
            "      ticket_alert: {labels: {severity: ticket}}"]
    return "\n".join(lines) + "\n"


def _record(series, expression, labels):
    return ["      - record: " + series, "        expr: " + expression, "        labels: {%s}" % labels]


def _alert(pairs, severity, identity, labels):
    budget = "(1 - %g / 100)" % OBJECTIVE
    conditions = " or ".join(
        "(max(slo:sli_error:ratio_rate%s{%s} > (%g * %s)) without (sloth_window) and "
        "max(slo:sli_error:ratio_rate%s{%s} > (%g * %s)) without (sloth_window))" % (
            short, identity, factor, budget, long, identity, factor, budget) for short, long, factor in pairs)
    return ["      - alert: OrdersFail", "        expr: " + conditions,
            "        labels: {severity: %s, sloth_severity: %s, %s}" % (severity, severity, labels),
            "        annotations: {summary: the budget burns, title: budget}"]


def prometheus(count):
    lines = ["groups:"]
    for i in range(count):
        identifier = 'sloth_id="shop-%s", sloth_service="shop", sloth_slo="%s"' % (name(i), name(i))
        labels = "sloth_id: shop-%s, sloth_service: shop, sloth_slo: %s, owner: payments" % (name(i), name(i))
        lines += ["  - name: sloth-slo-sli-recordings-shop-" + name(i), "    rules:"]
        for window in WINDOWS:
            lines += _record("slo:sli_error:ratio_rate" + window, "(%s) / (%s)" % (errors(i, window), total(i, window)),
                             labels + ", sloth_window: " + window)
        five = "slo:sli_error:ratio_rate5m{%s}[30d]" % identifier
        lines += _record("slo:sli_error:ratio_rate30d", "sum_over_time(%s) / ignoring (sloth_window) count_over_time(%s)" % (five, five),
                         labels + ", sloth_window: 30d")
        lines += ["  - name: sloth-slo-meta-recordings-shop-" + name(i), "    rules:"]
        on = "on (sloth_id, sloth_slo, sloth_service) group_left slo:error_budget:ratio{%s}" % identifier
        for series, expression in (
                ("slo:objective:ratio", "vector(%g)" % (OBJECTIVE / 100)),
                ("slo:error_budget:ratio", "vector(1 - %g)" % (OBJECTIVE / 100)),
                ("slo:time_period:days", "vector(30)"),
                ("slo:current_burn_rate:ratio", "slo:sli_error:ratio_rate5m{%s} / %s" % (identifier, on)),
                ("slo:period_burn_rate:ratio", "slo:sli_error:ratio_rate30d{%s} / %s" % (identifier, on)),
                ("slo:period_error_budget_remaining:ratio", "1 - slo:period_burn_rate:ratio{%s}" % identifier),
                ("sloth_slo_info", "vector(1)")):
            lines += _record(series, expression, labels)
        lines += ["  - name: sloth-slo-alerts-shop-" + name(i), "    rules:"]
        lines += _alert(PAGE, "page", identifier, labels) + _alert(TICKET, "ticket", identifier, labels)
    return "\n".join(lines) + "\n"
