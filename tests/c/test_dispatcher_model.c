/* The dispatcher's order under fifo, fp, rm and edf, against a model that searches arrays: who is
 * picked, who is displaced, who keeps a CPU, and what the ledgers say.
 *
 * The model states the rules anew. A CPU gets the least (rank, id) that is ready. Of all that run
 * and are ready as many stay or go on as there are CPUs, by rank; when something arrives and there
 * are more with a lesser rank than the last in line of those that run unmarked, than CPUs are idle
 * or marked, that one's CPU is marked. Asked, it goes on unless a lesser rank is ready.
 */

#include "dispatcher_support.h"
#include "draw.h"

#define TASKS    10
#define MAX_CPUS 4
#define STEPS    1000

typedef enum place { ASLEEP, READY, RUNNING, BLOCKED } place;

typedef struct task {
    place place;
    int64_t rank;
    int64_t release;
    int64_t deadline;
    int64_t since;
    int64_t ran;
    int64_t waited;
    uint64_t jobs;
    uint64_t preemptions;
    uint64_t switches;
    uint64_t migrations;
    uint64_t misses;
    uint32_t cpu;
    uint32_t last_cpu;
    int32_t priority;
    int64_t period;
} task;

typedef struct model {
    fol_dispatcher *dispatcher;
    fol_policy_kind policy;
    uint64_t seed;
    int64_t now;
    uint32_t cpus;
    bool is_preemptive;
    task tasks[TASKS];
    uint32_t running[MAX_CPUS];
    uint32_t last[MAX_CPUS];
    int64_t asked[MAX_CPUS];
    bool is_marked[MAX_CPUS];
} model;

static uint32_t below(model *self, uint32_t limit)
{
    return draw_below(&self->seed, limit);
}

static bool comes_before(const model *self, uint32_t a, uint32_t b)
{
    int64_t one = self->tasks[a].rank;
    int64_t other = self->tasks[b].rank;
    return one < other || (one == other && a < b);
}

static uint32_t first_ready(const model *self)
{
    uint32_t first = FOL_NO_RUNNABLE;
    for (uint32_t id = 0; id < TASKS; id++) {
        if (self->tasks[id].place == READY &&
            (first == FOL_NO_RUNNABLE || comes_before(self, id, first))) {
            first = id;
        }
    }
    return first;
}

static int64_t rank_of(const model *self, const task *task)
{
    switch (self->policy) {
    case FOL_POLICY_FP:
        return task->priority;
    case FOL_POLICY_RM:
        return task->period == 0 ? INT64_MAX : task->period;
    case FOL_POLICY_EDF:
        return task->deadline;
    default:
        return task->release;
    }
}

/* Something is ready that was not. */
static void arrive(model *self, uint32_t id)
{
    task *task = &self->tasks[id];
    task->place = READY;
    task->since = self->now;
    task->rank = rank_of(self, task);
    uint32_t taken = 0;
    uint32_t worst = FOL_NO_CPU;
    for (uint32_t cpu = 0; cpu < self->cpus; cpu++) {
        if (self->running[cpu] == FOL_NO_RUNNABLE || self->is_marked[cpu]) {
            taken += 1;
        } else if (worst == FOL_NO_CPU ||
                   comes_before(self, self->running[worst], self->running[cpu])) {
            worst = cpu;
        }
    }
    if (worst == FOL_NO_CPU || !self->is_preemptive) {
        return;
    }
    uint32_t before = 0;
    for (uint32_t other = 0; other < TASKS; other++) {
        before += self->tasks[other].place == READY &&
                  self->tasks[other].rank < self->tasks[self->running[worst]].rank;
    }
    self->is_marked[worst] = before > taken;
}

static void release(model *self, uint32_t id)
{
    task *task = &self->tasks[id];
    task->release = self->now - below(self, 3);
    task->deadline = below(self, 6) == 0 ? FOL_TIME_NEVER : self->now + 5 * below(self, 8);
    fol_job_options job = {.release = task->release, .deadline = task->deadline};
    CHECK_EQ(fol_dispatcher_release(self->dispatcher, id, &job, self->now), FOL_RELEASE_TAKEN);
    arrive(self, id);
}

static void take(model *self, uint32_t cpu)
{
    uint32_t expected = first_ready(self);
    uint32_t id = pick_on(self->dispatcher, cpu, self->now);
    if (!CHECK_EQ(id, expected) || id == FOL_NO_RUNNABLE) {
        return;
    }
    task *task = &self->tasks[id];
    bool moves = task->last_cpu != FOL_NO_CPU && task->last_cpu != cpu;
    CHECK_EQ(last_grant.is_switch, self->last[cpu] != id);
    CHECK_EQ(last_grant.moved_from, moves ? task->last_cpu : FOL_NO_CPU);
    CHECK(last_grant.time == FOL_TIME_NEVER && !last_grant.is_stolen);
    task->switches += self->last[cpu] != id;
    task->migrations += moves;
    task->waited += self->now - task->since;
    task->place = RUNNING;
    task->cpu = cpu;
    task->last_cpu = cpu;
    self->running[cpu] = id;
    self->last[cpu] = id;
    self->asked[cpu] = self->now;
}

/* Off its CPU, which is unmarked then. */
static void leave(model *self, uint32_t cpu, place place)
{
    self->tasks[self->running[cpu]].place = place;
    self->running[cpu] = FOL_NO_RUNNABLE;
    self->is_marked[cpu] = false;
}

static void ask(model *self, uint32_t cpu, fol_point point)
{
    uint32_t id = self->running[cpu];
    task *task = &self->tasks[id];
    uint32_t rival = first_ready(self);
    int64_t used = self->now - self->asked[cpu];
    fol_ran ran = ran_on(self->dispatcher, cpu, used, self->now, point);
    task->ran += used;
    self->asked[cpu] = self->now;
    if (point == FOL_POINT_DONE) {
        CHECK_EQ(ran, FOL_RAN_ENDED);
        task->jobs += 1;
        task->misses += self->now > task->deadline;
        leave(self, cpu, ASLEEP);
    } else if (point == FOL_POINT_BLOCKED) {
        CHECK_EQ(ran, FOL_RAN_OFF);
        leave(self, cpu, BLOCKED);
    } else if (self->is_marked[cpu] && rival != FOL_NO_RUNNABLE &&
               self->tasks[rival].rank < task->rank) {
        CHECK_EQ(ran, FOL_RAN_OFF);
        task->preemptions += 1;
        leave(self, cpu, READY);
        arrive(self, id);
    } else {
        CHECK_EQ(ran, FOL_RAN_ON);
        self->is_marked[cpu] = false;
    }
}

static void compare(const model *self)
{
    uint32_t marked = FOL_NO_CPU;
    for (uint32_t cpu = self->cpus; cpu-- > 0;) {
        CHECK_EQ(fol_dispatcher_running(self->dispatcher, cpu), self->running[cpu]);
        CHECK_EQ(fol_dispatcher_is_displaced(self->dispatcher, cpu), self->is_marked[cpu]);
        marked = self->is_marked[cpu] ? cpu : marked;
    }
    CHECK_EQ(fol_dispatcher_displaced(self->dispatcher, self->now), marked);
    for (uint32_t id = 0; id < TASKS; id++) {
        const task *task = &self->tasks[id];
        const fol_account *account = fol_dispatcher_account(self->dispatcher, id);
        CHECK_EQ(account->runtime, task->ran);
        CHECK_EQ(account->virtual_runtime, task->ran);
        CHECK_EQ(account->waited, task->waited);
        CHECK_EQ(account->jobs, task->jobs);
        CHECK_EQ(account->preemptions, task->preemptions);
        CHECK_EQ(account->switches, task->switches);
        CHECK_EQ(account->migrations, task->migrations);
        CHECK_EQ(account->misses, task->misses);
    }
    CHECK(fol_dispatcher_invariants(self->dispatcher));
}

static void begin(model *self, fol_policy_kind policy, uint64_t seed)
{
    *self = (model){.policy = policy, .seed = seed, .now = 10};
    self->cpus = 1 + below(self, MAX_CPUS);
    self->is_preemptive = below(self, 4) != 0;
    fol_dispatcher_config config = config_of(policy, self->cpus);
    config.is_preemptive = self->is_preemptive;
    config.records = 0;
    self->dispatcher = new_dispatcher(&config);
    for (uint32_t id = 0; id < TASKS; id++) {
        task *task = &self->tasks[id];
        task->last_cpu = FOL_NO_CPU;
        task->priority = (int32_t)below(self, 5) - 2;
        task->period = below(self, 5);
        fol_runnable_options options = plain_options();
        options.priority = task->priority;
        options.period = task->period;
        CHECK_EQ(add_with(self->dispatcher, &options), id);
    }
    for (uint32_t cpu = 0; cpu < self->cpus; cpu++) {
        self->running[cpu] = FOL_NO_RUNNABLE;
        self->last[cpu] = FOL_NO_RUNNABLE;
    }
}

static void step(model *self)
{
    uint32_t id = below(self, TASKS);
    uint32_t cpu = below(self, self->cpus);
    self->now += below(self, 3);
    if (self->tasks[id].place == ASLEEP) {
        release(self, id);
    } else if (self->tasks[id].place == BLOCKED) {
        fol_dispatcher_wake(self->dispatcher, id, self->now);
        arrive(self, id);
    }
    if (self->running[cpu] == FOL_NO_RUNNABLE) {
        take(self, cpu);
    } else {
        uint32_t kind = below(self, 6);
        ask(self, cpu, kind == 0 ? FOL_POINT_DONE : kind == 1 ? FOL_POINT_BLOCKED : FOL_POINT_MORE);
    }
}

static void run(fol_policy_kind policy)
{
    static model self;
    uint64_t first = setting("FOLIOT_SEED", 1);
    uint64_t rounds = setting("FOLIOT_STRESS", 0) != 0 ? 3000 : 50;
    for (uint64_t seed = first; seed < first + rounds && check_failures == 0; seed++) {
        begin(&self, policy, seed);
        for (uint32_t i = 0; i < STEPS && check_failures == 0; i++) {
            step(&self);
            compare(&self);
        }
        fol_dispatcher_destroy(self.dispatcher);
        if (check_failures != 0) {
            fprintf(stderr, "FOLIOT_SEED=%" PRIu64 "\n", seed);
        }
    }
}

static void test_fifo_goes_by_release(void)
{
    run(FOL_POLICY_FIFO);
}

static void test_fp_goes_by_priority(void)
{
    run(FOL_POLICY_FP);
}

static void test_rm_goes_by_period(void)
{
    run(FOL_POLICY_RM);
}

static void test_edf_goes_by_deadline(void)
{
    run(FOL_POLICY_EDF);
}

int main(void)
{
    RUN(test_fifo_goes_by_release);
    RUN(test_fp_goes_by_priority);
    RUN(test_rm_goes_by_period);
    RUN(test_edf_goes_by_deadline);
    CHECK_MAIN_END();
}
