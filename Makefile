# `make` lists what there is. Both `make demo` and `make test` begin on a bare Debian machine: they check for Rust and
# Go, install the Debian packages they miss, and say so.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: sources help demo test unit model sim lint doc cluster-test generate check-generated image down clean

# The same in every script: hack/target-dir.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/redis-operator/target

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: sources ## A cluster, the operator, a set and a client that writes through the VIP; KEEP=1 leaves it running (root)
	hack/preflight cluster
	cargo run --locked --package cluster-tests --bin demo

test: ## Everything CI runs: lint, docs, unit tests, cluster suite (root)
	hack/preflight cluster
	$(MAKE) lint doc unit cluster-test

unit: sources ## Tests that need no cluster, in under two minutes once built
	hack/preflight rust
	cargo test --locked

sim: sources ## Every scenario with every fault at every effect of the operator, in memory; SIM=Kill/17/lost-reply picks
	hack/preflight rust
	SIM=$(or $(SIM),all) cargo test --locked --test sim -- --nocapture

model: sources ## Every order of more faults in a small set, over the shipped decisions: minutes; says states and times
	hack/preflight rust
	cargo test --locked --lib decide::tests::model -- --include-ignored --nocapture --test-threads 1

lint: sources ## Formatting, and clippy with warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

doc: sources ## The code's documentation, with warnings denied
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps --document-private-items

cluster-test: ## Tests on a real cluster, brought up and taken down again (root); TEST=name picks some
	hack/preflight cluster
	hack/cluster-test $(TEST)

generate: ## Write crds/, the chart's copy of it and deploy/install.yaml (needs helm, see hack/generate)
	hack/generate

check-generated: ## Compare them instead
	hack/generate --check

image: ## The operator's image with docker or buildah; IMAGE=name:tag, ARCHIVE=file
	hack/image $(or $(IMAGE),"") $(ARCHIVE)

down: ## End the cluster of a KEEP=1
	cargo testbed down

sources:
	@. hack/target-dir

clean: down ## down, and remove what was built
	cargo clean
	rm -rf tests/artifacts
