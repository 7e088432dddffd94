"""Draws each curve that has a CSV file. Run by scripts/plot."""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

# The same measurements must give the same file.
plt.rcParams.update(
    {"svg.hashsalt": "tower-tenancy", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
)

SERVERS = {
    "tower-tenancy": ("tower-tenancy under axum", "#1f5fa8", "o"),
    "tower-tenancy-tuned": ("tower-tenancy on hyper's HTTP/1", "#1f5fa8", "s"),
    "by-hand": ("by hand: broadcast, serde_json, axum's Sse", "#c4621a", "^"),
    "raw": ("floor: one bare write each", "#6b6b6b", "x"),
}
CPU = ("cpu_us", "server CPU per delivery, µs")

# File, title, column and label of x, column and label of y, whether x and y are logarithmic.
CURVES = [
    ("subscribers", "One event to N subscribers of a thread", "subscribers", "subscribers", *CPU, True, True),
    ("threads", "One event to 1,000 subscribers, among other threads", "threads", "threads in the log", *CPU, True, False),
    ("payload", "One event to 100 subscribers", "data_bytes", "data of the event, bytes", *CPU, True, True),
    ("idle", "Memory of open, quiet streams", "streams", "open streams", "pss_kib", "memory of the server, MiB", False, False),
    ("resume", "Resuming in a thread of 1,000,000 events", "missed", "events missed", "p50_us", "until the first event, µs", True, False),
]


def short(value, _=None):
    """Writes 1,000 as 1k, so that it fits on an axis."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def draw(folder, name, title, x, x_label, y, y_label, log_x, log_y):
    source = folder / f"{name}.csv"
    if not source.exists():
        print(f"{source}: not measured")
        return
    rows = list(csv.DictReader(source.open()))
    scale = 1 / 1024 if y == "pss_kib" else 1
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for server in dict.fromkeys(row.get("server", "tower-tenancy") for row in rows):
        label, color, marker = SERVERS[server]
        points = [(float(row[x]), float(row[y]) * scale) for row in rows if row.get("server", "tower-tenancy") == server]
        style = "--" if server == "tower-tenancy-tuned" else "-"
        axes.plot(*zip(*points), style, color=color, marker=marker, markersize=4, label=label)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        ticks = [tick * 10**power for power in range(-1, 5) for tick in (1, 2, 5)]
        axes.set_yticks([tick for tick in ticks if low <= tick <= high])
    else:
        axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="y", color="#e2e2e2", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    if len(axes.lines) > 1:
        axes.legend(frameon=False, fontsize=9)
    # The background must be white on a dark page, too.
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, facecolor="white")
    plt.close(figure)
    print(folder / f"{name}.svg")


for curve in CURVES:
    draw(Path(sys.argv[1]), *curve)
