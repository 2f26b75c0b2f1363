"""How a report says numbers: medians over the rounds, in brackets the least and the greatest."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Target:
    """One value for each round, and where the median of them is to be. `bound` is None where nobody set one."""

    what: str
    values: list
    bound: float | None = None
    least: bool = False
    unit: str = ""

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def met(self):
        return self.median >= self.bound if self.least else self.median <= self.bound

    def shares(self):
        """How much of the bound the values take: up to 1 is met, whether it is one from below or from above."""
        return [self.bound / value if self.least else value / self.bound for value in self.values]

    def row(self):
        if self.bound is None:
            return [self.what, "", spread(self.values, self.unit), ""]
        wanted = f"{'≥' if self.least else '≤'} {self.bound:g}{self.unit}"
        return [self.what, wanted, spread(self.values, self.unit), "met" if self.met else "**missed**"]


def spread(values, unit=""):
    return f"{number(statistics.median(values))}{unit} ({number(min(values))} to {number(max(values))})"


def number(value):
    """Three digits or more, and no point where they are enough or nothing else than whole numbers can be."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def median(values):
    return number(statistics.median(values))


def ratios(some, others):
    """Round by round."""
    return [one / other for one, other in zip(some, others, strict=True)]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def each(rounds, *path):
    """What stands at a path in the figures of each round."""
    found = []
    for figures in rounds:
        for key in path:
            figures = figures[key]
        found.append(figures)
    return found


class Row:
    """Something that is measured once in every round.

    `measure` gives the figures of a round, which go into the JSON; `targets` and `text` make of the figures of all
    rounds what the report says. What lasts for the whole run begins with `__enter__`.
    """

    name = title = ""

    def __init__(self, scratch, binaries):
        self.scratch, self.binaries = scratch, binaries

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def party(self, name, kind, *arguments, **options):
        return kind(self.scratch / name, self.binaries, *arguments, **options)
