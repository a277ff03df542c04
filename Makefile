# nginx.filedist. `make help` lists what there is; what takes more than a line is a script in tools/.

.NOTPARALLEL:
.SUFFIXES:

# Given on the command line or in the environment, and passed on:
#   NGINX_SOURCE_DIR, NGINX_BUILD_DIR   a configured nginx tree, instead of the distribution's nginx-dev
#   TEST_NGINX_BINARY                   the nginx that the tests run, instead of the one installed
#   TESTS                               the tests to run, instead of all: make test-stock TESTS=t/put.t
#   DEMO_PORT                           the root's port in the demo; its children take the next two
#   DESTDIR, MODULES_DIR, BINDIR        where `make install` puts module and generator; PREFIX/bin is the
#                                       default of BINDIR, /usr/local that of PREFIX
#   DEB_VERSION                         the version of the packages of `make deb`, instead of debian/changelog's
#   SUITES                              for which Debian `make test-deb` and `make test-matrix` try, instead of all that they know

ifdef CI
CARGO_FLAGS ?= --locked
endif
ifndef FILEDIST_STARTED
FILEDIST_STARTED := $(shell date +%s)
endif
export FILEDIST_STARTED CARGO_FLAGS TESTS
export FILEDIST_GOAL := $(firstword $(MAKECMDGOALS) build)
export PATH := $(PATH):$(HOME)/.cargo/bin

MODULE := target/release/ngx_http_filedist_module.so
GENERATOR := target/release/nginx.filedist

.PHONY: build
build: ## Build the module, and nginx.filedist, the generator, in target/release/
	@tools/require nginx build
	@tools/build

.PHONY: demo demo-stop
demo: ## Build, start a root and two children on localhost:8080-8082, show what they do
	@tools/require nginx build demo
	@tools/build
	@demo/start

demo-stop: ## End what `make demo` started
	@demo/stop

.PHONY: test check unittest test-stock test-reload test-vendored test-points test-chaos
test: check unittest test-stock test-reload test-vendored test-points test-chaos ## All of the following seven

check: ## Formatting, clippy, where unsafe code may stand; `deny`, if cargo-deny is installed
	@tools/require nginx build
	@tools/check

unittest: ## The unit tests
	@tools/require nginx build
	@tools/unittest

test-stock: ## The integration tests (t/), on the nginx installed
	@tools/require nginx build test
	@tools/build
	@tools/test-nginx stock

test-reload: ## The same, each configuration loaded by a reload of one running nginx
	@tools/require nginx build test
	@tools/build
	@tools/test-nginx reload

test-vendored: ## The same, on nginx 1.28
	@tools/require build vendored test
	@tools/build vendored
	@tools/test-nginx vendored

test-points: ## A node is killed at some of its system calls, and some fail: a sample of `make points`
	@tools/require nginx build chaos
	@tools/build
	@tools/points short

test-chaos: ## A tree of seven nodes that are killed, cut off and filled up for 15 seconds
	@tools/require nginx build chaos
	@tools/build
	@tools/chaos short

.PHONY: test-valgrind
test-valgrind: ## The integration tests in valgrind, which finds errors of memory; takes an hour
	@tools/require nginx build test
	@tools/build valgrind
	@tools/test-nginx valgrind

.PHONY: points
points: ## A node is killed at each of its system calls, and each of them fails (chaos/README.md)
	@tools/require nginx build chaos
	@tools/build
	@tools/points long

.PHONY: chaos
chaos: ## The same for half an hour, with ten seeds (chaos/README.md)
	@tools/require nginx build chaos
	@tools/build
	@tools/chaos long

.PHONY: chaos-wide
chaos-wide: ## The same for ten minutes, with 30 children of one node (chaos/README.md)
	@tools/require nginx build chaos
	@tools/build
	@tools/chaos wide

.PHONY: deny
deny: ## Licences, sources and known faults of the crates that this is built from
	@tools/require
	@tools/deny

.PHONY: bench
bench: ## Measure against stock nginx (benches/)
	@tools/require nginx build bench
	@tools/build
	@tools/bench

.PHONY: install uninstall
install: $(MODULE) $(GENERATOR) ## Put the module where the installed nginx looks for modules, the generator in PREFIX/bin
	@tools/install

uninstall: ## Remove what `make install` put there
	@tools/uninstall

.PHONY: deb test-deb
deb: ## Build Debian's packages for the nginx installed, in target/deb/
	@tools/require nginx build deb
	@tools/deb

test-deb: ## Build, install, use, upgrade and purge them in Debian 12 and 13, in directories (as root)
	@tools/deb-test $(SUITES)

.PHONY: test-matrix
test-matrix: ## `make demo` as a newcomer, and t/, on Debian 12, 13 and sid, in directories (as root)
	@tools/test-matrix $(SUITES)

$(MODULE) $(GENERATOR):
	@tools/require nginx build
	@tools/build

.PHONY: env
env: ## What a plain cargo needs to know: eval "$$(make -s env)"
	@tools/require nginx build
	@tools/with-nginx sh -c 'echo "export NGINX_SOURCE_DIR=\"$$NGINX_SOURCE_DIR\" NGINX_BUILD_DIR=\"$$NGINX_BUILD_DIR\""'

.PHONY: clean
clean: demo-stop ## Remove everything that was built
	@[ ! -L target/demo ] || rm -rf "$$(readlink target/demo)"
	@rm -rf target t/servroot*

.PHONY: help
help: ## This list
	@echo 'make        builds module and generator; make TARGET, TARGET being one of:'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | sed 's/\$$\$$/$$/g' | awk -F '\t' '{ printf "  %-14s %s\n", $$1, $$2 }'
