/* The fair band of the dispatcher's queues: in each, one fair queue of the runnables without a
 * group and of the groups, and one of the members of each group.
 *
 * Invariant: in each queue a group is queued exactly while a member is, running while none is
 * queued but one runs, and else asleep, delayed or absent. All fair queues share one store; a
 * runnable's id there is its own, and the id of a group in a queue follows those of all runnables.
 */

#include "policy/dispatcher_state.h"

#include <errno.h>

#include "foliot/status.h"

static uint32_t entity_of(const fol_dispatcher *dispatcher, uint32_t queue, uint32_t group)
{
    return dispatcher->config.capacity + queue * dispatcher->config.groups + group - 1;
}

static fol_fair_queue *members_of(const fol_dispatcher *dispatcher, uint32_t queue, uint32_t group)
{
    return &dispatcher->members[(size_t)queue * dispatcher->config.groups + group - 1];
}

/* The fair queue in which the runnable stands. */
static fol_fair_queue *home_of(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    uint32_t group = runnable->view.group;
    return group == 0 ? &dispatcher->queues[runnable->queue].fair
                      : members_of(dispatcher, runnable->queue, group);
}

static int64_t slice_of(const fol_dispatcher *dispatcher, uint32_t latency)
{
    return dispatcher->config.slices[latency];
}

/* Queues one, from whatever state. Whose lag is out of reach begins anew. */
static void join(fol_fair_queue *queue, uint32_t id, uint32_t weight, int64_t request)
{
    fol_fair_state state = fol_fair_queue_state(queue, id);
    int status = state == FOL_FAIR_ABSENT ? fol_fair_queue_join(queue, id, weight, request)
                                          : fol_fair_queue_wake(queue, id);
    if (status < 0) {
        fol_fair_queue_leave(queue, id);
        status = fol_fair_queue_join(queue, id, weight, request);
    }
    FOL_ASSERT(status == 0);
}

/* After a change among the members: the group is where the invariant wants it. */
static void settle_group(fol_dispatcher *dispatcher, uint32_t queue, uint32_t group)
{
    if (group == 0) {
        return;
    }
    fol_fair_queue *top = &dispatcher->queues[queue].fair;
    const fol_fair_queue *members = members_of(dispatcher, queue, group);
    const fol_group_options *options = &dispatcher->groups[group].options;
    uint32_t entity = entity_of(dispatcher, queue, group);
    fol_fair_state state = fol_fair_queue_state(top, entity);
    bool is_counted = state == FOL_FAIR_QUEUED || state == FOL_FAIR_RUNNING;
    if (fol_fair_queue_queued(members) > 0) {
        if (state == FOL_FAIR_RUNNING) {
            fol_fair_queue_put_back(top, entity);
        } else if (!is_counted) {
            join(top, entity, options->weight, slice_of(dispatcher, options->latency));
        }
    } else if (members->running_count > 0) {
        if (state == FOL_FAIR_QUEUED) {
            fol_fair_queue_take_out(top, entity);
        }
    } else if (is_counted) {
        int status = fol_fair_queue_sleep(top, entity);
        FOL_ASSERT(status == 0);
    }
}

void fol_band_join(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    join(home_of(dispatcher, runnable), runnable->view.id, runnable->view.weight,
         slice_of(dispatcher, runnable->view.latency));
    settle_group(dispatcher, runnable->queue, runnable->view.group);
}

bool fol_band_sleep(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_fair_queue *home = home_of(dispatcher, runnable);
    int status = fol_fair_queue_sleep(home, runnable->view.id);
    FOL_ASSERT(status == 0);
    settle_group(dispatcher, runnable->queue, runnable->view.group);
    return fol_fair_queue_state(home, runnable->view.id) == FOL_FAIR_DELAYED;
}

void fol_band_leave(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_fair_queue *home = home_of(dispatcher, runnable);
    if (fol_fair_queue_state(home, runnable->view.id) != FOL_FAIR_ABSENT) {
        fol_fair_queue_leave(home, runnable->view.id);
        settle_group(dispatcher, runnable->queue, runnable->view.group);
    }
}

/* The member that runs when the place of the top queue is picked. */
static uint32_t member_at(fol_dispatcher *dispatcher, uint32_t queue, uint32_t id)
{
    if (id == FOL_FAIR_NONE || id < dispatcher->config.capacity) {
        return id == FOL_FAIR_NONE ? FOL_NO_RUNNABLE : id;
    }
    uint32_t first = entity_of(dispatcher, queue, 1);
    FOL_ASSERT(id >= first && id - first < dispatcher->config.groups);
    uint32_t member = fol_fair_queue_pick(members_of(dispatcher, queue, id - first + 1));
    FOL_ASSERT(member != FOL_FAIR_NONE);
    return member;
}

uint32_t fol_band_pick(fol_dispatcher *dispatcher, uint32_t queue)
{
    return member_at(dispatcher, queue, fol_fair_queue_pick(&dispatcher->queues[queue].fair));
}

void fol_band_take(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_fair_queue_set_running(home_of(dispatcher, runnable), runnable->view.id);
    uint32_t group = runnable->view.group;
    if (group == 0) {
        return;
    }
    fol_fair_queue *top = &dispatcher->queues[runnable->queue].fair;
    uint32_t entity = entity_of(dispatcher, runnable->queue, group);
    if (fol_fair_queue_queued(members_of(dispatcher, runnable->queue, group)) > 0) {
        fol_fair_queue_switch_in(top, entity);
    } else {
        fol_fair_queue_set_running(top, entity);
    }
}

void fol_band_put_back(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_fair_queue_put_back(home_of(dispatcher, runnable), runnable->view.id);
    settle_group(dispatcher, runnable->queue, runnable->view.group);
}

/* A charge that leads out of reach is cut: whoever is that far ahead waits for all others anyway.
 */
static void charge(fol_fair_queue *queue, uint32_t id, int64_t used)
{
    int64_t counted = used < FOL_FAIR_MAX_TIME ? used : FOL_FAIR_MAX_TIME;
    int status = fol_fair_queue_account(queue, id, counted);
    FOL_ASSERT(status == 0 || status == -EOVERFLOW);
}

static void charge_both(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t used)
{
    charge(home_of(dispatcher, runnable), runnable->view.id, used);
    if (runnable->view.group != 0) {
        charge(&dispatcher->queues[runnable->queue].fair,
               entity_of(dispatcher, runnable->queue, runnable->view.group), used);
    }
}

void fol_band_begin(fol_dispatcher *dispatcher, uint32_t cpu, int64_t now)
{
    dispatcher->cpus[cpu].charged_at = now;
    dispatcher->cpus[cpu].ahead = 0;
}

/* The clock and what ran says of use may differ: what was charged beyond is taken from what is
 * charged next. */
void fol_band_ran(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t used, int64_t now)
{
    fol_cpu *place = &dispatcher->cpus[runnable->cpu];
    int64_t counted = used > place->ahead ? used - place->ahead : 0;
    place->ahead -= used < place->ahead ? used : place->ahead;
    place->charged_at = now;
    charge_both(dispatcher, runnable, counted);
}

void fol_band_catch_up(fol_dispatcher *dispatcher, uint32_t queue, int64_t now)
{
    bool is_shared = dispatcher->queue_count == 1;
    uint32_t first = is_shared ? 0 : queue;
    uint32_t end = is_shared ? dispatcher->config.cpus : queue + 1;
    for (uint32_t cpu = first; cpu < end; cpu++) {
        fol_cpu *place = &dispatcher->cpus[cpu];
        if (place->running == FOL_NO_RUNNABLE || place->charged_at >= now) {
            continue;
        }
        fol_runnable *running = fol_runnable_of(dispatcher, place->running);
        if (running->band == FOL_BAND_FAIR) {
            charge_both(dispatcher, running, now - place->charged_at);
            place->ahead += now - place->charged_at;
            place->charged_at = now;
        }
    }
}

uint32_t fol_band_rival(fol_dispatcher *dispatcher, fol_runnable *runnable)
{
    fol_fair_queue *top = &dispatcher->queues[runnable->queue].fair;
    uint32_t id = runnable->view.id;
    uint32_t group = runnable->view.group;
    uint32_t current = group == 0 ? id : entity_of(dispatcher, runnable->queue, group);
    uint32_t rival = fol_fair_queue_should_preempt(top, current);
    if (rival != FOL_FAIR_NONE && rival != current) {
        return member_at(dispatcher, runnable->queue, rival);
    }
    if (group == 0) {
        return FOL_NO_RUNNABLE;
    }
    rival = fol_fair_queue_should_preempt(members_of(dispatcher, runnable->queue, group), id);
    return rival == FOL_FAIR_NONE ? FOL_NO_RUNNABLE : rival;
}

int64_t fol_band_until(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    const fol_fair_queue *top = &dispatcher->queues[runnable->queue].fair;
    uint32_t group = runnable->view.group;
    if (group == 0) {
        return fol_fair_queue_until_preempt(top, runnable->view.id);
    }
    int64_t of_group =
        fol_fair_queue_until_preempt(top, entity_of(dispatcher, runnable->queue, group));
    int64_t of_member = fol_fair_queue_until_preempt(members_of(dispatcher, runnable->queue, group),
                                                     runnable->view.id);
    return of_group < of_member ? of_group : of_member;
}

void fol_band_migrate(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t queue)
{
    uint32_t before = runnable->queue;
    uint32_t group = runnable->view.group;
    fol_fair_queue *from = home_of(dispatcher, runnable);
    runnable->queue = queue;
    fol_fair_queue *to = home_of(dispatcher, runnable);
    bool is_queued = fol_fair_queue_state(from, runnable->view.id) == FOL_FAIR_QUEUED;
    if (fol_fair_queue_migrate(from, to, runnable->view.id) < 0) {
        fol_fair_queue_leave(from, runnable->view.id);
        if (is_queued) {
            join(to, runnable->view.id, runnable->view.weight,
                 slice_of(dispatcher, runnable->view.latency));
        }
    }
    settle_group(dispatcher, before, group);
    settle_group(dispatcher, queue, group);
}

uint32_t fol_band_queued(const fol_dispatcher *dispatcher, uint32_t queue)
{
    return fol_fair_queue_queued(&dispatcher->queues[queue].fair);
}

int fol_band_reweight(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t weight)
{
    fol_fair_queue *home = home_of(dispatcher, runnable);
    if (fol_fair_queue_state(home, runnable->view.id) == FOL_FAIR_ABSENT) {
        return 0;
    }
    return fol_fair_queue_reweight(home, runnable->view.id, weight);
}

int fol_band_reweigh_group(fol_dispatcher *dispatcher, uint32_t group, uint32_t weight)
{
    for (uint32_t queue = 0; queue < dispatcher->queue_count; queue++) {
        fol_fair_queue *top = &dispatcher->queues[queue].fair;
        uint32_t entity = entity_of(dispatcher, queue, group);
        if (fol_fair_queue_state(top, entity) == FOL_FAIR_ABSENT) {
            continue;
        }
        int status = fol_fair_queue_reweight(top, entity, weight);
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

int64_t fol_band_lag(const fol_dispatcher *dispatcher, const fol_runnable *runnable)
{
    const fol_fair_queue *home = home_of(dispatcher, runnable);
    if (fol_fair_queue_state(home, runnable->view.id) == FOL_FAIR_ABSENT) {
        return 0;
    }
    return fol_fair_queue_lag_units(home, runnable->view.id) / FOL_FAIR_WEIGHT_NORMAL;
}

/* The place that stands for the runnable in the fair queue, where others meet it. */
static uint32_t place_of(const fol_dispatcher *dispatcher, const fol_runnable *runnable,
                         bool is_in_group)
{
    uint32_t group = runnable->view.group;
    return is_in_group || group == 0 ? runnable->view.id
                                     : entity_of(dispatcher, runnable->queue, group);
}

/* Units as time of one with normal weight; rounded away from zero, since what is ahead by less than
 * one is ahead. */
static int64_t in_time(int64_t units)
{
    int64_t rest = FOL_FAIR_WEIGHT_NORMAL - 1;
    return (units + (units < 0 ? -rest : rest)) / FOL_FAIR_WEIGHT_NORMAL;
}

fol_preempt_reason fol_band_compare(const fol_dispatcher *dispatcher, const fol_runnable *runnable,
                                    const fol_runnable *other, int64_t numbers[2])
{
    uint32_t group = runnable->view.group;
    bool is_in_group = group != 0 && group == other->view.group;
    FOL_ASSERT(runnable->queue == other->queue);
    const fol_fair_queue *queue =
        is_in_group ? home_of(dispatcher, runnable) : &dispatcher->queues[runnable->queue].fair;
    uint32_t places[] = {place_of(dispatcher, runnable, is_in_group),
                         place_of(dispatcher, other, is_in_group)};
    bool is_ahead = fol_fair_queue_lag_units(queue, places[0]) < 0;
    for (uint32_t i = 0; i < 2; i++) {
        numbers[i] = in_time(is_ahead ? fol_fair_queue_lag_units(queue, places[i])
                                      : fol_fair_queue_deadline_units(queue, places[i]));
    }
    return is_ahead ? FOL_PREEMPT_LAG : FOL_PREEMPT_DEADLINE;
}
