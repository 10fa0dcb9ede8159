"""Runs the README's commands, in order, the way a newcomer would: from the root of a clone."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import ROOT, binary, check, main, scratch

CARGO = "cargo run --release -p shardpack -- "  # how a clone without an installed binary says it


def commands(page):
    """The lines of its ```sh blocks; a backslash continues a line. Blocks marked ```bash need buckets:
    tests/it/s3 and tests/it/manifests.rs run such commands against a server."""
    inside, lines = False, []
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```sh"
        elif inside:
            lines.append(line)
    return "\n".join(lines).replace("\\\n", " ").splitlines()


@check
def every_command_of_the_readme_runs():
    home = scratch("clone")
    for folder in ("testdata", "examples"):
        (home / folder).symlink_to(ROOT / folder)
    tools = scratch("bin")
    (tools / "shardpack").symlink_to(Path(binary()).resolve())
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    lines = (line.replace(CARGO, "shardpack ") for line in commands(ROOT / "README.md"))
    ran = [line for line in lines if line.startswith("shardpack ")]
    assert len(ran) >= 2, "the README shows no commands"
    for command in ran:
        run = subprocess.run(command, shell=True, cwd=home, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert run.returncode == 0, f"$ {command}\nexit {run.returncode}\n{run.stdout}{run.stderr}"
    shutil.rmtree(home)


main(__name__)
