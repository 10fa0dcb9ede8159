"""Reshards, converts, filters and joins datasets, beside copies and the least work.

    cargo build --release -p shardpack
    python3 benches/data.py DATA
    python3 benches/reshape.py --data DATA --out OUT

Hot, nothing synced, two threads. Rows without a change of format are held against `cp` of the same
shards by as many processes as the table says. A conversion is held against the least-work scan of
the source (`scan.c`) and the least-work write of the target from memory (`limits.c`, `frame`), one
after the other; RecordIO's least work is TFRecord's, of which it is a little less. Rounds are
interleaved; a ratio is the median over the rounds. Prints a Markdown table for each set.
"""

import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import harness
from harness import CORES

EXTENSIONS = {"webdataset": "tar", "tfrecord": "tfrecord", "recordio": "rec"}
CAPTION = "reshape_note"
"""The field that the joins add."""


class Row(NamedTuple):
    name: str
    commands: list[list]
    """Run one after the other; their times are added."""
    floor: str | None = None
    """The row that this one is held against."""
    bar: str = ""


def shards(place: Path, format: str) -> list[Path]:
    return sorted((place / "shards").glob(f"*.{EXTENSIONS[format]}"))


def table_of(options, name: str, place: Path) -> Path:
    """JSON lines with a text for every key of a dataset."""
    path = options.out / f"reshape-{name}.jsonl"
    if not path.exists():
        listed = subprocess.run([options.shardpack, "ls", place], check=True, capture_output=True, text=True).stdout
        keys = [line.split("\t")[0] for line in listed.splitlines()]
        path.write_text("".join(json.dumps({"key": key, CAPTION: f"about {key}"}) + "\n" for key in keys))
    return path


def rows(options, name: str, formats: list[str]) -> Iterator[Row]:
    """What is run on data set `name`."""
    out = options.out / "run"
    limits, scan = (harness.compiled(program, options.out) for program in ("limits", "scan"))
    tars = harness.packed(options, name, "webdataset")
    files = shards(tars, "webdataset")

    def shardpack(command: str, *arguments) -> list[list]:
        return [[options.shardpack, command, *arguments, "--quiet", "--no-fsync", "--jobs", CORES]]

    def copy(processes: int) -> list[list]:
        return [["sh", "-c", f'mkdir "$0" && printf "%s\\\\0" "$@" | xargs -0 -P {processes} -n 1 cp -t "$0"', out, *files]]

    two, one = "cp, two processes", "cp, one process"
    yield Row(two, copy(2))
    yield Row(one, copy(1))
    source = ["--order", "source", "--target", "100MB"]
    yield Row("reshard, order of the source", shardpack("reshard", tars, out, *source), two, "2")
    shuffle = ["--order", "shuffle:7", "--target", "100MB", "--memory", "256MiB"]
    yield Row("reshard, shuffled, 256 MiB", shardpack("reshard", tars, out, *shuffle), one, "3")
    yield Row("reshard --fold, half of it", shardpack("reshard", tars, out, "--fold", "1/2"), two)
    yield Row("reshard --dedupe content", shardpack("reshard", tars, out, "--dedupe", "content"), two)
    if name == "C":
        yield Row("reshard --where", shardpack("reshard", tars, out, "--where", "json.width >= 0"), two)
    lines = table_of(options, name, tars)
    yield Row("join of JSON lines", shardpack("join", tars, out, "--with", lines), two)
    yield Row("join --overlay of JSON lines", shardpack("join", tars, out, "--with", lines, "--overlay"), two)
    for target in formats:
        framing = "tar" if target == "webdataset" else "tfrecord"
        frame = [limits, "frame", framing, options.data / name, out, CORES]
        for before in formats:
            if before == target:
                continue
            place = harness.packed(options, name, before)
            read = "tfrecord" if before == "recordio" else before
            read_from = shards(harness.packed(options, name, read), read)
            least = f"least work: {before} to {target}"
            yield Row(least, [[scan, "tar" if read == "webdataset" else read, CORES, *read_from], frame])
            command = shardpack("reshard", place, out, "--format", target, "--order", "source")
            yield Row(f"reshard: {before} to {target}", command, least, "1.35")


def main() -> None:
    arguments = harness.parser(__doc__)
    arguments.add_argument("--sets", default="A,B,C")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", default="", help="only rows whose name has this in it, and what they are held against")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    limits = harness.compiled("limits", options.out)
    print(harness.machine(), end="\n\n")
    for name in options.sets.split(","):
        # RecordIO has one field a record.
        formats = ["webdataset", "tfrecord"] + (["recordio"] if name == "A" else [])
        every = list(rows(options, name, formats))
        wanted = {row.name for row in every if options.only in row.name}
        wanted |= {row.floor for row in every if row.name in wanted}
        chosen = [row for row in every if row.name in wanted]
        walls, cpu, peak = ({row.name: [] for row in chosen} for _ in range(3))
        for number in range(options.rounds + 1):  # the first fills the page cache
            first = number % len(chosen)
            for row in chosen[first:] + chosen[:first]:
                harness.empty(options.out / "run")
                harness.settle(limits)
                taken = [harness.measure(command) for command in row.commands]
                if number == 0:
                    continue
                for run in taken:
                    harness.record(options.results, run, reshape=row.name, set=name)
                # A C program's own clock: it leaves out what it does beforehand.
                seconds = [run.work if row.floor is None else run.wall for run in taken]
                walls[row.name].append(sum(seconds))
                cpu[row.name].append(sum(run.cpu for run in taken))
                peak[row.name].append(max(run.rss for run in taken))
        harness.empty(options.out / "run")
        lines = []
        for row in chosen:
            ratio = ""
            if row.floor:
                pairs = zip(walls[row.name], walls[row.floor])
                ratio = f"{statistics.median(mine / least for mine, least in pairs):.2f}"
            figures = [harness.spread(walls[row.name]), row.floor or "", ratio, row.bar]
            lines.append([row.name, *figures, f"{statistics.median(cpu[row.name]):.2f}", f"{max(peak[row.name]) / (1 << 20):.0f}"])
        print(f"**{name}**\n")
        print(harness.table(["", "seconds", "held against", "ratio", "bar", "cpu s", "peak MiB"], lines), end="\n\n")


if __name__ == "__main__":
    main()
