"""Reads each data set as a training loop does, beside the least work: a scan of the same shards.

    cargo build --release -p shardpack -p shardpack-testkit --bins
    cargo build --release -p shardpack-reader --example train
    python3 benches/data.py DATA
    python3 benches/read.py --data DATA --out OUT

Hot: all shards are in the page cache. shardpack checks the crc32c of every field in both formats; the
scan checks TFRecord's own and none of a tar's. In Pipe mode both read what `cat` writes into a FIFO,
and so have one core less. As FastFile both read a mount whose every call takes a millisecond; the
least work there is `cat`. Prints a Markdown table; ratios are of medians.
"""

import contextlib
import json
import os
import statistics
import subprocess
from pathlib import Path

import harness

FORMATS = {"webdataset": ("tar", "*.tar"), "tfrecord": ("tfrecord", "*.tfrecord")}


def commands(options, place: Path, format: str):
    """(name, number of threads, command)"""
    kind, pattern = FORMATS[format]
    files = sorted((place / "shards").glob(pattern))
    train = options.shardpack.parent / "examples/train"
    scan = harness.compiled("scan", options.out)
    for threads in (1, 2):
        yield "least work", threads, [scan, kind, threads, *files]
    for shuffle in ([], ["--shuffle", "off"]):
        name = "shardpack, no shuffle" if shuffle else "shardpack"
        # With 0 the loop's own thread reads, so that there is one.
        for threads, flag in ((1, "0"), (2, "2")):
            yield name, threads, [train, place, "--threads", flag, *shuffle]


def channel(options, place: Path) -> Path:
    """The folder of a container whose channel `train` is a FIFO."""
    base = options.out / "read-channel"
    (base / "input/config").mkdir(parents=True, exist_ok=True)
    (base / "input/data").mkdir(parents=True, exist_ok=True)
    config = {"TrainingInputMode": "Pipe", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    (base / "input/config/inputdataconfig.json").write_text(json.dumps({"train": config}))
    (base / "input/config/resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
    return base


def piped(options, place: Path, format: str, ours: bool) -> harness.Run:
    """One epoch through a FIFO."""
    base = channel(options, place)
    fifo = base / "input/data/train_0"
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    files = sorted((place / "shards").glob(FORMATS[format][1]))
    writer = subprocess.Popen(["sh", "-c", 'exec cat "$@" >"$0"', fifo, *files])
    try:
        if not ours:
            return harness.measure([harness.compiled("scan", options.out), "drain", fifo])
        train = options.shardpack.parent / "examples/train"
        container = ["env", f"SAGEMAKER_BASE_DIR={base}"]
        return harness.measure([*container, train, "--channel", "train", "--manifest", place])
    finally:
        writer.kill()
        writer.wait()


@contextlib.contextmanager
def mounted(options, place: Path):
    """The shards on a mount that behaves like FastFile."""
    at = options.out / "read-mount"
    at.mkdir(exist_ok=True)
    command = [options.shardpack.parent / "fuse-mount", place / "shards", at, "--latency-ms", "1"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if server.stdout.readline() != b"mounted\n":
            raise RuntimeError("no FUSE here")
        yield at
    finally:
        server.stdin.close()
        server.wait()


def fastfile(options, place: Path, ours: bool) -> harness.Run:
    """One epoch from a mount that nobody has read before."""
    with mounted(options, place) as at:
        train = options.shardpack.parent / "examples/train"
        copy = ["sh", "-c", 'exec cat "$0"/* >/dev/null', at]
        return harness.measure([train, at, "--manifest", place] if ours else copy)


def main() -> None:
    arguments = harness.parser(__doc__)
    arguments.add_argument("--sets", default="A,B,C")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--mount", default="A", help="sets that are read from a mount too")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(harness.machine(), end="\n\n")
    rows = []
    for set in options.sets.split(","):
        for format in FORMATS:
            place = harness.packed(options, set, format)
            runs = {}
            for _ in range(options.rounds + 1):  # the first fills the page cache
                for name, threads, command in commands(options, place, format):
                    runs.setdefault((name, threads), []).append(harness.measure(command))
                for name, ours in (("FIFO, least work", False), ("FIFO, shardpack", True)):
                    runs.setdefault((name, 1), []).append(piped(options, place, format, ours))
                if set in options.mount.split(","):
                    for name, ours in (("mount, least work", False), ("mount, shardpack", True)):
                        runs.setdefault((name, 1), []).append(fastfile(options, place, ours))
            for (name, threads), taken in runs.items():
                for run in taken[1:]:
                    harness.record(options.results, run, read=name, set=set, format=format, threads=threads)
                walls = [run.wall for run in taken[1:]]
                kind = name.split(",")[0]
                least = f"{kind}, least work" if kind in ("FIFO", "mount") else "least work"
                floor = runs[least, threads]
                ratio = statistics.median(walls) / statistics.median(run.wall for run in floor[1:])
                cpu = statistics.median(run.cpu for run in taken[1:])
                peak = max(run.rss for run in taken[1:]) / (1 << 20)
                rows.append([set, format, name, threads, harness.spread(walls), f"{ratio:.2f}", f"{cpu:.2f}", f"{peak:.0f}"])
    print(harness.table(["set", "format", "", "threads", "seconds", "of least", "cpu s", "peak MiB"], rows))


if __name__ == "__main__":
    main()
