# redis-medic. The two commands to know: `make demo` shows what it does, `make test` proves it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# The newest nfpm that builds from the module proxy alone.
NFPM := go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
CORE := exporter remediator controlapi
MODULE := github.com/redis-medic/redis-medic

# Times of the stages of `make test`.
stage = @printf '\n==== %s (%s)\n' "$(1)" "$$(date +%T)"

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps deps-demo
deps: ## install the Debian packages that the tests need
	@deploy/demo/deps.sh test

deps-demo:
	@deploy/demo/deps.sh demo

# ---- build ---------------------------------------------------------------------------------------------------------------

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

WEB_SOURCES := $(shell find web/src web/public -type f 2>/dev/null) $(wildcard web/*.ts web/*.json web/index.html)

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	cd web && npm run --silent build
	@touch $@

.PHONY: web
web: web/dist/index.html ## build the panel

.PHONY: build
build: web ## build bin/redis-medic with the panel in it
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/redis-medic ./cmd/redis-medic

# A Debian version begins with a digit.
DEB_VERSION ?= $(if $(filter v%,$(VERSION)),$(patsubst v%,%,$(VERSION)),0.0.0~git$(COMMIT))
DEB_DIR ?= bin

.PHONY: deb
deb: ## build bin/redis-medic-host_VERSION_all.deb, the package for Redis hosts
	@mkdir -p $(DEB_DIR)
	VERSION='$(DEB_VERSION)' $(NFPM) package --config deploy/host/nfpm.yaml --packager deb --target $(DEB_DIR)

.PHONY: gen
gen: web/node_modules/.package-lock.json ## write all generated files anew
	go generate ./... && npm --prefix web run --silent gen

# ---- checks --------------------------------------------------------------------------------------------------------------

.PHONY: fmt-check
fmt-check:
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofmt-ed: $$out"; exit 1; }

.PHONY: lint lint-go lint-web lint-dashboards
lint: fmt-check lint-go lint-web lint-dashboards ## gofmt, golangci-lint, eslint, vue-tsc, dashboard-linter

lint-go:
	$(call stage,lint: Go)
	@$(GOLANGCI) run --allow-serial-runners ./...

lint-web: web/node_modules/.package-lock.json
	$(call stage,lint: panel)
	@cd web && npm run --silent lint && npm run --silent typecheck

lint-dashboards:
	$(call stage,lint: dashboards)
	@for d in dashboards/*.json; do \
		go run -modfile=dashboards/lint.mod github.com/grafana/dashboard-linter lint --strict -c dashboards/lint.yml $$d; \
	done

.PHONY: test test-unit test-web test-lab test-browser test-demo
test: deps build lint test-unit test-web test-lab test-browser test-demo ## everything: linters, Go with -race, panel, real Redis hosts, browser, demo
	$(call stage,all tests passed)

# The packages whose tests boot real hosts: the lab itself, and whatever has it in a test.
LAB = $(MODULE)/deploy/lab
LAB_PACKAGES = $(shell go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... | grep -E '^$(LAB)|^$(MODULE)/deploy/demo| $(LAB)' | cut -d' ' -f1)
UNIT_PACKAGES = $(filter-out $(LAB_PACKAGES),$(shell go list ./...))

test-unit: ## Go tests of all packages, with -race
	$(call stage,Go tests with the race detector)
	@go test -race -shuffle=on -timeout 10m $(UNIT_PACKAGES)

test-web: web/dist/index.html ## the panel's unit tests, and the size of its first load
	$(call stage,unit tests of the panel)
	@cd web && npm test --silent && npm run --silent size

test-lab: build ## tests on real Redis hosts (root)
	$(call stage,tests on real Redis hosts)
	@go test -race -p 1 -count=1 -timeout 30m $(LAB_PACKAGES)

test-browser: build bin/demo ## the panel in a real browser, with a played backend and with the real one
	$(call stage,browser tests)
	@cd web && npm run --silent e2e
	@[ -z "$$(ls web/e2e/real/*.spec.ts 2>/dev/null)" ] || bin/demo with -- npm --prefix web run --silent e2e:real

test-demo: build bin/demo ## the demo checks itself
	$(call stage,the demo)
	@bin/demo --check --rounds 3

.PHONY: cover
cover: ## statement coverage; fails below 90 % in exporter, remediator, controlapi
	@for c in $(CORE); do \
		go test -coverpkg=./$$c/... -coverprofile=coverage-$$c.out ./$$c/... >coverage-$$c.log 2>&1 || { cat coverage-$$c.log; exit 1; }; \
		go tool cover -func=coverage-$$c.out | awk -v c=$$c 'END { p = $$NF + 0; printf "%-12s %.1f %%\n", c, p; exit p < 90 }'; \
	done

.PHONY: bench
bench: ## print the table of benchmarks and their targets, and write it to bench.txt; STRICT=1 fails when one is missed
	@go run ./deploy/bench $(if $(STRICT),-strict)

# ---- a real Redis host, and the demo -------------------------------------------------------------------------------------

.PHONY: lab-up lab-down
lab-up: deps-demo ## boot a real Redis host
	@go run ./deploy/lab/cmd/lab up -gate -keep

lab-down: ## take it down without a trace
	@go run ./deploy/lab/cmd/lab down

.PHONY: demo
demo: deps-demo build bin/demo ## see it: break Redis, watch it come back; CHECK=1 does so by itself and exits 0 or 1
	@exec bin/demo $(if $(CHECK),--check $(if $(ROUNDS),--rounds $(ROUNDS)))

.PHONY: bin/demo
bin/demo:
	@mkdir -p bin && go build -o bin/demo ./deploy/demo

.PHONY: demo-exec
demo-exec: ## run CMD in the Redis host of the running demo: make demo-exec CMD='systemctl stop redis-server'
	@exec bin/demo exec "$$CMD"

.PHONY: clean
clean: ## remove what was built
	rm -rf bin coverage-*.out coverage-*.log web/dist/assets web/dist/index.html
