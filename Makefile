# Everything that is done to this repository. Run make for a list.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO     ?= go
PYTHON ?= python3
TOOLS  := $(CURDIR)/.tools
BINARY := bin/trent

# Tools that the tests use, at the versions that they were last looked at with.
STATICCHECK := $(TOOLS)/staticcheck@v0.8.2
GOVULNCHECK := $(TOOLS)/govulncheck@v1.9.0

FUZZTIME ?= 5s
CASES    ?= 1000000
DIR      ?= trent-data
ARGS     ?=

# What must also hold where only approved cryptography may be used.
FIPS_PACKAGES := ./internal/... ./trenttest/...

##@ To use it

.PHONY: run
run: build ## Build Trent and try it: quickstart, with its data in DIR (trent-data); ARGS are its flags
	@exec $(BINARY) quickstart --dir $(DIR) $(ARGS)

.PHONY: build
build: have-go ## Build bin/trent
	@[[ -x $(BINARY) ]] || echo "building $(BINARY); the first time this fetches and compiles the Go modules"
	@CGO_ENABLED=0 $(GO) build -o $(BINARY) ./cmd/trent

# The module that is certified, or "inprocess" for the newer one that is not yet.
FIPS_MODULE ?= certified

.PHONY: trent-pkcs11
trent-pkcs11: have-go ## Build bin/trent-pkcs11, which loads the PKCS #11 module of an HSM; with cgo, so it needs a C compiler
	@CGO_ENABLED=1 $(GO) build -o bin/trent-pkcs11 ./cmd/trent-pkcs11

.PHONY: build-fips
build-fips: have-go ## Build bin/trent-fips on the FIPS 140-3 module of Go (FIPS_MODULE: certified, inprocess)
	@CGO_ENABLED=0 GOFIPS140=$(FIPS_MODULE) $(GO) build -o $(BINARY)-fips ./cmd/trent

.PHONY: build-sm2
build-sm2: have-go ## Build bin/trent-sm2, with keys of the spec SM2 for deployments in the partition aws-cn
	@CGO_ENABLED=0 $(GO) build -tags sm2 -o $(BINARY)-sm2 ./cmd/trent

##@ To change it

.PHONY: test
test: build lint test-go fips-check fuzz-brief interop ## Run all tests and checks; installs what they need
	@echo "make test: everything passed"

.PHONY: test-go
test-go: have-go have-openssl have-swtpm have-softhsm have-ip ## Run the Go tests, with the race detector; with them the scripts and a few of each kind of fault
	$(GO) test -race -timeout 15m ./...
	$(GO) test -tags sm2 ./internal/crypt ./trenttest

.PHONY: lint
lint: have-go check-generated $(STATICCHECK) $(GOVULNCHECK) ## Check formatting, go vet, staticcheck, known vulnerabilities and generated files
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); \
	if [[ -n $$unformatted ]]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(STATICCHECK) ./...
	@scripts/vulncheck $(GOVULNCHECK)

.PHONY: generate
generate: have-go ## Make the generated code anew
	$(GO) generate ./...

.PHONY: check-generated
check-generated: have-go ## Check that the generated code is what the generator makes
	$(GO) run ./internal/api/gen -check

.PHONY: fips-check
fips-check: have-go ## Test what remains with nothing but FIPS 140-3 algorithms allowed, and build for it
	GODEBUG=fips140=only $(GO) test $(FIPS_PACKAGES)
	$(MAKE) --no-print-directory build-fips
	$(BINARY)-fips version

.PHONY: fuzz-brief
fuzz-brief: have-go ## Fuzz every target for FUZZTIME (5s)
	@scripts/fuzz $(FUZZTIME)

.PHONY: fuzz
fuzz: have-go ## Fuzz every target for FUZZTIME (5m)
	@scripts/fuzz $(if $(filter-out file,$(origin FUZZTIME)),$(FUZZTIME),5m)

.PHONY: interop
interop: build have-openssl have-curl $(TOOLS)/venv.stamp interop/node/node_modules/.stamp ## Play the stories with boto3, the AWS CLI and the SDKs for JavaScript and Go
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/story.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/cli.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/iam_cli.py
	TRENT_OIDC_ALLOW_HTTP_LOOPBACK=true scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/sts_cli.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/terraform.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/authorization.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/recipient.py
	$(BINARY) conformance $(TOOLS)/venv/bin/python interop/python/conformance.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/vectors.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/cross.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/xks.py
	scripts/with-trent $(BINARY) $(TOOLS)/venv/bin/python interop/python/lifecycle.py
	scripts/with-trent $(BINARY) node --no-warnings --test --test-reporter=spec interop/node/story.test.js
	scripts/with-trent $(BINARY) node --no-warnings --test --test-reporter=spec interop/node/recipient.test.js
	$(GO) test ./interop/go

.PHONY: conformance
conformance: build ## Perform every action of the API, and print which outcomes were seen
	@$(BINARY) conformance

.PHONY: interop-nitro-c
interop-nitro-c: ## Say why AWS's client for enclaves in C is not among the clients here
	@echo "aws-nitro-enclaves-sdk-c, with its kmstool_enclave_cli, comes as a source repository only."; \
	echo "It was looked for in Debian's packages (none of it, nor of the libraries it needs), on crates.io (aws-ne-sys 0.4.0 has"; \
	echo "bindings and no C source; aws-lc-sys has AWS-LC alone), on PyPI and on npm."; \
	echo "What it demands of an answer, and how it was held against that by hand, is in docs/spec/recipient-envelope.md."

.PHONY: policy-agreement
policy-agreement: have-go ## Compare the policy evaluator with the second one, in Python, on CASES (1000000) random cases
	TRENT_POLICY_CASES=$(CASES) $(GO) test -count=1 -timeout 120m -run 'AgreesWithSecondEvaluator$$' -v ./internal/iam ./internal/authz

# What make torture does, and how often; crashes are shared by the server and by the store alone.
CRASHES      ?= 1000
POWER_CUTS   ?= 100000
FILE_FAULTS  ?= 200
BIT_FLIPS    ?= 5000
FAULTS       ?= 200
REVOCATIONS  ?= 1000
LEADER_KILLS ?= 20
CPU_ROUNDS   ?= 5

.PHONY: torture
torture: have-go ## Kill, cut off, fill up and damage what serves, at length, and look for what it acknowledged; prints docs/reliability.md's figures
	TRENT_KILL_ROUNDS=$$(($(CRASHES) / 5)) TRENT_POWER_IMAGES=$(POWER_CUTS) TRENT_FILE_FAULTS=$(FILE_FAULTS) TRENT_BIT_FLIPS=$(BIT_FLIPS) \
	TRENT_CLUSTER_FAULTS=$(FAULTS) TRENT_REVOCATIONS=$(REVOCATIONS) TRENT_LEADER_KILLS=$(LEADER_KILLS) TRENT_CPU_ROUNDS=$(CPU_ROUNDS) \
	$(GO) test -count=1 -timeout 180m -v ./internal/faults
	TRENT_CRASH_ROUNDS=$$(($(CRASHES) * 4 / 5)) $(GO) test -count=1 -timeout 60m -run '^TestCrash$$' -v ./internal/store/bolt

.PHONY: bench
bench: have-go ## Measure Trent against a bare server; ARGS are the benchmark's flags
	$(GO) run ./bench $(ARGS)

.PHONY: clean
clean: ## Remove what was built and installed here; never trent-data
	rm -rf bin $(TOOLS) interop/node/node_modules

.PHONY: help
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST)); echo

# What is missing is installed, aloud; what is there costs nothing.

.PHONY: have-go
have-go:
	@command -v $(GO) >/dev/null || { echo "Go is missing. Install the version in go.mod, or a newer one, and put it on the PATH."; exit 1; }

.PHONY: have-openssl
have-openssl:
	@command -v openssl >/dev/null || { echo "openssl is missing, and the tests ask it to read the answers for enclaves. Install it (on Debian: apt-get install openssl)."; exit 1; }

.PHONY: have-swtpm
have-swtpm:
	@scripts/have swtpm swtpm "the tests take it for a TPM"

.PHONY: have-softhsm
have-softhsm:
	@scripts/have softhsm2-util softhsm2 "the tests take it for an HSM"

.PHONY: have-ip
have-ip:
	@scripts/have ip iproute2 "the tests make networks with it whose cables can be cut"

.PHONY: have-curl
have-curl:
	@command -v curl >/dev/null || { echo "curl is missing, and the tests ask it to sign as AWS KMS does. Install it, 7.75 or newer (on Debian: apt-get install curl)."; exit 1; }

$(STATICCHECK): | have-go
	@scripts/go-tool honnef.co/go/tools/cmd/staticcheck $@

$(GOVULNCHECK): | have-go
	@scripts/go-tool golang.org/x/vuln/cmd/govulncheck $@

$(TOOLS)/venv.stamp: interop/python/requirements.txt scripts/python-setup
	@PYTHON=$(PYTHON) scripts/python-setup $(TOOLS)/venv interop/python/requirements.txt
	@touch $@

interop/node/node_modules/.stamp: interop/node/package.json interop/node/package-lock.json scripts/node-setup
	@scripts/node-setup interop/node
	@touch $@
