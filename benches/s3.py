"""Packs from S3, packs to S3 and reads it, beside the tools that copy: s5cmd, AWS CLI, rclone.

    python3 benches/data.py DATA
    cargo build --release -p shardpack -p shardpack-testkit
    python3 benches/s3.py --data DATA --out OUT --peers VENV/bin
    python3 benches/s3.py --data DATA --out OUT --only list     # a million keys
    python3 benches/s3.py --data DATA --out OUT --only depth    # what --io-depth is worth

All against the same server, `s3-server` of the testkit, on loopback and in memory. It takes processor
time that the clients then lack, the same for each of them; its share stands in a column of its own.
A peer's download is the first half of its job: the local pack that must follow is a row of its own.
"""

import argparse
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import harness

BUCKET = "bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
"""Those of the test server."""
READS = {"shardpack's store, whole shards, 4 threads": (4,), "shardpack's store, ranges of 8 MiB, 16 threads": (16, 8)}
"""Reads by `s3-read` of the testkit, which does nothing with the bytes."""
CRT = "[default]\ns3 =\n    preferred_transfer_client = crt\n"


class Server(NamedTuple):
    process: subprocess.Popen
    endpoint: str

    def cpu(self) -> float:
        """Seconds of processor so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(options, root: Path | None, latency: int = 0, *flags: str):
    """A server with what lies below `root` as its buckets."""
    argv = [options.server, "--latency-ms", str(latency), *(["--root", root] if root else []), *flags]
    process = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=harness.first_in_line)
    try:
        endpoint = process.stdout.readline().strip()
        if not endpoint:
            sys.exit(f"{options.server} did not start")
        os.environ |= {"AWS_ENDPOINT_URL": endpoint, "S3_ENDPOINT_URL": endpoint}  # s5cmd has a name of its own
        yield Server(process, endpoint)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def root_of(options, **folders: Path) -> Path:
    """A folder whose bucket holds these folders."""
    root = harness.empty(options.out / "root")
    (root / BUCKET).mkdir(parents=True)
    for name, folder in folders.items():
        (root / BUCKET / name).symlink_to(folder.resolve())
    return root


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def copies(options, source: str, out: Callable) -> list[tuple[str, Callable]]:
    """How each peer copies a prefix to a folder, or a folder to a prefix, which `out` tells."""
    everything = f"{source}/*" if source.startswith("s3://") else f"{source}/"

    def s5cmd(depth: int) -> Callable:
        flags = ["--numworkers", depth, "--log", "error", "cp", "--concurrency", "8", "--part-size", "8"]
        return lambda n: [options.peers / "s5cmd", *flags, everything, f"{out(n)}/"]

    def aws(n: int) -> list:
        return [options.peers / "aws", "s3", "cp", "--recursive", "--only-show-errors", f"{source}/", f"{out(n)}/"]

    def rclone(n: int) -> list:
        remote = ":s3,provider=Other,force_path_style=true,env_auth=true:"
        places = [str(place).replace("s3://", remote) for place in (source, out(n))]
        flags = ["--s3-endpoint", os.environ["AWS_ENDPOINT_URL"], "--transfers", "64", "--checkers", "64"]
        if not source.startswith("s3://"):
            flags.append("--ignore-checksum")  # the server's MD5 of all it is sent would be in everyone's figures
        return [options.peers / "rclone", "copy", *flags, *places]

    known = [("s5cmd, 64 workers", "s5cmd", s5cmd(64)), ("s5cmd, 256 workers", "s5cmd", s5cmd(256)), ("aws s3 cp, CRT", "aws", aws), ("rclone, 64 transfers", "rclone", rclone)]
    wanted = [row for row in known if not options.without or options.without not in row[0]]
    return [(name, argv) for name, tool, argv in wanted if options.peers and (options.peers / tool).exists()]


@dataclass
class Row:
    name: str
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    servers: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    def add(self, other: "Row") -> None:
        for mine, others in ((self.walls, other.walls), (self.cpus, other.cpus), (self.servers, other.servers), (self.peaks, other.peaks)):
            mine.extend(others)


def compare(options, server: Server, commands: list[tuple[str, Callable]], gigabytes: float | None, title: str, rounds: int = 0) -> list[Row]:
    """Each command once a round, each round starting with another one. A command is made of a number
    that no other run has, for those that need a place of their own."""
    rows = {name: Row(name) for name, _ in commands}
    runs = itertools.count()
    for number in range(rounds or options.rounds):
        turn = number % len(commands)
        for name, argv in commands[turn:] + commands[:turn]:
            if name not in rows:
                continue
            harness.aside(options.out / "run")
            harness.settle(harness.compiled("limits", options.out))
            before = server.cpu()
            try:
                run = harness.measure(argv(next(runs)))
            except RuntimeError as error:
                print(f"{title}: {name}: {error}", file=sys.stderr)
                del rows[name]
                continue
            served = server.cpu() - before
            harness.record(options.results, run, s3=title, name=name, server_cpu=served)
            row = rows[name]
            row.walls.append(run.wall), row.cpus.append(run.cpu), row.servers.append(served), row.peaks.append(run.rss)
            print(f"{title}: {name}: {run.wall:.2f} s, {run.cpu:.2f} cpu s", file=sys.stderr)
    harness.aside(options.out / "run")
    harness.cleared(options.out)
    table(title, list(rows.values()), gigabytes)
    return list(rows.values())


def table(title: str, rows: list[Row], gigabytes: float | None) -> None:
    """Processor time is told for a gigabyte, or for the run where there are none."""
    unit, of = ("", 1) if gigabytes is None else ("/GB", gigabytes)
    head = [title, "seconds", f"cpu s{unit}", f"server cpu s{unit}", "peak MiB"]
    lines = [
        [row.name, harness.spread(row.walls), f"{statistics.median(row.cpus) / of:.2f}",
         f"{statistics.median(row.servers) / of:.2f}", max(row.peaks) >> 20]
        for row in rows
    ]  # fmt: skip
    print("\n" + harness.table(head, lines) + "\n", flush=True)


def pack(options, source, out, *flags, jobs=harness.CORES) -> list:
    return [options.shardpack, "pack", source, out, "--no-fsync", "--quiet", "--jobs", jobs, *flags]


def depths(options, uri: str, usual=(16, 64, 128)) -> list[tuple[str, Callable]]:
    """A pack to local shards with each number of requests under way."""
    out = options.out / "run"
    return [(f"shardpack pack, --io-depth {d}", lambda _, d=d: pack(options, uri, out, "--io-depth", d)) for d in options.depths or usual]


def raw(options, server: Server, shards: Path) -> list[tuple[str, Callable]]:
    """The same shards by the least program, with a few numbers of connections."""
    paths = [f"/{BUCKET}/set/{file.relative_to(shards)}" for file in sorted((shards / "shards").rglob("*")) if file.is_file()]
    address, binary = server.endpoint.removeprefix("http://"), harness.compiled("ranges", options.out)
    return [(f"raw ranged HTTP client, {n} connections", lambda _, n=n: [binary, address, n, 8, *paths]) for n in (4, 8, 16)]


def sent(server: Server, shards: Path, at_once: int) -> Callable:
    """The same shards sent by curl, one request each, unsigned and unchecked."""
    line = 'to=$1; shift; printf "%s\\0" "$@" | xargs -0 -P $0 -I FILE curl -sf -H Expect: -o /dev/null -T FILE "$to"'
    found = sorted((shards / "shards").iterdir())
    return lambda n: ["sh", "-c", line, at_once, f"{server.endpoint}/{BUCKET}/{n}/", *found]


def against(rows: list[Row], ours: str, yardstick: str) -> None:
    """One row's rate as a share of the best one's whose name starts with `yardstick`."""
    medians = {row.name: statistics.median(row.walls) for row in rows}
    best = min(wall for name, wall in medians.items() if name.startswith(yardstick))
    print(f"{ours}: {best / medians[ours]:.0%} of the rate of the {yardstick} client\n")


def small(options) -> None:
    """20,000 objects of 110 KB to local shards."""
    source, out, uri = options.data / "A", options.out / "run", f"s3://{BUCKET}/A"
    with serving(options, root_of(options, A=source), 0, "--md5") as server:
        commands = [*depths(options, f"{uri}/"), *copies(options, uri, lambda _: out)]
        commands.append(("shardpack pack of a local copy", lambda _: pack(options, source, out)))
        compare(options, server, commands, size(source) / 1e9, "20,000 objects of 110 KB")


def part_of_a(options) -> Path:
    part = harness.empty(options.out / "part")
    for folder in sorted((options.data / "A").iterdir())[: options.folders]:
        shutil.copytree(folder, part / folder.name)
    return part


def files(folder: Path) -> int:
    return sum(1 for file in folder.rglob("*") if file.is_file())


def far(options) -> None:
    """A part of them, from a server that takes 20 ms for every request."""
    part = part_of_a(options)
    with serving(options, root_of(options, A=part), latency=20) as server:
        uri, out = f"s3://{BUCKET}/A/", options.out / "run"
        loop = ("one request at a time", lambda _: pack(options, uri, out, "--io-depth", 1, jobs=1))
        rows = compare(options, server, [loop, *depths(options, uri)], size(part) / 1e9, f"{files(part):,} objects, 20 ms a request")
        for row in rows[1:]:
            print(f"{row.name}: {statistics.median(rows[0].walls) / statistics.median(row.walls):.1f} times the loop")


def packed(options) -> Path:
    """Set A in shards of 150 MB, made once."""
    shards = options.out / "shards"
    if not (shards / "manifest.json").exists():
        harness.measure(pack(options, options.data / "A", harness.empty(shards)))
    return shards


def large(options) -> None:
    """Shards of 150 MB, down and up."""
    shards, out, uri = packed(options), options.out / "run", f"s3://{BUCKET}/set"
    gigabytes = size(shards / "shards") / 1e9
    with serving(options, root_of(options, set=shards), 0, "--md5", "--anonymous") as server:
        verify = ("shardpack verify: reads and checks all", lambda _: [options.shardpack, "verify", uri, "--quiet"])
        reader = options.server.parent / "s3-read"
        ours = [(name, lambda _, flags=flags: [reader, f"{uri}/shards", *flags]) for name, flags in READS.items()]
        commands = [*raw(options, server, shards), *ours, verify, *copies(options, f"{uri}/shards", lambda _: out)]
        rows = compare(options, server, commands, gigabytes, "GET of 150 MB shards")
        for name in (*READS, verify[0]):
            against(rows, name, "raw")
    place = lambda n: f"s3://{BUCKET}/{n}"  # noqa: E731
    merge = ("shardpack merge, of finished shards", lambda n: [options.shardpack, "merge", shards, place(n), "--quiet"])
    rows = {}
    for _ in range(options.rounds):  # a server each: what was sent stays in its memory
        with serving(options, None, 0, "--anonymous") as server:
            commands = [("shardpack pack, local to S3", lambda n: pack(options, options.data / "A", place(n))), merge]
            commands += [(f"raw HTTP client: curl, {n} at once", sent(server, shards, n)) for n in (2, 4, 8)]
            commands += copies(options, str(shards / "shards"), place)
            for row in compare(options, server, commands, gigabytes, "PUT of 150 MB shards", rounds=1):
                rows.setdefault(row.name, Row(row.name)).add(row)
    table("PUT of 150 MB shards, all rounds", list(rows.values()), gigabytes)
    for name in (commands[0][0], merge[0]):
        against(list(rows.values()), name, "raw")


def listing(options) -> None:
    """A million keys, in a thousand folders and in one, near and far: the dry run of a pack."""
    count, promised = options.keys, (128 << 20) + 100 * options.keys
    for latency in (0, 20):
        for shape, folders in (("deep", 1000), ("flat", 0)):
            with serving(options, None, latency, "--keys", f"{count}/{folders}") as server:
                uri = f"s3://{BUCKET}/{shape}/"
                commands = [("shardpack pack --dry-run", lambda _, uri=uri: pack(options, uri, options.out / "run", "--dry-run"))]
                if options.peers and (options.peers / "s5cmd").exists():
                    quiet = ["sh", "-c", 'exec "$@" > /dev/null', "sh"]
                    commands.append(("s5cmd ls", lambda _, uri=uri: [*quiet, options.peers / "s5cmd", "ls", f"{uri}*"]))
                where = f"{folders:,} folders" if folders else "one folder"
                row = compare(options, server, commands, None, f"{count:,} keys in {where}, {latency} ms a request")[0]
                kept = "kept" if max(row.peaks) <= promised else "NOT KEPT"
                print(f"{max(row.peaks) >> 20} MiB at most; promised {promised >> 20} MiB: {kept}\n", flush=True)


def depth(options) -> None:
    """What requests under way are worth, near and far: one table for each latency."""
    part = part_of_a(options)
    commands = depths(options, f"s3://{BUCKET}/A/", (16, 32, 64, 128, 256))
    for latency in (0, 5, 20):
        with serving(options, root_of(options, A=part), latency) as server:
            rows = compare(options, server, commands, size(part) / 1e9, f"{files(part):,} objects, {latency} ms a request")
            best = min(statistics.median(row.walls) for row in rows)
            for row in rows:
                print(f"{row.name}: {statistics.median(row.walls) / best:.2f} times the best")


def arguments(doc: str) -> argparse.ArgumentParser:
    """What every benchmark against the test server takes."""
    parser = harness.parser(doc)
    target = Path(os.environ.get("CARGO_TARGET_DIR", harness.HERE.parent / "target"))
    parser.add_argument("--server", type=Path, default=target / "release/s3-server")
    parser.add_argument("--peers", type=Path, help="folder with s5cmd, aws and rclone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", default="", help="leave out peers whose name has this in it")
    return parser


def prepare(options) -> None:
    """The environment that all clients of the test server read."""
    options.out.mkdir(parents=True, exist_ok=True)
    config = options.out / "aws-config"
    config.write_text(CRT)
    os.environ |= KEYS | {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    print(harness.machine() + "\n", flush=True)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--depths", type=lambda text: [int(part) for part in text.split(",")], help="default 16,64,128; for depth 16,32,64,128,256")
    parser.add_argument("--folders", type=int, default=20, help="folders of set A, 200 objects each, for far and depth")
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys that are listed")
    parser.add_argument("--only", default="small,far,large", help="of small, far, large, list, depth")
    options = parser.parse_args()
    prepare(options)
    for part in options.only.split(","):
        {"small": small, "far": far, "large": large, "list": listing, "depth": depth}[part](options)


if __name__ == "__main__":
    main()
