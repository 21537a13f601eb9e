# Roost's commands. `make run` and `make test` are all that a fresh Debian or Ubuntu machine with Swift needs.
.DEFAULT_GOAL := help
.PHONY: help run test build protos format lint clean setup instructions bench

# What `make run` hands to `roost up`, e.g. make run UP="--port 9000 --chat-nodes 5"
UP ?=

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build a release, run a whole cluster on this machine (Ctrl-C stops it)
	@infra/scripts/setup.sh run
	swift build -c release --product roost --static-swift-stdlib
	@exec "$$(swift build -c release --static-swift-stdlib --show-bin-path)/roost" up $(UP)

test: ## install what is missing, run every test; the last line is the count
	@infra/scripts/setup.sh test
	@exec infra/scripts/test.sh

build: ## build everything, debug
	swift build --build-tests

instructions: ## count the hot path's instructions and compare them with Benchmarks/instructions.json
	@exec infra/scripts/instructions.sh check

bench: ## the hot path by the clock: time and CPU of each operation
	cd Benchmarks && swift package --disable-sandbox benchmark

protos: ## generate Sources/Protocol/Generated from Protos/
	infra/scripts/protos.sh

format: ## format the Swift sources that people write
	infra/scripts/format.sh

lint: ## check format, shell scripts and the gateway's configuration
	infra/scripts/lint.sh

clean: ## remove what was built and the default data directory
	rm -rf .build Benchmarks/.build Benchmarks/GRPC/.build .roost

setup: ## install what is missing for working on Roost
	@infra/scripts/setup.sh develop
