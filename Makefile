# make demo   installs jurat into .venv, judges the scenes of examples/ and writes a page to look at
# make demo-eval   evaluates models on every set of pictograms, on Inspect AI, and prints the numbers; the organisms
#                  on that of the vault, where they are trained
# make test   installs the tools of development too, and runs every check
# PYTHON=python3.12 chooses the interpreter; PIP_ARGS="..." is passed to every pip install.

VENV     ?= .venv
BIN      := $(VENV)/bin
PIP_ARGS ?=
PYTEST_ARGS ?=
PYTHON   ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP      := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt $(PIP_ARGS)
NEEDS    := pyproject.toml constraints.txt
# A worker gets neighbouring tests, which share fixtures, and takes some of another's when it has done its own.
# Bytecode is written whatever the environment says, since commands that tests start would compile it each time.
PYTEST   := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n auto --dist worksteal
TYPES_LOG := $(VENV)/types.log
# Every extra that there is, so that a package which only one of them asks for has a pin too.
EXTRAS    = $(shell $(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies'], sep=',')")

.DEFAULT_GOAL := help
.PHONY: help install dev models demo demo-eval demo-labelled bench doses test check lint types types-log layers unit slow format constraints clean

help:
	@echo "make demo     install into $(VENV), judge the scenes of examples/, write out/demo.html"
	@echo "make demo-eval   evaluate models on every set of pictograms, into out/eval"
	@echo "make demo-labelled   measure judges and baselines on the scenes of examples/, into out/labelled"
	@echo "make bench    judge every split but dev and vault with every lineage, hours, into out/bench; SPLITS=redrawn"
	@echo "make doses    what methods gain by how much of them training has shown, hours, into out/doses"
	@echo "make test     install the tools of development too, run every check and test"
	@echo "make slow     run the longer tests: kills, trainings, exams of models, pages of docs/, Ray, perf/"
	@echo "make models   train every model that ships, hours; SMALL=1 tries the chain in minutes, into out/small"
	@echo "make install  install only"
	@echo "make format   let ruff rewrite the code"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Each stamp says that pip has installed what the files of NEEDS ask for.
$(VENV)/.stamp-local: $(NEEDS) | $(BIN)/python
	@echo "Installing jurat and what its models need into $(VENV); the first time takes minutes."
	$(PIP) -e ".[local]"
	@touch $@

$(VENV)/.stamp-eval: $(NEEDS) | $(BIN)/python
	@echo "Installing jurat, what its models need, and Inspect AI into $(VENV); the first time takes minutes."
	$(PIP) -e ".[local,eval]"
	@touch $(VENV)/.stamp-local $@

$(VENV)/.stamp-dev: $(NEEDS) | $(BIN)/python
	@echo "Installing jurat, what its models need, and the tools of development into $(VENV)."
	$(PIP) -e ".[$(EXTRAS)]"
	@touch $(VENV)/.stamp-local $(VENV)/.stamp-eval $@

install: $(VENV)/.stamp-local
dev: $(VENV)/.stamp-dev

# Every model that ships, trained anew where training/weights does not hold it. Rerun to resume.
models: dev
	@$(BIN)/python -m training models --out $(if $(SMALL),out/small,out/training) $(if $(SMALL),--small --weights out/small/weights --folder out/small/models)

demo: install
	@mkdir -p out
	@$(BIN)/jurat judge examples/scenes --constitution shelf:nursery --show 40 --out out/demo.jsonl --overwrite
	@$(BIN)/jurat report out/demo.jsonl --out out/demo.html --overwrite

demo-eval: $(VENV)/.stamp-eval
	@$(BIN)/jurat eval examples/battery.yaml --out out/eval
	@$(BIN)/jurat report out/eval/logs --out out/eval.html --overwrite
	@if $(BIN)/python -m training export aligned --out out/training && $(BIN)/python -m training export tuned --out out/training; \
	then $(BIN)/jurat eval examples/organisms.yaml --out out/eval-organisms; \
	else echo "The organisms were not evaluated."; fi

demo-labelled: install
	@$(BIN)/jurat bench labelled --images examples/scenes --labels examples/scenes/truth.jsonl \
		--constitution shelf:nursery --out out/labelled

# Lineages that do not ship, from their own towers on, where their stages are not there yet: hours. No gate.
# The lineage is written last. Remove out/models to write them anew from other weights.
FURTHER := $(foreach name,naive-2 naive-3,out/models/$(name)/lineage.json)
$(FURTHER): | dev
	@for stage in $(notdir $(@D))-tower $(notdir $(@D)); do \
		test -d training/weights/$$stage || test -d out/training/finished/$$stage \
			|| $(BIN)/python -m training stage $$stage --out out/training || exit 1; done
	@$(BIN)/python -m training export $(notdir $(@D)) --out out/training --folder $(@D)

# Rerun to resume. SPLITS="all vault" adds the vault to a bench that is done; SPLITS=redrawn is one split alone.
SPLITS   ?= all
PER_RULE ?= 20
bench: $(FURTHER)
	@$(BIN)/jurat bench pictograms --out out/bench --workers 2 --per-rule $(PER_RULE) $(SPLITS:%=--split %) \
		--model bundled --model naive --model naive#2=out/models/naive-2 --model naive#3=out/models/naive-3

# Of the stages dose-... that "make models" finishes. Rerun to resume.
doses: dev
	@$(BIN)/python perf/doses.py --models out/training/finished --out out/doses --workers 2 --per-rule $(PER_RULE) \
		--json out/doses/doses.json --markdown out/doses/doses.md --figure out/doses/doses.svg

test: dev
	@$(MAKE) --no-print-directory check

# pyright runs on one core beside the tests, and its report is printed after theirs.
check: lint layers
	@$(MAKE) --no-print-directory -j2 types-log unit; status=$$?; cat $(TYPES_LOG); exit $$status

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/pyright --pythonpath $(BIN)/python

types-log:
	@$(MAKE) --no-print-directory types >$(TYPES_LOG) 2>&1

layers:
	$(BIN)/lint-imports

unit:
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

# Runs that are killed, trainings, exams of models, pages of docs/, workers of Ray, small runs of what perf/
# measures: minutes. CI runs them too.
slow: dev
	$(PYTEST) -m slow $(PYTEST_ARGS)

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins what is installed in a fresh VENV: make clean dev constraints.
constraints:
	@{ echo "# The versions that the tests pass with. Written by 'make constraints'; no +cpu or +cu suffixes:"; \
	   echo "# 'torch==X' means whichever build of X the package index offers."; \
	   $(BIN)/python -m pip freeze --disable-pip-version-check --exclude-editable --exclude jurat | sed 's/+[a-z0-9]*$$//'; } > constraints.tmp
	@$(BIN)/python -m pip install --disable-pip-version-check -q --dry-run --no-index --no-build-isolation -e ".[$(EXTRAS)]" || \
		{ rm constraints.tmp; echo "$(VENV) lacks packages of some extra, so their pins would be lost: make clean dev constraints" >&2; exit 1; }
	@mv constraints.tmp constraints.txt

clean:
	rm -rf $(VENV)
