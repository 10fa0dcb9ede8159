#!/usr/bin/env bash
# The heavy readers on our shards: TensorFlow, mxnet, DALI and the SageMaker SDK, each in its own
# Python environment; and `ecosystems`, from each writer's shards to every other's reader. Downloads about 1 GB and takes 3 GB of disk; needs Python 3.11 (mxnet has no
# newer wheels) on x86-64 Linux, no GPU.
#
#     scripts/interop.sh                     # all of them
#     scripts/interop.sh mxnet dali          # some of them
#     scripts/interop.sh --goldens           # rewrite testdata/*/golden instead
#
# SHARDPACK names the binary to test (default: a debug build), PYTHON the Python to use,
# INTEROP_VENVS where the environments go (default: .venv-interop).
set -uo pipefail
cd "$(dirname "$0")/.."
export INTEROP_VENVS=${INTEROP_VENVS:-.venv-interop}
interop=tests/interop

environment() { # environment TOOL -> its Python in $python
    local name=$1 list=$interop/requirements-$1.txt
    [ -f "$list" ] || { name=light list=$interop/requirements.txt; }
    python=$INTEROP_VENVS/$name/bin/python
    mkdir -p "$INTEROP_VENVS"
    scripts/venv.sh "$INTEROP_VENVS/$name" "$list" "${PYTHON:-python3.11}"
}

if [ "${1:-}" = --goldens ]; then
    for tool in tar tarfile webdataset tensorflow mxnet sagemaker; do
        environment "$tool" && "$python" scripts/make_goldens.py "$tool" || exit 1
    done
    exit
fi

if [ -z "${SHARDPACK:-}" ]; then
    cargo build --locked -p shardpack || exit 1
fi
failed=()
# What a check needs besides its own environment.
needs() {
    local other
    [ "$1" = ecosystems ] || return 0
    for other in tensorflow mxnet sagemaker; do environment "$other" || return; done
}

[ $# -gt 0 ] || set -- tensorflow mxnet dali sagemaker ecosystems
for tool in "$@"; do
    needs "$tool" && environment "$tool" && "$python" "$interop/check_$tool.py" || failed+=("$tool")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "every reader agrees"
