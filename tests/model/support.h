/* What every Relacy model needs: memory, the futex, items that may be taken once, and a main.
 *
 * Included once, in the one file of a model, before the sources it checks.
 */
#ifndef FOL_MODEL_SUPPORT_H
#define FOL_MODEL_SUPPORT_H

/* First: it says what the names in the others mean. */
#include "base/atomics.h"

#include "base/assert.h"
#include "base/futex.h"
#include "base/memory.h"

namespace model
{

/* An item: written by its pusher, read by its taker, which Relacy must find in order. The number
 * of takers is the checker's own. */
struct item {
    rl::var<int> *payload;
    int taken;
};

inline void make_items(item *items, int count)
{
    for (int index = 0; index < count; index++) {
        items[index].payload = make<rl::var<int>>();
        items[index].taken = 0;
    }
}

/* Fills the item; its address is what the queue gets. */
inline void *fill(item *items, int index)
{
    (*items[index].payload)($).store(index + 100);
    return &items[index];
}

/* Takes note of an item from a queue (NULL is none). Returns its index, or -1. */
inline int take(const item *items, void *from_queue)
{
    if (from_queue == nullptr) {
        return -1;
    }
    auto address = reinterpret_cast<uintptr_t>(from_queue) & ~uintptr_t{1};
    item *taken = reinterpret_cast<item *>(address);
    int index = static_cast<int>(taken - items);
    RL_ASSERT((*taken->payload)($).load() == index + 100);
    taken->taken += 1;
    RL_ASSERT(taken->taken == 1);
    return index;
}

inline void check_all_taken(const item *items, int count)
{
    for (int index = 0; index < count; index++) {
        RL_ASSERT(items[index].taken == 1);
    }
}

/* What the threads of one simulation do; `before`: how many items are there when they begin. */
struct scenario {
    const char *name;
    void (*run)(unsigned index);
    int before;
};

/* The one that a suite runs at present. */
inline const scenario *chosen;

/* Runs the chosen scenario at random; true, and silent, when it holds. */
template <typename suite> bool holds(unsigned runs)
{
    std::ostringstream state;
    rl::test_params params;
    params.iteration_count = runs;
    params.progress_stream = &state;
    params.execution_depth_limit = 5000;
    params.collect_history = std::getenv("FOLIOT_MODEL_HISTORY") != nullptr;
    rl::test_result_e result =
        rl::run_test<suite, rl::random_scheduler<suite::params::thread_count>>(params, state,
                                                                               false);
    if (result != rl::test_result_success) {
        std::cout << chosen->name << ": " << rl::test_result_str(result) << " in run "
                  << params.stop_iteration << std::endl;
    }
    return result == rl::test_result_success;
}

/* The main of a model, whose argument is how many random runs each scenario makes. All make a few
 * before any makes many, so that what is easily found is found soon. */
template <typename suite, size_t scenario_count>
int check(const scenario (&scenarios)[scenario_count], int count, char **words)
{
    unsigned all = count > 1 ? static_cast<unsigned>(std::strtoul(words[1], nullptr, 10)) : 10000;
    for (unsigned runs = 1000;; runs *= 10) {
        for (const scenario &each : scenarios) {
            chosen = &each;
            if (!holds<suite>(runs < all ? runs : all)) {
                return 1;
            }
        }
        if (runs >= all) {
            std::cout << scenario_count << " scenarios hold in " << all << " runs each\n";
            return 0;
        }
    }
}

} // namespace model

/* The size stands on the line before the block. A freed block is zeroed and stays until the
 * iteration ends, so whoever still uses its atomics is caught. */
void *fol_alloc_aligned(size_t size)
{
    char *line = static_cast<char *>(model::iteration().take(FOL_CACHE_LINE + size));
    std::memcpy(line, &size, sizeof(size));
    return line + FOL_CACHE_LINE;
}

void fol_free(void *memory)
{
    if (memory == nullptr) {
        return;
    }
    size_t size = 0;
    std::memcpy(&size, static_cast<char *>(memory) - FOL_CACHE_LINE, sizeof(size));
    std::memset(memory, 0, size);
}

void fol_assert_failed(const char *, const char *, int)
{
    std::abort();
}

int fol_futex_wait(FOL_ATOMIC(uint32_t) * word, uint32_t expected, uint64_t timeout_ns)
{
    rl::context &context = rl::ctx();
    context.sched();
    context.atomic_thread_fence_seq_cst();
    uint32_t value = 0;
    {
        rl::preemption_disabler compares_and_parks_in_one_step(context);
        value = word->use().load(rl::mo_acquire, $);
    }
    if (value != expected) {
        return -EAGAIN;
    }
    switch (word->use().wait(context, timeout_ns != 0, true, $)) {
    case rl::unpark_reason_normal:
        return 0;
    case rl::unpark_reason_timeout:
        return -ETIMEDOUT;
    default:
        return -EINTR;
    }
}

uint32_t fol_futex_wake(FOL_ATOMIC(uint32_t) * word, uint32_t count)
{
    rl::context &context = rl::ctx();
    context.sched();
    context.atomic_thread_fence_seq_cst();
    return static_cast<uint32_t>(word->use().wake(context, count > 64 ? 64 : count, $));
}

#endif
