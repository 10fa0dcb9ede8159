#!/usr/bin/env bash
# Packs a folder into tar shards of 150 MB with GNU tar, two processes side by side:
# gnu_tar.sh FOLDER OUT. Files of one sample stay together; no shuffle, no checks, no index.
set -euo pipefail
folder=$1 out=$2
mkdir -p "$out"
find "$folder" -type f -printf '%P\t%s\n' | LC_ALL=C sort | awk -F'\t' -v out="$out" '
    { key = $1; sub(/\.[^.\/]*$/, "", key) }
    list == "" || (key != last && used + 1024 + $2 > 150e6) {
        if (list != "") close(list)
        list = sprintf("%s/%05d.list", out, shards++)
        used = 0
    }
    { print $1 > list; used += 1024 + $2; last = key }'
# Large blocks: the default of 10 KiB make it a third slower.
ls "$out" | sed 's/\.list$//' | xargs -P 2 -I SHARD \
    tar -cf "$out/SHARD.tar" --format=ustar -b 2048 --no-recursion -C "$folder" -T "$out/SHARD.list"
rm "$out"/*.list
