#!/bin/sh
# Published usage: sh train.sh stage1|stage2. Here also: vae, audio, syncnet.
# Flags and overrides after that are handed on, e.g. sh train.sh stage1 --config my.yaml solver.learning_rate=1e-5

cd "$(dirname "$0")" || exit 1
if [ -x .venv/bin/python ]; then
    python=.venv/bin/python
elif command -v python3 >/dev/null 2>&1; then
    python=python3
else
    python=python
fi

exec "$python" -m scripts.launch_training "$@"
