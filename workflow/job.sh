#!/usr/bin/env bash
# One job of the grid, called by the Snakefile: job.sh PROFILE [--notebook] --cell ID...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=$1
shift
export BET_PARENT=$PPID  # this process stays the parent's child, as the interpreter
exec "$PYTHON" -m bet study "$profile" --logged "$@"
