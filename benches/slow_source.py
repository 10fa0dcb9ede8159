"""Packs from a file system on which every call takes 2 ms: does --io-depth hide the waiting?

    python3 benches/slow_source.py --data DATA --out OUT          # as root: it mounts

The source is set B (or --set) behind slow.c, a FUSE server that answers look-ups, attributes, opens
and reads late, mounted afresh for every run so that the kernel knows nothing from the run before.
Held against a sequential loop over the first folder (list, then open, fstat, read and close one by
one), and shown beside the same loop in many threads: what this source gives at most.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import harness

MOST = 256
"""Threads of the least-work reader: as many as it can have."""


@contextmanager
def mounted(options, folder: Path):
    """`folder` behind the slow server."""
    mount = options.out / "mount"
    mount.mkdir(parents=True, exist_ok=True)
    argv = [harness.compiled("slow", options.out), folder, mount, str(options.microseconds)]
    server = subprocess.Popen(argv, start_new_session=True, preexec_fn=harness.first_in_line)
    try:
        while not os.path.ismount(mount):
            if server.poll() is not None:
                sys.exit("slow.c could not mount: root and /dev/fuse are needed")
            time.sleep(0.01)
        yield mount
    finally:
        subprocess.run(["umount", mount], check=False)
        server.wait()


def part_of(folder: Path, out: Path, folders: int) -> Path:
    """A copy of the first folders of a set: the sequential loop would take an hour for all of it."""
    part = harness.empty(out / "part")
    for source in sorted(folder.iterdir())[:folders]:
        shutil.copytree(source, part / source.name)
    return part


def rate(options, source: Path, argv, rounds: int, name: str) -> list[float]:
    """Files a second, of each round."""
    files = sum(len(names) for _, _, names in os.walk(source))
    rates = []
    for _ in range(rounds):
        harness.empty(options.out / "run")
        with mounted(options, source) as mount:
            run = harness.measure(argv(mount))
        harness.record(options.results, run, slow=name, files=files, microseconds=options.microseconds)
        rates.append(files / run.wall)
    print(f"{name}: {files} files, {max(rates):.0f} files/s", file=sys.stderr)
    return rates


def main() -> None:
    arguments = harness.parser(__doc__)
    arguments.add_argument("--set", default="B")
    arguments.add_argument("--folders", type=int, default=20, help="folders of the set to pack")
    arguments.add_argument("--microseconds", type=int, default=2000, help="what a call takes")
    arguments.add_argument("--depths", default="8,64,128,256")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    limits = harness.compiled("limits", options.out)
    out = options.out / "run"
    results = {}

    def compare(name: str, argv, rounds: int) -> None:
        results[name] = rate(options, part, argv, rounds, name)

    part = part_of(options.data / options.set, options.out, 1)
    compare("sequential loop", lambda mount: [limits, "readall", mount, "1"], 1)
    compare("shardpack --io-depth 1", partial(shardpack, options, out, 1), 1)
    part = part_of(options.data / options.set, options.out, options.folders)
    for depth in options.depths.split(","):
        compare(f"shardpack --io-depth {depth}", partial(shardpack, options, out, depth), options.rounds)
    compare(f"the loop in {MOST} threads", lambda mount: [limits, "readall", mount, str(MOST)], options.rounds)
    shutil.rmtree(part)
    print(f"{harness.machine()}; {options.microseconds} us a call; set {options.set}, {options.folders} folders\n")
    rows, [alone] = [], results["sequential loop"]
    for name, rates in results.items():
        median = statistics.median(rates)
        rows.append([name, f"{median:,.0f} ({min(rates):,.0f}-{max(rates):,.0f})", f"{median / alone:.1f}"])
    print(harness.table(["", "files/s", "x sequential loop"], rows))


def shardpack(options, out: Path, depth: int | str, source: Path) -> list:
    return [options.shardpack, "pack", source, out, "--quiet", "--no-fsync", "--io-depth", depth]


if __name__ == "__main__":
    main()
