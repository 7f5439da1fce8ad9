/* Guarded calls of a policy's slots; slots.h has the rule. */

#include "policy/slots.h"

#include <errno.h>

#include "base/assert.h"
#include "foliot/status.h"

static inline int64_t start_watch(const fol_slots *slots)
{
    return slots->stopwatch == NULL ? 0 : slots->stopwatch(slots->stopwatch_state);
}

static void fail(fol_slots *slots, fol_policy_slot slot, int status, const fol_slot_site *site)
{
    FOL_ASSERT(fol_slots_are_on(slots));
    slots->faults += 1;
    if (slots->report != NULL) {
        slots->report(slots->owner, slot, status, site);
    }
}

/* What an answer is worth. Lateness comes first: an answer that is late is not looked at. */
static bool judge(fol_slots *slots, fol_policy_slot slot, int64_t started, int answer,
                  bool is_possible, const fol_slot_site *site)
{
    bool is_late = slots->stopwatch != NULL &&
                   slots->stopwatch(slots->stopwatch_state) - started > slots->limit;
    if (FOL_LIKELY(answer == FOL_POLICY_ANSWERED && is_possible && !is_late)) {
        return true;
    }
    if (answer < 0) {
        fail(slots, slot, answer, site);
    } else if (is_late) {
        fail(slots, slot, -ETIME, site);
    } else if (answer != FOL_POLICY_DEFAULT) {
        fail(slots, slot, FOL_E_VALUE, site);
    }
    return false;
}

bool fol_slots_enqueue(fol_slots *slots, const fol_runnable_view *view, int64_t now, int64_t *rank)
{
    if (slots->table.enqueue == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    int64_t answer = 0;
    int64_t started = start_watch(slots);
    int status = slots->table.enqueue(slots->table.state, view, now, &answer);
    fol_slot_site site = {.now = now, .runnable = view->id, .cpu = FOL_NO_CPU};
    bool is_good = judge(slots, FOL_SLOT_ENQUEUE, started, status, true, &site);
    *rank = is_good ? answer : *rank;
    return is_good;
}

bool fol_slots_pick(fol_slots *slots, const fol_ready *ready, uint32_t cpu, int64_t now,
                    uint32_t *place)
{
    if (slots->table.pick == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    FOL_ASSERT(ready->count > 0);
    uint32_t answer = UINT32_MAX;
    int64_t started = start_watch(slots);
    int status = slots->table.pick(slots->table.state, ready, cpu, now, &answer);
    fol_slot_site site = {.now = now, .runnable = FOL_NO_RUNNABLE, .cpu = cpu};
    bool is_good = judge(slots, FOL_SLOT_PICK, started, status, answer < ready->count, &site);
    *place = is_good ? answer : *place;
    return is_good;
}

bool fol_slots_slice(fol_slots *slots, const fol_runnable_view *view, uint32_t cpu, int64_t now,
                     int64_t *slice)
{
    if (slots->table.slice == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    int64_t answer = 0;
    int64_t started = start_watch(slots);
    int status = slots->table.slice(slots->table.state, view, now, &answer);
    fol_slot_site site = {.now = now, .runnable = view->id, .cpu = cpu};
    bool is_good = judge(slots, FOL_SLOT_SLICE, started, status, answer >= 1, &site);
    *slice = is_good ? answer : *slice;
    return is_good;
}

bool fol_slots_admit(fol_slots *slots, const fol_runnable_view *view, int64_t now, bool *is_taken)
{
    if (slots->table.admit == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    bool answer = true;
    int64_t started = start_watch(slots);
    int status = slots->table.admit(slots->table.state, view, now, &answer);
    fol_slot_site site = {.now = now, .runnable = view->id, .cpu = FOL_NO_CPU};
    bool is_good = judge(slots, FOL_SLOT_ADMIT, started, status, true, &site);
    *is_taken = is_good ? answer : *is_taken;
    return is_good;
}

/* The numbers are below `workers`, differ, and none is the worker itself. At most 1024 workers:
 * the set of those seen is on the stack. */
static bool are_victims(const uint32_t *order, uint32_t count, uint32_t worker, uint32_t workers,
                        uint64_t *seen)
{
    if (count >= workers) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t victim = order[i];
        if (victim >= workers || victim == worker ||
            (seen[victim / 64] >> (victim % 64) & 1) != 0) {
            return false;
        }
        seen[victim / 64] |= UINT64_C(1) << (victim % 64);
    }
    return true;
}

#define MAX_WORKERS 1024u

bool fol_slots_victims(fol_slots *slots, uint32_t worker, uint32_t workers, int64_t now,
                       uint32_t *order, uint32_t *count)
{
    if (slots->table.victims == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    FOL_ASSERT(workers <= MAX_WORKERS && worker < workers);
    uint64_t seen[MAX_WORKERS / 64] = {0};
    uint32_t answer = 0;
    int64_t started = start_watch(slots);
    int status = slots->table.victims(slots->table.state, worker, workers, order, &answer);
    bool is_possible =
        status != FOL_POLICY_ANSWERED || are_victims(order, answer, worker, workers, seen);
    fol_slot_site site = {.now = now, .runnable = FOL_NO_RUNNABLE, .cpu = worker};
    if (!judge(slots, FOL_SLOT_VICTIMS, started, status, is_possible, &site)) {
        return false;
    }
    for (uint32_t step = 1; step < workers; step++) {
        uint32_t other = (worker + step) % workers;
        if ((seen[other / 64] >> (other % 64) & 1) == 0) {
            order[answer] = other;
            answer += 1;
        }
    }
    *count = answer;
    return true;
}

bool fol_slots_spin_limit(fol_slots *slots, uint32_t worker, int64_t now, uint32_t *limit)
{
    if (slots->table.spin_limit == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    uint32_t answer = 0;
    int64_t started = start_watch(slots);
    int status = slots->table.spin_limit(slots->table.state, worker, &answer);
    fol_slot_site site = {.now = now, .runnable = FOL_NO_RUNNABLE, .cpu = worker};
    bool is_good =
        judge(slots, FOL_SLOT_SPIN_LIMIT, started, status, answer <= FOL_MAX_SPIN_LIMIT, &site);
    *limit = is_good ? answer : *limit;
    return is_good;
}

bool fol_slots_chunk_rows(fol_slots *slots, uint32_t system, uint64_t rows, int64_t now,
                          uint64_t *chunk)
{
    if (slots->table.chunk_rows == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    uint64_t answer = 0;
    int64_t started = start_watch(slots);
    int status = slots->table.chunk_rows(slots->table.state, system, rows, &answer);
    fol_slot_site site = {.now = now, .runnable = FOL_NO_RUNNABLE, .cpu = FOL_NO_CPU};
    bool is_good = judge(slots, FOL_SLOT_CHUNK_ROWS, started, status, answer >= 1, &site);
    *chunk = is_good ? answer : *chunk;
    return is_good;
}

bool fol_slots_backend(fol_slots *slots, const fol_policy_load *load, uint32_t backends,
                       int64_t now, uint32_t *choice)
{
    if (slots->table.backend == NULL || !fol_slots_are_on(slots)) {
        return false;
    }
    uint32_t answer = UINT32_MAX;
    int64_t started = start_watch(slots);
    int status = slots->table.backend(slots->table.state, load, &answer);
    fol_slot_site site = {.now = now, .runnable = FOL_NO_RUNNABLE, .cpu = FOL_NO_CPU};
    bool is_good = judge(slots, FOL_SLOT_BACKEND, started, status, answer < backends, &site);
    *choice = is_good ? answer : *choice;
    return is_good;
}
