"""Packs back to back into fresh folders until far more is written than memory holds unwritten.

    python3 benches/sustained.py --data DATA --out OUT

A single pack of a few GB measures memory: the kernel takes the bytes and writes them later. Here
every contender writes at least --gb (by default more than this machine's memory) and time runs until
the disk has all of it. Against GNU tar, and against the disk's own sequential O_DIRECT writes.

A file that another program has just read lies beside it; how much of it is still cached at the end,
and how much the page cache grew, tell what the contender did to its neighbours.
"""

import itertools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import harness
from harness import CORES, HERE, measure

NEIGHBOUR_MIB = 2048


def cached_bytes(path: Path) -> int:
    """How much of a file is in the page cache."""
    fincore = ["fincore", "--bytes", "--noheadings", "--raw", "--output", "RES", path]
    return int(subprocess.run(fincore, check=True, capture_output=True, text=True).stdout)


def page_cache() -> int:
    """Bytes in the page cache of the whole machine."""
    lines = map(str.split, harness.proc("meminfo"))
    return next(int(value) * 1024 for name, value, *_ in lines if name == "Cached:")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def contenders(options) -> dict:
    """Name -> the commands that it runs one after another, given the folder for its output."""
    limits = harness.compiled("limits", options.out)
    mib = int(options.gb * 1e9) >> 20
    sources = [options.data / name for name in options.sets.split(",")]

    def packs(pack):
        return lambda run: (pack(source, run / str(i)) for i, source in enumerate(itertools.cycle(sources)))

    def shardpack(*flags):
        return packs(lambda source, out: [options.shardpack, "pack", source, out, "--quiet", *flags])

    def disk(writers):
        return lambda run: iter([[limits, "write", run / "plain", mib, writers]])

    return {
        "disk: O_DIRECT, 1 writer": disk(1),
        f"disk: O_DIRECT, {CORES} writers": disk(CORES),
        "shardpack": shardpack(),
        "shardpack --format tfrecord": shardpack("--format", "tfrecord"),
        "shardpack --direct-io never": shardpack("--direct-io", "never"),
        "shardpack --no-fsync, then sync": shardpack("--no-fsync"),
        "GNU tar, 2 processes, then sync": packs(lambda source, out: [HERE / "gnu_tar.sh", source, out]),
    }


def prepare(options, neighbour: Path) -> Path:
    """An empty output folder, and a cache that holds the sources and the neighbour's file."""
    run = harness.empty(options.out / "run")
    run.mkdir(parents=True)
    harness.drop_caches()
    limits = harness.compiled("limits", options.out)
    for name in options.sets.split(","):
        subprocess.run([limits, "readall", options.data / name, "2"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cat", neighbour], check=True, stdout=subprocess.DEVNULL)
    return run


def sustain(options, name: str, commands, neighbour: Path) -> dict:
    run = prepare(options, neighbour)
    before, kept = page_cache(), cached_bytes(neighbour)
    written, rates, cpu = 0, [], 0.0
    start = time.monotonic()
    for number, argv in enumerate(commands(run)):
        measured = measure(argv)
        size = size_of(run) - written
        written += size
        rates.append(size / measured.wall / 1e6)
        cpu += measured.cpu
        harness.record(options.results, measured, sustained=name, pack=number, bytes=size)
        if written >= options.gb * 1e9:
            break
    subprocess.run(["sync", "-f", run], check=True)
    seconds = time.monotonic() - start
    result = {
        "rate": written / seconds / 1e6, "rates": rates, "gb": written / 1e9, "cpu": cpu,
        "grown": page_cache() - before, "kept": cached_bytes(neighbour) / kept,
    }  # fmt: skip
    print(f"{name}: {result['rate']:.0f} MB/s", file=sys.stderr)
    return result


def main() -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    arguments = harness.parser(__doc__)
    arguments.add_argument("--sets", default="A,C")
    arguments.add_argument("--gb", type=float, default=round(memory * 1.05), help="GB that each contender writes")
    arguments.add_argument("--rounds", type=int, default=2)
    options = arguments.parse_args()
    limits, neighbour = harness.compiled("limits", options.out), options.out / "neighbour.0"
    measure([limits, "write", neighbour.with_suffix(""), NEIGHBOUR_MIB, 1])  # adds the writer's number
    everyone = contenders(options)
    results: dict[str, list] = {name: [] for name in everyone}
    for number in range(options.rounds):
        # A disk that was idle is fastest: every other round starts at the other end.
        for name, commands in list(everyone.items())[:: -1 if number % 2 else 1]:
            results[name].append(sustain(options, name, commands, neighbour))
    harness.empty(options.out / "run")
    neighbour.unlink()
    print(f"{harness.machine()}; sets {options.sets}; {options.rounds} rounds\n")
    rows = []
    for name, runs in results.items():
        rates = [rate for run in runs for rate in run["rates"]]
        rows.append([
            name,
            f"{statistics.median(run['gb'] for run in runs):.1f}",
            f"{statistics.median(run['rate'] for run in runs):.0f}",
            f"{min(rates):.0f}-{max(rates):.0f}",
            f"{statistics.median(run['cpu'] for run in runs):.0f}",
            f"{statistics.median(run['grown'] for run in runs) / 1e9:+.1f}",
            f"{statistics.median(run['kept'] for run in runs):.0%}",
        ])  # fmt: skip
    head = ["", "GB", "MB/s until on disk", "MB/s of single packs", "cpu s", "cache grew GB", "neighbour still cached"]
    print(harness.table(head, rows))


if __name__ == "__main__":
    main()
