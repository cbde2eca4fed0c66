#!/bin/sh
# Installs mmpose, the optional face landmark backend `mmpose`, into a virtual environment.
#
#   sh scripts/install_mmlab.sh [--lite] [VENV]
#
# VENV   the environment, made if it does not exist (default: .venv-mmlab). `.venv` adds mmpose to the project's own.
# --lite takes mmcv-lite, without compiled operators and mmdet (1 minute); musetalk registers the backbone itself.
#        Without it mmcv 2.1.0 is compiled from source with its operators: a C++ compiler, 11 minutes on 2 cores.
#
# $PYTHON names the interpreter for a new environment (3.10-3.12, default python3), $MAX_JOBS limits the compiler.
# `pip install mmpose` alone fails: it asks for chumpy, which no longer builds. The versions below work together:
# mmdet refuses mmcv 2.2, mmpose 1.2 needs torchvision, and the pieces need a setuptools that still has pkg_resources.
set -eu

lite=no
venv=.venv-mmlab
for argument in "$@"; do
    case "$argument" in
        --lite) lite=yes ;;
        -h|--help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) echo "install_mmlab: unknown option $argument" >&2
            echo "Usage: sh scripts/install_mmlab.sh [--lite] [VENV]" >&2; exit 2 ;;
        *) venv=$argument ;;
    esac
done

case "$venv" in /*) ;; *) venv=./$venv ;; esac
project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=$venv/bin/python
[ -x "$python" ] || "${PYTHON:-python3}" -m venv "$venv"

step() { echo "install_mmlab: $*"; }
pip_install() { "$python" -m pip install --quiet "$@"; }

step "packages of musetalk itself"
pip_install "setuptools>=68,<82" wheel ninja cython psutil pytest -r "$project/requirements.txt"

step "mmengine and what mmpose imports"
pip_install mmengine==0.10.7 scipy munkres six json_tricks matplotlib
# Against the installed numpy: the published wheel is built for another one.
pip_install --no-build-isolation --no-binary xtcocotools --no-deps xtcocotools==1.14.3

if [ "$lite" = yes ]; then
    step "mmcv-lite 2.1.0"
    pip_install --no-build-isolation --no-deps mmcv-lite==2.1.0
else
    step "mmcv 2.1.0 from source with its operators (10 minutes and more)"
    MMCV_WITH_OPS=1 FORCE_CUDA="${FORCE_CUDA:-0}" \
        "$python" -m pip install --quiet --no-build-isolation --no-deps --no-binary mmcv mmcv==2.1.0
    step "mmdet 3.3.0"
    pip_install mmdet==3.3.0
fi

step "mmpose 1.1.0"
pip_install --no-build-isolation --no-deps mmpose==1.1.0

"$python" -c "import mmpose.apis, mmcv, mmengine; print('install_mmlab: mmpose', mmpose.__version__, 'mmcv', mmcv.__version__)"
