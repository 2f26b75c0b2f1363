"""The plots of the reports. The same figures give the same file."""

import statistics

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "argospool", "font.family": "sans-serif", "font.size": 9})
from matplotlib import pyplot  # noqa: E402

from party import LOADS  # noqa: E402
from throughput import PARTIES, TRANSPORTS, of  # noqa: E402

COLORS = ["#b8bec6", "#1f6feb", "#d1495b", "#5b7f95"]
MET, MISSED, GRID, INK = "#2e8b57", "#d1495b", "#e3e6ea", "#33383d"


def rates(rounds, path):
    """Leases a second of every party under every load."""
    figure, panels = pyplot.subplots(1, len(TRANSPORTS), figsize=(10, 4), sharey=True, layout="constrained")
    loads = [str(load) for load in LOADS]
    for panel, (transport, title) in zip(panels, TRANSPORTS.items()):
        width = 0.8 / len(PARTIES)
        for number, (party, color) in enumerate(zip(PARTIES, COLORS)):
            at = [place + (number - (len(PARTIES) - 1) / 2) * width for place in range(len(loads))]
            values = [of(rounds, "rate", party.name, load, transport) for load in loads]
            medians = [statistics.median(each) for each in values]
            least = [median - min(each) for median, each in zip(medians, values)]
            greatest = [max(each) - median for median, each in zip(medians, values)]
            bars = panel.bar(at, medians, width * 0.92, color=color, label=party.name)
            panel.errorbar(at, medians, [least, greatest], fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.5)
            panel.bar_label(bars, [f"{rate / 1000:.0f}k" if rate >= 9_950 else f"{rate / 1000:.1f}k" for rate in medians],
                            fontsize=7, padding=7)
        panel.set_title(f"over {title}", fontsize=10)
        panel.set_xticks(range(len(loads)), loads)
        panel.set_xlabel("connections × calls in flight on each")
        panel.set_yscale("log")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color=GRID, linewidth=0.6)
        panel.set_axisbelow(True)
    panels[0].set_ylabel("durable leases a second (logarithmic)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def targets(found, path):
    """How much of its bound each figure takes: a dot for the median, a line from the least to the greatest."""
    figure, panel = pyplot.subplots(figsize=(10, 0.9 + 0.26 * len(found)), layout="constrained")
    for place, target in enumerate(found):
        shares, color = target.shares(), MET if target.met else MISSED
        panel.plot([min(shares), max(shares)], [place, place], color=color, linewidth=1.6)
        panel.plot(statistics.median(shares), place, "o", color=color, markersize=5)
    panel.axvline(1, color=INK, linewidth=1)
    panel.set_yticks(range(len(found)), [target.what for target in found], fontsize=8)
    panel.invert_yaxis()
    panel.set_xscale("log")
    ticks = [0.25, 0.5, 1, 2, 4]
    panel.set_xlim(0.25)
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()
    panel.set_xlabel("part of the bound that is used (logarithmic): up to 1 is met")
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="x", color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
