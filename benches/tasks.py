#!/usr/bin/env python3
"""What an item of a parallel loop costs beside its body: forall and Python's pools, in one run.

    python3 benches/tasks.py [--json FILE] [--sizes 10,1000,...]

The body is i*i, so everything that is not the plain loop is overhead. Pools are started before and warm. Contenders take turns:
every round runs each once, in an order that rotates, and a cell is the median over the rounds. Answers are checked. joblib and
dask.distributed are measured where they are installed. A cell that would take minutes is not measured, and says so.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZES = [10, 1_000, 100_000, 1_000_000]
ROUNDS = 7
# A cell gets about so many seconds: fewer rounds where a call takes long, none where one call alone takes more.
CELL = 15.0


def square(i):
    return i * i


class Rust:
    """The bench `which_loop`, which measures on demand."""

    def __init__(self):
        command = ["cargo", "bench", "--quiet", "--no-default-features", "--bench", "which_loop", "--", "--json"]
        print("building the Rust bench …", file=sys.stderr)
        subprocess.run(command[:-2] + ["--no-run"], cwd=ROOT, check=True)
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def contender(self, name):
        def measure(n):
            self.process.stdin.write(f"{name}\t{n}\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())["ns"] * 1e-9

        return measure

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(run):
    """A contender of this process: `run(n)` gives the list of squares."""

    def measure(n):
        begun = time.perf_counter()
        results = run(n)
        taken = time.perf_counter() - begun
        assert len(results) == n and results[-1] == (n - 1) ** 2
        return taken

    return measure


def contenders(workers):
    """`{name: (measure, is it a parallel loop of Python's?)}`, what is not installed, and what is to be closed."""
    found, missing, opened = {}, [], []

    def opens(resource):
        opened.append(resource)
        return resource.__enter__()

    # Processes first: they are forked, and must not find threads.
    pool = opens(get_context("fork").Pool(workers))
    pool.map(square, range(1000))
    executor = opens(ProcessPoolExecutor(workers, mp_context=get_context("fork")))
    list(executor.map(square, range(1000)))
    threads = opens(ThreadPoolExecutor(workers))

    found["Python: for loop"] = timed(lambda n: [square(i) for i in range(n)]), False
    found["multiprocessing.Pool.map"] = timed(lambda n: pool.map(square, range(n))), True
    found["ProcessPoolExecutor.map"] = timed(lambda n: list(executor.map(square, range(n)))), True
    found["ProcessPoolExecutor.map, chunksize=n/8"] = (
        timed(lambda n: list(executor.map(square, range(n), chunksize=-(-n // 8)))),
        True,
    )
    found["ThreadPoolExecutor.map"] = timed(lambda n: list(threads.map(square, range(n)))), True
    try:
        import joblib

        parallel = opens(joblib.Parallel(n_jobs=workers))
        found["joblib.Parallel"] = timed(lambda n: parallel(joblib.delayed(square)(i) for i in range(n))), True
    except ImportError:
        missing.append("joblib")
    try:
        import logging

        from dask.distributed import Client

        client = opens(
            Client(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
            )
        )
        # Pure tasks would be looked up and not run again.
        found["dask Client.map, gather"] = (
            timed(lambda n: client.gather(client.map(square, range(n), pure=False))),
            True,
        )
    except ImportError:
        missing.append("dask.distributed")
    return found, missing, opened


def run(found, sizes):
    """`{name: {n: [seconds]}}`; for a cell that is not measured, what it would take, by the size before."""
    samples = {name: {} for name in found}
    predicted = {name: {} for name in found}
    for n in sizes:
        # The first call of each is not counted: it makes buffers grow, and says how many rounds there is time for.
        rounds = {}
        for name, (measure, _) in found.items():
            before = samples[name]
            last = max(before, default=0)
            guess = statistics.median(before[last]) * n / last if before else 0.0
            if guess > CELL or predicted[name]:
                predicted[name][n] = guess
                continue
            first = measure(n)
            long = first > CELL / 3
            rounds[name] = 0 if long else min(ROUNDS, max(3, int(CELL / first)))
            samples[name][n] = [first] if long else []
        names = list(rounds)
        for round in range(ROUNDS):
            for k in range(len(names)):
                name = names[(k + round) % len(names)]
                if round < rounds[name]:
                    samples[name][n].append(found[name][0](n))
        print(f"n = {n} measured", file=sys.stderr)
    return samples, predicted


def per_item(seconds, n):
    each = seconds / n
    for unit, scale in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if each * scale < 1000 or unit == "ms":
            value = each * scale
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def table(found, samples, predicted, sizes):
    """Markdown."""
    lines = ["| per item of a loop over | " + " | ".join(f"{n:,}".replace(",", " ") for n in sizes) + " |"]
    lines.append("|---|" + "---:|" * len(sizes))
    for name in found:
        cells = []
        for n in sizes:
            if n in samples[name]:
                few = "" if len(samples[name][n]) >= 3 else " (1 call)"
                cells.append(per_item(statistics.median(samples[name][n]), n) + few)
            else:
                cells.append(f"not run, about {predicted[name][n]:.0f} s")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ratios, ratio = [], {}
    for n in sizes:
        ours = statistics.median(samples["forall: Pool::map"][n])
        theirs = {
            name: statistics.median(samples[name][n])
            for name, (_, parallel) in found.items()
            if parallel and n in samples[name]
        }
        if not theirs:
            ratios.append("–")
            continue
        best = min(theirs, key=theirs.get)
        ratio[n] = {"best": best, "ratio": theirs[best] / ours}
        ratios.append(f"**{theirs[best] / ours:.0f}×**")
    lines.append("| best of Python's parallel loops ÷ Pool::map | " + " | ".join(ratios) + " |")
    return "\n".join(lines), ratio


def machine(workers):
    def cpu():
        try:
            names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
            return names[0]
        except (OSError, IndexError):
            return platform.processor()

    return {
        "cpu": cpu(),
        "workers": workers,
        "system": platform.system(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", default=ROOT / "target" / "tasks.json", help="where the samples go")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    # Forked before there is a pipe that they could hold open.
    pythons, missing, opened = contenders(workers)
    rust = Rust()
    found = {"Rust: plain loop": (rust.contender("plain loop"), False)}
    found["forall: Pool::map"] = rust.contender("Pool::map"), False
    found["forall: Pool::submit, wait_all"] = rust.contender("Pool::submit, wait_all"), False
    found["forall: WGSL kernel"] = rust.contender("WGSL kernel"), False
    found |= pythons
    facts = machine(workers)
    try:
        samples, predicted = run(found, sizes)
    finally:
        rust.close()
        for resource in reversed(opened):
            resource.__exit__(None, None, None)

    text, ratio = table(found, samples, predicted, sizes)
    print(text)
    print(
        f"\n{facts['cpu']}, {workers} workers, {facts['system']}, Python {facts['python']}, {facts['date']}, "
        f"load average {facts['load']:.1f} at the start"
        + (f"; not installed: {', '.join(missing)}" if missing else "")
    )
    result = {"machine": facts, "seconds": samples, "not_run": predicted, "ratio": ratio, "missing": missing}
    Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    Path(options.json).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
