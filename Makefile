# `make study` sets up everything and runs the paper's study; `make test` sets up and passes the tests.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
CONFIG ?= config/config.yaml
CORES ?= all
INSTALLED := $(VENV)/installed

# Modules are compiled once, not in each of hundreds of jobs, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

SNAKEMAKE = snakemake --workflow-profile workflow/profiles/default --cores $(CORES) --configfile $(CONFIG)
OUTPUT = $(shell $(VENV)/bin/python -c "import yaml; print(yaml.safe_load(open('$(CONFIG)')).get('output', 'results'))")

.PHONY: study paper test check docs bench lock clean help

help:
	@echo "make study    run the study of CONFIG (config/config.yaml) into results/, with its report and paper"
	@echo "make paper    compile results/paper/paper.tex, where there is LaTeX"
	@echo "make test     run the tests"
	@echo "make check    formatting, lint and types"
	@echo "make docs     build the documentation into site/, running its tutorials"
	@echo "make bench    how fast it is, beside what one would otherwise write: results/benchmarks/, in minutes"
	@echo "make lock     pin the newest versions that pyproject.toml allows"
	@echo "make clean    remove results/ and .snakemake/"

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $(INSTALLED)

study: $(INSTALLED)
	$(SNAKEMAKE) -- all reported paper
	$(SNAKEMAKE) --quiet all --report $(OUTPUT)/report.html --report-stylesheet workflow/report/style.css -- all reported
	@echo "Open $(OUTPUT)/report.html; results/README.md says what else lies where"

paper: $(INSTALLED)
	$(SNAKEMAKE) -- paper
	@if command -v pdflatex > /dev/null; then cd $(OUTPUT)/paper && pdflatex -interaction=batchmode paper \
	  && pdflatex -interaction=batchmode paper; else echo "No pdflatex here: $(OUTPUT)/paper/paper.tex is not compiled"; fi

test: $(INSTALLED)
	pytest

check: $(INSTALLED)
	ruff format --check .
	ruff check .
	mypy
	snakefmt --check .
	snakemake --lint

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

bench: $(INSTALLED)
	python -m benchmarks

lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet torch==2.13.0
	$(VENV)-lock/bin/python -m pip install --quiet ".[cluster,dev,docs]"
	{ echo "# Made by \`make lock\` from pyproject.toml; \`make\` installs from it."; \
	  $(VENV)-lock/bin/python -m pip freeze --exclude csd | sed 's/+cpu$$//'; } > requirements.lock
	rm -rf $(VENV)-lock build csd.egg-info

clean:
	rm -rf results/*/ .snakemake
