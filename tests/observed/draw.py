"""Draws a dashboard from the data of a real Prometheus, so that a person can look at it where Grafana cannot be had.

Stats, time series, state timelines and tables stand where the dashboard puts them, with its units, colours and words. What Grafana does
on top (legends to click, tooltips, links) is left out. Needs matplotlib.
"""

import math
import re
import textwrap

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates  # noqa: E402
import matplotlib.ticker  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from PIL import Image  # noqa: E402

COLUMNS, WIDTH, ROW = 24, 20.0, 0.38
PAPER, INK, FAINT = "#111217", "#d5d6dc", "#2c2f36"
COLORS = {"green": "#56a64b", "yellow": "#d9a90b", "orange": "#e0752d", "red": "#d63b4a", "dark-red": "#8f1f2b", "blue": "#3f7fd1",
          "text": "#8e9099", "purple": "#8f5bc9", "transparent": PAPER}
PALETTE = ["#73bf69", "#5794f2", "#f2cc0c", "#ff9830", "#b877d9", "#8ab8ff", "#f2495c", "#96d98d", "#ffcb7d", "#56d4c9", "#c4a6e8", "#a0a3ad"]


def humanized(value, unit):
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞"
    if unit == "percentunit":
        return f"{100 * value:.3f}".rstrip("0").rstrip(".") + " %" if abs(value) < 10 else f"{100 * value:.0f} %"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if abs(value) >= size:
                return f"{value / size:.1f} {name}"
        return f"{value:.3g} s" if abs(value) >= 1 else f"{1000 * value:.3g} ms" if value else "0 s"
    if unit == "bytes":
        for power, name in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
            if abs(value) >= 1024**power:
                return f"{value / 1024**power:.1f} {name}"
        return f"{value:.0f} B"
    text = f"{value / 1000:.1f}k" if abs(value) >= 10_000 else f"{value:.4g}"
    return text + ("/s" if unit == "reqps" else "")


def named(legend, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend) or "value"


def overridden(panel, name):
    """What the overrides that fit a series say, by property."""
    found = {}
    for override in panel["fieldConfig"]["overrides"]:
        if re.search(override["matcher"]["options"].strip("/"), name):
            found |= {each["id"]: each["value"] for each in override["properties"]}
    return found


def by_thresholds(panel, value):
    color = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    return color


def worded(panel, value, mappings=None):
    """Text and colour of a value that has words of its own."""
    for mapping in mappings or panel["fieldConfig"]["defaults"]["mappings"]:
        found = mapping["options"].get(str(int(value)) if value == int(value) else str(value))
        if found:
            return found["text"], found["color"]
    return None


def asked(panel, fetch):
    """Every series of a panel: its name, its labels, its points."""
    for target in panel["targets"]:
        for labels, points in fetch(target):
            yield named(target["legendFormat"], labels), labels, points


def stat(ax, panel, found):
    unit, rows = panel["fieldConfig"]["defaults"]["unit"], []
    for name, _, points in found:
        value = points[-1][1]
        if math.isnan(value):
            continue
        color = overridden(panel, name).get("color", {}).get("fixedColor") or by_thresholds(panel, value)
        text = humanized(value, unit)
        words = worded(panel, value)
        if words:
            text, color = words
        rows.append((name if panel["options"]["textMode"] == "name" else text, name, color))
    rows = rows[:6] or [(panel["fieldConfig"]["defaults"]["noValue"], "", "text")]
    ax.axis("off")
    for place, (text, name, color) in enumerate(rows):
        height = 1 / len(rows)
        ax.add_patch(Rectangle((0, 1 - (place + 1) * height), 1, height * 0.96, color=COLORS.get(color, color), transform=ax.transAxes))
        middle = 1 - (place + 0.5) * height
        size = 17 if len(rows) == 1 else 11
        ax.text(0.5, middle, text[:26], ha="center", va="center", color="white", size=size if len(text) < 12 else size - 6, weight="bold")
        if len(rows) > 1 and name != text:
            ax.text(0.02, middle, name[:16], ha="left", va="center", color="white", size=7)


def series(ax, panel, found):
    defaults = panel["fieldConfig"]["defaults"]
    unit, right, bottom = defaults["unit"], None, {}
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    for place, (name, _, points) in enumerate(sorted(found, key=lambda each: each[0])[:40]):
        wanted = overridden(panel, name)
        color = COLORS.get(wanted.get("color", {}).get("fixedColor"), PALETTE[place % len(PALETTE)])
        axes = ax
        if wanted.get("custom.axisPlacement") == "right":
            right = right or ax.twinx()
            axes, right_unit = right, wanted["unit"]
        step = min((after - at for (at, _), (after, _) in zip(points, points[1:])), default=1)
        # A line ends where there is nothing, and does not cross it.
        for at, after in [(one, other) for (one, _), (other, _) in zip(points, points[1:]) if other - one > 1.5 * step][::-1]:
            points = sorted([*points, (at + step / 2, math.nan), (after - step / 2, math.nan)])
        times = [at / 86400 for at, _ in points]
        values = [value if not math.isinf(value) else math.nan for _, value in points]
        label = f"{name}  {humanized(values[-1], wanted.get('unit', unit))}"
        if stacked:
            under = [bottom.get(at, 0) for at, _ in points]
            over = [low + (0 if math.isnan(value) else value) for low, value in zip(under, values)]
            axes.fill_between(times, under, over, color=color, alpha=0.55, lw=0, label=label)
            bottom |= {at: high for (at, _), high in zip(points, over)}
        else:
            axes.plot(times, values, color=color, lw=1.4, ls="--" if "custom.lineStyle" in wanted else "-", label=label)
    ax.set_facecolor(PAPER)
    for axes, its in ((ax, unit), (right, right and right_unit)):
        if axes is None:
            continue
        axes.tick_params(colors=INK, labelsize=7, length=2)
        axes.yaxis.set_major_formatter(lambda value, _, its=its: humanized(value, its))
        if defaults["custom"]["scaleDistribution"]["type"] == "log":
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
            continue
        lowest, highest = axes.dataLim.y0, axes.dataLim.y1
        lowest = min(lowest, 0) if math.isfinite(lowest) else 0
        highest = highest if math.isfinite(highest) and highest > lowest else lowest + 1
        axes.set_ylim(lowest, highest + (highest - lowest) * 0.4)
    if defaults["custom"]["thresholdsStyle"]["mode"] == "line":
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is not None and step["value"] <= ax.get_ylim()[1]:
                ax.axhline(step["value"], color=COLORS.get(step["color"], INK), lw=0.9, ls=":")
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    ax.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M:%S"))
    ax.grid(color=FAINT, lw=0.6)
    for spine in ax.spines.values():
        spine.set_color(FAINT)
    handles, labels = ax.get_legend_handles_labels()
    if right:
        more = right.get_legend_handles_labels()
        handles, labels = handles + more[0], labels + more[1]
    if handles:
        shown = 8
        legend = ax.legend(handles[:shown], labels[:shown], loc="upper left", fontsize=6.5, ncol=2 if len(handles) > 3 else 1, framealpha=0.4,
                           facecolor=PAPER, edgecolor=FAINT, labelcolor=INK, handlelength=1.2, borderpad=0.3, labelspacing=0.25)
        legend.set_zorder(9)
    else:
        empty(ax, defaults["noValue"])


def timeline(ax, panel, found):
    rows = sorted(found, key=lambda each: each[0])
    times = [at / 86400 for _, _, points in rows for at, _ in points]
    if times:
        ax.set_xlim(min(times), max(times))
    # What never happened takes no room.
    rows = [row for row in rows if any(value for _, value in row[2])][:14]
    ax.set_facecolor(PAPER)
    for place, (name, _, points) in enumerate(rows):
        mappings = overridden(panel, name).get("mappings")
        step = points[1][0] - points[0][0] if len(points) > 1 else 1
        for at, value in points:
            words = worded(panel, value, mappings)
            if value and words:
                ax.barh(place, step / 86400, left=at / 86400, height=0.8, color=COLORS.get(words[1], words[1]), lw=0)
    ax.set_yticks(range(len(rows)), [name[-28:] for name, _, _ in rows], size=7)
    ax.tick_params(colors=INK, labelsize=7, length=2)
    ax.set_ylim(-0.6, max(len(rows), 3) - 0.4)
    ax.invert_yaxis()
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    ax.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M:%S"))
    for spine in ax.spines.values():
        spine.set_color(FAINT)
    if not rows:
        empty(ax, "never")


def table(ax, panel, found):
    ax.axis("off")
    columns = panel["transformations"][0]["options"]["renameByName"]
    rows = sorted({tuple(labels.get(label, "") for label in columns) for _, labels, _ in found})[:9]
    if not rows:
        empty(ax, panel["fieldConfig"]["defaults"]["noValue"])
        return
    for place, heading in enumerate(columns.values()):
        ax.text(0.02 + place / len(columns), 0.95, heading, color=INK, size=8, weight="bold", va="top")
        for down, row in enumerate(rows):
            ax.text(0.02 + place / len(columns), 0.84 - down * 0.098, row[place], color=INK, size=8, va="top")


def empty(ax, words):
    ax.set_xticks([])
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=COLORS["text"], size=11)


def board(description, fetch, path):
    """One image of a dashboard as it is written; `fetch` gives the series of a target."""
    panels = []
    for panel in description["panels"]:
        panels += [panel, *panel.get("panels", [])]
    total = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 1
    figure = plt.figure(figsize=(WIDTH, total * ROW), dpi=75, facecolor=PAPER)
    figure.text(0.008, 1 - 0.5 / total, description["title"], color=INK, size=15, weight="bold", va="center")
    kinds = {"stat": stat, "timeseries": series, "state-timeline": timeline, "table": table}
    for panel in panels:
        place = panel["gridPos"]
        left, top = place["x"] / COLUMNS, 1 - (place["y"] + 1) / total
        wide, high = place["w"] / COLUMNS, place["h"] / total
        if panel["type"] == "row":
            figure.text(0.008, top - high / 2, f"▾ {panel['title']}", color=INK, size=11, weight="bold", va="center")
            continue
        figure.add_artist(Rectangle((left + 0.002, top - high + 0.06 / total), wide - 0.004, high - 0.12 / total, fill=False, ec=FAINT, lw=1))
        title = textwrap.shorten(panel["title"], 60)
        figure.text(left + 0.006, top - 0.55 / total, title, color=INK, size=9, va="center")
        bare = panel["type"] in ("stat", "table")
        inset_left, inset_bottom = (0.004, 0.25 / total) if bare else (0.07 if panel["type"] == "state-timeline" else 0.034, 0.85 / total)
        size = [left + inset_left, top - high + inset_bottom, wide - inset_left - (0.004 if bare else 0.03), high - inset_bottom - 1.1 / total]
        kinds[panel["type"]](figure.add_axes(size), panel, list(asked(panel, fetch)))
    figure.savefig(path, facecolor=PAPER)
    plt.close(figure)
    # A few dozen colours say the same in a quarter of the bytes.
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path, optimize=True)
