# `make` says what there is.
.DEFAULT_GOAL := help
.PHONY: help build test signatures demo conformance bench sharing lint fuzz testdata clean

GO ?= go
BIN := bin/slim
TIMEOUT ?= 10m
FUZZTIME ?= 20s
TOOL := $(GO) tool -modfile=.tools/go.mod

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/slim, one static program
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/slim

test: ## all tests; those that need rpm, dnf or root are skipped without them
	$(GO) test -timeout $(TIMEOUT) ./...

demo: build ## build the image of recipes/demo/hello.yaml into bin/hello.tar and show it
	$(BIN) build -o bin/hello.tar recipes/demo/hello.yaml

conformance: ## compare with rpm, dnf and the registries' rules, more cases than in test (needs the tools and root)
	SLIM_CONFORMANCE=$${SLIM_CONFORMANCE:-200} $(GO) test -timeout 60m -run Conformance -count=1 -v ./...

bench: build ## slim against dnf, tar and gzip on the same packages (needs the tools, root and ../shared), then Go's benchmarks
	SLIM_BENCH=$(CURDIR)/$(BIN) SLIM_BENCH_OUT=$(CURDIR)/bench $(GO) test -timeout 60m -run '^TestBench' -count=1 -v ./builder
	$(GO) test -timeout 60m -run '^$$' -bench . -benchmem ./...

sharing: ## the README's table: what six recipes of one lock send to a registry (needs docker-registry and ../shared)
	SLIM_CONFORMANCE=1 $(GO) test -timeout 20m -run '^TestConformanceSharing$$' -count=1 -v ./builder

signatures: ## verify what slim signs with the library of the sigstore project (its module is fetched and compiled)
	cd .tools/sigstore && $(GO) test ./...

lint: ## gofumpt, vet, staticcheck, errcheck, unparam, deadcode, go fix, go mod tidy
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "gofumpt -w $$out"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) errcheck -ignoretests -exclude .tools/errcheck.txt ./...
	$(TOOL) unparam ./...
	$(TOOL) deadcode -test ./...
	$(GO) fix -stringsbuilder=false -diff ./...
	$(GO) mod tidy -diff

fuzz: ## every fuzz target for FUZZTIME (20s)
	@set -e; $(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
	  { cat "$$dir"/*_test.go 2>/dev/null || true; } | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' | while read -r target; do \
	    echo "$$dir $$target"; (cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s . </dev/null); \
	  done; done

testdata: ## make testdata/repo anew (needs rpmbuild, rpmsign, createrepo_c, gpg and two compilers)
	testdata/make.sh

clean: ## remove bin
	rm -rf bin
