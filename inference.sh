#!/bin/sh
# Published usage: sh inference.sh v1.0|v1.5 normal|realtime. Here also: mini, the bundled model.
# Flags after these two are handed on to scripts.inference or scripts.realtime_inference,
# e.g. sh inference.sh v1.5 normal --batch_size 4

usage() {
    echo "usage: sh inference.sh v1.0|v1.5|mini normal|realtime [flags of the command]" >&2
    exit 2
}

[ "$#" -ge 2 ] || usage
case "$1" in
    v1.0) version=v1 ;;
    v1.5) version=v15 ;;
    mini) version=mini ;;
    *) usage ;;
esac
mode=$2
shift 2

case "$mode" in
    normal)
        script=scripts.inference
        config=configs/inference/test.yaml
        [ "$version" = mini ] && config=configs/inference/demo.yaml
        ;;
    realtime)
        script=scripts.realtime_inference
        config=configs/inference/realtime.yaml
        ;;
    *) usage ;;
esac

cd "$(dirname "$0")" || exit 1
if [ -x .venv/bin/python ]; then
    python=.venv/bin/python
elif command -v python3 >/dev/null 2>&1; then
    python=python3
else
    python=python
fi

exec "$python" -m "$script" --inference_config "$config" --version "$version" "$@"
