"""The simulation beside measured runs: channels in each mode, under latency and bandwidth that are known.

    cargo build --release -p shardpack -p shardpack-testkit --bins
    python3 benches/data.py DATA
    python3 benches/simulate.py --data DATA --out OUT

The testkit's S3 server waits before each answer, `--max-bandwidth` limits the link, and `shardpack
simulate` is told of both and of nothing else but how the agent asks: requests of 8 MiB, and how many
it has under way. File is measured until the command starts. FastFile and Pipe are read by `cat`, less
the time of a run that reads nothing.
"""

import json
import shutil
import statistics
import subprocess
from pathlib import Path

import harness
import s3

MODES = {
    # In File and Pipe requests do not wait for what comes before them: 64 and 8 are under way. A mount
    # has four when one file is read on, and files that are shorter than its first block one by one.
    "File": (["--mode", "file", "--in-flight", "64"], ["true"]),
    "FastFile": (["--mode", "fastfile", "--in-flight", "4", "--ahead", "32MiB"], ["sh", "-c", 'exec cat "$0"/ml/input/data/train/* >/dev/null']),
    "Pipe": (["--mode", "pipe", "--in-flight", "8"], ["sh", "-c", 'exec cat "$0"/ml/input/data/train_0 >/dev/null']),
}


def run(options, uri: str, mode: str, rate: str, command: list) -> float:
    """Seconds of a job with one channel."""
    root = harness.empty(options.out / "run")
    root.mkdir()
    spec = f"train={uri},mode={mode}"
    argv = [options.shardpack, "channels", "run", "--quiet", "--root", root / "ml", "--max-bandwidth", rate, "--channel", spec, "--", *command, root]
    return harness.measure(argv).wall


def measured(options, uri: str, mode: str, rate: str) -> float:
    _, command = MODES[mode]
    times = []
    for _ in range(options.rounds):
        idle = 0.0 if mode == "File" else run(options, uri, mode, rate, ["true"])
        times.append(run(options, uri, mode, rate, command) - idle)
    return statistics.median(times)


def simulated(options, source: Path, mode: str, rate: str, latency: int) -> float:
    flags, _ = MODES[mode]
    if mode == "FastFile" and source.name == "files":
        flags = ["--mode", "fastfile", "--in-flight", "1", "--ahead", "0"]
    link = ["--latency", f"{latency}ms", "--bandwidth", f"{rate}/s", "--stream", "10GB/s", "--total", "10GB/s", "--request", "8MiB", "--start", f"{latency}ms"]  # one request lists
    argv = [options.shardpack, "simulate", source, *flags, *link, "--json"]
    told = json.loads(subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True).stdout)["run"]
    return told["start"] if mode == "File" else told["epoch"]


def main() -> None:
    arguments = s3.arguments(__doc__)
    options = arguments.parse_args()
    s3.prepare(options)
    files, shards = options.out / "files", options.out / "sim" / "shards"
    if not shards.exists():
        for folder in sorted((options.data / "A").iterdir())[:2]:
            shutil.copytree(folder, files, dirs_exist_ok=True)
        folders = [f"--include={folder.name}/**" for folder in sorted((options.data / "A").iterdir())[:10]]
        subprocess.run([options.shardpack, "pack", options.data / "A", shards.parent, "--target", "40MB", "--quiet", *folders], check=True)
    rows, worst = [], 0.0
    for latency, rate in ((20, "100MB"), (100, "100MB"), (100, "400MB")):
        with s3.serving(options, s3.root_of(options, files=files, shards=shards), latency) as _:
            for name, source in (("files", files), ("shards", shards)):
                for mode in MODES:
                    real = measured(options, f"s3://{s3.BUCKET}/{name}/", mode, rate)
                    told = simulated(options, source, mode, rate, latency)
                    worst = max(worst, abs(told / real - 1))
                    rows.append([mode, f"{sum(1 for _ in source.iterdir())} {name}", f"{latency} ms", f"{rate}/s", f"{real:.2f}", f"{told:.2f}", f"{told / real:.2f}"])
    print(harness.table(["mode", "objects", "latency", "bandwidth", "measured s", "simulated s", "ratio"], rows))
    print(f"\nworst: {worst:.0%}")


if __name__ == "__main__":
    main()
