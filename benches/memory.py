"""Peak memory of shardpack against its promise: --memory and 100 bytes a file.

    python3 benches/memory.py --data DATA --out OUT

Packs a million empty files (set D), pictures (set A), and one sparse file: of 20 GB into a tar, which
needs as much disk under OUT, and of 2 GB into a TFRecord, whose readers take no larger message. Peak
is the largest resident set of the process, its own code included.
"""

import os
import sys
from pathlib import Path

import harness

MIB = 1 << 20


def runs(options):
    """(what, files, budget in MiB, flags, source)"""
    for budget in (128, 512):
        for order in ("shuffle", "source"):
            flags = ["--bare-field", "bin", "--order", order]
            yield f"D, {order}", options.data / "D", budget, flags
        yield "D, dry run", options.data / "D", budget, ["--bare-field", "bin", "--dry-run"]
    for budget in (128, 512):
        for format in ("webdataset", "tfrecord"):
            yield f"A, {format}", options.data / "A", budget, ["--format", format]
    for format, gb in [("webdataset", options.gb), ("tfrecord", min(2, options.gb))]:
        flags = ["--format", format, "--target", f"{gb + 1}GB"]
        yield f"one file of {gb} GB, {format}", sparse(options, gb), 128, flags


def sparse(options, gb: int) -> Path:
    """A folder with one file of so many GB that takes no disk."""
    folder = harness.empty(options.out / "big")
    folder.mkdir(parents=True)
    with (folder / "one.bin").open("wb") as file:
        file.truncate(gb * 10**9)
    return folder


def main() -> None:
    arguments = harness.parser(__doc__)
    arguments.add_argument("--gb", type=int, default=20, help="size of the sparse file")
    options = arguments.parse_args()
    rows, failed = [], False
    for what, source, budget, flags in runs(options):
        out = harness.empty(options.out / "run")
        files = sum(len(names) for _, _, names in os.walk(source))
        run = harness.measure(
            [options.shardpack, "pack", source, out, "--quiet", "--memory", f"{budget}MiB", *flags], timeout=1800
        )
        harness.record(options.results, run, memory=what, budget=budget * MIB, files=files)
        promised = budget * MIB + 100 * files
        kept = run.rss <= promised
        failed |= not kept
        rows.append([
            what, f"{files:,}", budget, f"{run.rss / MIB:.0f}", f"{promised / MIB:.0f}", f"{run.wall:.1f}",
            "yes" if kept else "NO",
        ])  # fmt: skip
        print(f"{what}, {budget} MiB: {run.rss / MIB:.0f} MiB", file=sys.stderr)
    harness.empty(options.out / "run")
    harness.empty(options.out / "big")
    print(f"{harness.machine()}\n")
    print(harness.table(["", "files", "--memory MiB", "peak MiB", "promised MiB", "seconds", "kept"], rows))
    sys.exit(failed)


if __name__ == "__main__":
    main()
