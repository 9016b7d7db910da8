#!/usr/bin/env bash
# Fills a new environment: install.sh PYTHON TORCH [INDEX], for example .venv/bin/python torch==2.13.0.
# The Makefile calls it. INDEX: where to get a CPU build of torch when the index that pip is configured
# for has none. torch is checked by hash as everything is, but where nobody has given the hash of the CPU
# build for a platform; which torch it became, and why, is said here and in ENVIRONMENT/torch.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 torch=$2 index=${3:-}
install=("$python" -m pip install -qq)
hashed=("${install[@]}" --require-hashes)
platform=$("$python" -c 'import platform, sys
print("cp%d%d-%s-%s" % (*sys.version_info[:2], sys.platform, platform.machine()))')

# First of all, so that it is known what will be downloaded. Only Linux has two builds.
from=(${index:+--index-url "$index"})
checked="checked by its hash"
build=cpu
if [ "$(uname -s)" = Linux ]; then
    if grep -q "^# $platform\$" requirements/torch_cpu.txt; then
        get=("${hashed[@]}" --no-deps "${from[@]}" -r requirements/torch_cpu.txt)
    else
        get=("${install[@]}" --no-deps "${from[@]}" "$torch+cpu")
        checked="not checked by a hash: requirements/torch_cpu.txt has none for $platform"
    fi
    if ! why=$("${get[@]}" 2>&1); then
        if [ -n "$index" ] || [[ $why = *"DO NOT MATCH THE HASHES"* ]]; then
            echo "$why" >&2
            echo "what is offered is not the CPU build of torch that requirements/torch_cpu.txt names" >&2
            exit 1
        fi
        build=gpu
    fi
fi
if [ $build = cpu ]; then
    echo "the environment will take about 2.1 GB"
else
    why=${why##*$'\n'}
    checked="checked by its hash; built for NVIDIA GPUs, since there is no CPU build: $why"
    echo "no CPU build of torch ($torch+cpu) where pip looks for packages: $why"
    echo "So the build for NVIDIA GPUs is taken: about 5.8 GB instead of 2.1 GB. It runs without a GPU, too."
    echo "For the small one stop here and give an index that has it: make TORCH_INDEX=ADDRESS ..."
fi
"${hashed[@]}" -r requirements/lock.txt
if [ $build = gpu ] || [ "$(uname -s)" != Linux ]; then
    "${hashed[@]}" -r requirements/torch.txt
fi
"${install[@]}" --no-deps --no-build-isolation -e .
"$python" -m pip check
"$python" - "$checked" <<'END'
import sys
from importlib.metadata import version
from pathlib import Path

line = f"torch {version('torch')}: {sys.argv[1]}"
Path(sys.prefix, "torch.txt").write_text(line + "\n")
print(line)
END
