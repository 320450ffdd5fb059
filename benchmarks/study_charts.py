"""Pictures of the study, in plain SVG: curves over training steps, and ablations beside the paper's."""

from mlcd_train.runlog import read_log

COLOURS = {"mlcd": "#0072b2", "unicom": "#d55e00", "mlc": "#009e73"}
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" font-family="sans-serif" font-size="12">'


def curves(logs, names, key, title):
    """Return a line chart of one logged value over steps, one line per model, or None without logs.

    names: folder name -> label.
    """
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

    def coordinates(step, value):
        x, y = left + (width - left - 110) * step / last, bottom - (bottom - 30) * (value - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = [
        HEAD.format(width, height),
        f'<rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="18">{title}</text>',
        f'<text x="4" y="{bottom}">{low:.2f}</text><text x="4" y="36">{high:.2f}</text>',
        f'<text x="{left}" y="{height - 10}">0</text><text x="{width - 185}" y="{height - 10}">{last} steps</text>',
        f'<path d="M{left},30V{bottom}H{width - 110}" fill="none" stroke="#888"/>',
    ]
    label_y = 0.0  # of the last label; the next must be below it
    for name, points in sorted(series.items(), key=lambda item: -item[1][-1][1]):
        path = " ".join(coordinates(*point) for point in points)
        x, y = map(float, coordinates(*points[-1]).split(","))
        label_y = max(y + 4, label_y + 14)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.5"/>')
        lines.append(f'<text x="{x + 5}" y="{label_y:.1f}" fill="{COLOURS[name]}">{names[name]}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def bars(title, panels):
    """Return panels of bars side by side, with the best bar of each in dark. panels: (heading, {label: value}).

    Bars start a little below the least value, so that only their order means anything; labels give the values.
    """
    width, height, bottom, across = 360 * len(panels), 200, 165, 300
    lines = [HEAD.format(width, height), f'<rect width="{width}" height="{height}" fill="white"/>']
    for number, (heading, values) in enumerate(panels):
        left = 20 + 360 * number
        low, high = min(values.values()), max(values.values())
        floor = low - 0.25 * (high - low or 1)
        lines.append(f'<text x="{left}" y="18" font-weight="bold">{title}: {heading}</text>')
        step = across / len(values)
        for position, (label, value) in enumerate(values.items()):
            x, bar_height = left + position * step, 115 * (value - floor) / (high - floor)
            colour = "#0072b2" if value == high else "#a6c8e0"
            box = f'x="{x:.1f}" y="{bottom - bar_height:.1f}" width="{step * 0.8:.1f}" height="{bar_height:.1f}"'
            lines.append(f'<rect {box} fill="{colour}"/>')
            for y, text in ((bottom - bar_height - 4, f"{value:.1f}"), (bottom + 15, label)):
                lines.append(f'<text x="{x + step * 0.4:.1f}" y="{y:.1f}" text-anchor="middle">{text}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
