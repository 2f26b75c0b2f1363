"""Makes the report and the plot of what was measured. Usage: draw.py OUT, with OUT/throughput.json in it."""

import json
import pathlib
import statistics
import sys

from parties import Argospool, Echo, Postgres, Redis

LOADS = ["1 × 1", "4 × 16", "64 × 1", "4 × 64"]
TRANSPORTS = {"tcp": "TCP on loopback", "unix": "a unix socket"}
PARTIES = [Echo.name, Argospool.name, Redis.name, Postgres.name]
COLORS = ["#b8bec6", "#1f6feb", "#d1495b", "#5b7f95"]

# Which ratio, under which load, and where it is to be. Over TCP.
TARGETS = [
    ("leases a second ÷ echo", Echo.name, "4 × 16", 0.5),
    ("leases a second ÷ echo", Echo.name, "64 × 1", 0.65),
    ("leases a second ÷ echo", Echo.name, "4 × 64", 0.65),
    ("leases a second ÷ Redis", Redis.name, "4 × 16", 1.6),
    ("leases a second ÷ Redis", Redis.name, "64 × 1", 1.1),
    ("leases a second ÷ Redis", Redis.name, "4 × 64", 2.0),
    ("leases a second ÷ PostgreSQL", Postgres.name, "64 × 1", 8.0),
]


class Measured:
    def __init__(self, found):
        self.about, self.samples, self.calls = found["about"], found["samples"], found["calls"]
        self.rounds = 1 + max(sample["round"] for sample in self.samples)

    def of(self, figure, party, load, transport="tcp"):
        """One value for each round, in order."""
        return [sample[figure] for sample in self.samples
                if (sample["party"], sample["load"], sample["transport"]) == (party, load, transport)]

    def median(self, *which):
        return statistics.median(self.of(*which))

    def ratio(self, figure, party, load, transport="tcp"):
        """Of the daemon to a party: median, least and greatest over the rounds."""
        pairs = zip(self.of(figure, Argospool.name, load, transport), self.of(figure, party, load, transport))
        ratios = [ours / theirs for ours, theirs in pairs]
        return statistics.median(ratios), min(ratios), max(ratios)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def spread(ratio):
    median, least, greatest = ratio
    return f"{median:.2f} ({least:.2f} to {greatest:.2f})"


def verdict(met):
    return "met" if met else "**missed**"


def targets(measured):
    rows = []
    for what, party, load, least in TARGETS:
        ratio = measured.ratio("rate", party, load)
        rows.append([f"{what}, {load}", f"≥ {least}", spread(ratio), verdict(ratio[0] >= least)])
    alone, sync = measured.median("p50", Argospool.name, "1 × 1"), measured.about["fdatasync_us"]
    syncs = (alone - measured.median("p50", Echo.name, "1 × 1")) / sync
    rows.append(["p50 of a single caller − echo, in syncs of the disk", "≤ 1.3", f"{syncs:.2f}", verdict(syncs <= 1.3)])
    ratio = measured.ratio("p50", Redis.name, "1 × 1")
    rows.append(["p50 of a single caller ÷ Redis", "≤ 1.1", spread(ratio), verdict(ratio[0] <= 1.1)])
    ratio = measured.ratio("p99", Echo.name, "4 × 16")
    rows.append(["p99 at 4 × 16 ÷ echo", "≤ 3", spread(ratio), verdict(ratio[0] <= 3)])
    return table(["what", "target", "measured", ""], rows)


def figures(measured, transport):
    rows = []
    for load in LOADS:
        for party in PARTIES:
            rate, p50, p99 = (measured.median(figure, party, load, transport) for figure in ("rate", "p50", "p99"))
            ratio = "" if party == Argospool.name else spread(measured.ratio("rate", party, load, transport))
            rows.append([load, party, f"{rate:,.0f}", f"{p50:,.0f}", f"{p99:,.0f}", ratio])
    return table(["connections × in flight", "", "leases/s", "p50 µs", "p99 µs", "argospool ÷ this"], rows)


def calls(measured):
    """System calls of the daemon for each lease; those that are rare under every load are summed up."""
    names = sorted({name for counts in measured.calls.values() for name in counts})
    often = [name for name in names if any(counts.get(name, 0) >= 0.02 for counts in measured.calls.values())]
    rows = []
    for load in LOADS:
        counts = measured.calls[load]
        rare = sum(count for name, count in counts.items() if name not in often)
        rows.append([load, f"{sum(counts.values()):.2f}", *(f"{counts.get(name, 0):.2f}" for name in often), f"{rare:.2f}"])
    return table(["connections × in flight", "all", *(f"`{name}`" for name in often), "others"], rows)


def plot(measured, path):
    import matplotlib

    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "argospool", "font.family": "sans-serif", "font.size": 9})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(TRANSPORTS), figsize=(10, 4), sharey=True, layout="constrained")
    for panel, (transport, title) in zip(panels, TRANSPORTS.items()):
        width = 0.8 / len(PARTIES)
        for number, (party, color) in enumerate(zip(PARTIES, COLORS)):
            at = [place + (number - (len(PARTIES) - 1) / 2) * width for place in range(len(LOADS))]
            rates = [measured.median("rate", party, load, transport) for load in LOADS]
            least = [rate - min(measured.of("rate", party, load, transport)) for rate, load in zip(rates, LOADS)]
            greatest = [max(measured.of("rate", party, load, transport)) - rate for rate, load in zip(rates, LOADS)]
            bars = panel.bar(at, rates, width * 0.92, color=color, label=party)
            panel.errorbar(at, rates, [least, greatest], fmt="none", ecolor="#33383d", elinewidth=0.8, capsize=1.5)
            panel.bar_label(bars, [f"{rate / 1000:.0f}k" if rate >= 9_950 else f"{rate / 1000:.1f}k" for rate in rates],
                            fontsize=7, padding=7)
        panel.set_title(f"over {title}", fontsize=10)
        panel.set_xticks(range(len(LOADS)), LOADS)
        panel.set_xlabel("connections × calls in flight on each")
        panel.set_yscale("log")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#e3e6ea", linewidth=0.6)
        panel.set_axisbelow(True)
    panels[0].set_ylabel("durable leases a second (logarithmic)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main(out):
    measured = Measured(json.loads((out / "throughput.json").read_text()))
    about = measured.about
    text = f"""# Leases a second, side by side

Made by `tests/bench/run` on {about["day"]}: {about["cores"]} cores ({about["cpu"]}), {about["memory_gib"]} GiB, {about["kernel"]}; load before
the run {about["load_before"]:.1f}. A write of 4 KiB with `fdatasync` takes {about["fdatasync_us"]:.0f} µs (median). Whoever is measured and whoever measures
it share the cores. Medians of {measured.rounds} rounds, in each of which every party was measured under every load, with ratios taken
within a round; in brackets the least and the greatest of them.

- *echo*: `tests/bench/echo.rs`, an answer of the same size from tonic on one thread, with no work behind it. The limit.
- *argospool*: the daemon beside the simulator, driven as the echo is, by `argospool bench`; every lease is on the disk before it is
  answered. The stock is full and refill is paused.
- *Redis, appendfsync always*: the same lease as one script (idempotent by request, token, lease, deadline), by `redis-benchmark`.
- *PostgreSQL, SKIP LOCKED*: the same lease as one prepared statement, by `pgbench` on two threads. Both have one call in flight on
  each connection, so 4 × 16 are 64 connections to them.

![Leases a second](throughput.svg)

## Against the targets, over TCP

{targets(measured)}"""
    for transport, title in TRANSPORTS.items():
        text += f"\n## Over {title}\n\n{figures(measured, transport)}"
    text += f"\n## System calls of the daemon for each lease\n\nBy `strace`, which makes it slower and its groups larger, over TCP.\n\n{calls(measured)}"
    (out / "throughput.md").write_text(text)
    plot(measured, out / "throughput.svg")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
