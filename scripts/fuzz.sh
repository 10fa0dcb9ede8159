#!/usr/bin/env bash
# Hostile bytes for every decoder: each target of fuzz/ for so many seconds, 60 if not said. Begins
# with the files under testdata/ and with datasets packed from testdata/tree; what reaches new code
# is kept in fuzz/corpus, where the next run goes on.
#
#     scripts/fuzz.sh                     # every target
#     scripts/fuzz.sh 600 index zstd      # these two, ten minutes each
#
# Needs cargo-fuzz (`cargo install cargo-fuzz --locked`) and a C++ compiler. An input that breaks a
# target is left under fuzz/artifacts. JOBS targets run at a time (default: one a core); SHARDPACK
# names the binary that packs (default: a debug build).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
mapfile -t targets < <(cargo fuzz list)
[ $# -gt 0 ] && targets=("$@")

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

pack() { # pack NAME OPTIONS...: two samples a shard, so that mutations have little to carry
    local name=$1
    shift
    "$SHARDPACK" pack testdata/tree "$scratch/$name" --max-samples 2 --quiet "$@"
}

seed() { # seed TARGET FILES...
    local target=$1 file
    shift
    mkdir -p "fuzz/corpus/$target"
    for file; do
        cp "$file" "fuzz/corpus/$target/$(sha1sum "$file" | cut -c -40)"
    done
}

plant() {
    if [ -z "${SHARDPACK:-}" ]; then
        cargo build --locked -p shardpack
        SHARDPACK=${CARGO_TARGET_DIR:-target}/debug/shardpack
    fi
    local s=$scratch data=testdata way
    pack tar --split train=0.5,val=0.5 --labels folder --index dali,wids
    pack fields --format tfrecord --labels folder --index dali,tfrecord
    pack image --format tfrecord --schema image --fields jpg --labels folder
    pack raw --format tfrecord --schema raw --fields jpg
    pack rec --format recordio --fields jpg --labels folder --index mxnet
    pack pbr --format recordio-protobuf --labels folder
    for way in gzip zlib; do pack $way --format tfrecord --fields txt --missing skip --compress $way; done
    pack zstd --fields txt --missing skip --compress zstd
    python3 -m zipfile -c "$s/tree.zip" $data/tree/dots

    seed webdataset $data/tar/*.tar $data/*/golden/*.tar "$s"/tar/shards/*/*.tar
    seed webdataset_lenient $data/tar/*.tar $data/*/golden/*.tar
    seed tar_tree $data/tar/*.tar $data/*/golden/*.tar "$s"/tar/shards/*/*.tar
    seed zip_tree "$s/tree.zip"
    for way in fields image raw; do
        seed tfrecord_$way $data/tfrecord/*.tfrecord* $data/tfrecord/golden/*.tfrecord "$s/$way"/shards/*
    done
    seed recordio $data/recordio/*.rec $data/recordio/golden/*.rec "$s"/rec/shards/*
    for way in recordio_protobuf recordio_protobuf_dmlc; do
        seed $way $data/recordio-protobuf/*.p* $data/recordio-protobuf/golden/*.pbr "$s"/pbr/shards/*
    done
    seed gzip $data/*/*.tgz $data/*/golden/*.gz "$s"/gzip/shards/*
    seed zlib $data/*/golden/*.zz "$s"/zlib/shards/*
    seed zstd "$s"/zstd/shards/*
    seed manifest "$s"/*/manifest.json
    seed index "$s"/{fields,rec,pbr}/index/*.index "$s"/tar/index/*/*.index
    seed wds_index $data/webdataset/*.idx "$s"/tar/index/*/*.idx
    seed tfrecord_index $data/tfrecord/*.idx "$s"/fields/index/*.idx
    seed mxnet_index $data/recordio/golden/*.idx "$s"/rec/index/*.idx
    seed mxnet_list "$s"/rec/index/*.lst
    seed sagemaker_manifest "$s"/*/sagemaker/*.manifest
    printf '%s\n' '{"source-ref": "s3://b/1.jpg", "class": 1, "class-metadata": {"type": "x"}}' \
        '{"class": [0, "\u00e9"], "source-ref": "file:///d/2.jpg"}' >"$s/augmented"
    seed augmented_manifest "$s/augmented"
    printf '\x0a\x0d\x0a\x0b\x0a\x01\x61\x12\x06\x1a\x04\x08\x05\x08\x07' >"$s/example"
    seed example "$s/example"
    printf '%s' 'json.width >= 256 and json.tags contains "cat" and not (label == "dog" or key =~ "^n\\d+")' \
        >"$s/expression"
    printf '%s' 'exists `a.b`.c[0] or len(jpg) in [1, 2.5, "x", null] and size != json.n' >"$s/expression2"
    seed expression "$s/expression" "$s/expression2"
}

run() { # run TARGET
    local log=fuzz/corpus/$1.log
    if cargo fuzz run "$1" -- -max_total_time="$seconds" -max_len=65536 -timeout=20 \
        -print_final_stats=1 >"$log" 2>&1; then
        echo "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, none breaks it"
    else
        grep -E -A2 'panicked at|^SUMMARY|^==.*ERROR|^[[:space:]]+fuzz/artifacts' "$log" || tail -n 20 "$log"
        echo "$1: FAILED, see $log"
        return 1
    fi
}

plant
export RUSTC_BOOTSTRAP=1 # instrumentation is unstable; so the stable toolchain takes it
cargo fuzz build
export -f run
export seconds
printf '%s\n' "${targets[@]}" | nice -n 19 xargs -P "${JOBS:-$(nproc)}" -I{} bash -c 'run {}'
