/* The dispatcher's steps: release, pick, ran; dispatcher.h has the contract, dispatcher_state.h the
 * rules.
 */

#include "policy/dispatcher.h"

#include "foliot/status.h"
#include "policy/dispatcher_state.h"

static inline void take_refills(fol_dispatcher *dispatcher, int64_t now)
{
    if (FOL_UNLIKELY(dispatcher->next_refill <= now)) {
        fol_dispatcher_advance(dispatcher, now);
    }
}

void fol_dispatcher_arrive(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now)
{
    fol_queue_rank(dispatcher, runnable, now);
    fol_queue_enter(dispatcher, runnable, now);
    fol_displace_arrived(dispatcher, runnable, now);
}

/* Takes the job into the view; what its context says of deadlines holds where it says nothing. */
static void set_job(fol_dispatcher *dispatcher, fol_runnable *runnable, const fol_job_options *job,
                    int64_t now)
{
    fol_runnable_view *view = &runnable->view;
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    view->job = runnable->jobs;
    view->release = job->release;
    view->deadline = job->deadline;
    view->expected = job->expected;
    view->ran = 0;
    view->since = now;
    runnable->jobs += 1;
    runnable->next_release = job->next_release;
    if (budget != NULL && job->deadline == FOL_TIME_NEVER) {
        view->deadline = job->release + budget->relative_deadline;
    }
}

fol_release fol_dispatcher_release(fol_dispatcher *dispatcher, uint32_t id,
                                   const fol_job_options *job, int64_t now)
{
    fol_runnable *runnable = fol_runnable_of(dispatcher, id);
    FOL_ASSERT(job->release <= now);
    take_refills(dispatcher, now);
    if (runnable->state == FOL_RUNNABLE_DEAD) {
        return FOL_RELEASE_DEAD;
    }
    FOL_ASSERT(runnable->state == FOL_RUNNABLE_ASLEEP);
    set_job(dispatcher, runnable, job, now);
    bool is_taken = true;
    if (fol_slots_admit(&dispatcher->slots, &runnable->view, now, &is_taken) && !is_taken) {
        FOL_COUNT(dispatcher, runnable, FOL_NO_CPU, skipped);
        fol_tell(dispatcher, FOL_DECISION_DENY, runnable, FOL_NO_CPU, FOL_NO_RUNNABLE, now,
                 job->release, runnable->view.deadline, 0);
        return FOL_RELEASE_DENIED;
    }
    fol_woken woken = fol_budget_wake(dispatcher, runnable, true, now);
    if (woken == FOL_WOKEN_SKIPPED) {
        FOL_COUNT(dispatcher, runnable, FOL_NO_CPU, skipped);
        return FOL_RELEASE_SKIPPED;
    }
    if (woken == FOL_WOKEN_READY) {
        fol_dispatcher_arrive(dispatcher, runnable, now);
    }
    return FOL_RELEASE_TAKEN;
}

void fol_dispatcher_wake(fol_dispatcher *dispatcher, uint32_t id, int64_t now)
{
    fol_runnable *runnable = fol_runnable_of(dispatcher, id);
    take_refills(dispatcher, now);
    if (runnable->state == FOL_RUNNABLE_DEAD) {
        return;
    }
    FOL_ASSERT(runnable->state == FOL_RUNNABLE_BLOCKED);
    if (fol_budget_wake(dispatcher, runnable, false, now) == FOL_WOKEN_READY) {
        fol_dispatcher_arrive(dispatcher, runnable, now);
    }
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* New slices, of the slot and of the fair class: a slice that a slot gave is not cut by the fair
 * queue, and one whose turn a slot chose lasts as long as its class says, however far ahead of its
 * share it is. A runnable is protected from arrivals in its first fair slice only; one that has the
 * queue for itself may be more so, which the fair queue says when it is asked. */
static void give_slices(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                        bool is_first, int64_t now)
{
    fol_cpu *place = &dispatcher->cpus[cpu];
    place->slice = FOL_TIME_NEVER;
    place->fair_left = FOL_TIME_NEVER;
    const fol_slots *slots = &dispatcher->slots;
    bool is_sliced = fol_slots_slice(&dispatcher->slots, &runnable->view, cpu, now, &place->slice);
    if (runnable->band == FOL_BAND_FAIR && !is_sliced) {
        bool is_chosen = slots->table.pick != NULL && fol_slots_are_on(slots);
        int64_t until = is_chosen ? FOL_TIME_NEVER : fol_band_until(dispatcher, runnable);
        place->fair_left = lesser(until, dispatcher->config.slices[runnable->view.latency]);
        place->fair_point = is_first && until != FOL_TIME_NEVER ? now + place->fair_left : now;
    }
}

static int64_t grant_of(const fol_dispatcher *dispatcher, const fol_runnable *runnable,
                        uint32_t cpu)
{
    const fol_cpu *place = &dispatcher->cpus[cpu];
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    int64_t time = lesser(place->slice, place->fair_left);
    if (budget != NULL && runnable->standing == FOL_STANDING_FULL) {
        time = lesser(time, budget->granted);
    }
    FOL_ASSERT(time > 0);
    return time;
}

static void go_on(const fol_dispatcher *dispatcher, const fol_runnable *runnable, uint32_t cpu,
                  fol_grant *grant)
{
    *grant = (fol_grant){.runnable = runnable->view.id,
                         .time = grant_of(dispatcher, runnable, cpu),
                         .moved_from = FOL_NO_CPU,
                         .victim = FOL_NO_CPU};
}

/* A ready runnable begins to run on an idle CPU. */
static void start(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu, uint32_t victim,
                  int64_t now, fol_grant *grant)
{
    fol_cpu *place = &dispatcher->cpus[cpu];
    uint32_t id = runnable->view.id;
    uint32_t before = place->last;
    uint32_t from = runnable->view.last_cpu;
    fol_queue_take(dispatcher, runnable);
    fol_ledger_waited(dispatcher, runnable, now);
    runnable->state = FOL_RUNNABLE_RUNNING;
    runnable->cpu = cpu;
    runnable->view.last_cpu = cpu;
    place->running = id;
    place->last = id;
    fol_bits_reset(dispatcher->idle, cpu);
    dispatcher->idle_count -= 1;
    fol_band_begin(dispatcher, cpu, now);
    fol_budget_begin(dispatcher, runnable, now);
    give_slices(dispatcher, runnable, cpu, true, now);
    *grant = (fol_grant){.runnable = id,
                         .time = grant_of(dispatcher, runnable, cpu),
                         .is_switch = before != id,
                         .moved_from = from == cpu ? FOL_NO_CPU : from,
                         .is_stolen = victim != FOL_NO_CPU,
                         .victim = victim};
    if (grant->is_switch) {
        FOL_COUNT(dispatcher, runnable, cpu, switches);
    }
    if (grant->is_stolen) {
        FOL_COUNT(dispatcher, runnable, cpu, steals);
    }
    if (grant->moved_from != FOL_NO_CPU) {
        FOL_COUNT(dispatcher, runnable, cpu, migrations);
        fol_tell(dispatcher, FOL_DECISION_MIGRATE, runnable, cpu, from, now, 0, 0, 0);
    }
    fol_tell(dispatcher, FOL_DECISION_PICK, runnable, cpu, before, now, grant->time,
             dispatcher->ready_count, 0);
    fol_displace_began(dispatcher, cpu);
}

/* Who was preferred to the one that left the CPU at this very time, if it is still to be had. */
static uint32_t take_choice(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu, int64_t now)
{
    fol_cpu *place = &dispatcher->cpus[cpu];
    uint32_t id = place->choice;
    place->choice = FOL_NO_RUNNABLE;
    if (id == FOL_NO_RUNNABLE || place->chosen_at != now) {
        return FOL_NO_RUNNABLE;
    }
    const fol_runnable *runnable = fol_runnable_of(dispatcher, id);
    bool is_there = runnable->state == FOL_RUNNABLE_READY && runnable->queue == queue &&
                    place->chosen_among == dispatcher->arrivals;
    return is_there ? id : FOL_NO_RUNNABLE;
}

static uint32_t choose(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu, int64_t now)
{
    uint32_t rounds = dispatcher->queues[queue].ready * FOL_BANDS;
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t id = take_choice(dispatcher, queue, cpu, now);
        if (id == FOL_NO_RUNNABLE &&
            !fol_queue_ask(dispatcher, queue, cpu, FOL_NO_RUNNABLE, now, &id)) {
            return fol_queue_first(dispatcher, queue, cpu, now);
        }
        if (fol_budget_allows(dispatcher, fol_runnable_of(dispatcher, id), cpu, now)) {
            return id;
        }
    }
    return FOL_NO_RUNNABLE;
}

/* Takes one from the first queue that has any, in the order of the victims slot, else in that of
 * the configuration, else round the circle. */
static uint32_t steal(fol_dispatcher *dispatcher, uint32_t cpu, int64_t now, uint32_t *from)
{
    uint32_t cpus = dispatcher->config.cpus;
    const uint32_t *order = dispatcher->victims;
    uint32_t count = 0;
    if (dispatcher->ready_count == 0) {
        return FOL_NO_RUNNABLE;
    }
    if (!fol_slots_victims(&dispatcher->slots, cpu, cpus, now, dispatcher->victims, &count)) {
        const uint32_t *nearest = dispatcher->nearest;
        order = nearest == NULL ? NULL : nearest + (size_t)cpu * (cpus - 1);
    }
    for (uint32_t step = 1; step < cpus; step++) {
        uint32_t victim = order != NULL ? order[step - 1] : (cpu + step) % cpus;
        if (!fol_bits_test(dispatcher->busy, victim)) {
            continue;
        }
        uint32_t id = fol_queue_first(dispatcher, victim, cpu, now);
        if (id != FOL_NO_RUNNABLE) {
            fol_queue_move(dispatcher, fol_runnable_of(dispatcher, id), cpu);
            *from = victim;
            return id;
        }
    }
    return FOL_NO_RUNNABLE;
}

bool fol_dispatcher_pick(fol_dispatcher *dispatcher, uint32_t cpu, int64_t now, fol_grant *grant)
{
    FOL_ASSERT(cpu < dispatcher->config.cpus);
    FOL_ASSERT(dispatcher->cpus[cpu].running == FOL_NO_RUNNABLE);
    take_refills(dispatcher, now);
    dispatcher->counts.picks += 1;
    uint32_t queue = fol_queue_of_cpu(dispatcher, cpu);
    uint32_t id = choose(dispatcher, queue, cpu, now);
    uint32_t victim = FOL_NO_CPU;
    if (id == FOL_NO_RUNNABLE && dispatcher->config.queues == FOL_QUEUES_PER_CPU) {
        id = steal(dispatcher, cpu, now, &victim);
    }
    if (id == FOL_NO_RUNNABLE) {
        dispatcher->counts.idle_picks += 1;
        return false;
    }
    start(dispatcher, fol_runnable_of(dispatcher, id), cpu, victim, now, grant);
    return true;
}

static void free_cpu(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu)
{
    fol_displace_ended(dispatcher, cpu);
    dispatcher->cpus[cpu].running = FOL_NO_RUNNABLE;
    fol_bits_set(dispatcher->idle, cpu);
    dispatcher->idle_count += 1;
    runnable->cpu = FOL_NO_CPU;
}

/* The runnable leaves its CPU for a state in which it is not ready. That it stays counted in the
 * fair band is told when it left by itself; else the reason was told already. */
static void rest(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                 fol_runnable_state state, bool is_by_itself, int64_t now)
{
    if (runnable->band == FOL_BAND_FAIR && fol_band_sleep(dispatcher, runnable) && is_by_itself) {
        fol_tell(dispatcher, FOL_DECISION_DELAY, runnable, cpu, FOL_NO_RUNNABLE, now,
                 fol_band_lag(dispatcher, runnable), 0, 0);
    }
    free_cpu(dispatcher, runnable, cpu);
    runnable->state = (uint8_t)state;
    fol_budget_end(dispatcher, runnable, now);
    if (state == FOL_RUNNABLE_THROTTLED) {
        fol_budget_wait(dispatcher, runnable);
    } else {
        fol_budget_slept(dispatcher, runnable);
    }
}

static fol_ran end_job(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                       int64_t now)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    bool is_told = fol_ledger_ended(dispatcher, runnable, cpu, now);
    if (budget != NULL && runnable->view.release >= 0) {
        fol_context_finish(dispatcher->contexts, budget->handle, runnable->view.release, now);
    }
    rest(dispatcher, runnable, cpu, FOL_RUNNABLE_ASLEEP, !is_told, now);
    return FOL_RAN_ENDED;
}

static fol_ran drop_job(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                        int64_t now)
{
    FOL_COUNT(dispatcher, runnable, cpu, skipped);
    rest(dispatcher, runnable, cpu, FOL_RUNNABLE_ASLEEP, false, now);
    return FOL_RAN_DROPPED;
}

/* Its context went while it ran. What it was done with is done. */
static fol_ran end_revoked(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                           int64_t now, fol_point point)
{
    bool is_over = point == FOL_POINT_DONE || point == FOL_POINT_FAILED;
    fol_ran ran = is_over ? end_job(dispatcher, runnable, cpu, now)
                          : drop_job(dispatcher, runnable, cpu, now);
    runnable->is_revoked = false;
    fol_budget_detach(dispatcher, runnable, now);
    return ran;
}

/* Of one that gives way to the other by the order of the queue. */
static fol_preempt_reason reason_for(const fol_dispatcher *dispatcher, const fol_runnable *runnable,
                                     const fol_runnable *other, int64_t numbers[2])
{
    static const fol_preempt_reason of_bands[FOL_BANDS] = {
        [FOL_BAND_RANKED] = FOL_PREEMPT_RANK,
        [FOL_BAND_ORDERED] = FOL_PREEMPT_ORDER,
        [FOL_BAND_SLACK] = FOL_PREEMPT_SLACK,
    };
    if (runnable->band != other->band) {
        numbers[0] = runnable->band;
        numbers[1] = other->band;
        return FOL_PREEMPT_CLASS;
    }
    if (runnable->band == FOL_BAND_FAIR) {
        return fol_band_compare(dispatcher, runnable, other, numbers);
    }
    numbers[0] = runnable->rank;
    numbers[1] = other->rank;
    return of_bands[runnable->band];
}

/* Of one that gives way; finding out why costs, so it is not done while nothing is kept. */
static void tell_way(fol_dispatcher *dispatcher, const fol_runnable *runnable, uint32_t cpu,
                     uint32_t rival, fol_preempt_reason reason, int64_t now)
{
    int64_t numbers[2] = {0, 0};
    if (dispatcher->records == NULL) {
        return;
    }
    if (reason == FOL_PREEMPT_ORDER) {
        reason = reason_for(dispatcher, runnable, fol_runnable_of(dispatcher, rival), numbers);
    }
    fol_tell_why(dispatcher, FOL_DECISION_PREEMPT, (uint8_t)reason, runnable, cpu, rival, now,
                 runnable->view.ran, numbers[0], numbers[1]);
}

/* reason: FOL_PREEMPT_ORDER stands for whatever orders the two. */
static fol_ran give_way(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                        uint32_t rival, fol_preempt_reason reason, int64_t now)
{
    fol_cpu *place = &dispatcher->cpus[cpu];
    tell_way(dispatcher, runnable, cpu, rival, reason, now);
    FOL_COUNT(dispatcher, runnable, cpu, preemptions);
    free_cpu(dispatcher, runnable, cpu);
    fol_queue_put_back(dispatcher, runnable, now);
    place->choice = rival;
    place->chosen_at = now;
    fol_budget_end(dispatcher, runnable, now);
    place->chosen_among = dispatcher->arrivals;
    /* Where CPU sets differ it may be before what runs elsewhere. A pick slot is asked about those
     * that arrive, and this one does not. */
    if (runnable->band != FOL_BAND_FAIR && dispatcher->slots.table.pick == NULL) {
        fol_displace_arrived(dispatcher, runnable, now);
    }
    return FOL_RAN_OFF;
}

/* Its place in line is another from here on. */
static void move_in_line(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                         int64_t now)
{
    bool was_fair = runnable->band == FOL_BAND_FAIR;
    fol_queue_rank(dispatcher, runnable, now);
    bool is_fair = runnable->band == FOL_BAND_FAIR;
    if (was_fair && !is_fair) {
        fol_band_sleep(dispatcher, runnable);
    } else if (is_fair && !was_fair) {
        fol_band_begin(dispatcher, cpu, now);
        fol_band_catch_up(dispatcher, runnable->queue, now);
        fol_band_join(dispatcher, runnable);
        fol_band_take(dispatcher, runnable);
    }
    fol_displace_began(dispatcher, cpu);
}

/* What runs has more to do. needs_look: its place in line is in question. */
static fol_ran keep_or_leave(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                             bool needs_look, int64_t now, fol_grant *grant)
{
    const fol_cpu *place = &dispatcher->cpus[cpu];
    bool is_slice_over = place->slice <= 0;
    bool is_fair_over = place->fair_left <= 0;
    if (is_slice_over && runnable->band != FOL_BAND_FAIR) {
        move_in_line(dispatcher, runnable, cpu, now);
    }
    if (needs_look || is_slice_over || is_fair_over) {
        fol_budget_release_held(dispatcher, runnable, now);
        bool is_choice = false;
        uint32_t rival = fol_queue_rival(dispatcher, cpu, is_slice_over, now, &is_choice);
        if (rival != FOL_NO_RUNNABLE) {
            return give_way(dispatcher, runnable, cpu, rival,
                            is_choice ? FOL_PREEMPT_CHOICE : FOL_PREEMPT_ORDER, now);
        }
        fol_displace_unmark(dispatcher, cpu);
        give_slices(dispatcher, runnable, cpu, !is_fair_over && !is_slice_over, now);
        fol_displace_began(dispatcher, cpu);
    }
    go_on(dispatcher, runnable, cpu, grant);
    return FOL_RAN_ON;
}

static fol_ran exhaust(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                       int64_t now, fol_grant *grant)
{
    switch (fol_budget_overrun(dispatcher, runnable, cpu, now)) {
    case FOL_OUTCOME_GOES_ON:
        fol_budget_end(dispatcher, runnable, now);
        move_in_line(dispatcher, runnable, cpu, now);
        give_slices(dispatcher, runnable, cpu, true, now);
        return keep_or_leave(dispatcher, runnable, cpu, true, now, grant);
    case FOL_OUTCOME_WAITS:
        rest(dispatcher, runnable, cpu, FOL_RUNNABLE_THROTTLED, false, now);
        return FOL_RAN_OFF;
    case FOL_OUTCOME_DROPPED:
        return drop_job(dispatcher, runnable, cpu, now);
    default:
        drop_job(dispatcher, runnable, cpu, now);
        fol_budget_kill(dispatcher, runnable, now);
        return FOL_RAN_DROPPED;
    }
}

/* One that ran without its budget has it again: it goes on with it, or waits until a sibling that
 * draws on it is off its CPU. */
static fol_ran promote(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                       int64_t now, fol_grant *grant)
{
    const fol_budget *budget = fol_budget_of(dispatcher, runnable);
    fol_budget_promote(dispatcher, runnable, now);
    move_in_line(dispatcher, runnable, cpu, now);
    if (budget->holder != FOL_NO_RUNNABLE) {
        return give_way(dispatcher, runnable, cpu, budget->holder, FOL_PREEMPT_HOLDER, now);
    }
    fol_budget_begin(dispatcher, runnable, now);
    give_slices(dispatcher, runnable, cpu, true, now);
    return keep_or_leave(dispatcher, runnable, cpu, true, now, grant);
}

/* The time that was used goes to the ledgers, to what is left of slices, and to the budget. */
static fol_spent charge(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                        int64_t used, int64_t now)
{
    fol_cpu *place = &dispatcher->cpus[cpu];
    fol_ledger_ran(dispatcher, runnable, cpu, used);
    if (place->slice != FOL_TIME_NEVER) {
        place->slice -= used;
    }
    if (place->fair_left != FOL_TIME_NEVER) {
        place->fair_left -= used;
    }
    if (runnable->band == FOL_BAND_FAIR) {
        fol_band_ran(dispatcher, runnable, used, now);
    }
    return fol_budget_charge(dispatcher, runnable, used, now);
}

fol_ran fol_dispatcher_ran(fol_dispatcher *dispatcher, uint32_t cpu, int64_t used, int64_t now,
                           fol_point point, fol_grant *grant)
{
    FOL_ASSERT(cpu < dispatcher->config.cpus && used >= 0 && used <= FOL_BUDGET_MAX_TIME);
    FOL_ASSERT(dispatcher->cpus[cpu].running != FOL_NO_RUNNABLE);
    fol_runnable *runnable = fol_runnable_of(dispatcher, dispatcher->cpus[cpu].running);
    fol_spent spent = charge(dispatcher, runnable, cpu, used, now);
    take_refills(dispatcher, now);
    bool is_marked = fol_bits_test(dispatcher->marked, cpu);
    if (FOL_UNLIKELY(runnable->is_revoked)) {
        return end_revoked(dispatcher, runnable, cpu, now, point);
    }
    if (point == FOL_POINT_DONE || point == FOL_POINT_FAILED) {
        return end_job(dispatcher, runnable, cpu, now);
    }
    if (point == FOL_POINT_BLOCKED) {
        FOL_COUNT(dispatcher, runnable, cpu, blocks);
        rest(dispatcher, runnable, cpu, FOL_RUNNABLE_BLOCKED, true, now);
        return FOL_RAN_OFF;
    }
    fol_displace_unmark(dispatcher, cpu);
    if (spent == FOL_SPENT_ALL) {
        return exhaust(dispatcher, runnable, cpu, now, grant);
    }
    if (fol_budget_is_back(dispatcher, runnable, now)) {
        return promote(dispatcher, runnable, cpu, now, grant);
    }
    if (spent == FOL_SPENT_MOVED) {
        move_in_line(dispatcher, runnable, cpu, now);
    }
    return keep_or_leave(dispatcher, runnable, cpu, is_marked || spent == FOL_SPENT_MOVED, now,
                         grant);
}
