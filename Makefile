# make demo: install, show the bundled model's numbers, then train a CLIP baseline and MLCD on the bundled data, evaluate both and compare them. make test: install, then run the tests.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test test-slow test-cluster pretend-gpu gpu-day check docs dist audit bench mutants leaderboards study study-added study-reduced clean

demo: $(INSTALLED)
	$(BIN)/mlcd-eval demo
	$(BIN)/mlcd-train run mlcd_train/configs/demo_clip.yaml
	$(BIN)/mlcd-train run mlcd_train/configs/demo_mlcd.yaml
	$(BIN)/mlcd-eval run --model results/train/demo_clip/demo_clip --model results/train/demo_mlcd/demo_mlcd \
		--tasks demo --output results/runs/demo
	$(BIN)/mlcd-eval table results/runs/demo --baseline demo_clip
	$(BIN)/mlcd-eval compare results/runs/demo

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not cluster"

test-slow: $(INSTALLED)  # what takes over a minute each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

pretend-gpu: $(INSTALLED)  # whole commands on a CUDA device that is not there (tests/pretend_gpu), also what takes long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m pretend

test-cluster: $(INSTALLED)  # real Slurm on loopback, two raylets, torchrun, and kills (tests/cluster)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster -rs -v --durations=0 tests/cluster

gpu-day: $(INSTALLED)  # the script for a machine with a GPU, small and on the CPU, so that it is ready when there is one
	rm -rf results/runs/gpu_day
	OUT=results/runs/gpu_day PY=$(BIN)/python SLOWER=6 LIMIT=900 OMP_NUM_THREADS=1 \
		bash benchmarks/gpu_day.sh --tiny --device cpu

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mlcd-eval validate

docs: $(INSTALLED)  # the documentation as a site, to results/docs; needs no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(INSTALLED)  # the wheel and the source archive, to dist
	$(BIN)/python -m build --no-isolation

audit:  # known vulnerabilities of the pinned versions; needs pip-audit and a network, and says where it did not check
	.ci/audit

bench: $(INSTALLED)  # the benchmarks that need no data; the docstrings of the others say what they need
	for name in centres clustering linear_probe probe_growth retrieval segmentation; do \
		$(BIN)/python benchmarks/$$name.py || exit 1; done

mutants: $(INSTALLED)  # what the tests notice of small changes of the code; MUTANTS='--number 250 --seed 1 --budget 7200'
	$(BIN)/python -m benchmarks.mutants $(MUTANTS)

leaderboards: $(INSTALLED)
	for group in $$($(BIN)/mlcd-eval ls published | cut -d ' ' -f 1 | grep -v /); do \
		$(BIN)/mlcd-eval table --published-group $$group --output results/leaderboards/$$group.md || exit 1; \
	done
	$(BIN)/mlcd-eval table --published MLCD-Embodied-7B --published MLCD-Seg-7B --format pwc-table \
		--output results/leaderboards/paper_page.md

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

study: $(INSTALLED)
	$(BIN)/python benchmarks/study.py --objects $(OBJECTS)
	$(BIN)/python benchmarks/study_report.py --work results/train/study_full

study-added: $(INSTALLED)  # INIT: an encoder to start from, say open_clip:local-dir:FOLDER
	$(BIN)/python benchmarks/study.py --form added --objects $(OBJECTS) --init $(INIT)
	$(BIN)/python benchmarks/study_report.py --added --work results/train/study_added

study-reduced: $(INSTALLED)
	$(BIN)/python benchmarks/study.py --form reduced
	$(BIN)/python benchmarks/study_report.py --records results/train/study_reduced/records \
		--work results/train/study_reduced --output results/train/study_reduced/report

clean:
	rm -rf .venv
