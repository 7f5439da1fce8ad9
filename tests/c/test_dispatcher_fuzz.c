/* The dispatcher under random calls of all kinds: every policy, shape of queues, budget and slot,
 * slots that fail in all ways among them. After each call every runnable is in one place and all
 * sums agree; at the end everything that was released has run, been dropped or is dead.
 */

#include <errno.h>

#include "dispatcher_support.h"
#include "draw.h"

#define RUNNABLES 12
#define CONTEXTS  4
#define STEPS     400

typedef struct world {
    fol_dispatcher *dispatcher;
    fol_dispatcher_config config;
    uint64_t seed;
    int64_t now;
    int64_t since[8]; /* of each CPU, when it was asked last */
    int64_t grants[8];
    uint64_t contexts[CONTEXTS];
    uint32_t ids[RUNNABLES];
    uint32_t count;
    uint32_t wildness; /* of 100 answers of slots, so many are faults */
    int64_t watch;
} world;

static uint32_t below(world *self, uint32_t limit)
{
    return draw_below(&self->seed, limit);
}

/* What a slot returns besides its output. */
static int answer(world *self)
{
    if (below(self, 100) < self->wildness) {
        static const int faults[] = {-5, FOL_E_HOST, 7, FOL_POLICY_ANSWERED};
        uint32_t kind = below(self, 4);
        self->watch += kind == 3 ? 1000 : 0;
        return faults[kind];
    }
    return below(self, 3) == 0 ? FOL_POLICY_DEFAULT : FOL_POLICY_ANSWERED;
}

static int64_t read_watch(void *state)
{
    world *self = state;
    return self->watch;
}

static int enqueue_any(void *state, const fol_runnable_view *view, int64_t now, int64_t *rank)
{
    world *self = state;
    CHECK(view->id < RUNNABLES && now == self->now);
    *rank = (int64_t)below(self, 10) - 5;
    return answer(self);
}

static int pick_any(void *state, const fol_ready *ready, uint32_t cpu, int64_t now, uint32_t *place)
{
    world *self = state;
    CHECK(ready->count > 0 && cpu < self->config.cpus && now == self->now);
    for (uint32_t i = 0; i < ready->count; i++) {
        const fol_runnable_view *view = fol_ready_at(ready, i);
        CHECK_EQ(view->id, ready->ids[i]);
        fol_runnable_state kind = fol_dispatcher_state(self->dispatcher, view->id);
        CHECK(kind == FOL_RUNNABLE_READY || kind == FOL_RUNNABLE_RUNNING);
    }
    bool is_wrong = below(self, 100) < self->wildness;
    *place = is_wrong ? ready->count + below(self, 3) : below(self, ready->count);
    return answer(self);
}

static int slice_any(void *state, const fol_runnable_view *view, int64_t now, int64_t *slice)
{
    world *self = state;
    CHECK(view->id < RUNNABLES && now == self->now);
    *slice = below(self, 100) < self->wildness ? -(int64_t)below(self, 2) : 1 + below(self, 9);
    return answer(self);
}

static int admit_any(void *state, const fol_runnable_view *view, int64_t now, bool *is_taken)
{
    world *self = state;
    CHECK(view->id < RUNNABLES && now == self->now);
    *is_taken = below(self, 8) != 0;
    return answer(self);
}

static int victims_any(void *state, uint32_t worker, uint32_t workers, uint32_t *order,
                       uint32_t *count)
{
    world *self = state;
    *count = 0;
    for (uint32_t other = workers; other-- > 0;) {
        if (other != worker || below(self, 100) < self->wildness) {
            order[*count] = other;
            *count += 1;
        }
        if (*count == workers) {
            break;
        }
    }
    return answer(self);
}

static void draw_context(world *self, uint32_t place)
{
    fol_context_options options = {.kind = (fol_context_kind)below(self, FOL_CONTEXT_KINDS),
                                   .overrun = (fol_overrun)below(self, FOL_OVERRUN_POLICIES),
                                   .refills = 2 + below(self, 4)};
    options.budget = 1 + below(self, 10);
    options.deadline = below(self, 2) == 0 ? 0 : options.budget + below(self, 10);
    options.period = options.budget + 10 + below(self, 30);
    options.minimum = below(self, 2);
    if (below(self, 3) == 0) {
        options.cpus[0] = 1 + below(self, (1u << self->config.cpus) - 1);
    }
    int status =
        fol_dispatcher_add_context(self->dispatcher, &options, self->now, &self->contexts[place]);
    CHECK(status == 0 || status == FOL_E_CAPACITY);
}

static void draw_runnable(world *self)
{
    fol_runnable_options options = {.weight = 1 + below(self, 4096),
                                    .latency = below(self, 3),
                                    .group = below(self, 3),
                                    .priority = (int32_t)below(self, 5) - 2,
                                    .cpu = below(self, self->config.cpus),
                                    .period = below(self, 20)};
    if (below(self, 2) == 0) {
        options.context = self->contexts[below(self, CONTEXTS)];
    }
    uint32_t id = FOL_NO_RUNNABLE;
    int status = fol_dispatcher_add(self->dispatcher, &options, &id);
    CHECK(status == 0 || status == FOL_E_STALE || status == FOL_E_CAPACITY ||
          (status == -EINVAL && self->config.queues == FOL_QUEUES_PINNED));
    if (status == 0) {
        self->ids[self->count] = id;
        self->count += 1;
    }
}

static void begin(world *self, uint64_t seed)
{
    *self = (world){.seed = seed};
    bool is_tame = below(self, 2) == 0;
    self->wildness = is_tame ? 0 : below(self, 30);
    fol_policy_slots slots = {.state = self};
    slots.enqueue = below(self, 3) == 0 ? enqueue_any : NULL;
    slots.pick = below(self, 3) == 0 ? pick_any : NULL;
    slots.slice = below(self, 3) == 0 ? slice_any : NULL;
    slots.admit = below(self, 3) == 0 ? admit_any : NULL;
    slots.victims = below(self, 3) == 0 ? victims_any : NULL;
    self->config = config_of((fol_policy_kind)below(self, FOL_POLICY_KINDS), 1 + below(self, 4));
    self->config.queues = (fol_queue_shape)below(self, 3);
    self->config.capacity = RUNNABLES;
    self->config.groups = 2;
    self->config.contexts = CONTEXTS;
    self->config.records = below(self, 2) == 0 ? 0 : 64;
    self->config.is_preemptive = below(self, 4) != 0;
    self->config.slices[0] = 1 + below(self, 4);
    self->config.slices[1] = 1 + below(self, 12);
    self->config.slices[2] = 1 + below(self, 40);
    self->config.tick = below(self, 3);
    self->config.slots = below(self, 2) == 0 ? &slots : NULL;
    self->config.max_faults = 1 + below(self, 40);
    self->config.stopwatch = below(self, 2) == 0 ? read_watch : NULL;
    self->config.stopwatch_state = self;
    self->config.slot_limit = 500;
    self->dispatcher = new_dispatcher(&self->config);
    fol_group_options group = {.weight = 512, .latency = 1};
    uint32_t number;
    CHECK_EQ(fol_dispatcher_add_group(self->dispatcher, &group, &number), 0);
    group.weight = 2048;
    CHECK_EQ(fol_dispatcher_add_group(self->dispatcher, &group, &number), 0);
    for (uint32_t place = 0; place < CONTEXTS; place++) {
        draw_context(self, place);
    }
    for (uint32_t i = 0; i < 100 && self->count < RUNNABLES / 2; i++) {
        draw_runnable(self);
    }
}

static void take_cpu(world *self, uint32_t cpu)
{
    fol_grant grant;
    if (!fol_dispatcher_pick(self->dispatcher, cpu, self->now, &grant)) {
        return;
    }
    CHECK_EQ(fol_dispatcher_running(self->dispatcher, cpu), grant.runnable);
    CHECK(grant.time > 0);
    self->since[cpu] = self->now;
    self->grants[cpu] = grant.time;
}

static void ask_cpu(world *self, uint32_t cpu, fol_point point)
{
    fol_grant grant = {0};
    uint32_t id = fol_dispatcher_running(self->dispatcher, cpu);
    int64_t used = self->now - self->since[cpu];
    /* Processors are slower than clocks now and then. */
    used -= used > 0 && below(self, 10) == 0;
    fol_ran ran = fol_dispatcher_ran(self->dispatcher, cpu, used, self->now, point, &grant);
    if (ran == FOL_RAN_ON) {
        CHECK(point == FOL_POINT_MORE && grant.runnable == id && grant.time > 0);
        self->since[cpu] = self->now;
        self->grants[cpu] = grant.time;
    } else {
        CHECK_EQ(fol_dispatcher_running(self->dispatcher, cpu), FOL_NO_RUNNABLE);
    }
    bool is_ending = point == FOL_POINT_DONE || point == FOL_POINT_FAILED;
    CHECK(!is_ending || ran == FOL_RAN_ENDED);
}

static void change(world *self)
{
    uint32_t place = below(self, self->count);
    uint32_t id = self->ids[place];
    switch (below(self, 12)) {
    case 0:
        if (fol_dispatcher_remove(self->dispatcher, id, self->now) == 0) {
            self->count -= 1;
            self->ids[place] = self->ids[self->count];
        }
        break;
    case 1:
    case 2:
        if (self->count < RUNNABLES) {
            draw_runnable(self);
        }
        break;
    case 3: {
        uint32_t context = below(self, CONTEXTS);
        (void)fol_dispatcher_revoke(self->dispatcher, self->contexts[context], self->now);
        draw_context(self, context);
        break;
    }
    case 4:
        CHECK_EQ(fol_dispatcher_set_weight(self->dispatcher, id, 1 + below(self, 4096), self->now),
                 0);
        break;
    case 5:
        CHECK_EQ(fol_dispatcher_set_group_weight(self->dispatcher, 1 + below(self, 2),
                                                 1 + below(self, 4096), self->now),
                 0);
        break;
    default:
        fol_dispatcher_advance(self->dispatcher, self->now);
        break;
    }
    for (uint32_t i = 0; i < 100 && self->count == 0; i++) {
        draw_runnable(self);
    }
}

static void wake_or_release(world *self)
{
    uint32_t id = self->ids[below(self, self->count)];
    fol_runnable_state state = fol_dispatcher_state(self->dispatcher, id);
    if (state == FOL_RUNNABLE_BLOCKED) {
        fol_dispatcher_wake(self->dispatcher, id, self->now);
    } else if (state == FOL_RUNNABLE_ASLEEP || state == FOL_RUNNABLE_DEAD) {
        int64_t deadline = below(self, 3) == 0 ? FOL_TIME_NEVER : self->now + 1 + below(self, 50);
        fol_release released = release_due(self->dispatcher, id, self->now, deadline);
        CHECK_EQ(state == FOL_RUNNABLE_DEAD, released == FOL_RELEASE_DEAD);
    }
}

static void step(world *self)
{
    uint32_t cpu = below(self, self->config.cpus);
    bool is_idle = fol_dispatcher_running(self->dispatcher, cpu) == FOL_NO_RUNNABLE;
    uint32_t displaced = fol_dispatcher_displaced(self->dispatcher, self->now);
    uint32_t kind = below(self, 10);
    if (kind < 2) {
        self->now += below(self, 6);
    } else if (kind < 5) {
        wake_or_release(self);
    } else if (kind == 5) {
        change(self);
    } else if (displaced != FOL_NO_CPU && kind < 8) {
        CHECK(fol_dispatcher_is_displaced(self->dispatcher, displaced));
        ask_cpu(self, displaced, FOL_POINT_MORE);
        CHECK(!fol_dispatcher_is_displaced(self->dispatcher, displaced));
    } else if (is_idle) {
        take_cpu(self, cpu);
    } else {
        ask_cpu(self, cpu, (fol_point)(below(self, 3) == 0 ? 1 + below(self, 3) : 0));
    }
}

/* Whatever is left comes to an end when everybody gets to run. */
static void drain(world *self)
{
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t open = fol_dispatcher_ready_count(self->dispatcher);
        for (uint32_t i = 0; i < self->count; i++) {
            fol_runnable_state state = fol_dispatcher_state(self->dispatcher, self->ids[i]);
            if (state == FOL_RUNNABLE_BLOCKED) {
                fol_dispatcher_wake(self->dispatcher, self->ids[i], self->now);
            }
            open += state != FOL_RUNNABLE_ASLEEP && state != FOL_RUNNABLE_DEAD;
        }
        if (open == 0) {
            return;
        }
        for (uint32_t cpu = 0; cpu < self->config.cpus; cpu++) {
            if (fol_dispatcher_running(self->dispatcher, cpu) != FOL_NO_RUNNABLE) {
                ask_cpu(self, cpu, FOL_POINT_DONE);
            }
            take_cpu(self, cpu);
        }
        int64_t next = fol_dispatcher_next(self->dispatcher);
        bool is_far = next == FOL_TIME_NEVER || next <= self->now;
        self->now = is_far ? self->now + 1 : next;
    }
    CHECK(!"everything comes to an end");
}

static void run(uint64_t seed)
{
    static world self;
    int failures = check_failures;
    begin(&self, seed);
    for (uint32_t i = 0; i < STEPS && check_failures == failures; i++) {
        step(&self);
        CHECK(fol_dispatcher_invariants(self.dispatcher));
    }
    if (check_failures == failures) {
        drain(&self);
        CHECK(fol_dispatcher_invariants(self.dispatcher));
    }
    if (check_failures != failures) {
        fprintf(stderr, "seed %" PRIu64 "\n", seed);
    }
    fol_dispatcher_destroy(self.dispatcher);
}

static void test_random_calls_leave_everything_in_one_place(void)
{
    uint64_t first = setting("FOLIOT_SEED", 1);
    uint64_t rounds = setting("FOLIOT_ROUNDS", 700);
    rounds *= setting("FOLIOT_STRESS", 0) != 0 ? 30 : 1;
    for (uint64_t seed = first; seed < first + rounds && check_failures == 0; seed++) {
        if (setting("FOLIOT_TELL", 0) != 0) {
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
        }
        run(seed);
    }
}

int main(void)
{
    RUN(test_random_calls_leave_everything_in_one_place);
    CHECK_MAIN_END();
}
