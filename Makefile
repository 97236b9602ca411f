# `make demo` and `make test` do all of the set-up on a fresh machine with Rust.

CARGO ?= cargo
LOCKED := --locked
# `ci` builds without what only a debugger needs.
PROFILE ?= dev
export PROFILE
TEST := $(CARGO) test $(LOCKED) --profile $(PROFILE)

.PHONY: demo test test-cluster test-long check fmt docs setup setup-test

## Shows the webhook at work on loopback; needs no cluster.
demo: setup
	$(CARGO) build $(LOCKED)
	@target/debug/outrigger demo

## Everything that CI runs. Each tier prints its time; the runners' own closing lines come last.
test: setup-test
	@rm -f target/tiers.log
	@.ci/tier lint .ci/lint
	@.ci/tier unit $(TEST) --lib --bins
	@.ci/tier golden $(TEST) --test golden --test architecture
	@.ci/tier properties $(TEST) --test properties
	@.ci/tier https $(TEST) --test https
	@.ci/tier cli $(TEST) --test cli --test documents
	@.ci/tier cluster tests/cluster/run
	@cat target/tiers.log

## The webhook in a real cluster's control plane. The first run builds it: some ten minutes.
test-cluster: setup-test
	@.ci/tier cluster tests/cluster/run

## What takes long: more of the property tests.
test-long: setup-test
	PROPTEST_CASES=20000 $(CARGO) test $(LOCKED) --release --test properties

## The fast loop: under a minute when warm.
check:
	@.ci/lint
	$(CARGO) test $(LOCKED) --lib --test golden --test architecture

fmt:
	$(CARGO) fmt

## Writes the generated reference pages anew.
docs:
	$(CARGO) build $(LOCKED)
	for name in $$(target/debug/outrigger sidecars list -o name); do \
	  target/debug/outrigger sidecars show $$name > docs/sidecars/$$name.md; \
	done

setup:
	@.ci/setup

setup-test:
	@.ci/setup test
