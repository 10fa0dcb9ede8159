"""Packs each data set with shardpack, the least-work programs and the peers that are installed.

    python3 benches/data.py DATA
    python3 benches/run.py --data DATA --out OUT --python VENV/bin/python
    python3 benches/run.py --data DATA --out OUT --sets B,C --cold --only 'least|shardpack'

Rounds are interleaved: every command once, then every command again, each round starting with
another one. A ratio is the median over the rounds of wall time over that of the least-work program
in the same round. See README.md for what the columns mean.
"""

import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import harness
from harness import CORES, HERE

TABLES = {
    "webdataset": "tar (webdataset)",
    "tfrecord": "TFRecord",
    "recordio": "RecordIO, pictures only",
    "list": "listing and sizing",
}


class Command(NamedTuple):
    table: str
    name: str
    argv: list
    source: Path
    floor: bool = False
    """Whether this is the program that the others of the table are held against."""


def commands(options, name: str) -> Iterator[Command]:
    """What is run on data set `name`."""
    source, out = options.data / name, options.out / "run"
    limits = harness.compiled("limits", options.out)
    listing_only = name == "D"

    def shardpack(table: str, source: Path, *flags) -> Command:
        durable = [] if options.durable else ["--no-fsync"]
        label = " ".join(["shardpack", *options.flags])
        argv = [options.shardpack, "pack", source, out, "--quiet", "--jobs", CORES, *flags, *durable, *options.flags]
        return Command(table, label, argv, source)

    if listing_only:
        yield Command("list", "least work: list and stat, 1 thread", [limits, "walk", source], source, floor=True)
        yield shardpack("list", source, "--dry-run", "--bare-field", "bin")
        find = ["find", source, "-type", "f", "-fprintf", "/dev/null", "%s %P\n"]
        yield Command("list", "find -printf %s", find, source)
        return
    sources = {"webdataset": source, "tfrecord": source, "recordio": pictures(options, name)}
    for table, framing in [("webdataset", "tar"), ("tfrecord", "tfrecord"), ("recordio", "tfrecord")]:
        least = [limits, "pack", framing, sources[table], out, CORES]
        yield Command(table, f"least work: {framing}, {CORES} threads", least, sources[table], floor=True)
        yield shardpack(table, sources[table], "--format", table)
    for threads in [CORES, 32] if options.cold else []:
        yield Command("webdataset", f"read only, {threads} threads", [limits, "readall", source, threads], source)
    yield Command("webdataset", "GNU tar, 2 processes", [HERE / "gnu_tar.sh", source, out], source)
    for table, tool in [("webdataset", "webdataset"), ("tfrecord", "tensorflow"), ("recordio", "mxnet")]:
        for python in options.python:
            if has_module(python, tool):
                label = f"{tool}, Python, 2 processes"
                argv = [python, HERE / "peers.py", tool, sources[table], out]
                yield Command(table, label, argv, sources[table])
                break


def pictures(options, name: str) -> Path:
    """The pictures of a set, as hard links: RecordIO has no place for a sample's second field."""
    source, links = options.data / name, options.data / f"{name}-pictures"
    if links.exists():
        return links
    partial = harness.empty(options.data / f".{name}-pictures")
    for path in source.rglob("*.[jJ][pP]*[gG]"):
        link = partial / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(path)
    return partial.rename(links)


def has_module(python: Path, module: str) -> bool:
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    # In the root folder: the scripts beside this one are no modules of the peers.
    return subprocess.run([python.absolute(), "-c", find], cwd="/", check=False).returncode == 0


def prepare(options, command: Command) -> None:
    """The same start for every run: no output, an idle disk, the input hot or not cached at all."""
    harness.empty(options.out / "run")
    limits = harness.compiled("limits", options.out)
    if options.cold:
        harness.drop_caches()
    else:
        warm = ["walk", command.source] if command.table == "list" else ["readall", command.source, "2"]
        subprocess.run([limits, *warm], check=True, stdout=subprocess.DEVNULL)
    harness.settle(limits)


def measure_set(options, name: str) -> list[tuple[Command, list[harness.Run]]]:
    everyone = commands(options, name)
    chosen = [command for command in everyone if re.search(options.only, f"{command.table} {command.name}")]
    runs = {id(command): [] for command in chosen}
    harness.drop_caches()  # no run pays for clearing away what was cached before
    for number in range(options.rounds):
        first = number % max(1, len(chosen))
        for command in chosen[first:] + chosen[:first]:
            prepare(options, command)
            run = harness.measure(command.argv, durable=options.out if options.durable else None)
            runs[id(command)].append(run)
            harness.record(
                options.results, run, set=name, table=command.table, name=command.name, round=number,
                cold=options.cold, durable=options.durable,
            )  # fmt: skip
            print(f"{name} {number} {command.table}: {command.name}: {run.wall:.2f} s", file=sys.stderr)
    return [(command, runs[id(command)]) for command in chosen]


def report(name: str, measured: list) -> None:
    for key, title in TABLES.items():
        group = [(command, runs) for command, runs in measured if command.table == key]
        floor = next((runs for command, runs in group if command.floor), None)
        rows = []
        for command, runs in group:
            ratio = "-"
            if floor:
                ratio = f"{statistics.median(run.wall / least.wall for run, least in zip(runs, floor)):.2f}"
            rows.append([
                command.name,
                harness.spread([run.wall for run in runs]),
                ratio,
                f"{statistics.median(run.work for run in runs):.2f}",
                f"{statistics.median(run.cpu for run in runs):.2f}",
                f"{max(run.rss for run in runs) / 1e6:.0f}",
                f"{statistics.median(run.others for run in runs):.0%}",
            ])  # fmt: skip
        if rows:
            print(f"\n**{name}, {title}**\n")
            print(harness.table(["", "wall s", "x least", "work s", "cpu s", "MB", "others"], rows), flush=True)


def main() -> None:
    arguments = harness.parser(__doc__)
    arguments.add_argument("--sets", default="A,B,C,D")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", default="", help="commands whose table and name match this pattern")
    arguments.add_argument("--cold", action="store_true", help="empty the page cache before each run")
    arguments.add_argument("--durable", action="store_true", help="measure until everything is on the disk")
    arguments.add_argument("--python", type=Path, action="append", default=[], help="a Python with peers; repeatable")
    arguments.add_argument("--flag", dest="flags", action="append", default=[], help="hand to shardpack: --flag=--jobs=1")
    options = arguments.parse_args()
    mode = ", ".join(["cold" if options.cold else "hot", "until on disk" if options.durable else "not synced"])
    print(f"{harness.machine()}; {mode}; {options.rounds} rounds")
    for name in options.sets.split(","):
        report(name, measure_set(options, name))
    harness.empty(options.out / "run")


if __name__ == "__main__":
    main()
