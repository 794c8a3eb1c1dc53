# The course's commands. Each sets up what it needs in .venv, once.
# Without make (Windows): README.md has the same commands for pip.

VENV := .venv/bin/python
PIP := $(VENV) -m pip --disable-pip-version-check
READY := .venv/ready
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)
# Sets the shell's `found` to the first of these that runs and is supported (a name on PATH may lead to none).
FIND = for python in $(1); do if "$$python" -c "$(SUPPORTED)" 2>/dev/null; then found=$$python; break; fi; done

.PHONY: help course test test-fast test-colab lab site lint lock clean

help:
	@echo "make course      run the notebooks on the data in this folder and write a report to results/course/"
	@echo "make test        run every test: the unit tests and every notebook"
	@echo "make test-fast   run the unit tests that train nothing"
	@echo "make test-colab  run every notebook with the versions that Google Colab has"
	@echo "make lab         open copies of the notebooks, in work/, in JupyterLab"
	@echo "make site        build the course as a web site, in site/, that opens without a network"
	@echo "make lint        check style, imports, type hints and spelling"
	@echo "make lock        renew requirements.lock from pyproject.toml"
	@echo "make clean       remove .venv, .venv-colab and caches; results/ and work/ stay"
	@echo "PYTHON=/path/to/python3.12 chooses the Python (3.11 to 3.13) that .venv is made of."

course: $(READY)
	@$(VENV) -m cnnlib course

# The notebooks are tests as well: pyproject.toml lists both folders, conftest.py keeps them away from results/.
# Two unit tests at a time, each on one core; a notebook uses two.
test: $(READY)
	@tests/browser/install.sh
	@$(VENV) -m pytest tests --numprocesses 2
	@$(VENV) -m pytest notebooks --numprocesses 2 --dist loadfile

test-fast: $(READY)
	@$(VENV) -m pytest tests --numprocesses 2 -m "not slow"

# What a Colab session does: no editable install, and each notebook by the command that its readers are given.
# NOTEBOOKS="03 05" chooses some.
COLAB := .venv-colab/bin/python
NOTEBOOKS ?= $(notdir $(basename $(wildcard notebooks/*.ipynb)))

test-colab: .venv-colab/ready
	@mkdir -p results/colab
	@for notebook in $(NOTEBOOKS); do \
		echo "$$notebook ..."; \
		PYTHONPATH="$(CURDIR)" CNNLIB_RESULTS="$(CURDIR)/results/colab" \
			$(COLAB) -m cnnlib run "$$notebook" -o "results/colab/$$notebook.ipynb" || failed="$$failed $$notebook"; \
	done; \
	if [ -n "$$failed" ]; then echo "With Colab's versions these notebooks fail:$$failed" >&2; exit 1; fi

.venv-colab/ready: requirements-colab.lock requirements-build.lock
	@rm -rf .venv-colab
	@$(call FIND,python3.13 python3.12 $(CANDIDATES)); "$${found:?no Python 3.11, 3.12 or 3.13}" -m venv .venv-colab
	@$(COLAB) -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements-build.lock
	@$(COLAB) -m pip --disable-pip-version-check install --quiet --require-hashes --no-build-isolation -r requirements-colab.lock
	@touch .venv-colab/ready

# Copies, so that running a notebook changes no file of the repository. Copies that exist are kept.
lab: $(READY)
	@$(VENV) -m cnnlib notebooks copy
	@$(VENV) -m jupyterlab work

site: $(READY)
	@$(VENV) -m cnnlib site

lint: $(READY)
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@.venv/bin/lint-imports
	@$(VENV) -m mypy
	@$(VENV) -m codespell_lib

# uv comes from the lock itself. Only promise has no wheel: uv builds it with the setuptools of .venv,
# and nothing else is ever built. The second file is what has to be there before pip builds anything.
COMPILE = $(VENV) -m uv pip compile --quiet --python $(VENV) --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-build-isolation --only-binary :all: --no-binary promise

lock: $(READY)
	@$(COMPILE) pyproject.toml --extra lab --extra docs --extra dev -o requirements.lock >/dev/null
	@$(COMPILE) pyproject.toml requirements-colab.txt --extra colab -o requirements-colab.lock >/dev/null
	@printf 'setuptools\nwheel\n' | $(COMPILE) - --constraint requirements.lock --no-annotate -o requirements-build.lock >/dev/null
	@echo "The locks are renewed: make test installs them and tests them"

clean:
	rm -rf .venv .venv-colab .pytest_cache .ruff_cache .mypy_cache .import_linter_cache *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A .venv that was left in the middle of an installation (it has the file `unfinished`) or whose Python is gone is made anew.
# setuptools and wheel come first, so that pip builds promise and cnnlib with them: left to itself pip fills an
# environment for each build with whatever the index has, without hashes, and runs that code.
$(READY): requirements.lock requirements-build.lock pyproject.toml
	@if [ -e .venv/unfinished ] || ! $(VENV) -c "$(SUPPORTED)" 2>/dev/null; then \
		$(call FIND,$(CANDIDATES)); \
		if [ -z "$$found" ]; then \
			echo "No Python 3.11, 3.12 or 3.13 with its venv module among: $(CANDIDATES)." >&2; \
			echo "Install one (python.org; on Debian and Ubuntu also: apt install python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; \
			exit 1; \
		fi; \
		"$$found" -m venv --clear .venv || exit 1; \
	fi
	@echo "Installing the locked requirements into .venv: one to three minutes the first time ..."
	@touch .venv/unfinished
	@$(PIP) install --quiet --require-hashes -r requirements-build.lock \
		&& $(PIP) install --quiet --require-hashes --no-build-isolation -r requirements.lock \
		&& $(PIP) install --quiet --no-deps --no-build-isolation -e . \
		|| { rm .venv/unfinished; exit 1; }
	@rm .venv/unfinished
	@touch $(READY)
