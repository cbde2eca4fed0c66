# make demo: dub the presenter in assets/demo. make test: the tests. Both make .venv first where it is missing.
VENV ?= .venv
PY := $(VENV)/bin/python
# The first Python from 3.10 to 3.12 that really runs.
SYSTEM_PYTHON := $(shell for p in python3.11 python3.12 python3.10 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)

.PHONY: demo scores results test test-slow lint test-mmlab mini clean

demo: $(VENV)/.installed
	$(PY) -m scripts.inference --version mini --inference_config configs/inference/demo.yaml --result_dir results

# Scores the demo: results/scores/report.html.
scores: demo
	$(PY) -m scripts.evaluate --config configs/evaluation/demo.yaml --out results/scores

# The numbers of README and model card: dubs and scores heads that mini was not trained on, the demo, and, with
# MEDIA=folder, the yongen.mp4 and yongen.wav in it (test media of the published project). HEAD_MODEL as for mini.
results: $(VENV)/.installed-synthetic scores
	$(PY) -m scripts.render_heads --head $(HEAD_MODEL) --split held_out --twins --clips 24 --seconds 5 --workers 2 --out results/heads
	$(PY) -m scripts.score_heads --version mini --heads results/heads --out results/mini/heads
	$(if $(MEDIA),$(PY) -m scripts.inference --version mini --inference_config configs/inference/demo.yaml --result_dir results \
		demo.video_path=$(MEDIA)/yongen.mp4 demo.audio_path=$(MEDIA)/yongen.wav demo.result_name=yongen.mp4)
	$(if $(MEDIA),$(PY) -m scripts.evaluate --generated results/mini/yongen.mp4 --source $(MEDIA)/yongen.mp4 --audio $(MEDIA)/yongen.wav \
		--other_audio assets/demo/speech.wav --out results/yongen)

test: $(VENV)/.installed-dev
	$(PY) -m pytest -m "not slow"

test-slow: $(VENV)/.installed-dev
	$(PY) -m pytest

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m mypy

# mmpose in an environment of its own, compared with the plain PyTorch network.
test-mmlab:
	test -x .venv-mmlab/bin/python || sh scripts/install_mmlab.sh .venv-mmlab
	.venv-mmlab/bin/python -W ignore -m scripts.compare_mmpose
	.venv-mmlab/bin/python -W ignore -m pytest tests/face/test_mmpose_finder.py

# Makes models/mini again; HEAD_MODEL is the FaceXModel folder of ICT-FaceKit, or ict_light.npz.
mini: $(VENV)/.installed-synthetic
	$(PY) -m scripts.make_mini --head $(HEAD_MODEL)

$(VENV)/.installed: requirements.txt
	@test -n "$(SYSTEM_PYTHON)" || { echo "error: no Python 3.10, 3.11 or 3.12 found"; echo "  fix: install one, e.g. apt-get install python3 python3-venv"; exit 1; }
	test -x $(PY) || $(SYSTEM_PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	# On machines without libGL or GLib the ordinary OpenCV cannot be imported; its headless build can.
	$(PY) -c "import cv2" 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall opencv-contrib-python-headless==4.11.0.86
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-synthetic.txt $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/.installed-synthetic: requirements-synthetic.txt $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-synthetic.txt
	touch $@

clean:
	rm -rf $(VENV) build results
