#!/usr/bin/env bash
# One training loop in each of SageMaker's input modes, on this machine: real files (File), a FUSE
# mount (FastFile) and FIFOs (Pipe), laid out as in a training container. The loop is the reader's
# example `train`, told nothing but `--channel train`; the digests of its epochs must be equal.
#
#     scripts/modes.sh                                   # testdata/tree, two epochs
#     scripts/modes.sh SRC --format tfrecord --target 1MB    # any source, any option of `pack`
#
# Linux; FastFile needs /dev/fuse and root, or fusermount3. EPOCHS is 2 unless it is set.
set -euo pipefail
set -m # a process group for each job, so that it can be ended whole
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
epochs=${EPOCHS:-2}
source=${1:-testdata/tree}
[ $# -gt 0 ] && shift
work=$(mktemp -d)
mount=
cleanup() {
    [ -n "$mount" ] && exec 9>&- && wait "$mount" || true # it unmounts when its input ends
    for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

# Dependencies are built alike for all four when the whole workspace is.
cargo build --quiet --workspace --bins --example train
shardpack="$CARGO_TARGET_DIR/debug/shardpack"
"$shardpack" pack "$source" "$work/packed" --target 100kB --quiet "$@"

# container MODE: a container's folder, with the manifest in a channel of its own.
container() {
    local input="$work/$1/input"
    mkdir -p "$input/config" "$input/data/manifest"
    cp -r "$work/packed/manifest.json" "$work/packed/index" "$input/data/manifest/"
    echo '{"current_host": "algo-1", "hosts": ["algo-1"]}' >"$input/config/resourceconfig.json"
    cat >"$input/config/inputdataconfig.json" <<JSON
{"train": {"TrainingInputMode": "$1", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"},
 "manifest": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}}
JSON
    data="$input/data"
}

train() { # train MODE: the same command in each
    SAGEMAKER_BASE_DIR="$work/$1" "$CARGO_TARGET_DIR/debug/examples/train" --channel train --epochs "$epochs" \
        2>"$work/$1/stderr" >"$work/$1/stdout" || { cat "$work/$1/stderr" >&2; return 1; }
    sed "s/^/$1: /" "$work/$1/stdout"
}

container File
cp -r "$work/packed/shards" "$data/train"
train File

container FastFile
mkdir "$data/train"
mkfifo "$work/serve"
"$CARGO_TARGET_DIR/debug/fuse-mount" "$work/packed/shards" "$data/train" <"$work/serve" >"$work/mounted" &
mount=$!
exec 9>"$work/serve"
until grep -q mounted "$work/mounted"; do
    kill -0 "$mount" 2>/dev/null || { echo "FastFile: nothing was mounted" >&2; exit 1; }
    sleep 0.05
done
train FastFile

container Pipe
for ((epoch = 0; epoch < epochs; epoch++)); do mkfifo "$data/train_$epoch"; done
for ((epoch = 0; epoch < epochs; epoch++)); do
    # Whatever the order, the samples are the same.
    find "$work/packed/shards" -type f | sort -R | xargs cat >"$data/train_$epoch"
    rm "$data/train_$epoch"
done &
train Pipe

cmp "$work/File/stdout" "$work/FastFile/stdout"
cmp "$work/File/stdout" "$work/Pipe/stdout"
echo "the same digest in File, FastFile and Pipe"
