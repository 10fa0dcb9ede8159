"""What the benchmarks share: one command measured by itself, the page cache, medians, tables.

Python 3.11, standard library only; Linux. As root a run also gets the processor before other
sessions and can start with an empty page cache.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0))


def parser(doc: str) -> argparse.ArgumentParser:
    """Arguments that every benchmark takes: its places and the binary."""
    target = os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")
    arguments = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True, help="folder that data.py filled")
    arguments.add_argument("--out", type=Path, required=True, help="scratch folder on the disk to measure")
    arguments.add_argument("--shardpack", type=Path, default=Path(target) / "release/shardpack", help="a release build")
    arguments.add_argument("--results", type=Path, help="append one JSON line a run to this file")
    return arguments


def compiled(name: str, out: Path) -> Path:
    """The C program `name`.c, compiled for this machine."""
    binary, source = out / "bin" / name, HERE / f"{name}.c"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O3", "-march=native", "-pthread", "-o", binary, source], check=True)
    return binary


@dataclass
class Run:
    """One run of one command, from start to exit."""

    wall: float
    """Seconds; with `durable`, until the disk has everything."""
    cpu: float
    """Seconds of processor, of the command and all processes it waited for."""
    rss: int
    """Largest resident memory of any one of its processes, in bytes, mapped files included."""
    work: float
    """Seconds without start-up where the command reports them ({"seconds": ...}), else `wall`."""
    others: float
    """Share of the cores that the rest of the machine took meanwhile, its kernel threads included."""
    stdout: str


def first_in_line() -> None:
    """For a new session: Linux shares the processor between sessions before it looks at niceness."""
    try:
        Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        pass


def measure(argv: list, durable: Path | None = None, timeout: float = 900) -> Run:
    """Runs a command in a session of its own; with `durable`, until that file system is synced."""

    everyone, start = machine_cpu(), time.monotonic()
    process = subprocess.Popen(
        list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, preexec_fn=first_in_line,
    )  # fmt: skip
    # Read by threads, not by communicate(): it would reap the process without its resource usage.
    streams = [[], []]
    readers = [
        threading.Thread(target=lambda into, stream: into.append(stream.read()), args=pair)
        for pair in zip(streams, (process.stdout, process.stderr))
    ]
    watchdog = threading.Timer(timeout, lambda: os.killpg(process.pid, signal.SIGKILL))
    for thread in [*readers, watchdog]:
        thread.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    watchdog.cancel()
    for reader in readers:
        reader.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {''.join(streams[1])[-400:]}")
    if durable:
        subprocess.run(["sync", "-f", durable], check=True)
        wall = time.monotonic() - start
    stdout, cpu = "".join(streams[0]), usage.ru_utime + usage.ru_stime
    others = max(0.0, machine_cpu() - everyone - cpu) / (time.monotonic() - start) / CORES
    own = reported(stdout).get("seconds", wall)
    return Run(wall, cpu, usage.ru_maxrss * 1024, wall if durable else own, others, stdout)


def machine_cpu() -> float:
    """Seconds that all cores have been at work since the start of the machine."""
    user, nice, system, *_ = map(int, proc("stat")[0].split()[1:])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def reported(stdout: str) -> dict:
    """The JSON object in the last line of a command's output, or an empty one."""
    try:
        value = json.loads(stdout.strip().rpartition("\n")[2])
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def packed(options, name: str, format: str) -> Path:
    """Data set `name` in shards of 150 MB, packed once."""
    place = options.out / f"packed-{name}-{format}"
    if not (place / "manifest.json").exists():
        command = [options.shardpack, "pack", options.data / name, place, "--format", format, "--target", "150MB"]
        subprocess.run([*command, "--quiet"], check=True)
    return place


def empty(folder: Path) -> Path:
    """Removes a folder and waits for the disk, so that no run pays for what another wrote."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["sync"], check=True)
    return folder


def aside(folder: Path) -> None:
    """Moves what a run left out of the way and frees its bytes, but keeps its files until `cleared`:
    ext4 passes over inodes that were deleted in the last minutes one by one, so who makes 20,000 files
    after as many were removed takes up to eight times as long."""
    if folder.exists():
        kept = folder.parent / "aside" / str(time.monotonic_ns())
        kept.parent.mkdir(exist_ok=True)
        folder.rename(kept)
        for file in kept.rglob("*"):
            if file.is_file() and not file.is_symlink():
                os.truncate(file, 0)
    subprocess.run(["sync"], check=True)


def cleared(out: Path) -> None:
    """Removes what was moved aside."""
    empty(out / "aside")


def drop_caches() -> None:
    """Empties the page cache and the caches of names; root only."""
    subprocess.run(["sync"], check=True)
    Path("/proc/sys/vm/drop_caches").write_text("3")


def settle(limits: Path) -> None:
    """Faults two fifths of the memory that is available in and gives it back: a virtual machine that
    returns freed pages to its host pays for them again at the next touch, up to a second for what a run
    writes. Less than that, 3.5 GiB of 24, was seen to leave pieces that had been returned among others."""
    available = next(line for line in proc("meminfo") if line.startswith("MemAvailable:"))
    mib = int(available.split()[1]) * 2 // 5 >> 10
    subprocess.run([limits, "touch", str(mib)], check=True, stdout=subprocess.DEVNULL)


def record(results: Path | None, run: Run, **what) -> None:
    """Appends a run to the results file."""
    if results:
        line = what | {key: value for key, value in vars(run).items() if key != "stdout"} | {"at": int(time.time())}
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")


def spread(values: list[float]) -> str:
    """Median (smallest-largest)."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table with columns of equal width."""
    cells = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """One line about the machine, for the head of a report."""
    models = (line.split(":")[1].strip() for line in proc("cpuinfo") if line.startswith("model name"))
    memory = int(proc("meminfo")[0].split()[1]) / (1 << 20)
    kernel, load, day = os.uname().release, os.getloadavg()[0], time.strftime("%Y-%m-%d")
    return f"{CORES} x {next(models, '?')}, {memory:.0f} GiB, Linux {kernel}, load {load:.1f}, {day}"


def proc(name: str) -> list[str]:
    """The lines of a file of the kernel's."""
    return Path("/proc", name).read_text().splitlines()
