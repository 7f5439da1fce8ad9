# The core as a static library without Python, and the plain-C tests on it, in one of five variants:
#   make -f tests/c/build.mk VARIANT=release|debug|asan|tsan|clang lib|tests|run-c-tests
# Run from the top of the source tree. A file is compiled again when it, a header or this file changes.
VARIANT ?= release
OUT := build/c/$(VARIANT)

CFLAGS_release := -O2
CFLAGS_debug := -O0 -g -DFOL_VERIFY=1
CFLAGS_asan := -O1 -g -DFOL_VERIFY=1 -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
CFLAGS_clang := -O2

LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread

COMPILER_tsan := clang
COMPILER_clang := clang
COMPILER := $(or $(COMPILER_$(VARIANT)),gcc)

ifeq ($(filter $(VARIANT),release debug asan tsan clang),)
$(error VARIANT=$(VARIANT) is not one of release debug asan tsan clang)
endif

FLAGS := -std=c11 -D_GNU_SOURCE -fvisibility=hidden -fPIC -pthread -Wall -Wextra \
	$(if $(WERROR),-Werror) -Icsrc -Iinclude -Itests/c \
	$(CFLAGS_$(VARIANT)) $(shell pkg-config --cflags liburing hwloc)
LIBS := $(shell pkg-config --libs liburing hwloc) -lm -pthread

SOURCES := $(shell find csrc -name '*.c' -not -path 'csrc/bindings/*' | sort)
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
TESTS := $(patsubst tests/c/%.c,$(OUT)/%,$(sort $(wildcard tests/c/test_*.c)))
LIBRARY := $(OUT)/libfoliot.a

# TSan of older compilers cannot place its shadow under high address randomisation.
RUNNER_tsan := $(shell setarch -R true 2> /dev/null && echo setarch -R)
export ASAN_OPTIONS ?= detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS ?= halt_on_error=1:second_deadlock_stack=1

.PHONY: lib tests run-c-tests bench
lib: $(LIBRARY)
tests: $(TESTS)
bench: $(patsubst benchmarks/c/%.c,build/bench/c_%,$(filter-out %kernels.c,$(wildcard $(foreach start,add exec io policy,benchmarks/c/$(start)_*.c))))

# The archive is made anew, so that an object whose source has gone does not stay in it.
$(LIBRARY): $(OBJECTS) $(OUT)/sources.list
	@rm -f $@
	@ar rcs $@ $(OBJECTS)
	@echo "  ar    $@"

$(OUT)/sources.list: FORCE
	@mkdir -p $(OUT)
	@echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' > $@

$(OUT)/csrc/%.o: csrc/%.c tests/c/build.mk $(OUT)/flags
	@mkdir -p $(@D)
	@echo "  cc    $< ($(VARIANT))"
	@$(COMPILER) $(FLAGS) -MMD -MP -c $< -o $@

$(OUT)/test_%: tests/c/test_%.c $(LIBRARY) tests/c/build.mk $(OUT)/flags
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(COMPILER) $(FLAGS) -MMD -MP -MF $@.d $< $(LIBRARY) $(LDFLAGS_$(VARIANT)) $(LIBS) -o $@

# The plain-C benchmark programs, on the library of the release variant. The programs themselves are
# compiled for this processor, as those of the peers are.
build/bench/c_%: benchmarks/c/%.c $(wildcard benchmarks/c/*.h) $(LIBRARY) tests/c/build.mk
	@mkdir -p $(@D)
	@echo "  link  $@"
	@$(COMPILER) $(FLAGS) -O3 -march=native $< $(LIBRARY) $(LDFLAGS_$(VARIANT)) $(LIBS) -o $@

# Holds the command line, and is touched only when that changes.
$(OUT)/flags: FORCE
	@mkdir -p $(OUT)
	@echo '$(COMPILER) $(FLAGS)' | cmp -s - $@ || echo '$(COMPILER) $(FLAGS)' > $@

run-c-tests: $(TESTS)
	@passed=0; failed=0; \
	for test in $(TESTS); do \
		if $(RUNNER_$(VARIANT)) $$test; then passed=$$((passed + 1)); \
		else failed=$$((failed + 1)); echo "FAILED: $$test" >&2; fi; \
	done; \
	echo "plain C, $(VARIANT): $$passed passed, $$failed failed"; \
	test $$failed -eq 0

FORCE:
-include $(OBJECTS:.o=.d) $(TESTS:%=%.d)
