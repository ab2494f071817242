"""A table as horizontal bars: each row scaled to its longest, so that shares can be seen across units."""
from xml.sax.saxutils import escape

COLOURS = {"basalt": "#c2410c", "victoriametrics": "#7c3aed", "prometheus": "#a8a29e"}
LABEL, BAR, HEIGHT, GAP = 390, 360, 13, 12


def bars(title, rows, titles):
    servers = [name for name in titles if any(name in cells for _, _, _, cells in rows)]
    out, y = [], 58
    for i, name in enumerate(servers):
        x = LABEL + i * 150
        out.append('<rect x="%d" y="34" width="11" height="11" fill="%s"/><text x="%d" y="44">%s</text>' % (
            x, COLOURS[name], x + 16, escape(titles[name])))
    for what, unit, smaller, cells in rows:
        longest = max(cells.values(), default=0)
        if longest <= 0:
            continue
        label = what + (", " + unit if unit else "") + ("" if smaller else " (more is better)")
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (
            LABEL - 8, y + HEIGHT * len(servers) / 2 + 4, escape(label)))
        for name in servers:
            if name in cells:
                width = max(1.0, BAR * max(0, cells[name]) / longest)
                out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>'
                           '<text x="%.1f" y="%d" font-size="10">%.3g</text>' % (
                               LABEL, y, width, HEIGHT - 2, COLOURS[name], LABEL + width + 4, y + HEIGHT - 3, cells[name]))
            y += HEIGHT
        y += GAP
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">'
            '<rect width="100%%" height="100%%" fill="white"/><text x="12" y="22" font-size="16">%s</text>%s</svg>\n' % (
                LABEL + BAR + 80, y + 4, escape(title), "".join(out)))
