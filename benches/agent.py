"""Brings channels up in each input mode, beside the tools that only copy, mount or write FIFOs.

    cargo build --release -p shardpack -p shardpack-testkit --bins
    cargo build --release -p shardpack-reader --example train
    python3 benches/data.py DATA
    python3 benches/agent.py --data DATA --out OUT --peers VENV/bin

File and FastFile read from the testkit's S3 server, on loopback and in memory; Pipe from files of this
machine, so that the least work is what the kernel alone can do. In each table the first row is the
one that ratios are of. A channel is up, used and taken down again in each run: `channels run`.
`--mount COMMAND` adds a mount of someone else's to FastFile: it is called with the endpoint, the
bucket, the prefix and an empty folder, and must end when its standard input does.
"""

import os
import shlex
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import harness
import s3

READ_ALL = ["sh", "-c", 'exec cat "$0"/*.tar >/dev/null']


def channel(options, spec: str, command: list) -> list:
    """A job of one channel, `train`, in a folder of its own."""
    root = options.out / "run" / "ml"
    return [options.shardpack, "channels", "run", "--quiet", "--root", root, "--channel", f"train={spec}", "--", *command]


def files(options) -> None:
    """File mode: objects to files."""
    for name, folder, title in (("A", options.data / "A", "20,000 objects of 110 KB"), ("set", s3.packed(options) / "shards", "15 shards of 150 MB")):
        with s3.serving(options, s3.root_of(options, **{name: folder}), 0, "--md5") as server:
            uri, out = f"s3://{s3.BUCKET}/{name}", options.out / "run"
            commands = s3.copies(options, uri, lambda _: out)  # noqa: B023
            commands.append(("shardpack channels, File", lambda _: channel(options, f"{uri}/,mode=File", ["true"])))  # noqa: B023
            rows = s3.compare(options, server, commands, s3.size(folder) / 1e9, f"File: {title}")
            ratios(rows, "shardpack")


def fast(options) -> None:
    """FastFile: every shard from end to end, one after another."""
    shards = s3.packed(options)
    at, train = options.out / "run/ml/input/data/train", options.shardpack.parent / "examples/train"
    with s3.serving(options, s3.root_of(options, set=shards), 0, "--md5") as server:
        uri = f"s3://{s3.BUCKET}/set"
        spec = f"{uri}/shards/,mode=FastFile"
        one = [options.server.parent / "s3-read", f"{uri}/shards", 1]
        commands: list[tuple[str, Callable]] = [
            ("the store itself, a shard after the other", lambda _: one),
            ("cat, FastFile", lambda _: channel(options, spec, [*READ_ALL, at])),
            ("reader, s3:// itself", lambda _: [train, uri]),
            ("reader, FastFile", lambda _: channel(options, spec, [train, "--channel", "train", "--manifest", shards])),
        ]
        if options.mount:
            other = options.out / "other"
            other.mkdir(exist_ok=True)
            with mounted(options, server.endpoint, other):
                commands.append(("cat, the other mount", lambda _: [*READ_ALL, other]))
                rows = s3.compare(options, server, commands, s3.size(shards / "shards") / 1e9, "FastFile: 15 shards of 150 MB")
        else:
            rows = s3.compare(options, server, commands, s3.size(shards / "shards") / 1e9, "FastFile: 15 shards of 150 MB")
        ratios(rows, "")


@contextmanager
def mounted(options, endpoint: str, at: Path):
    command = [*shlex.split(options.mount), endpoint, s3.BUCKET, "set/shards/", at]
    server = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        server.stdout.readline()  # it says when it is mounted
        yield
    finally:
        server.stdin.close()
        server.wait()


def pipe(options) -> None:
    """Pipe: from this machine's page cache through one FIFO, drained by a program that does nothing."""
    shards = s3.packed(options) / "shards"
    scan, fifo = harness.compiled("scan", options.out), options.out / "run" / "fifo"
    names = " ".join(shlex.quote(str(file)) for file in sorted(shards.glob("*.tar")))
    ours = options.out / "run/ml/input/data/train_0"

    def least(feed: str) -> list:
        return ["sh", "-c", f"mkdir -p {fifo.parent}; mkfifo {fifo}; {feed} & exec {scan} drain {fifo}"]

    def agent(flags: str) -> list:
        return channel(options, f"{shards},mode=Pipe{flags}", [scan, "drain", ours])

    commands = [
        ("splice, in C", lambda _: least(f"{scan} feed {fifo} {names}")),
        ("cat: write and read", lambda _: least(f"cat {names} > {fifo}")),
        ("shardpack channels, unchanged", lambda _: agent("")),
        ("shardpack channels, RecordIO", lambda _: agent(",wrapper=RecordIO")),
    ]
    with s3.serving(options, None) as server:  # stands idle: `compare` tells of one
        rows = s3.compare(options, server, commands, s3.size(shards) / 1e9, "Pipe: 15 shards of 150 MB")
    ratios(rows, "shardpack")


def ratios(rows: list[s3.Row], ours: str) -> None:
    """What each of our rows takes of the others, by medians."""
    medians = {row.name: s3.statistics.median(row.walls) for row in rows}
    for name in (name for name in medians if name.startswith(ours)):
        of = [f"{other} {medians[other] / medians[name]:.0%}" for other in medians if other != name]
        print(f"- rate of `{name}` as a share of: {', '.join(of)}")
    print(flush=True)


def main() -> None:
    arguments = s3.arguments(__doc__)
    arguments.add_argument("--mount", help="command that mounts ENDPOINT BUCKET PREFIX FOLDER")
    arguments.add_argument("--only", default="files,fast,pipe", help="of files, fast, pipe")
    options = arguments.parse_args()
    s3.prepare(options)
    for part in options.only.split(","):
        {"files": files, "fast": fast, "pipe": pipe}[part](options)


if __name__ == "__main__":
    main()
