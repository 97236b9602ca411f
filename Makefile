# `make demo` and `make test` do all of the set-up on a fresh machine with Rust.

CARGO ?= cargo
LOCKED := --locked

## The webhook in a real cluster's control plane. The first run builds it: some ten minutes.
test-cluster: setup
	@.ci/tier cluster tests/cluster/run

.PHONY: demo test test-cluster test-long check fmt docs setup

## Shows the webhook at work on loopback; needs no cluster.
demo: setup
	$(CARGO) build $(LOCKED)
	@target/debug/outrigger demo

## Everything that CI runs. Each tier prints its time; the runners' own closing lines come last.
test: setup
	@rm -f target/tiers.log
	@.ci/tier lint .ci/lint
	@.ci/tier unit $(CARGO) test $(LOCKED) --lib --bins
	@.ci/tier golden $(CARGO) test $(LOCKED) --test golden --test architecture
	@.ci/tier properties $(CARGO) test $(LOCKED) --test properties
	@.ci/tier https $(CARGO) test $(LOCKED) --test https
	@.ci/tier cli $(CARGO) test $(LOCKED) --test cli --test documents
	@.ci/tier cluster tests/cluster/run
	@cat target/tiers.log

## What takes long: more of the property tests.
test-long: setup
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
