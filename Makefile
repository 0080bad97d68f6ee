# Builds, runs and checks Roadstead. `make` alone lists the targets.
#
# It is a list of commands, not a build system: cargo knows what has to be built.

# One folder for every clone, outside of them, so that a fresh clone does not compile RocksDB again.
CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roadstead/target
export CARGO_TARGET_DIR
# Where rustup puts cargo; a shell that was open before does not have it in its PATH yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

tools := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roadstead/tools/bin

# Cargo builds a dependency once for each profile and set of features, and both depend on what is
# selected: `-p roadstead` would turn on fewer features than `--workspace`. So every command selects
# the whole workspace with all features, and names with --bin or --test what of it to build.
selection := --release --locked --workspace --all-features
# The same without our own features, which are for tests: they turn on nothing in any dependency, so
# that only our own crates are built twice.
product := --release --locked --workspace
# The suites that `make test` leaves out. By name, and without --all-targets, beside which cargo
# passes over them.
slow := --test crash --test collection --test pressure --test stores --test chaos
# Suites with blobs in the bucket that tests/stores/run has made.
on_store := env ROADSTEAD_SUITE_STORE=s3 cargo test $(selection)
# The registry that tests share is three nodes behind haproxy.
several := ROADSTEAD_SUITE_NODES=3
# A workspace of its own: see tests/volatile/Cargo.toml.
volatile := --release --locked --manifest-path tests/volatile/Cargo.toml

.DEFAULT_GOAL := help
.PHONY: help run test crash collect pressure chaos stores stores-short nightly verify fix conformance
.PHONY: clients bench bench-gc bench-store bench-cluster audit-advisories

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## build the registry and start it; CONFIG=file gives it a configuration
	@deploy/setup build
	cargo build $(product) --bin roadstead
	@echo 'starting $(CARGO_TARGET_DIR)/release/roadstead serve $(CONFIG)'
	@exec "$(CARGO_TARGET_DIR)/release/roadstead" serve $(CONFIG)

# The binaries first: the black-box tests start them.
test: ## run every test but the slow suites
	@deploy/setup test
	cargo build $(selection) --bins --tests
	cargo test $(selection)

# Two at a time: each has a registry and eight clients.
crash: ## kill the registry at random and at every crash point, with unsynced writes lost
	@deploy/setup crash
	cargo test $(volatile)
	cargo build $(volatile)
	cargo build $(selection) --bin roadstead --test crash
	cargo test $(selection) --test crash -- --test-threads 2

# The stress by itself: the others measure seconds.
collect: ## push, delete and collect garbage at once under kills, and count every object after
	@deploy/setup collect
	cargo build $(selection) --bin roadstead --test collection
	cargo test $(selection) --test collection -- --skip stress --test-threads 8
	cargo test $(selection) --test collection -- stress --nocapture

# One at a time: each wants the machine for itself.
pressure: ## full disks, stalled disks, many uploads and connections, a wrong clock; needs root
	@deploy/setup pressure
	cargo build $(selection) --bin roadstead
	cargo test $(selection) --test pressure -- --test-threads 1

# Two at a time: much of what a cluster under faults does is wait.
chaos_settings = $(if $(SECONDS),ROADSTEAD_CHAOS_SECONDS=$(SECONDS)) \
	$(if $(SEED),ROADSTEAD_CHAOS_SEED=$(SEED)) $(if $(NODES),ROADSTEAD_CHAOS_NODES=$(NODES))
chaos: ## kill, pause and cut off nodes under clients, and judge histories; SECONDS, SEED, NODES, ONLY
	@deploy/setup chaos
	cargo build $(selection) --bin roadstead --test chaos
	env $(chaos_settings) cargo test $(selection) --test chaos -- $(ONLY) --nocapture --test-threads 2

# One test at a time: each wants the store for itself, and counts what it is asked. Then the suites of
# other targets that do not look into folders, with blobs on the store.
# The collection stress has fewer operations here than on a folder: at each listing Garage walks over all
# that was ever deleted, and a sweep lists every two seconds.
stores: ## the S3 driver on real servers, which are built first; STORES="garage versitygw" chooses
	@deploy/setup stores
	cargo build $(volatile)
	cargo build $(selection) --bin roadstead --test stores --test collection --test crash \
		--test endpoints
	tests/stores/run $(STORES) -- cargo test $(selection) --test stores -- --test-threads 1
	tests/stores/run $(STORES) -- $(on_store) --test endpoints
	tests/stores/run $(STORES) -- env $(several) $(on_store) --test endpoints
	tests/stores/run $(STORES) -- env ROADSTEAD_COLLECT_OPERATIONS=20000 $(on_store) \
		--test collection -- stress --nocapture
	tests/stores/run $(STORES) -- $(on_store) --test crash -- kills --test-threads 1

stores-short: ## those of its tests that take seconds, on versitygw alone
	@deploy/setup stores
	cargo build $(selection) --bin roadstead --test stores --test endpoints
	tests/stores/run versitygw -- cargo test $(selection) --test stores -- \
		contract requests chunks damage --test-threads 1
	tests/stores/run versitygw -- env $(several) $(on_store) --test endpoints

nightly: ## the long tests: what `make crash` and `make collect` do in minutes, for over an hour
	ROADSTEAD_CRASH_KILLS=3000 $(MAKE) crash
	ROADSTEAD_COLLECT_OPERATIONS=500000 ROADSTEAD_COLLECT_KILLS=100 $(MAKE) collect
	$(MAKE) chaos ONLY=random SECONDS=1800
	$(MAKE) chaos ONLY=random SECONDS=900 NODES=5
	$(MAKE) stores

verify: ## check format, lints, documentation, layout and dependencies; changes no file
	@deploy/setup verify
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path tests/volatile/Cargo.toml
	cargo clippy $(selection) --all-targets -- -D warnings
	cargo clippy $(selection) $(slow) -- -D warnings
	cargo clippy $(volatile) --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc $(selection) --no-deps --document-private-items
	cargo test $(selection) --test tidy
	"$(tools)/cargo-deny" --locked --all-features check bans licenses sources
	"$(tools)/cargo-deny" --locked --manifest-path tests/volatile/Cargo.toml --config deny.toml \
		check bans licenses sources

fix: ## format the code, and repair what clippy can repair
	@deploy/setup verify
	cargo fmt --all
	cargo fmt --all --manifest-path tests/volatile/Cargo.toml
	cargo clippy $(selection) --all-targets --fix --allow-dirty --allow-staged
	cargo clippy $(selection) $(slow) --fix --allow-dirty --allow-staged

# KILLS=1 has the leader of NODES=3 killed and started again every few seconds.
conformance_settings = $(if $(STORES),CONFORMANCE_STORE=s3) \
	$(if $(NODES),CONFORMANCE_NODES=$(NODES)) $(if $(KILLS),CONFORMANCE_KILLS=$(KILLS))
conformance: ## run the official conformance tool; STORES=garage, NODES=3, KILLS=1
	@deploy/setup conformance
	cargo build $(product) --bin roadstead
	$(if $(STORES),tests/stores/run $(STORES) --) env $(conformance_settings) tests/conformance/run

bench: ## measure beside other registries; PARTS="manifest images" chooses, WRITE=file keeps the tables
	@deploy/setup bench
	cargo build $(product) --bin roadstead
	tests/bench/run $(if $(WRITE),--write $(WRITE)) $(PARTS)

# The product last: the other build puts a program with our features for tests into its place.
bench-gc: ## measure garbage collection, beside Distribution's; PARTS and WRITE as for bench
	@deploy/setup bench-gc
	among=$$(cargo build $(selection) --bench among --message-format=json-render-diagnostics | \
		sed -n 's/.*"executable":"\([^"]*\/among-[^"]*\)".*/\1/p') && \
	cargo build $(product) --bin roadstead && \
	AMONG=$$among tests/bench/run-gc $(if $(WRITE),--write $(WRITE)) $(PARTS)

# On Garage: versitygw writes a large object anew when it is completed, which takes as long as it is.
bench-store: ## measure on an object store, beside Distribution; PARTS and WRITE as for bench, STORES too
	@deploy/setup bench-store
	cargo build $(product) --bin roadstead
	tests/stores/run $(or $(STORES),garage) -- tests/bench/run-store $(if $(WRITE),--write $(WRITE)) $(PARTS)

bench-cluster: ## measure three nodes, beside Distribution and etcd; PARTS and WRITE as for bench
	@deploy/setup bench-cluster
	cargo build $(product) --bin roadstead
	tests/bench/run-cluster $(if $(WRITE),--write $(WRITE)) $(PARTS)

clients: ## push and pull with docker, podman, containerd, crane, oras and others
	@deploy/setup clients
	cargo build $(product) --bin roadstead
	tests/clients/run

# Not part of verify: it downloads the database of advisories, which CI cannot reach, and it may fail
# on a day when nobody changed anything.
audit-advisories: ## look for known vulnerabilities in dependencies; needs the network
	@deploy/setup verify
	"$(tools)/cargo-deny" --locked --all-features check advisories
