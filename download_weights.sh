#!/bin/sh
# Fetches the published weights into models/: sh download_weights.sh --version v15 (--help lists the options).
set -eu
project=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${PYTHON:-$project/.venv/bin/python}
[ -x "$python" ] || [ -n "${PYTHON:-}" ] || python=python3
PYTHONPATH=$project${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m scripts.download_weights "$@"
