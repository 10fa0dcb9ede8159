#!/usr/bin/env bash
# Every test, on a machine with Rust and Python 3.11 or newer. Asks nothing, writes only the target
# directory (CARGO_TARGET_DIR is honoured) and .venv-test, and reaches only crates.io and PyPI.
# Last line: `N passed, N failed`. The heavy readers are in scripts/interop.sh.
set -uo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
export SHARDPACK="$CARGO_TARGET_DIR/debug/shardpack"
export PYTHONDONTWRITEBYTECODE=1
mkdir -p "$CARGO_TARGET_DIR"
log=$(mktemp "$CARGO_TARGET_DIR/test-log.XXXXXX")
trap 'rm -f "$log"' EXIT
passed=0 failed=0

# Runs a command and adds the totals it prints, cargo's or ours. One that fails without having
# counted a failure (it did not compile, it crashed) counts as one.
count() {
    echo "== $*"
    local status=0 good bad
    "$@" 2>&1 </dev/null | tee "$log" || status=1
    read -r good bad < <(sed -nE 's/^(test result: [^ ]+|[a-z_]+:) ([0-9]+) passed[;,] ([0-9]+) failed.*/\2 \3/p' "$log" |
        awk '{ good += $1; bad += $2 } END { print good + 0, bad + 0 }')
    [ $status -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + good)) failed=$((failed + bad))
    return $status
}

interop() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; return 1; }
    scripts/venv.sh .venv-test tests/interop/requirements.txt
}

if count cargo build --workspace --locked; then
    count cargo test --workspace --locked --no-fail-fast
    if count interop; then
        for reader in tar webdataset tfrecord foreign reshard readme; do
            count .venv-test/bin/python "tests/interop/check_$reader.py"
        done
    fi
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
