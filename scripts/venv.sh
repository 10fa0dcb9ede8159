#!/usr/bin/env bash
# Makes FOLDER a Python environment with exactly what REQUIREMENTS lists; does nothing when it is one.
#
#     scripts/venv.sh FOLDER REQUIREMENTS [PYTHON]
set -euo pipefail
folder=$1 requirements=$2 python=${3:-python3}

cmp -s "$requirements" "$folder/installed.txt" && exit 0
echo "making $folder"
rm -rf "$folder"
"$python" -m venv "$folder" || { echo "'$python -m venv' failed; Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
# The lists are complete, hence --no-deps: nothing unpinned comes along.
"$folder/bin/pip" install --quiet --no-input --disable-pip-version-check --no-deps -r "$requirements"
cp "$requirements" "$folder/installed.txt"
