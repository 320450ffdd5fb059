"""Pictures of the study: curves over training steps, and ablations beside the paper's. Plain SVG, no library."""

from mlcd_train.runlog import read_log

COLOURS = {"mlcd": "#0072b2", "unicom": "#d55e00", "mlc": "#009e73"}
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" font-family="sans-serif" font-size="12">'


def curves(logs, names, key, title):
    """Lines of one logged value over steps, a model each; names: folder name -> label. None without logs."""
    series = {}
    for name in names:
        path = logs / f"{name}_seed0.jsonl"
        if path.is_file():
            series[name] = [(line["step"], line[key]) for line in read_log(path) if line.get(key) is not None]
    if not series:
        return None
    values = [value for points in series.values() for _, value in points]
    low, high, last = min(values), max(values), max(points[-1][0] for points in series.values())
    width, height, left, bottom = 520, 220, 50, 190

    def place(step, value):
        x, y = left + (width - left - 110) * step / last, bottom - (bottom - 30) * (value - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = [
        HEAD.format(width, height),
        f'<rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="18">{title}</text>',
        f'<text x="4" y="{bottom}">{low:.2f}</text><text x="4" y="36">{high:.2f}</text>',
        f'<text x="{left}" y="{height - 10}">0</text><text x="{width - 185}" y="{height - 10}">{last} steps</text>',
        f'<path d="M{left},30V{bottom}H{width - 110}" fill="none" stroke="#888"/>',
    ]
    above = 0.0  # the last label, below which the next must stand
    for name, points in sorted(series.items(), key=lambda item: -item[1][-1][1]):
        path = " ".join(place(*point) for point in points)
        x, y = map(float, place(*points[-1]).split(","))
        above = max(y + 4, above + 14)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.5"/>')
        lines.append(f'<text x="{x + 5}" y="{above:.1f}" fill="{COLOURS[name]}">{names[name]}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def bars(title, panels):
    """Panels side by side, each (heading, {label: value}): bars from a little below the least value, the best one dark.

    Only the order of the bars is to be read, and their values from the labels.
    """
    width, height, bottom, across = 360 * len(panels), 200, 165, 300
    lines = [HEAD.format(width, height), f'<rect width="{width}" height="{height}" fill="white"/>']
    for number, (heading, values) in enumerate(panels):
        left = 20 + 360 * number
        low, high = min(values.values()), max(values.values())
        floor = low - 0.25 * (high - low or 1)
        lines.append(f'<text x="{left}" y="18" font-weight="bold">{title}: {heading}</text>')
        step = across / len(values)
        for place, (label, value) in enumerate(values.items()):
            x, tall = left + place * step, 115 * (value - floor) / (high - floor)
            colour = "#0072b2" if value == high else "#a6c8e0"
            box = f'x="{x:.1f}" y="{bottom - tall:.1f}" width="{step * 0.8:.1f}" height="{tall:.1f}"'
            lines.append(f'<rect {box} fill="{colour}"/>')
            for y, text in ((bottom - tall - 4, f"{value:.1f}"), (bottom + 15, label)):
                lines.append(f'<text x="{x + step * 0.4:.1f}" y="{y:.1f}" text-anchor="middle">{text}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
