/* Whom to steal from: whom a policy named, in that order; then the nearest first, each distance
 * from a random start.
 *
 * A thief that lost a race for an item goes on to the next victim; when a whole round brought
 * nothing and races were lost, it pauses, twice as long each time up to a bound, so that thieves
 * do not keep a busy deque's line moving.
 *
 * Who forks or pushes one small job at a time and takes it back itself would do so several times
 * faster without a thief that looks on: each look takes the deque's lines away from its owner, for
 * longer than such a job lasts. So a single job is left to its owner until the second look at the
 * same one. And a searcher that finds at most one, and that QUICK jobs a round have gone since its
 * last look, rests: it does not look there for one round, then for two, four, and so on up to
 * REST_MAX. One look that finds more jobs, or fewer gone, ends that; the next search goes on where
 * the last one was, after a look that tells how many are gone. So whatever went before it, a job
 * that stays is taken after two rests at most, which is some 150 pauses. Who parks looks
 * everywhere.
 */
#include <sched.h>

#include "exec/worker.h"

#define PAUSES_MAX 64u
/* Jobs that last about as long as their lines take to travel. */
#define QUICK    3u
#define REST_MAX 8u
/* A worker with jobs of its own takes from a victim that has this many batches. */
#define PLENTY_BATCHES 4u

static bool is_named(const uint64_t *named, uint32_t place)
{
    return (named[place / 64] >> (place % 64) & 1) != 0;
}

/* Places that a policy named, each once. */
static uint8_t take_named(fol_worker *worker, uint64_t *named)
{
    /* Acquire pairs with the release in fol_team_choose_victims. */
    uint32_t count = fol_atomic_load(&worker->chosen_count, memory_order_acquire);
    uint8_t taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t place = fol_atomic_load(&worker->chosen[i], memory_order_relaxed);
        if (!is_named(named, place)) {
            named[place / 64] |= UINT64_C(1) << (place % 64);
            worker->order[taken++] = place;
        }
    }
    return taken;
}

void fol_worker_order_victims(fol_worker *worker)
{
    fol_team *team = worker->team;
    int32_t own = sched_getcpu();
    uint64_t named[FOL_PLACE_WORDS] = {0};
    uint8_t count = take_named(worker, named);
    worker->named_count = count;
    fol_atomic_store(&worker->processor, own, memory_order_relaxed);
    for (uint32_t distance = 0; distance < FOL_DISTANCES; distance++) {
        for (uint32_t place = 0; place < team->worker_count; place++) {
            int32_t other = fol_atomic_load(&team->workers[place].processor, memory_order_relaxed);
            if (place != worker->place && !is_named(named, place) &&
                fol_topology_distance(own, other) == distance) {
                worker->order[count++] = (uint8_t)place;
            }
        }
        worker->order_ends[distance] = count;
    }
}

static void count_steal(fol_worker *worker, const fol_worker *victim, uint32_t count,
                        uint64_t start)
{
    fol_worker_numbers *numbers = &worker->numbers;
    fol_number_add(&numbers->stolen, count);
    if (count > 1) {
        fol_number_add(&numbers->batches, 1);
        if (fol_atomic_load(&numbers->largest_batch, memory_order_relaxed) < count) {
            fol_atomic_store(&numbers->largest_batch, count, memory_order_relaxed);
        }
    }
    if (worker->team->trace != NULL) {
        fol_trace_write(worker->team->trace, worker->place, FOL_TRACE_STEAL, victim->place, count,
                        start, fol_cycles_now());
    }
}

/* Whether what was seen is left to its owner, and for how long. */
static bool is_left_alone(fol_worker *worker, const fol_worker *victim, uint32_t public_count)
{
    fol_victim_memory *last = &worker->victims[victim->place];
    /* The deque's count of jobs that went before a single one tells it from the next. */
    uint32_t gone = (uint32_t)fol_atomic_load(&victim->deque.top, memory_order_relaxed);
    uint32_t went = gone - last->gone;
    /* Only looks in one search are so many rounds apart. */
    bool is_known = worker->is_searching && last->search == worker->search;
    bool is_quick = is_known && public_count <= 1 && went >= QUICK * (1 + (uint32_t)last->rested);
    bool is_new = public_count == 1 && (!last->had_single || went != 0);
    uint8_t longer = last->rest == 0 ? 1 : (uint8_t)(2 * last->rest);
    if (is_known) {
        last->rest = !is_quick ? 0 : longer < REST_MAX ? longer : REST_MAX;
    }
    last->search = worker->search;
    last->gone = gone;
    last->had_single = is_new;
    last->rested = is_quick ? last->rest : 0;
    last->rounds_left = last->rested;
    worker->left_some = worker->left_some || (is_new && !is_quick);
    return is_new;
}

/* One look at one victim. */
static fol_job *steal_from(fol_worker *worker, fol_worker *victim, bool *contended)
{
    uint32_t count = 0;
    fol_number_add(&worker->numbers.steal_attempts, 1);
    *contended = false;
    uint32_t public_count = fol_deque_public_count(&victim->deque);
    if (is_left_alone(worker, victim, public_count) || public_count == 0) {
        fol_number_add(&worker->numbers.steal_misses, 1);
        return NULL;
    }
    uint64_t start = worker->team->trace == NULL ? 0 : fol_cycles_now();
    /* Branches go one by one: the oldest is the largest, and who waits for one should find it
     * running, not in a queue. */
    void *item = fol_deque_steal_marked_thief(&victim->deque, contended);
    if (item != NULL) {
        count = 1;
    } else if (!*contended) {
        item = fol_deque_steal_batch_thief(&victim->deque, &worker->deque,
                                           worker->team->steal_batch, &count, contended);
    }
    if (item != NULL) {
        worker->victims[victim->place].gone += count;
        count_steal(worker, victim, count, start);
        return fol_job_of_item(item);
    }
    fol_number_add(*contended ? &worker->numbers.contended : &worker->numbers.steal_misses, 1);
    return NULL;
}

static void back_off(fol_worker *worker)
{
    worker->pauses = worker->pauses == 0 ? 1 : 2 * worker->pauses;
    if (worker->pauses > PAUSES_MAX) {
        worker->pauses = PAUSES_MAX;
    }
    for (uint32_t i = 0; i < worker->pauses; i++) {
        fol_pause();
    }
}

/* The same unless the worker rests from this victim. */
static fol_job *steal_in_round(fol_worker *worker, uint32_t place, bool *contended)
{
    fol_victim_memory *last = &worker->victims[place];
    *contended = false;
    if (last->rounds_left != 0 && worker->is_searching && last->search == worker->search) {
        last->rounds_left -= 1;
        return NULL;
    }
    return steal_from(worker, &worker->team->workers[place], contended);
}

fol_job *fol_worker_steal(fol_worker *worker)
{
    bool was_contended = false;
    uint32_t begin = worker->named_count;
    for (uint32_t i = 0; i < begin; i++) {
        bool contended;
        fol_job *job = steal_in_round(worker, worker->order[i], &contended);
        if (job != NULL) {
            worker->pauses = 0;
            return job;
        }
        was_contended = was_contended || contended;
    }
    for (uint32_t distance = 0; distance < FOL_DISTANCES; distance++) {
        uint32_t count = worker->order_ends[distance] - begin;
        uint32_t start = count > 1 ? fol_rng_below(&worker->rng, count) : 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t at = start + i < count ? start + i : start + i - count;
            bool contended;
            fol_job *job = steal_in_round(worker, worker->order[begin + at], &contended);
            if (job != NULL) {
                worker->pauses = 0;
                return job;
            }
            was_contended = was_contended || contended;
        }
        begin = worker->order_ends[distance];
    }
    if (was_contended) {
        back_off(worker);
    }
    return NULL;
}

fol_job *fol_worker_steal_plenty(fol_worker *worker)
{
    fol_team *team = worker->team;
    uint32_t count = worker->order_ends[FOL_DISTANCES - 1];
    bool contended;
    if (count == 0) {
        return NULL;
    }
    fol_worker *victim = &team->workers[worker->order[fol_rng_below(&worker->rng, count)]];
    if (fol_deque_public_count(&victim->deque) / PLENTY_BATCHES < team->steal_batch) {
        return NULL;
    }
    return steal_from(worker, victim, &contended);
}
