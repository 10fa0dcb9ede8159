"""What every interop check shares: the binary, source trees, packed datasets, and the counting.

A check is a function under `@check`; it fails by raising. Run a file of them by `main(__name__)`.
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TREE = ROOT / "testdata" / "tree"
MAGIC = struct.pack("<I", 0xCED7230A)  # RecordIO's mark between records
SCRATCH = tempfile.TemporaryDirectory(prefix="shardpack-interop-")
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def main(name):
    """Runs the checks of the module that calls this; exits 1 when one failed."""
    if name != "__main__":
        return
    wanted = sys.argv[1:]
    failed = 0
    checks = [c for c in CHECKS if not wanted or c.__name__ in wanted]
    for function in checks:
        try:
            function()
            print(f"ok      {function.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{Path(sys.argv[0]).stem}: {len(checks) - failed} passed, {failed} failed", flush=True)
    sys.exit(failed > 0 or not checks)


def equal(got, want, what):
    """Like assert ==, but says where two long values part."""
    if got == want:
        return
    if isinstance(got, dict) and isinstance(want, dict):
        missing, extra = sorted(want.keys() - got.keys()), sorted(got.keys() - want.keys())
        if missing or extra:
            raise AssertionError(f"{what}: missing {missing[:5]}, extra {extra[:5]} of {len(want)}")
        for key, value in want.items():
            equal(got[key], value, f"{what}[{key!r}]")
    raise AssertionError(f"{what}: got {brief(got)}, want {brief(want)}")


def brief(value):
    if isinstance(value, bytes) and len(value) > 40:
        return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:12]}, {value[:16].hex()}…"
    text = repr(value)
    return text if len(text) < 400 else text[:400] + "…"


def binary():
    """`$SHARDPACK`, else the newest build under the target directory."""
    if named := os.environ.get("SHARDPACK"):
        return named
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [p for p in (target / "release/shardpack", target / "debug/shardpack") if p.exists()]
    if not built:
        sys.exit("no shardpack binary: run `cargo build`, or set SHARDPACK")
    return str(max(built, key=lambda p: p.stat().st_mtime))


def scratch(name):
    """A new folder of this name that lives as long as the process."""
    folder = Path(tempfile.mkdtemp(dir=SCRATCH.name)) / name
    folder.mkdir()
    return folder


class Dataset:
    """A packed dataset: `Dataset(source, "tfrecord", "--compress", "gzip")`; or one that was packed
    anew: `Dataset(shards, "recordio", command="reshard")`."""

    def __init__(self, source, format, *options, command="pack"):
        self.root = scratch(format) / "dataset"
        command = [binary(), command, str(source), str(self.root), "--format", format, *options]
        run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            raise AssertionError(f"{' '.join(command)}\nexit {run.returncode}\n{run.stdout}{run.stderr}")
        self.manifest = json.loads((self.root / "manifest.json").read_text())
        self.shards = [self.root / s["path"] for s in self.manifest["shards"]]
        on_disk = sorted(p for p in (self.root / "shards").rglob("*") if p.is_file())
        equal(sorted(self.shards), on_disk, "shards in the manifest and on disk")

    def indexes(self, suffix):
        """One index of another tool a shard, in the order of the shards."""
        found = {p.name[: -len(suffix)]: p for p in (self.root / "index").rglob("*" + suffix)}
        found.pop("all", None)  # all.idx is one over all shards
        stems = [shard.name.split(".")[0] for shard in self.shards]
        equal(sorted(found), sorted(stems), f"one {suffix} a shard under index/")
        return [found[stem] for stem in stems]

    def index(self, pattern):
        """The one index of another tool over all shards."""
        found = list((self.root / "index").rglob(pattern))
        equal(len(found), 1, f"number of {pattern} under index/")
        return found[0]


def split_name(path):
    """WebDataset's rule: the key ends at the first dot of the file's name."""
    folder, slash, name = path.rpartition("/")
    stem, dot, field = name.partition(".")
    return folder + slash + stem, field.lower()


def samples(tree, fields=None):
    """What a faithful reader must find: {key: {field: bytes}}."""
    found = {}
    for path in sorted(p for p in Path(tree).rglob("*") if p.is_file()):
        key, field = split_name(path.relative_to(tree).as_posix())
        if fields is None or field in fields:
            found.setdefault(key, {})[field] = path.read_bytes()
    return found


def classes(tree):
    """Class folder -> id, as the folder labels number them when every folder is packed."""
    return {name: i for i, name in enumerate(sorted(p.name for p in Path(tree).iterdir() if p.is_dir()))}
