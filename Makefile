# Trent. `make` alone tells what there is; `make run` and `make test` do all the
# set-up that they need, say so, and can be run again.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/.tools
STATICCHECK := $(TOOLS)/staticcheck-v0.8.2
GOVULNCHECK := $(TOOLS)/govulncheck-v1.9.0
VENV := $(TOOLS)/venv
NODE_MODULES := interop/node/node_modules/.installed
FUZZTIME ?= 5s
SOURCES := $(shell find cmd internal trenttest -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod go.sum

.PHONY: help
help: ## this text
	@echo "Targets:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

.PHONY: run
run: bin/trent ## build, start on ./trent-data, show a data key, go on serving
	@exec bin/trent quickstart --dir trent-data

.PHONY: build
build: bin/trent ## build bin/trent

bin/trent: $(SOURCES)
	@echo "building bin/trent (the first build fetches and compiles the Go modules)"
	@CGO_ENABLED=0 go build -o $@ ./cmd/trent

.PHONY: generate
generate: ## make the generated code anew
	go generate ./...

.PHONY: test
test: lint generated test-go fips-check fuzz-brief interop torture-brief ## everything that must hold, in about twenty minutes
	@echo "all tests passed"

.PHONY: lint
lint: $(STATICCHECK) $(GOVULNCHECK) ## gofmt, vet, staticcheck, govulncheck
	@unformatted="$$(gofmt -l $$(git ls-files '*.go'))"; if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...
	@.ci/govulncheck $(GOVULNCHECK)

.PHONY: generated
generated: ## fail if generated code is stale
	go run ./internal/api/gen -check

.PHONY: test-go
test-go: ## all Go tests, under the race detector
	go test -race -timeout 20m ./...

.PHONY: fips-check
fips-check: ## the cryptographic rooms with everything refused that FIPS 140-3 does not approve
	GODEBUG=fips140=only go test ./internal/crypt ./internal/seal ./internal/sigv4 ./internal/root/... ./internal/keyring

.PHONY: fuzz-brief
fuzz-brief: ## every fuzz target for FUZZTIME (5s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: fuzz
fuzz: ## every fuzz target for five minutes
	@.ci/fuzz 5m

.PHONY: interop
interop: bin/trent $(VENV)/.installed $(NODE_MODULES) ## real clients: boto3, the AWS CLI, the SDKs for JavaScript and Go
	interop/run $(VENV) bin/trent

.PHONY: torture-brief
torture-brief: ## kill the server under load, five times
	go test -count 1 -run TestKill ./internal/torture

.PHONY: torture
torture: ## kill the server under load, a hundred times
	TRENT_KILLS=100 TRENT_CRASH_ROUNDS=100 go test -count 1 -timeout 60m -v -run 'TestKill|TestCrash' ./internal/torture ./internal/store/bolt

.PHONY: bench
bench: ## Trent against a bare net/http server, and what the store costs
	go run ./bench

.PHONY: clean
clean: ## remove what was built and installed here; data stays
	rm -rf bin .tools interop/node/node_modules

# Tools and clients, installed once into .tools and interop/node.

$(STATICCHECK):
	@.ci/go-tool $@ honnef.co/go/tools/cmd/staticcheck@v0.8.2

$(GOVULNCHECK):
	@.ci/go-tool $@ golang.org/x/vuln/cmd/govulncheck@v1.9.0

$(VENV)/.installed: interop/python/requirements.txt
	@.ci/venv $(VENV) $<
	@touch $@

$(NODE_MODULES): interop/node/package.json
	@echo "installing the JavaScript client into interop/node"
	@cd interop/node && npm install --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@
