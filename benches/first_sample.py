#!/usr/bin/env python3
"""Time from the start of a training program to its first sample, by number of shards.

    cargo build --release -p shardpack && cargo build --release -p shardpack-reader --example train
    python3 benches/first_sample.py --out OUT

Local shards of 64 small samples each, hot, shuffled in windows of as many: so each of eight lanes
begins in one shard, as it does where shards have their usual size. What grows with the number of
shards is the manifest and the listing. Prints a Markdown table of the median and the best of the
runs; the bar is 50 ms."""

import argparse
import io
import pathlib
import re
import statistics
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLES = 64


def dataset(out: pathlib.Path, bin: pathlib.Path, shards: int) -> pathlib.Path:
    """Makes a dataset of so many shards, unless it is there."""
    place = out / f"shards-{shards}"
    if (place / "manifest.json").is_file():
        return place
    source = out / f"source-{shards}.tar"
    with tarfile.open(source, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(shards * SAMPLES):
            body = b"%d" % number * 20
            entry = tarfile.TarInfo(f"{number // 1000:03}/{number % 1000:03}.txt")
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    subprocess.run(
        [bin / "shardpack", "pack", source, place, "--quiet"]
        + ["--format", "tfrecord", "--max-samples", str(SAMPLES)],
        check=True,
    )
    return place


def first_sample(bin: pathlib.Path, place: pathlib.Path) -> float:
    """Milliseconds, as the program tells them."""
    command = [bin / "examples/train", place, "--shuffle", f"window:{SAMPLES}:shard"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(re.search(r"first sample after ([\d.]+) ms", run.stderr).group(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--shards", default="10,100,1000,10000")
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print("| shards | median ms | best ms |\n|---:|---:|---:|")
    for shards in map(int, args.shards.split(",")):
        place = dataset(args.out, args.bin, shards)
        first_sample(args.bin, place)  # what is read is in memory from here on
        times = [first_sample(args.bin, place) for _ in range(args.rounds)]
        print(f"| {shards} | {statistics.median(times):.1f} | {min(times):.1f} |", flush=True)


if __name__ == "__main__":
    main()
