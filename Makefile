# The commands of the course. Everything works without make too: README, "Without make".
#   make course [CHAPTER=05]   make test   make check   make record CHAPTER=05   make read
#   make equations [CHAPTER=05]   make claims   make lint [CHAPTER=05]
#   make figures [ID=1.2, CHAPTER=05]   make data   make bench   make book
#   make set-repo REPO=owner/name [TAG=v0.2.0]   make pins   make clean

VENV := .venv
RUN := $(VENV)/bin/python -m gentools
STAMP := $(VENV)/.installed
# A log wants only what went wrong; at a terminal one wants to see a large download move.
INSTALL := quiet=-qq; [ -t 1 ] && quiet=; $(VENV)/bin/python -m pip install $$quiet --disable-pip-version-check

# The first Python that is 3.11 or newer; PYTHON=... overrides. Answered once, and only where .venv must be made.
NEW := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
  $$p -c '$(NEW)' >/dev/null 2>&1 && { echo $$p; break; }; done)

.PHONY: help course test check record lint equations claims figures data bench book read set-repo pins clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#  *make/make/p' Makefile

$(STAMP): pyproject.toml constraints.txt
	@python="$(PYTHON)"; test -n "$$python" && $$python -c '$(NEW)' >/dev/null 2>&1 || { \
	  echo "This course needs Python 3.11 or newer, and $${python:-python3} is `$${python:-python3} --version 2>&1 | head -n 1`."; \
	  echo "Install one, then say which: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(VENV)/bin/python -c '$(NEW)' >/dev/null 2>&1 || $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) lacks the module venv (or ensurepip), which makes $(VENV)."; \
	  echo "On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@$(VENV)/bin/python -c '$(NEW)' >/dev/null 2>&1 && $(VENV)/bin/python -m pip --version >/dev/null 2>&1 || { \
	  echo "Making $(VENV) with `$(PYTHON) --version` ..."; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing the pinned packages into $(VENV) (some minutes, once; 5.3 GB with the CUDA build of PyTorch, 1.6 GB with a CPU build) ..."
	@$(INSTALL) -e '.[dev]' -c constraints.txt
	@touch $@

course: $(STAMP)
	@$(RUN) course $(CHAPTER)

test: $(STAMP)
	@$(RUN) test

check: $(STAMP)
	@$(RUN) check

record: $(STAMP)
	@test -n "$(CHAPTER)" || { echo "Which chapter? make record CHAPTER=05 (or CHAPTER=all)"; exit 1; }
	@$(RUN) record $(CHAPTER)

equations lint: $(STAMP)
	@$(RUN) $@ $(CHAPTER)

figures: $(STAMP)
	@$(RUN) figures $(or $(ID),$(CHAPTER))

claims data bench read: $(STAMP)
	@$(RUN) $@

book: $(STAMP) $(VENV)/.book
	@$(RUN) book

$(VENV)/.book: $(STAMP)
	@echo "Installing what builds the book ..."
	@$(INSTALL) -e '.[book]' -c constraints.txt
	@touch $@

set-repo: $(STAMP)
	@$(RUN) set-repo $(REPO) $(TAG)

# New pins for every Python from 3.11 on. The pin of torch is moved by hand, and what its CUDA build needs is left out:
# which build is installed is the installer's choice.
pins: $(STAMP)
	@mkdir -p build && grep '^torch==' constraints.txt > build/torch.txt
	@$(INSTALL) uv
	@$(VENV)/bin/uv pip compile -q --universal --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --upgrade --all-extras -c build/torch.txt pyproject.toml \
	  | sed -E '/^(nvidia-|cuda-|triton)/d; s/^(torch==[0-9.]+).*/\1/' | LC_ALL=C sort > build/constraints.new
	@grep -q '^torch==' build/constraints.new && mv build/constraints.new constraints.txt

clean:
	rm -rf build
