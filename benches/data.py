"""Writes the seeded data sets that the benchmarks pack.

    python3 benches/data.py DATA                  # A, B, C and D: 4.5 GB and a million empty files, 2 minutes
    python3 benches/data.py DATA --scale 0.02     # small ones, to try the benchmarks

| set | files | |
|---|---|---|
| A |    20,000 | pictures of 110 KB in 100 class folders, 2.2 GB: ImageNet's shape |
| B |   200,000 | 4 KB in 200 folders, 0.8 GB: .jpg, and beside 50 of each folder's 900 a .json and a .cls |
| C |    90,000 | 30,000 samples of .jpg (50 KB), .json (300 B) and .txt (80 B) in 30 folders, 1.5 GB |
| D | 1,000,000 | empty, in 1,000 folders: listing only |

Sizes are log-normal. Pictures have a JPEG's first and last bytes around random ones: nothing here
decodes them, and like real ones they do not compress. The same seed writes the same bytes.
"""

import argparse
import json
import math
import os
import time
from multiprocessing import Pool
from pathlib import Path
from random import Random

JPEG_START, JPEG_END = bytes.fromhex("ffd8ffe000104a46494600010100000100010000"), b"\xff\xd9"


def picture(random: Random, mean: float, sigma: float, least: int, most: int) -> bytes:
    size = random.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)
    size = int(min(max(size, least), most))
    return JPEG_START + random.randbytes(size - len(JPEG_START) - len(JPEG_END)) + JPEG_END


def description(sample: int, folder: int) -> bytes:
    fields = {"id": sample, "folder": folder, "caption": f"sample {sample} of folder {folder}", "width": 256}
    text = json.dumps(fields)
    return (text[:-1] + f', "notes": "{"x" * (287 - len(text))}"}}').encode()


def set_a(random: Random, folder: int):
    for sample in range(200):
        name = f"n{1440764 + 977 * folder:08}"
        yield f"{name}/{name}_{sample:05}.JPEG", picture(random, 110e3, 0.55, 4_000, 900_000)


def set_b(random: Random, folder: int):
    for sample in range(900):
        key = f"c{folder:03}/{900 * folder + sample:06}"
        yield f"{key}.jpg", picture(random, 4_400, 0.5, 900, 40_000)
        if sample < 50:
            yield f"{key}.json", description(sample, folder)
            yield f"{key}.cls", str(folder).encode()


def set_c(random: Random, folder: int):
    for sample in range(1000):
        key = f"part{folder:02}/{1000 * folder + sample:07}"
        yield f"{key}.jpg", picture(random, 50e3, 0.3, 4_000, 300_000)
        yield f"{key}.json", description(sample, folder)
        yield f"{key}.txt", f"a caption for sample {sample:07} ".ljust(80, ".").encode()


def set_d(_random: Random, folder: int):
    for sample in range(1000):
        yield f"d{folder:04}/{1000 * folder + sample:07}", b""


SETS = {"A": (set_a, 100), "B": (set_b, 200), "C": (set_c, 30), "D": (set_d, 1000)}


def write_folder(job: tuple[str, Path, int, int]) -> tuple[int, int]:
    """Writes one folder of a set; how many files and bytes it got."""
    name, root, folder, seed = job
    files = bytes_written = 0
    for path, content in SETS[name][0](Random(f"{seed}/{name}/{folder}"), folder):
        if files == 0:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root / path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        if content:
            os.write(descriptor, content)
        os.close(descriptor)
        files += 1
        bytes_written += len(content)
    return files, bytes_written


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--sets", default="A,B,C,D")
    arguments.add_argument("--scale", type=float, default=1.0, help="share of the folders")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    for name in options.sets.split(","):
        root, folders = options.data / name, max(1, round(SETS[name][1] * options.scale))
        if root.exists():
            print(f"{name}: {root} is there already")
            continue
        # Under another name until it is whole: a set cut short would be measured as if it were one.
        partial = options.data / f".{name}.partial"
        start = time.monotonic()
        with Pool() as pool:
            done = pool.map(write_folder, [(name, partial, folder, options.seed) for folder in range(folders)], 1)
        partial.rename(root)
        files, size = map(sum, zip(*done))
        print(f"{name}: {files:,} files, {size:,} bytes, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
