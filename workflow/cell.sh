#!/usr/bin/env bash
# One cell, called by the Snakefile: cell.sh PROFILE CELL LOG [OPTIONS OF python -m bet cell]. All output goes to LOG; here only start, end and failure show.
set -uo pipefail
profile=$1 cell=$2 log=$(realpath -m "$3")
shift 3
cd "$(dirname "${BASH_SOURCE[0]}")/.."
echo "start  $cell"
if "$PYTHON" -m bet cell "$cell" --profile "$profile" "$@" > "$log" 2>&1; then
    echo "done   $cell  $SECONDS s"
else
    echo "FAILED $cell  $SECONDS s; the end of $log:"
    tail -n 5 "$log" | sed 's/^/       /'
    exit 1
fi
