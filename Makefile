# surefoot: see `make help`. Everything that is built, downloaded or cached lands under $(T).

SHELL := /bin/sh
.DEFAULT_GOAL := help

T := $(or $(CARGO_TARGET_DIR),target)

# PID 1's crates are built without std. Cargo unifies features within one call, so they never share a call with the
# crates of the host. The crate verity is in both: what it does with whole images needs std.
PID1_CRATES := -p verity -p boot-config -p overlay -p deployment -p sys -p surefoot-init
HOST_CRATES := -p verity -p surefoot -p surefoot-ci -p surefoot-fuzz -p surefoot-probe

.PHONY: help build install-packages check fmt clippy unit deny test scenarios soak cuts tamper fuzz faults sbom prove bench boot size clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install-packages:
	@ci/install

build: install-packages pid1 pid1-slots tool ## Build $(T)/release/surefoot and $(T)/release/surefoot-init

# Messages name source files: by paths that do not depend on where this is built.
REMAP := --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo --remap-path-prefix=$(CURDIR)=/surefoot

.PHONY: pid1 pid1-slots tool probe
pid1 pid1-slots: export RUSTFLAGS := $(REMAP) $(RUSTFLAGS)
pid1:
	cargo build --release -p surefoot-init

# PID 1 without deployments in filesystems: a machine that has slots alone needs no more.
pid1-slots:
	cargo rustc --release -p surefoot-init --bin surefoot-init --no-default-features --features compact \
		--target-dir $(T)/slots -- -C relocation-model=static

tool: install-packages
	cargo build --profile tool -p surefoot
	@mkdir -p $(T)/release
	@cmp -s $(T)/tool/surefoot $(T)/release/surefoot || install -m 755 $(T)/tool/surefoot $(T)/release/surefoot

# The real init of the scenarios: static, so that a root image needs nothing else.
probe:
	cargo rustc --release -p surefoot-probe --bin surefoot-probe -- -C target-feature=+crt-static -C relocation-model=static

check: fmt clippy unit ## Format, lints, unit and golden tests: the inner loop

fmt:
	cargo fmt --all --check

clippy: install-packages
	cargo clippy --quiet $(PID1_CRATES) -- -D warnings
	cargo clippy --quiet $(PID1_CRATES) --lib --tests -- -D warnings
	cargo clippy --quiet $(HOST_CRATES) --all-targets -- -D warnings

unit: install-packages
	cargo test --quiet $(PID1_CRATES)
	cargo test --quiet $(HOST_CRATES) --lib --bins

deny: install-packages
	ci/deny

# SCENARIO=TEXT runs the scenarios whose name contains TEXT.
scenarios: build probe
	cargo test --quiet -p surefoot-ci --test scenarios -- $(SCENARIO)

test: check deny build probe ## Everything: check, dependencies, veritysetup grid, QEMU scenarios (SCENARIO=name filters)
	cargo test --quiet -p surefoot --test '*'
	cargo test --quiet -p surefoot-ci --test scenarios -- $(SCENARIO)

# CYCLES=NUMBER says how many; SUREFOOT_SEED=NUMBER repeats the moments of an earlier run.
soak: build probe ## Cut the power of machines at 200 random moments of updates and boots (CYCLES=N changes that)
	cargo run --quiet -p surefoot-ci --bin soak

# CUTS=NUMBER says how many; SUREFOOT_SEED=NUMBER repeats the moments of an earlier run.
cuts: build probe ## Cut recorded writes to boot ledgers at 1000 random places, and read what is left
	cargo run --quiet -p surefoot-ci --bin cuts

# OFFLINE=NUMBER and BOOTS=NUMBER say how many; SUREFOOT_SEED=NUMBER repeats the mutations of an earlier run.
tamper: build probe ## Alter disks at 1000 random places and judge each; boot 100 of them
	cargo run --quiet -p surefoot-ci --bin tamper

# FUZZ_SECONDS=NUMBER says how long for each target, TARGET=NAME which one alone, JOBS=NUMBER how many side by side.
fuzz: export FUZZ_SECONDS := $(FUZZ_SECONDS)
fuzz: export JOBS := $(JOBS)
fuzz: export TARGET := $(TARGET)
fuzz: install-packages ## Look for inputs that a reader fails on, 10 minutes for each (FUZZ_SECONDS=N, TARGET=name change that)
	ci/fuzz/run

# SECTORS=NUMBER says how many sectors; SUREFOOT_SEED=NUMBER repeats those of an earlier run. CALLS=TEXT has calls fail for
# the kinds of root alone whose name contains TEXT; ERRORS=1 has each fail with one error number.
faults: build probe ## Have every system call fail with every error, and boot with 200 unreadable sectors (SECTORS=N)
	cargo build --quiet -p surefoot-ci --bins
	cargo run --quiet -p surefoot-ci --bin calls
	cargo run --quiet -p surefoot-ci --bin faults

sbom: ## List what PID 1 and the tool are made of (CycloneDX), in $(T)/sbom
	ci/sbom

# Some hours. Each part prints what it did, and fails where anything is lost.
prove: faults tamper cuts soak fuzz sbom ## All of the long proofs, one after the other; docs/reliability.md has their figures

boot: build ## Boot a real Debian with a verified root in QEMU (SCENARIO=rollback: and watch it survive an update)
	cargo run --quiet -p surefoot-ci --bin boot -- $(SCENARIO)

# PART=boot, growth, images, initramfs, programs or verity measures one table alone, and leaves the document as it is; RUNS=NUMBER
# says how often machines are run.
bench: build probe ## Measure surefoot beside others (as root), and write docs/performance.md; wants a quiet machine
	PART=$(PART) cargo run --quiet -p surefoot-ci --bin bench

size: build ## Compare sizes with their budget (ci/budget.toml)
	cargo run --quiet -p surefoot-ci --bin size

clean: ## Remove everything that was built, downloaded or cached
	rm -rf $(T)
