#!/usr/bin/env bash
# Commands on S3, at length. First on the tests' server: every fault at every call of each command
# that changes datasets or makes them of others, a kill at every call, and a pack that is killed a hundred
# times with faults on; `./test.sh` takes turns.
# Then on a full-size server that others wrote, Garage, on loopback with a folder that is thrown away:
# the suite of the store runs against it, and the binary packs, verifies, lists and unpacks on it
# with the bytes of the local run.
#
#     scripts/full_s3.sh
#
# The first time Garage is installed with cargo: half an hour on two cores, a C compiler, 2 GB of disk
# while it builds and 50 MB after. GARAGE_ROOT names the folder (default: target/garage); with
# GARAGE_ROOT/bin/garage there, nothing is installed. SHARDPACK names the binary to test (default: a
# debug build). Needs curl. Garage is AGPL-3.0: it is run, neither linked nor shipped.
#
# Garage 2.5 takes If-None-Match for granted. That must be told by every pack, and the suite must
# find it: if either is silent, this fails.
set -euo pipefail
cd "$(dirname "$0")/.."
version=2.5.0
target=${CARGO_TARGET_DIR:-target}
root=${GARAGE_ROOT:-$target/garage}

fail() { echo "FAILED: $*" >&2; exit 1; }

if [ ! -x "$root/bin/garage" ]; then
    echo "installing Garage $version into $root: half an hour"
    cargo install garage --version "$version" --locked --no-default-features \
        --features bundled-libs,lmdb,sqlite --root "$root" --target-dir "$root/build"
    rm -rf "$root/build"
fi
if [ -z "${SHARDPACK:-}" ]; then
    cargo build --locked -p shardpack
    SHARDPACK=$target/debug/shardpack
fi
SHARDPACK=$(realpath "$SHARDPACK")

scratch=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 1' INT TERM

free_ports() { # free_ports N: ports that no one listens on at this moment
    python3 -c 'import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))' "$1"
}

start() { # starts Garage and points the standard AWS configuration at it
    local rpc api
    read -r rpc api < <(free_ports 2)
    cat >"$scratch/garage.toml" <<CONFIG
metadata_dir = "$scratch/meta"
data_dir = "$scratch/data"
db_engine = "lmdb"
replication_factor = 1
compression_level = "none"
metadata_fsync = false
disable_scrub = true
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret = "$(printf '%064d' 1)"

[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$api"
CONFIG
    chmod 600 "$scratch/garage.toml" # Garage refuses secrets that others can read
    export AWS_ACCESS_KEY_ID=GK000000000000000000000001 AWS_SECRET_ACCESS_KEY
    AWS_SECRET_ACCESS_KEY=$(printf '%064d' 7)
    export AWS_REGION=garage AWS_ENDPOINT_URL=http://127.0.0.1:$api AWS_EC2_METADATA_DISABLED=true
    export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
    unset AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL_S3
    GARAGE_DEFAULT_ACCESS_KEY=$AWS_ACCESS_KEY_ID GARAGE_DEFAULT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY \
        GARAGE_DEFAULT_BUCKET=bucket "$root/bin/garage" -c "$scratch/garage.toml" \
        server --single-node --default-bucket >"$scratch/garage.log" 2>&1 &
    server=$!
    local _
    for _ in {1..300}; do
        if request bucket -o "$scratch/listing" && grep -q ListBucketResult "$scratch/listing"; then
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$scratch/garage.log" >&2
    fail "Garage does not answer"
}

request() { # request PATH CURL-OPTIONS...
    local path=$1
    shift
    curl -sf --aws-sigv4 aws:amz:garage:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$AWS_ENDPOINT_URL/$path" "$@"
}

tree() { # 400 pictures with captions in 4 folders, and one file of 30 MB that is read in parts
    python3 - "$scratch/src" <<'PYTHON'
import pathlib, random, sys
random = random.Random(7)
for i in range(400):
    folder = pathlib.Path(sys.argv[1], f"class-{i % 4}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{i:04}.jpg").write_bytes(random.randbytes(random.randrange(200_000)))
    (folder / f"{i:04}.txt").write_text(f"caption {i}\n")
large = pathlib.Path(sys.argv[1], "class-0", "large")
large.with_suffix(".jpg").write_bytes(random.randbytes(30_000_000))
large.with_suffix(".txt").write_text("large\n")
PYTHON
}

upload() { # upload FOLDER PREFIX
    local file
    while read -r file; do
        request "bucket/$2/$file" -o /dev/null --upload-file "$1/$file"
    done < <(cd "$1" && find . -type f -printf '%P\n')
}

agree() { # agree WHAT LOCAL S3: two files are the same
    diff "$2" "$3" >&2 || fail "$1 differs between the local run and S3"
    echo "$1: as the local run"
}

pass() { # S3 -> S3 -> local, against the same from and to local folders
    local s3=s3://bucket/data local_=$scratch/local options=(--target 20MB --labels folder --s3-prefix s3://bucket/data/)
    tree
    upload "$scratch/src" src
    "$SHARDPACK" pack "$scratch/src" "$local_" "${options[@]}" --json >"$scratch/pack.local" 2>/dev/null
    "$SHARDPACK" pack s3://bucket/src "$s3" "${options[@]}" --json >"$scratch/pack.s3" 2>"$scratch/pack.log" ||
        { cat "$scratch/pack.log" >&2; fail "pack from S3 to S3"; }
    grep -q 'does not honour If-None-Match' "$scratch/pack.s3" ||
        fail "pack does not tell that conditions are ignored: $(cat "$scratch/pack.s3")"
    "$SHARDPACK" verify "$s3" || fail "verify"
    "$SHARDPACK" ls "$local_" >"$scratch/ls.local"
    "$SHARDPACK" ls "$s3" >"$scratch/ls.s3"
    agree ls "$scratch/ls.local" "$scratch/ls.s3"
    local key
    key=$(head -n 1 "$scratch/ls.local" | cut -f 1)
    "$SHARDPACK" cat "$local_" "$key.jpg" >"$scratch/cat.local"
    "$SHARDPACK" cat "$s3" "$key.jpg" >"$scratch/cat.s3"
    agree cat "$scratch/cat.local" "$scratch/cat.s3"

    local object
    mkdir "$scratch/down"
    while read -r object; do
        mkdir -p "$scratch/down/$(dirname "$object")"
        request "bucket/data/$object" -o "$scratch/down/$object"
    done < <(cd "$local_" && find . -type f -printf '%P\n')
    diff -r "$local_" "$scratch/down" >&2 || fail "the dataset on S3 is not the local one"
    echo "the dataset: byte for byte the local one"
    "$SHARDPACK" unpack "$s3" "$scratch/unpacked" --quiet
    diff -r "$scratch/src" "$scratch/unpacked" >&2 || fail "what was unpacked is not what was packed"
    echo "unpack: every file as it was"
    "$SHARDPACK" pack s3://bucket/src "$s3" "${options[@]}" >"$scratch/again" 2>&1 || fail "a second pack"
    grep -q 'already complete' "$scratch/again" || fail "a second run packs again"
    echo "pack once more: already complete"
}

SHARDPACK_SLOW=1 SHARDPACK=$SHARDPACK cargo test --locked -p shardpack-tests --test it -- s3::changes s3::kill
start
SHARDPACK_S3_TEST=s3://bucket/suite SHARDPACK_S3_LACKS=conditions \
    cargo test --locked -p shardpack-store --test s3 -- --ignored
if SHARDPACK_S3_TEST=s3://bucket/suite cargo test --locked -p shardpack-store --test s3 -- \
    --ignored --exact bucket::a_bucket_of_yours_is_a_store >"$scratch/suite.log" 2>&1; then
    fail "Garage honours conditions now: run the suite without SHARDPACK_S3_LACKS"
fi
grep -q 'conditions count' "$scratch/suite.log" || { cat "$scratch/suite.log" >&2; fail "the suite fails for another reason"; }
echo "the suite finds that conditions are ignored"
pass
request 'bucket?uploads=' -o "$scratch/uploads" && ! grep -q '<Upload>' "$scratch/uploads" ||
    fail "unfinished uploads are left: $(cat "$scratch/uploads")"
echo "everything agrees with Garage $version"
