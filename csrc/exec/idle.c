/* Looking for work, sleeping when there is none, and waking who sleeps.
 *
 * Idle threads are in one of four states, and each has a word that publishers look at:
 *   searcher: stands at a place of a team and looks there       team->searchers
 *   waiter:   parked in a wait: the team's caller, or a helper  team->caller, team->nested
 *   seeker:   a thread of the pool that looks at all teams      pool->seekers
 *   parked:   a thread of the pool                              pool->parked
 *
 * A publisher makes its work visible, passes a full fence, and looks at the words in this order. It
 * leaves the work to a searcher or a seeker if there is one, else it wakes a waiter or a parked
 * thread. While one that was woken is on its way (wake_is_under_way), no other is woken: the first
 * counts itself as a searcher or seeker before it takes that back.
 *
 * What every state promises in return: who leaves it looks again. In each case the look follows a
 * full fence, which follows the change of the word. So if a publisher saw the word before the
 * change, its fence was the first of the two, and the look sees its work. In detail:
 * 1. Who parks leaves its state, prepares, looks at every queue it serves, and only then commits.
 * 2. The last searcher that leaves because it found work (or its wait is over) looks at the team
 *    again, and wakes somebody if there is more. Others need not: a searcher is left, who goes on
 *    looking, or leaves later, as the last one.
 * 3. The last seeker that leaves because it took a place looks at all teams in the same way.
 * 4. A thread that leaves its place for good becomes a seeker first.
 * 5. Who returns from parking, for whatever reason, becomes a searcher or seeker, then takes back
 *    wake_is_under_way, and then looks. A publisher that set it and found nobody to wake takes it
 *    back itself and looks at the sleepers again, since others may have relied on it.
 *
 * Work of the source may be for the caller alone, so fol_team_notify wakes a parked caller even
 * when others search. Branches may also be taken by workers that sleep in a join; those are woken
 * when nobody else is there.
 *
 * Who publishes a branch passes no fence: whoever forked it joins it, so nobody depends on a wake,
 * and the fence would be half of what a fork costs. The same goes for jobs that are offered: who
 * offers them runs them. Then a thread that parks at this very moment may miss something whose
 * publication is still on its way from one processor to the others, and the work is done by fewer.
 * So who parks lets such stores arrive before it looks again.
 *
 * How long a searcher spins before it parks follows from how long work was away lately: when it
 * came back within SPIN_MAX_NS, spinning would have been right, and the limit grows to twice that
 * time; else it shrinks by a quarter. Spinning takes processors from those who work when more
 * threads are awake than there are processors; then a searcher yields a few times and parks.
 *
 * While the source says that its work is under way, a second limit holds, which is learnt alike but
 * up to LOOK_MAX_NS: a wake and the way of who was woken take some tens of microseconds, which who
 * sends it and all that hangs on the work lose; and who waits for nodes of some hundred
 * microseconds would lose it again and again. Who looks on for longer than SPIN_MAX_NS yields its
 * processor to anybody who wants it, and parks when somebody did. It leaves at once when a team
 * found no thread parked for a place that it has (pool->is_short); a publisher sets that word
 * behind the fence that follows its publication, and who reads it passes the fence of a seeker
 * before it looks at all teams, so it finds what was published. Missing the word only makes that
 * team wait until the limit.
 */
#include <sched.h>

#include "exec/worker.h"

#define SPIN_MIN_NS      2000u
#define SPIN_MAX_NS      50000u
#define LOOK_MAX_NS      1000000u
#define PAUSES_PER_ROUND 8u
#define YIELDS           3u

/* Passes the fence that orders a publication before the looks at who is idle. */
static void fence_after_publishing(void)
{
    /* Pairs with the fences of those who leave a state or prepare to park. */
    fol_fence(memory_order_seq_cst);
}

/* No wake is on its way any more. */
static void take_back(fol_sleepers *sleepers)
{
    /* As in wake_one. The release also keeps what came before ahead: who finds no wake under way
     * finds the searcher or seeker that it made. */
    atomic_exchange_explicit(&sleepers->wake_is_under_way, 0, memory_order_acq_rel);
    /* Pairs with the fences of publishers that relied on the word, for the looks that follow. */
    fol_fence(memory_order_seq_cst);
}

/* Wakes one sleeper unless one is on its way; a full fence came before. */
static inline fol_wake wake_one(fol_sleepers *sleepers)
{
    /* Every turn but the first takes a sleeper that had gone and another one that came. */
    while (fol_event_count_waiters(&sleepers->event) != 0) {
        uint32_t none = 0;
        /* All writes of the word are read-modify-writes that acquire and release, so each happens
         * before the next: a sleeper that took it back is not counted as one any more. The plain
         * look spares most publishers the swap. */
        if (fol_atomic_load(&sleepers->wake_is_under_way, memory_order_relaxed) != 0 ||
            !fol_atomic_compare_exchange(&sleepers->wake_is_under_way, &none, 1,
                                         memory_order_acq_rel, memory_order_relaxed)) {
            return FOL_WAKE_SAVED;
        }
        if (fol_event_count_notify_one(&sleepers->event)) {
            return FOL_WAKE_SENT;
        }
        take_back(sleepers);
    }
    return FOL_WAKE_NOBODY;
}

static bool has_free_place(const fol_team *team)
{
    uint64_t any = 0;
    for (uint32_t word = 0; word < FOL_PLACE_WORDS; word++) {
        any |= fol_atomic_load(&team->free_places[word], memory_order_relaxed);
    }
    return any != 0;
}

/* A thread of the pool; a full fence came before. */
static fol_wake wake_thread(fol_pool *pool)
{
    if (fol_atomic_load(&pool->seekers, memory_order_relaxed) != 0) {
        return FOL_WAKE_SAVED;
    }
    if (fol_event_count_waiters(&pool->parked.event) != 0) {
        fol_spread_note(&pool->spread);
    }
    fol_wake wake = wake_one(&pool->parked);
    if (wake == FOL_WAKE_NOBODY && !fol_atomic_load(&pool->is_short, memory_order_relaxed)) {
        fol_atomic_store(&pool->is_short, true, memory_order_relaxed);
    }
    return wake;
}

/* Anybody who can work for the team; a full fence came before. */
static fol_wake wake_for_team(fol_team *team)
{
    if (fol_atomic_load(&team->searchers, memory_order_relaxed) != 0) {
        return FOL_WAKE_SAVED;
    }
    fol_wake wake = wake_one(&team->caller);
    if (wake == FOL_WAKE_NOBODY) {
        wake = wake_one(&team->nested);
    }
    if (wake == FOL_WAKE_NOBODY && has_free_place(team)) {
        wake = wake_thread(team->pool);
    }
    return wake;
}

fol_wake fol_team_wake(fol_team *team)
{
    fence_after_publishing();
    return wake_for_team(team);
}

static void count_wake(fol_worker *worker, fol_wake wake)
{
    if (wake != FOL_WAKE_NOBODY) {
        fol_number_add(
            wake == FOL_WAKE_SENT ? &worker->numbers.wakes_sent : &worker->numbers.wakes_saved, 1);
    }
}

void fol_worker_wake(fol_worker *worker)
{
    count_wake(worker, fol_team_wake(worker->team));
}

/* No fence: see the top. The compiler at least keeps to the order. */
static inline fol_wake wake_unfenced(fol_worker *worker)
{
    atomic_signal_fence(memory_order_seq_cst);
    fol_wake wake = wake_for_team(worker->team);
    count_wake(worker, wake);
    return wake;
}

void fol_worker_wake_unfenced(fol_worker *worker)
{
    (void)wake_unfenced(worker);
}

void fol_worker_wake_for_branches(fol_worker *worker)
{
    fol_team *team = worker->team;
    fol_wake wake = wake_unfenced(worker);
    if (FOL_LIKELY(wake != FOL_WAKE_NOBODY) ||
        fol_atomic_load(&team->join_sleepers, memory_order_relaxed) == 0) {
        return;
    }
    for (uint32_t place = 0; place < team->worker_count; place++) {
        fol_worker *sleeper = &team->workers[place];
        if (fol_atomic_load(&sleeper->sleeps_in_join, memory_order_relaxed)) {
            fol_event_count_notify_all(&sleeper->joined);
        }
    }
}

void fol_team_notify(fol_team *team)
{
    fence_after_publishing();
    if (wake_one(&team->caller) == FOL_WAKE_NOBODY) {
        wake_for_team(team);
    }
}

void fol_team_wake_waiters(fol_team *team)
{
    fence_after_publishing();
    if (fol_event_count_waiters(&team->caller.event) != 0) {
        fol_event_count_notify_all(&team->caller.event);
    }
    if (fol_event_count_waiters(&team->nested.event) != 0) {
        fol_event_count_notify_all(&team->nested.event);
    }
}

void fol_team_notify_all(fol_team *team)
{
    fol_team_wake_waiters(team);
    fol_team_notify(team);
}

bool fol_team_has_work(const fol_team *team, const fol_worker *worker)
{
    if (fol_injector_count(&team->injector) != 0) {
        return true;
    }
    for (uint32_t place = 0; place < team->worker_count; place++) {
        if (fol_deque_public_count(&team->workers[place].deque) != 0) {
            return true;
        }
    }
    return team->source.is_ready != NULL &&
           team->source.is_ready(team->source.state, (fol_worker *)(uintptr_t)worker);
}

/* Whether a thread of the pool would find a place and work there. */
static bool wants_thread(const fol_team *team)
{
    return has_free_place(team) && fol_team_has_work(team, &team->workers[1]);
}

static void leave(fol_team_entry *entry)
{
    /* Release pairs with the acquire in fol_pool_remove_team: the look is over. */
    fol_atomic_fetch_sub(&entry->users, 1, memory_order_release);
}

/* The team of an entry, which stays until leave; NULL (and nothing to leave) when there is none. */
static fol_team *enter(fol_team_entry *entry)
{
    if (fol_atomic_load(&entry->team, memory_order_relaxed) == NULL) {
        return NULL;
    }
    /* Pairs with the store of NULL and the look at users in fol_pool_remove_team, all four
     * sequentially consistent: this sees NULL, or that sees the user. The load is an acquire of
     * the release that published the team, too. */
    fol_atomic_fetch_add(&entry->users, 1, memory_order_seq_cst);
    fol_team *team = fol_atomic_load(&entry->team, memory_order_seq_cst);
    if (team == NULL) {
        leave(entry);
    }
    return team;
}

/* The next entry after `entry` (NULL: the first). */
static fol_team_entry *next_entry(fol_pool *pool, fol_team_block **block, uint32_t *index)
{
    if (*block == NULL) {
        *block = &pool->first_block;
        *index = 0;
    } else if (++*index == FOL_TEAM_ENTRIES) {
        /* Acquire pairs with the release that added the block: its entries are there. */
        *block = fol_atomic_load(&(*block)->next, memory_order_acquire);
        *index = 0;
    }
    return *block == NULL ? NULL : &(*block)->entries[*index];
}

/* Whether a team wants a thread; a full fence came before. */
static bool any_team_wants_thread(fol_pool *pool)
{
    fol_team_block *block = NULL;
    fol_team_entry *entry;
    uint32_t index = 0;
    while ((entry = next_entry(pool, &block, &index)) != NULL) {
        fol_team *team = enter(entry);
        if (team != NULL) {
            bool wants = wants_thread(team);
            leave(entry);
            if (wants) {
                return true;
            }
        }
    }
    return false;
}

/* The lowest free place, taken; NULL when there is none. */
static fol_worker *take_place(fol_team *team)
{
    for (uint32_t word = 0; word < FOL_PLACE_WORDS; word++) {
        uint64_t bits = fol_atomic_load(&team->free_places[word], memory_order_relaxed);
        /* Each turn in vain is a place that another thread took or left. */
        while (bits != 0) {
            uint64_t rest = bits & (bits - 1);
            /* Acquire pairs with the release in leave_place: the worker is as it was left. */
            if (fol_atomic_compare_exchange_weak(&team->free_places[word], &bits, rest,
                                                 memory_order_acquire, memory_order_relaxed)) {
                return &team->workers[word * 64 + (uint32_t)__builtin_ctzll(bits)];
            }
        }
    }
    return NULL;
}

/* The last touch of the team: it may be gone afterwards. */
static void leave_place(fol_worker *worker)
{
    fol_team *team = worker->team;
    uint32_t place = worker->place;
    /* Release pairs with the acquires in take_place and fol_team_destroy. The bit is not set, so
     * the addition sets it. */
    fol_atomic_fetch_add(&team->free_places[place / 64], UINT64_C(1) << (place % 64),
                         memory_order_release);
}

static void begin_seeking(fol_pool *pool)
{
    fol_atomic_fetch_add(&pool->seekers, 1, memory_order_relaxed);
    if (fol_atomic_load(&pool->is_short, memory_order_relaxed)) {
        fol_atomic_store(&pool->is_short, false, memory_order_relaxed);
    }
    /* Pairs with the fence of publishers, for the looks that follow. */
    fol_fence(memory_order_seq_cst);
}

/* A place in some team that wants help, as one of its searchers; NULL when none does. */
static fol_worker *seek_place(fol_pool *pool)
{
    fol_team_block *block = NULL;
    fol_team_entry *entry;
    uint32_t index = 0;
    while ((entry = next_entry(pool, &block, &index)) != NULL) {
        fol_team *team = enter(entry);
        if (team == NULL) {
            continue;
        }
        fol_worker *worker = wants_thread(team) ? take_place(team) : NULL;
        if (worker != NULL) {
            fol_atomic_fetch_add(&team->searchers, 1, memory_order_relaxed);
        }
        leave(entry);
        if (worker != NULL) {
            return worker;
        }
    }
    return NULL;
}

/* Before a seeker goes to the place it took: the last one looks at the other teams again. */
static void end_seeking(fol_pool *pool)
{
    if (fol_atomic_fetch_sub(&pool->seekers, 1, memory_order_relaxed) == 1) {
        /* Pairs with the fence of publishers that left their work to the seekers. */
        fol_fence(memory_order_seq_cst);
        if (any_team_wants_thread(pool)) {
            wake_thread(pool);
        }
    }
}

/* A seeker that found nothing parks, and is a seeker again afterwards. */
static void park_thread(fol_pool *pool, fol_sleeping_place *place)
{
    fol_sleeping_place_enter(place);
    fol_atomic_fetch_sub(&pool->seekers, 1, memory_order_relaxed);
    /* Passes the full fence. */
    uint32_t key = fol_event_count_prepare(&pool->parked.event);
    fol_exec_let_stores_arrive();
    /* The fences order the look at is_stopping as they do those at the queues. */
    if (fol_atomic_load(&pool->is_stopping, memory_order_relaxed) || any_team_wants_thread(pool)) {
        fol_event_count_cancel(&pool->parked.event);
    } else {
        fol_event_count_commit(&pool->parked.event, key, 0);
    }
    fol_atomic_fetch_add(&pool->seekers, 1, memory_order_relaxed);
    take_back(&pool->parked);
    fol_sleeping_place_leave(place, &pool->spread);
}

void fol_pool_serve(fol_pool *pool)
{
    fol_sleeping_place place;
    fol_sleeping_place_init(&place);
    begin_seeking(pool);
    /* Acquire pairs with the release in fol_pool_destroy. */
    while (!fol_atomic_load(&pool->is_stopping, memory_order_acquire)) {
        fol_worker *worker = seek_place(pool);
        if (worker == NULL) {
            park_thread(pool, &place);
            continue;
        }
        end_seeking(pool);
        fol_worker_serve(worker);
        /* Still one of the team's searchers, so there is no moment in which nobody looks. */
        begin_seeking(pool);
        fol_atomic_fetch_sub(&worker->team->searchers, 1, memory_order_relaxed);
        leave_place(worker);
        /* Pairs with the fence of publishers that saw no free place, or a searcher. */
        fol_fence(memory_order_seq_cst);
    }
    fol_atomic_fetch_sub(&pool->seekers, 1, memory_order_relaxed);
}

/* Threads that want a processor now: those of the pool that are not parked, and callers in waits.
 * Counts no further than `enough`. */
static uint32_t count_awake(fol_pool *pool, uint32_t enough)
{
    uint32_t threads = fol_atomic_load(&pool->thread_count, memory_order_relaxed);
    uint32_t parked = fol_event_count_waiters(&pool->parked.event);
    uint32_t awake = threads > parked ? threads - parked : 0;
    fol_team_block *block = NULL;
    fol_team_entry *entry;
    uint32_t index = 0;
    while (awake < enough && (entry = next_entry(pool, &block, &index)) != NULL) {
        fol_team *team = enter(entry);
        if (team != NULL) {
            awake += fol_atomic_load(&team->caller_waits, memory_order_relaxed);
            leave(entry);
        }
    }
    return awake;
}

bool fol_worker_may_spin(const fol_worker *worker)
{
    fol_pool *pool = worker->team->pool;
    return count_awake(pool, pool->processors + 1) <= pool->processors;
}

void fol_worker_begin_search(fol_worker *worker)
{
    uint64_t cycles = fol_cycles_now();
    FOL_ASSERT(!worker->is_searching);
    fol_worker_clear_busy(worker);
    fol_number_add(&worker->numbers.busy_cycles, cycles - worker->state_start);
    worker->state_start = cycles;
    worker->idle_start_ns = fol_exec_now_ns();
    worker->spin_start_ns = worker->idle_start_ns;
    worker->rounds = 0;
    worker->may_spin = fol_worker_may_spin(worker);
    worker->yields_left = YIELDS;
    worker->is_searching = true;
    worker->search += 1;
    fol_atomic_fetch_add(&worker->team->searchers, 1, memory_order_relaxed);
    /* Pairs with the fence of publishers: who sees no searcher has published before the look that
     * follows. */
    fol_fence(memory_order_seq_cst);
}

static uint64_t learn_limit(uint64_t limit, uint64_t idle_ns, uint64_t most)
{
    if (idle_ns <= most) {
        limit = limit < 2 * idle_ns ? 2 * idle_ns : limit;
        return limit < most ? limit : most;
    }
    limit -= limit / 4;
    return limit > SPIN_MIN_NS ? limit : SPIN_MIN_NS;
}

static void learn_limits(fol_worker *worker)
{
    uint64_t idle_ns = fol_exec_now_ns() - worker->idle_start_ns;
    worker->spin_limit_ns = learn_limit(worker->spin_limit_ns, idle_ns, SPIN_MAX_NS);
    worker->look_limit_ns = learn_limit(worker->look_limit_ns, idle_ns, LOOK_MAX_NS);
}

void fol_worker_end_search(fol_worker *worker)
{
    fol_team *team = worker->team;
    uint64_t cycles = fol_cycles_now();
    FOL_ASSERT(worker->is_searching);
    learn_limits(worker);
    fol_number_add(&worker->numbers.idle_cycles, cycles - worker->state_start);
    worker->state_start = cycles;
    worker->is_searching = false;
    if (fol_atomic_fetch_sub(&team->searchers, 1, memory_order_relaxed) == 1) {
        /* Pairs with the fence of publishers that left their work to the searchers. */
        fol_fence(memory_order_seq_cst);
        uint32_t helper = team->worker_count > 1;
        if (fol_team_has_work(team, &team->workers[helper])) {
            count_wake(worker, wake_for_team(team));
        }
    }
}

static void pause_for_a_round(fol_worker *worker)
{
    for (uint32_t i = 0; i < PAUSES_PER_ROUND; i++) {
        fol_pause();
    }
    fol_number_add(&worker->numbers.spins, 1);
}

/* Lets whoever wants the processor go first. False when somebody did, for about as long as a wake
 * takes: then others have a better use for it. */
static bool yield_to_others(fol_worker *worker, uint64_t now_ns)
{
    fol_number_add(&worker->numbers.yields, 1);
    sched_yield();
    return fol_exec_now_ns() - now_ns < SPIN_MAX_NS;
}

/* A round without work while the source's is under way. False when looking on is not worth it. */
static bool look_on(fol_worker *worker, uint64_t now_ns)
{
    const fol_team *team = worker->team;
    uint64_t spun_ns = now_ns - worker->spin_start_ns;
    if (team->source.is_under_way == NULL || spun_ns >= worker->look_limit_ns ||
        !team->source.is_under_way(team->source.state) ||
        fol_atomic_load(&team->pool->is_short, memory_order_relaxed)) {
        return false;
    }
    pause_for_a_round(worker);
    return spun_ns < SPIN_MAX_NS || yield_to_others(worker, now_ns);
}

/* A round without work: as long as a policy says, else as was worth it lately. */
static bool spin_on(fol_worker *worker)
{
    uint32_t chosen = fol_atomic_load(&worker->chosen_spins, memory_order_relaxed);
    if (FOL_UNLIKELY(chosen != FOL_SPINS_LEARNT)) {
        if (worker->rounds++ >= chosen) {
            return false;
        }
        pause_for_a_round(worker);
        return true;
    }
    uint64_t now_ns = fol_exec_now_ns();
    if (now_ns - worker->spin_start_ns >= worker->spin_limit_ns) {
        return look_on(worker, now_ns);
    }
    pause_for_a_round(worker);
    return true;
}

bool fol_worker_search_on(fol_worker *worker)
{
    bool looks_again = worker->left_some;
    worker->left_some = false;
    if (worker->may_spin) {
        if (spin_on(worker)) {
            return true;
        }
        worker->may_spin = false;
    }
    if (looks_again) {
        pause_for_a_round(worker);
        return true;
    }
    if (worker->yields_left != 0) {
        worker->yields_left -= 1;
        fol_number_add(&worker->numbers.yields, 1);
        sched_yield();
        return true;
    }
    return false;
}

void fol_worker_park(fol_worker *worker, const fol_latch *latch)
{
    fol_team *team = worker->team;
    uint64_t start = fol_cycles_now();
    bool is_caller = worker->place == 0;
    fol_sleepers *sleepers = is_caller ? &team->caller : &team->nested;
    if (is_caller) {
        fol_atomic_store(&team->caller_waits, false, memory_order_relaxed);
    }
    fol_atomic_fetch_sub(&team->searchers, 1, memory_order_relaxed);
    /* Passes the full fence. */
    uint32_t key = fol_event_count_prepare(&sleepers->event);
    fol_exec_let_stores_arrive();
    if (fol_latch_is_open(latch) || fol_team_has_work(team, worker)) {
        fol_event_count_cancel(&sleepers->event);
    } else {
        fol_number_add(&worker->numbers.parks, 1);
        fol_event_count_commit(&sleepers->event, key, team->poll == NULL ? 0 : team->poll_ns);
        if (team->trace != NULL) {
            fol_trace_write(team->trace, worker->place, FOL_TRACE_PARK, 0, 0, start,
                            fol_cycles_now());
        }
        fol_worker_order_victims(worker);
    }
    if (is_caller) {
        fol_atomic_store(&team->caller_waits, true, memory_order_relaxed);
    }
    fol_atomic_fetch_add(&team->searchers, 1, memory_order_relaxed);
    take_back(sleepers);
    worker->spin_start_ns = fol_exec_now_ns();
    worker->rounds = 0;
    worker->yields_left = YIELDS;
}
