# drawbridge: `make run` and `make test` are all a fresh machine needs.

SWIFT ?= swift
SWIFT_FOLDERS := Package.swift $(wildcard Sources Gateway Recorder Bridge Tests Benchmarks)
FILTER ?=
RUN_ARGUMENTS ?=
# The runtime is linked in: the programs need no Swift where they run, and calls into it cost less.
RELEASE := --configuration release --static-swift-stdlib

.DEFAULT_GOAL := build
.PHONY: run test build bench format check-format check-monitoring test-thread test-address fuzz packages toolchain clean

# Sets up what is missing and runs the installation until Ctrl-C. DRAWBRIDGE_HOME, DRAWBRIDGE_PORT,
# DRAWBRIDGE_ADMIN_PORT and DATABASE_URL choose where; RUN_ARGUMENTS is passed on, such as '--demo-hotels 1000'.
run: build
	@exec .build/release/drawbridge up $(RUN_ARGUMENTS)

build: packages
	$(SWIFT) build $(RELEASE)

# FILTER=LoopTests runs some of them.
test: packages
	Scripts/python-tools
	SWIFT='$(SWIFT)' Scripts/test $(if $(FILTER),'$(FILTER)')

# Each sanitizer has a build of its own, so that the plain one stays as it is.
test-thread: packages
	$(SWIFT) test --no-parallel --sanitize thread --scratch-path .build-thread $(if $(FILTER),--filter '$(FILTER)')

# Without the search for leaks: tasks that wait when the process ends hold what they use by pointers it cannot follow.
# Growth is what `make bench` measures.
test-address: packages
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --no-parallel --sanitize address --scratch-path .build-address $(if $(FILTER),--filter '$(FILTER)')

# FUZZ_SECONDS for each target.
FUZZ_SECONDS ?= 60
fuzz: packages
	Scripts/fuzz $(FUZZ_SECONDS)

bench: toolchain
	Scripts/packages --bench
	$(SWIFT) build $(RELEASE)
	Scripts/bench

format: toolchain
	$(SWIFT) format format --in-place --parallel --recursive $(SWIFT_FOLDERS)

check-format: toolchain
	$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_FOLDERS)

# Dashboard and alerts ask for what there is.
check-monitoring:
	Scripts/check-monitoring

# Debian packages that building and running need.
packages: toolchain
	@Scripts/packages

toolchain:
	@command -v $(SWIFT) >/dev/null || { \
	  echo 'make: no Swift toolchain: install Swift 6.3 (https://www.swift.org/install/linux/) and put it on PATH' >&2; \
	  exit 1; }

clean:
	rm -rf .build .build-thread .build-address .build-fuzz
