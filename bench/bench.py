"""Measures Easel beside nginx and HAProxy, in rounds of A B A B, and writes down what came out.

What counts are ratios to nginx in the same run; seconds of another machine say little. Must not start servers itself:
that is servers.py's; nor write pages: that is report.py's.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request

import report
from servers import EASEL, HOME, KEY, ROOT, SIZES, Servers, memory_of_its_own
from shared import free_port

LOAD = ROOT / "target/release/easel-load"
CORES = ROOT / "target/release/cores"

# Seconds of each measurement, at the least; larger ones take as long as their requests.
SECONDS = {"4 KB": 1.5, "0.1 MB": 1.0, "2 MB": 1.5, "10 MB": 1.5, "25 MB": 2.0}

# For as long what a new proxy does is not measured: it opens its connections, and TCP finds out what they bear. Of 10 MB by
# TLS Easel took 7.9 ms in the first seconds and 7.1 from the third on, nginx 10.3 and 9.8.
FIRST = {"4 KB": 0.5, "0.1 MB": 0.5, "2 MB": 2.0, "10 MB": 2.5, "25 MB": 2.5}


def ask(port, path, body, *more):
    """What came of asking over and over. That a request fails ends everything."""
    command = [LOAD, f"127.0.0.1:{port}", path, "--body", body, "--key", KEY, *more]
    said = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
    if said["failed"]:
        sys.exit(f"{said['failed']} requests failed: {said['failure']}, of {' '.join(map(str, command))}")
    return said


def load(servers, proxy, upstream, size, connections, *more, body=None, pids=True):
    path, usual = servers.url(proxy, size)
    port = servers.plain if proxy == "bedrock" else servers.ports[proxy][upstream]
    if pids:
        more += ("--process", ",".join(map(str, servers.processes(proxy, upstream))))
    return ask(port, path, body or usual, "--connections", connections, *more)


def medians(rounds):
    """The median of each figure over the rounds."""
    return {name: statistics.median(said[name] for said in rounds) for name in rounds[0] if isinstance(rounds[0][name], (int, float))}


class Cores:
    """How far the machine's cores are apart. A hypervisor puts them under one cache or under two, and changes its mind every
    few minutes: what two threads share then takes four times as long, which nginx's lone workers hardly notice. What counts
    is measured while they are near, as long as there is patience left."""

    NEAR = 200  # ns, there and back

    def __init__(self, say):
        self.say, self.patience, self.seen = say, 1200, []

    def apart(self):
        return int(subprocess.check_output([CORES]))

    def steadily(self, measure):
        """What `measure` returns: once more if the cores have moved meanwhile."""
        while True:
            while (before := self.apart()) > self.NEAR and self.patience > 0:
                time.sleep(2)
                self.patience -= 2
            begun = time.monotonic()
            found, farthest = measure(), max(before, self.apart())
            if farthest <= self.NEAR or self.patience <= 0:
                self.seen.append(farthest)
                return found
            self.patience -= time.monotonic() - begun
            self.say(f"once more: the cores were {farthest} ns apart")

    def summary(self):
        """Their distance in the median round, and in how many of how many rounds they were further apart than that may be."""
        return {"ns": statistics.median(self.seen), "far": sum(ns > self.NEAR for ns in self.seen), "rounds": len(self.seen)}


class Bench:
    def __init__(self, servers, rounds):
        self.servers, self.rounds = servers, rounds
        self.cores = Cores(self.say)
        self.proxies = ["nginx", "haproxy", "bare", "easel"]
        self.begun = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.begun:5.0f} s] {text}", flush=True)

    def each(self, proxies, upstream, size, connections, seconds):
        """What came of the same load on each proxy in turn."""
        asked = lambda proxy, seconds: load(self.servers, proxy, upstream, size, connections, "--seconds", seconds)
        return self.cores.steadily(lambda: {proxy: (asked(proxy, FIRST[size]), asked(proxy, seconds))[1] for proxy in proxies})

    def anew(self, rounds, measure):
        """What `measure` returns in each round, of proxies that are new."""
        found = []
        for _ in range(rounds):
            self.servers.renew()
            found.append(measure())
        return found

    def cpu(self, proxies, size, connections, seconds):
        """CPU of one request by proxy, in us."""
        said = self.each(proxies, "plain", size, connections, seconds)
        return {proxy: said[proxy]["cpu_us_per_request"] for proxy in proxies}

    def beside(self, upstream, size, connections, rounds):
        """One row: each proxy's figures, and Easel's as ratios to nginx's."""
        seen = self.anew(rounds, lambda: self.each(self.proxies, upstream, size, connections, SECONDS[size]))
        row = {proxy: medians([said[proxy] for said in seen]) for proxy in self.proxies}
        # Of each round by itself, so that what slows all of them down does not count.
        pairs = [(said["easel"], said["nginx"]) for said in seen]
        ratio = lambda name: statistics.median(a[name] / b[name] for a, b in pairs)
        rate = statistics.median((a["bytes"] / a["seconds"]) / (b["bytes"] / b["seconds"]) for a, b in pairs)
        row |= {"upstream": upstream, "size": size, "connections": connections, "cpu": ratio("cpu_seconds_per_gb"), "rate": rate}
        easel, nginx = row["easel"], row["nginx"]
        self.say(f"{upstream:5} {size:>6} x{connections:<3} CPU s/GB: easel {easel['cpu_seconds_per_gb']:.3f} nginx"
                 f" {nginx['cpu_seconds_per_gb']:.3f}, ratio {row['cpu']:.2f}; throughput ratio {rate:.2f}")
        return row

    def small(self):
        """What a small reply costs, with everything on; and what Easel adds when it is not busy."""
        # More rounds, for its goal depends on what the bare forwarder takes, and that is 32 or 44 us by chance.
        small = medians(self.anew(2 * self.rounds + 1, lambda: self.cpu(self.proxies, "4 KB", 16, SECONDS["4 KB"])))
        added = []
        for _ in range(self.rounds):
            steady = ("4 KB", 32, "--rate", 2000, "--seconds", 2)
            straight, through = self.cores.steadily(lambda: (
                load(self.servers, "bedrock", "plain", *steady, pids=False), load(self.servers, "easel", "plain", *steady)
            ))
            added.append((through["p50_ms"] - straight["p50_ms"], through["p99_ms"] - straight["p99_ms"]))
        small |= {"p50": statistics.median(p50 for p50, _ in added), "p99": statistics.median(p99 for _, p99 in added)}
        self.say(f"4 KB: {small['easel']:.0f} us of CPU, nginx {small['nginx']:.0f}, bare {small['bare']:.0f}; at 2,000 requests/s {small['p50']:.2f} ms more at p50, {small['p99']:.2f} at p99")
        return small

    def forms(self):
        """The other ways out, as ratios of the plain one in the same round: CPU per picture."""
        bodies = {"plain": {}, "events": {"stream": True}, "links": {"response_format": "url"}, "n = 10": {"n": 10}}
        wish = json.loads(self.servers.url("easel", "2 MB")[1])
        cost = lambda more: load(
            self.servers, "easel", "plain", "2 MB", 4 if "n" in more else 16, "--seconds", 1.5, body=json.dumps(wish | more)
        )["cpu_us_per_request"] / more.get("n", 1)
        def each():
            cost({})
            return self.cores.steadily(lambda: {name: cost(more) for name, more in bodies.items()})

        rounds = self.anew(self.rounds, each)
        found = {name: [costs[name] / costs["plain"] for costs in rounds] for name in bodies if name != "plain"}
        forms = {name: statistics.median(ratios) for name, ratios in found.items()}
        self.say("; ".join(f"{name}: {ratio:.2f} x plain" for name, ratio in forms.items()))
        return forms

    def growth(self):
        """CPU per request by length; and by how many are in flight, beside others: connections cost the kernel something too."""
        by_length = lambda: {size: self.cpu(["easel"], size, 16, SECONDS[size])["easel"] for size in SIZES}
        lengths = medians(self.anew(self.rounds, by_length))
        self.say("CPU us per request by length: " + ", ".join(f"{size} {us:.0f}" for size, us in lengths.items()))
        proxies, crowds = ("nginx", "bare", "easel"), ("1", "16", "64", "256", "1000")

        def by_crowd():
            found = {n: self.cpu(proxies, "0.1 MB", n, 2) for n in crowds}
            self.say("CPU us per 0.1 MB, " + ", ".join(f"{n} in flight {us['easel']:.0f} nginx {us['nginx']:.0f}" for n, us in found.items()))
            return found

        seen = self.anew(self.rounds, by_crowd)
        flights = {n: {proxy: statistics.median(one[n][proxy] for one in seen) for proxy in proxies} for n in crowds}
        # Of each round by itself, as above.
        grown = lambda one, proxy: one["1000"][proxy] / one["16"][proxy]
        crowd = statistics.median(grown(one, "easel") / grown(one, "nginx") for one in seen)
        return {"lengths": lengths, "flights": flights, "crowd": crowd}


def resident(pid):
    """Memory of a process now, in MB."""
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1e3


def memory(servers, say, rounds, upstream):
    """Each on an Easel of its own, which nobody has asked yet: how far its memory rises above idle."""
    found = {}
    cases = {
        "256 x 10 MB": ("10 MB", 256, ("--each", 2)),
        "256 x 10 MB, read at 1 MB/s": ("10 MB", 256, ("--each", 1, "--read-rate", 1_000_000)),
        # They come within eight seconds: of a thousand handshakes at once some take longer than a call waits for one, on two
        # cores that also encrypt and read.
        "1,000 x 10 MB, read at 1 MB/s": ("10 MB", 1000, ("--each", 1, "--read-rate", 1_000_000, "--rate", 125)),
    }
    for name, (size, connections, more) in cases.items():
        seen = []
        for _ in range(rounds):
            with memory_of_its_own(connections) as apart, servers.another_easel(upstream) as (port, pid):
                path, body = servers.url("easel", size)
                ask(port, path, servers.url("easel", "4 KB")[1])
                idle = resident(pid)
                said = ask(port, path, body, "--connections", connections, "--process", pid, *more)
                seen.append({"idle": idle, "above": said["memory_peak_mb"] - idle})
        found[name] = medians(seen) | {"of": connections}
        say(f"memory, {upstream}, {name}: {found[name]['above']:.0f} MB above idle ({found[name]['idle']:.1f} MB),"
            f" of {', '.join(format(one['above'], '.0f') for one in seen)}"
            f"{'' if apart else '; the mock has its part of the memory for TCP, for only root can give it more'}")
    return found


def start(servers, say):
    """From exec to the first 200, and what it holds then; the size of the binary."""
    times, idle = [], []
    for _ in range(11):
        port = free_port()
        command, env = servers.easel_command("plain", port)
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).close()
                break
            except OSError:
                time.sleep(0.0005)
        times.append((time.perf_counter() - begun) * 1e3)
        time.sleep(0.2)
        idle.append(resident(process.pid))
        process.terminate()
        process.wait()
    binary = EASEL.stat().st_size / 1e6
    found = {"ms": statistics.median(times), "idle": statistics.median(idle), "binary": binary}
    say(f"first 200 after {found['ms']:.0f} ms; idle {found['idle']:.1f} MB; the binary has {binary:.1f} MB")
    return found


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--litellm", action="store_true")
    arguments = arguments.parse_args()
    with Servers(arguments.litellm) as servers:
        servers.check()
        bench = Bench(servers, 1 if arguments.quick else 5)
        bench.say("every proxy answers every picture as it is")
        goals = [("2 MB", 16), ("10 MB", 16)]
        shapes = goals if arguments.quick else [(size, n) for size in list(SIZES)[1:] for n in (1, 16, 256)]
        found = {"start": start(servers, bench.say), "small": bench.small(), "forms": bench.forms(),
                 "memory": {upstream: memory(servers, bench.say, bench.rounds, upstream) for upstream in ("plain", "tls")}}
        # Where there is no goal one round will do.
        found["rows"] = [
            bench.beside(upstream, size, n, bench.rounds if (size, n) in goals else 1)
            for upstream in ("plain", "tls")
            for size, n in shapes
        ]
        found["growth"] = bench.growth()
        found["cores"] = bench.cores.summary()
        if arguments.litellm:
            said = load(servers, "litellm", "plain", "2 MB", 4, "--seconds", 10)
            found["litellm"] = said
            bench.say(f"LiteLLM: {said['cpu_seconds_per_gb']:.1f} CPU s/GB, {said['memory_peak_mb']:.0f} MB")
    (HOME / "found.json").write_text(json.dumps(found, indent=1))
    found["goals"] = report.goals(found)
    for good, name, value, bound in found["goals"]:
        print(f"{'met   ' if good else 'MISSED'} {name}: {value}, {bound}")
    if not arguments.quick:
        report.write(found)
    sys.exit(not all(good for good, *_ in found["goals"]))


if __name__ == "__main__":
    main()
