"""What the figures of a bench come to: which goals are met, and the measured part of docs/PERFORMANCE.md with its plot.

Must not measure. What people wrote in docs/PERFORMANCE.md stays as it is.
"""

import datetime
import os
import pathlib
import platform

from servers import HOME, ROOT

PAGE = ROOT / "docs/PERFORMANCE.md"
PLOT = ROOT / "docs/performance.svg"
BEGIN, END = "<!-- measured: written by bench/run.sh -->\n", "<!-- end of what is measured -->\n"
UPSTREAM = {"plain": "plain HTTP", "tls": "TLS"}


def aims(found):
    """Each goal: what it is, what was measured, the most it may be (the least, where that is negative), the unit."""
    small, start, forms, memory = (found[name] for name in ("small", "start", "forms", "memory"))
    rows = {(row["upstream"], row["size"], row["connections"]): row for row in found["rows"]}
    for (upstream, size), most in {("plain", "2 MB"): 0.85, ("plain", "10 MB"): 0.95, ("tls", "2 MB"): 0.75, ("tls", "10 MB"): 0.80}.items():
        row = rows[upstream, size, 16]
        yield f"CPU per GB, {size}, {UPSTREAM[upstream]} upstream, of nginx's", row["cpu"], most, " x"
        yield f"Throughput, {size}, {UPSTREAM[upstream]} upstream, of nginx's", row["rate"], -1.0, " x"
    # It was set where the bare forwarder takes 32 µs. On a slower machine, where nginx alone may take 45, it is as much more.
    yield "CPU of a 4 KB reply, everything on", small["easel"], max(45, 45 / 32 * small["bare"]), " µs"
    yield "Added to p99 at 2,000 requests/s of 4 KB", small["p99"], 1, " ms"
    for upstream, cases in memory.items():
        for name, case in cases.items():
            yield f"Memory above idle, {name}, {UPSTREAM[upstream]} upstream", case["above"], 600 if case["of"] > 256 else 150, " MB"
    yield "Idle memory", start["idle"], 15, " MB"
    yield "From exec to the first 200", start["ms"], 50, " ms"
    yield "The binary", start["binary"], 15, " MB"
    for name, most in {"events": 1.5, "n = 10": 1.2, "links": 2.0}.items():
        yield f"CPU of a picture, {name}, of the plain way's", forms[name], most, " x"
    lengths = found["growth"]["lengths"]
    yield "CPU per byte, 25 MB, of 2 MB's", lengths["25 MB"] / 25 / (lengths["2 MB"] / 2), 1.25, " x"
    yield "CPU per request, 1,000 in flight, of 16's, of what nginx's grows", found["growth"]["crowd"], 1.25, " x"


def goals(found):
    """Of each goal whether it is met, what it is, what was measured, and the bound."""
    lines = []
    for name, value, bound, unit in aims(found):
        good = value >= -bound if bound < 0 else value <= bound
        lines.append((good, name, number(value) + unit, f"{'at least' if bound < 0 else 'at most'} {number(abs(bound))}{unit}"))
    return lines


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def machine(cores):
    name = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "unknown")
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / 1e6
    congestion = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    apart = f"{cores['ns']:.0f} ns from each other and back"
    if cores["far"]:
        apart += f", further in {cores['far']} of {cores['rounds']} rounds"
    return f"{os.cpu_count()} cores of {name} ({apart}), {memory:.0f} GB, Linux {platform.release().split('-')[0]}, TCP by {congestion}"


def beside(rows, upstream):
    head = ["picture", "in flight", "CPU s/GB", "of nginx's", "HAProxy", "bare", "throughput", "requests/s", "first byte", "p50", "p99", "peak memory"]
    body = []
    for row in rows:
        if row["upstream"] != upstream:
            continue
        easel, nginx = row["easel"], row["nginx"]
        share = lambda proxy: f"{row[proxy]['cpu_seconds_per_gb'] / nginx['cpu_seconds_per_gb']:.2f} x"
        body.append([
            row["size"], str(row["connections"]), f"{easel['cpu_seconds_per_gb']:.2f} ({nginx['cpu_seconds_per_gb']:.2f})", f"**{row['cpu']:.2f} x**",
            share("haproxy"), share("bare"), f"{row['rate']:.2f} x", f"{easel['requests'] / easel['seconds']:,.0f}",
            *(f"{easel[name]:.1f} ({nginx[name]:.1f})" for name in ("first_byte_p50_ms", "p50_ms", "p99_ms")),
            f"{easel['memory_peak_mb']:.0f} ({nginx['memory_peak_mb']:.0f})",
        ])
    return table(head, body)


def plot(rows):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "easel"
    import matplotlib.pyplot as pyplot
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    bars = {"haproxy": ("HAProxy", "#b0b0b0"), "bare": ("bare axum + reqwest", "#7fa8d1"), "easel": ("Easel", "#c4511d")}
    for axis, upstream in zip(axes, ("plain", "tls"), strict=True):
        shown = [row for row in rows if row["upstream"] == upstream and row["connections"] == 16]
        for place, (proxy, (label, colour)) in enumerate(bars.items()):
            heights = [row[proxy]["cpu_seconds_per_gb"] / row["nginx"]["cpu_seconds_per_gb"] for row in shown]
            axis.bar([at + (place - 1) * 0.27 for at in range(len(shown))], heights, 0.25, color=colour, label=label)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_xticks(range(len(shown)), [row["size"] for row in shown])
        axis.set_title(f"{UPSTREAM[upstream]} upstream, 16 in flight", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("CPU per GB (nginx = 1)")
    axes[1].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})


def measured(found):
    growing = found["growth"]
    text = f"Measured on {datetime.date.today()}: {machine(found['cores'])}; medians of 5 rounds, of 11 for a small reply; one round where there is no goal.\n\n"
    text += table(["", "what", "goal", "measured"], [[("met" if good else "**missed**"), name, bound, value] for good, name, value, bound in found["goals"]])
    text += "\n![CPU per GB beside nginx](performance.svg)\n"
    for upstream, title in UPSTREAM.items():
        text += f"\n### {title[0].upper()}{title[1:]} upstream\n\nIn brackets nginx's own figure; times in ms, memory in MB.\n\n{beside(found['rows'], upstream)}"
    text += "\n### Growth\n\nCPU of one request, in µs.\n\n"
    text += table(["picture", *growing["lengths"]], [["16 in flight", *(f"{us:,.0f}" for us in growing["lengths"].values())]]) + "\n"
    names = {"easel": "0.1 MB", "nginx": "nginx, the same", "bare": "bare forwarder"}
    text += table(["in flight", *growing["flights"]],
                  [[name, *(f"{us[proxy]:,.0f}" for us in growing["flights"].values())] for proxy, name in names.items()])
    small = found["small"]
    text += f"\nA 4 KB reply takes {small['easel']:.0f} µs of CPU; nginx takes {small['nginx']:.0f} and the bare forwarder {small['bare']:.0f} for the same."
    text += f" At 2,000 requests a second Easel adds {small['p50']:.2f} ms to the median and {small['p99']:.2f} ms to the 99th percentile.\n"
    if "litellm" in found:
        said = found["litellm"]
        text += f"\nLiteLLM 1.106, 2 MB, 4 in flight: {said['cpu_seconds_per_gb']:.0f} CPU s/GB, {said['memory_peak_mb']:.0f} MB.\n"
    return text


def write(found):
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n" + measured(found) + "\n" + END + after)
    plot(found["rows"])
    print(f"written: {PAGE.relative_to(ROOT)}, {PLOT.relative_to(ROOT)}; all figures are in {(HOME / 'found.json').relative_to(ROOT)}")
