#!/usr/bin/env bash
# Fills a new environment: install.sh PYTHON TORCH [INDEX], for example .venv/bin/python torch==2.13.0.
# The Makefile calls it. INDEX: where to get a CPU build of torch when the index that pip is configured
# for has none. torch is not in the lock: the hash of its wheel depends on the index it comes from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 torch=$2 index=${3:-}
install=("$python" -m pip install -qq)

# First of all, so that it is known what will be downloaded. Only Linux has two builds.
cpu=$torch
[ "$(uname -s)" = Linux ] && cpu+=+cpu
if [ -n "$index" ]; then
    "${install[@]}" --no-deps --index-url "$index" "$torch"
    found=yes
elif why=$("${install[@]}" --no-deps "$cpu" 2>&1); then
    found=yes
else
    found=no
fi
if [ $found = yes ]; then
    echo "the environment will take about 2.1 GB"
else
    echo "no CPU build of torch ($cpu) where pip looks for packages: ${why##*$'\n'}"
    echo "So the build for NVIDIA GPUs is taken: about 5.8 GB instead of 2.1 GB. It runs without a GPU, too."
    echo "For the small one stop here and give an index that has it: make TORCH_INDEX=ADDRESS ..."
fi
"${install[@]}" --require-hashes -r requirements/lock.txt
[ $found = yes ] || "${install[@]}" "$torch"
"${install[@]}" --no-deps --no-build-isolation -e .
"$python" -m pip check
