# surefoot: see `make help`. Everything that is built, downloaded or cached lands under $(T).

SHELL := /bin/sh
.DEFAULT_GOAL := help

T := $(or $(CARGO_TARGET_DIR),target)

# PID 1's crates are built without std. Cargo unifies features within one call, so they never share a call with the
# crates of the host. The crate verity is in both: what it does with whole images needs std.
PID1_CRATES := -p verity -p boot-config -p overlay -p deployment -p sys -p surefoot-init
HOST_CRATES := -p verity -p surefoot -p surefoot-ci -p surefoot-probe

.PHONY: help build install-packages check fmt clippy unit deny test scenarios soak faults boot size clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install-packages:
	@ci/install

build: install-packages pid1 pid1-slots tool ## Build $(T)/release/surefoot and $(T)/release/surefoot-init

.PHONY: pid1 pid1-slots tool probe
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
soak: build probe ## Cut the power at 200 random moments of updates and boots (CYCLES=N changes that)
	cargo run --quiet -p surefoot-ci --bin soak

# SECTORS=NUMBER says how many sectors; SUREFOOT_SEED=NUMBER repeats those of an earlier run. CALLS=TEXT has calls fail for
# the kinds of root alone whose name contains TEXT; ERRORS=1 has each fail with one error number.
faults: build probe ## Have every system call fail with every error, and boot with 200 unreadable sectors (SECTORS=N)
	cargo build --quiet -p surefoot-ci --bins
	cargo run --quiet -p surefoot-ci --bin calls
	cargo run --quiet -p surefoot-ci --bin faults

boot: build ## Boot a real Debian with a verified root in QEMU (SCENARIO=rollback: and watch it survive an update)
	cargo run --quiet -p surefoot-ci --bin boot -- $(SCENARIO)

size: build ## Compare sizes with their budget (ci/budget.toml)
	cargo run --quiet -p surefoot-ci --bin size

clean: ## Remove everything that was built, downloaded or cached
	rm -rf $(T)
