"""What a benchmark found, for people: a table in the terminal, and a plot."""

from __future__ import annotations

from pathlib import Path

from bench.race import Result, Way

HEADER = ["program", "way", "step", "eager / it", "10%..90%", "first", "to 10th", "graphs"]
HEADER += ["breaks", "fallbacks", "peak MiB", "GFLOP/s", "of peak", "same as eager"]


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def verdict(way: Way) -> str:
    if way.same is None:
        return f"failed: {way.problem}"
    if not way.same:
        return f"NO: {way.problem}"
    return f"yes; then failed: {way.problem}" if way.problem else "yes"


def row(result: Result, name: str, way: Way, peak: float) -> list[str]:
    counts = way.counts
    return [
        result.program if result.batch is None else f"{result.program}, batch {result.batch}",
        name,
        duration(way.step),
        "" if way.ratio is None else f"{way.ratio:.2f}",
        "" if way.ratio_low is None else f"{way.ratio_low:.2f}..{way.ratio_high:.2f}",
        duration(way.first_step),
        duration(way.tenth_step),
        *(str(counts.get(key, "")) for key in ("graphs", "breaks", "fallbacks")),
        "" if way.peak_bytes is None else f"{way.peak_bytes / 2**20:.0f}",
        "" if not way.flops else f"{way.flops / 1e9:.1f}",
        "" if not way.flops else f"{way.flops / peak:.0%}",
        verdict(way),
    ]


def rows(results: list[Result], peak: float) -> list[list[str]]:
    return [row(r, name, way, peak) for r in results for name, way in r.ways.items()]


def table(results: list[Result], peak: float) -> str:
    lines = [HEADER, *rows(results, peak)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    printed = []
    for i, line in enumerate(lines):
        # A program's name is given once.
        first = line[0] if i == 0 or line[0] != lines[i - 1][0] else ""
        cells = [first.ljust(widths[0]), line[1].ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(line[2:-1], widths[2:-1], strict=True)]
        printed.append("  ".join([*cells, line[-1][:80]]).rstrip())
    return "\n".join(printed)


def said(results: list[Result], key: str) -> list[str]:
    """What the ways' counts have under a key, way by way."""
    return [
        f"{result.program}, {name}: {way.counts[key]}"
        for result in results
        for name, way in result.ways.items()
        if key in way.counts
    ]


def notes(results: list[Result]) -> list[str]:
    opaque = [f"{line}, called by the graph" for line in said(results, "called")]
    return opaque + [f"{line}, so that calls ran in CPython" for line in said(results, "note")]


def plot(results: list[Result], path: Path) -> None:
    """Bars: how many times as fast as eager."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    ways = [way for way in results[0].ways if way != "eager"]
    figure, axes = pyplot.subplots(figsize=(1.5 + 1.1 * len(results), 4), layout="constrained")
    width = 0.8 / max(1, len(ways))
    for i, name in enumerate(ways):
        for x, result in enumerate(results):
            way = result.ways[name]
            at = x + (i - (len(ways) - 1) / 2) * width
            if way.ratio is None or way.ratio_low is None or way.ratio_high is None or not way.same:
                axes.text(at, 0.05, "x", ha="center", color=f"C{i}")
                continue
            low, high = way.ratio - way.ratio_low, way.ratio_high - way.ratio
            error = [[max(low, 0)], [max(high, 0)]]
            axes.bar(at, way.ratio, width, color=f"C{i}", yerr=error, error_kw={"lw": 1})
        axes.bar(0, 0, color=f"C{i}", label=name)
    axes.axhline(1, color="gray", lw=1)
    names = [result.program.split("/")[-1] for result in results]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_ylabel("eager's time / its time")
    axes.set_title("x: failed, or results other than eager's", fontsize="small")
    axes.legend()
    figure.savefig(path)
    pyplot.close(figure)
