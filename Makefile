# The project's commands, one word each. Everything they make is under build/.
# Without a word: this list.

SHELL := /bin/bash -o pipefail
MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
# In CI a warning is an error.
PRESET := $(if $(CI),ci,dev)
BUILD := build/dev

help: ## shows this list
	@sed -n 's/^\([a-z -]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

demo: build ## watch a device enroll and renew: simulated TPM, real EST server, on loopback only
	@tests/demo/demo $(BUILD)

test: build ## runs every test there is
	@test "$$(id -u)" = 0 || sudo -v # one test asks devidd as another user
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error --parallel $(JOBS); status=$$?; \
	  tests/tokens/algorithm-table $(BUILD)/Testing/Temporary/LastTest.log; \
	  tests/interop/interop-table $(BUILD)/Testing/Temporary/LastTest.log || status=1; exit $$status

build: dependencies ## builds everything into build/dev
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build --preset $(PRESET) --parallel $(JOBS)

lint: dependencies ## checks format, code, scripts, D-Bus XML and man pages
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build --preset $(PRESET) --target devid_adaptors >/dev/null
	@JOBS=$(JOBS) .ci/lint $(BUILD)

asan-ubsan tsan: dependencies ## every test under AddressSanitizer and UBSan, or under ThreadSanitizer
	@cmake --preset $@ --log-level=WARNING >/dev/null
	@cmake --build --preset $@ --parallel $(JOBS)
	@LSAN_OPTIONS=suppressions=$(CURDIR)/tests/support/leaks-of-others:print_suppressions=0 \
	  ctest --test-dir build/$@ --output-on-failure --no-tests=error --parallel $(JOBS)

bench: build ## what a fleet of a million devices asks of its server in a year, into build/bench
	@$(BUILD)/bin/devid_fleet_bench build/bench

coverage: dependencies ## every test, then build/coverage/index.html
	@cmake --preset $@ --log-level=WARNING >/dev/null
	@cmake --build --preset $@ --parallel $(JOBS)
	@find build/coverage -name '*.gcda' -delete
	@ctest --test-dir build/coverage --output-on-failure --no-tests=error --parallel $(JOBS)
	@gcovr --root . --filter '(base|tokens|agent|dbus)/' --html-details build/coverage/index.html --print-summary build/coverage

package: dependencies ## the Debian package, into build/package
	@rm -rf build/package && mkdir -p build/package/devid
	@tar --create --exclude=./build --exclude=./.git . | tar --extract --directory build/package/devid
	@mv build/package/devid/packaging/debian build/package/devid/debian
	@cd build/package/devid && DEB_BUILD_OPTIONS="parallel=$(JOBS) terse" dpkg-buildpackage --build=binary --no-sign \
	  >../build.log 2>&1 || { tail --lines=20 ../build.log; exit 1; }
	@lintian --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs \
	  --allow-root build/package/*.changes # the project has no mail address yet
	@ls build/package/*.deb

clean: ## removes build/
	rm -rf build

dependencies:
	@packaging/install-build-dependencies

.PHONY: help demo test build lint bench asan-ubsan tsan coverage package clean dependencies
