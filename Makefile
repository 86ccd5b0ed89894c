# Every target sets up what it needs, so `make demo` or `make test` is the only command on a fresh clone.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BUNDLE ?= hippocampus_mri_segmentation
DEMO_OUT ?= demo_out
BIN := .venv/bin
STAMP := .venv/.stamp

.PHONY: help .venv demo test test-gpu test-label lint docs bench clean
.DEFAULT_GOAL := help

help:
	@echo "make .venv       the environment of everything below, from setup.cfg and constraints.txt"
	@echo "make demo        generated images, a short training, inference, evaluation, a report"
	@echo "make test        all tests but those that need a GPU or MONAI Label"
	@echo "make test-gpu    the tests marked gpu"
	@echo "make test-label  the MONAI Label server with the bundles, in an environment of its own"
	@echo "make lint        formatting and lint checks"
	@echo "make docs        the documentation, in site/"
	@echo "make bench       the benchmarks, each beside its baseline"
	@echo "make clean       remove what the targets above wrote, but not the environments"

.venv: $(STAMP)

$(STAMP): setup.cfg setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python -m pip install -q -c constraints.txt -e '.[test,docs]'
	# zennit asks for torchvision, which must fit torch's build and which the tests do without.
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps zennit
	touch $@

demo: $(STAMP)
	@$(BIN)/monai-tasks demo $(BUNDLE) -o $(DEMO_OUT)

# A process a core, each with one thread, instead of one process whose threads wait for each other.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu and not label" -n auto --maxprocesses 4 --dist loadfile

test-gpu: $(STAMP)
	@if $(BIN)/python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then \
		$(BIN)/python -m pytest -m gpu; \
	else \
		echo "test-gpu: skipped: torch finds no CUDA device on this machine"; \
	fi

test-label: $(STAMP)
	bash tests/label/run.sh

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir site

bench: $(STAMP)
	@for file in $(filter-out benchmarks/relevance.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$file"; $(BIN)/python $$file || exit 1; \
	done
	@echo "== benchmarks/relevance.py"
	@$(BIN)/python benchmarks/relevance.py --weights wrist_networks_out/ResNet18/training/model.pt \
		--configs wrist_networks_out/small.json

clean:
	rm -rf build dist site *.egg-info $(DEMO_OUT) knee_variants_out wrist_networks_out motion_grading_out ordinal_knee_out knee_pictures_out planted_outliers_out ensembles_out transfer_knee_to_chest_out transfer_hippocampus_to_tumour_out .pytest_cache .ruff_cache
	find monai_tasks tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
