"""Packs from a file system on which every call takes 2 ms: does --io-depth hide the waiting?

    python3 benches/slow_source.py --data DATA --out OUT          # as root: it mounts

The source is set B (or --set) behind slow.c, a FUSE server that answers look-ups, attributes, opens and reads late, mounted afresh for every
run so that the kernel knows nothing from the run before.
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
from pathlib import Path

import harness

MOST = 256
"""Threads of the least-work reader: as many as it can have, half of what slow.c serves at once."""


@contextmanager
def mounted(options, folder: Path):
    """`folder` behind the slow server."""
    mount = options.out / "mount"
    mount.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen([harness.compiled("slow", options.out), folder, mount, str(options.microseconds)])
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
    arguments.add_argument("--depths", default="1,8,64,128,256")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    limits = harness.compiled("limits", options.out)
    out = options.out / "run"
    one = part_of(options.data / options.set, options.out, 1)
    loop = rate(options, one, lambda mount: [limits, "readall", mount, "1"], 1, "sequential loop")
    shallow = rate(options, one, lambda mount: shardpack(options, mount, out, 1), 1, "depth 1")
    source = part_of(options.data / options.set, options.out, options.folders)
    results = [("sequential loop", loop), ("shardpack --io-depth 1", shallow)]
    for depth in [int(depth) for depth in options.depths.split(",") if depth != "1"]:
        name = f"shardpack --io-depth {depth}"
        results.append((name, rate(options, source, lambda mount: shardpack(options, mount, out, depth), options.rounds, name)))
    name = f"the loop in {MOST} threads"
    results.append((name, rate(options, source, lambda mount: [limits, "readall", mount, str(MOST)], options.rounds, name)))
    shutil.rmtree(options.out / "part")
    print(f"{harness.machine()}; {options.microseconds} us a call; set {options.set}, {options.folders} folders\n")
    rows = []
    for name, rates in results:
        median = statistics.median(rates)
        rows.append([name, f"{median:,.0f} ({min(rates):,.0f}-{max(rates):,.0f})", f"{median / loop[0]:.1f}"])
    print(harness.table(["", "files/s", "x sequential loop"], rows))


def shardpack(options, source: Path, out: Path, depth: int) -> list:
    return [options.shardpack, "pack", source, out, "--quiet", "--no-fsync", "--io-depth", depth]


if __name__ == "__main__":
    main()
