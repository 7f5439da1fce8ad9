/* Random systems, random commands: the order of registration matters only where it has to.
 *
 * A case is a set of systems made from a seed. The same systems are registered once in their own
 * order and once in another that keeps the order of every pair whose order matters; after each
 * frame both worlds have one digest, and the frames tell of the same failures. A third run refuses
 * allocations at random and only has to stay whole. FOLIOT_FUZZ_CASES and FOLIOT_FUZZ_SEED choose
 * how many cases to run and where to start.
 */

#include <errno.h>

#include "check.h"
#include "draw.h"
#include "foliot/memory.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"
#include "world/world.h"

#define CASES       60
#define FRAMES      12
#define COMPONENTS  5
#define SYSTEMS_MAX 10
#define TERMS_MAX   4
#define START_ROWS  40
#define LIVE_MAX    400

/* What one system does, whatever its place; terms[0] gives a column. */
typedef struct actor {
    uint64_t seed;
    char name[8];
    uint32_t phase;
    uint32_t term_count;
    uint32_t components[TERMS_MAX];
    fol_term_kind kinds[TERMS_MAX];
    bool writes_resource;
    bool reads_resource;
    bool records;
    bool is_exclusive;
    bool has_condition;
    uint32_t fails_every; /* frames; 0: never */
    uint32_t max_rows;
    struct stage_of *stage;
} actor;

/* One world with its schedule and scheduler. */
typedef struct stage_of {
    fol_component *components[COMPONENTS];
    fol_component *resource;
    fol_world *world;
    fol_schedule *schedule;
    fol_plan *plan;
    fol_scheduler *scheduler;
    actor actors[SYSTEMS_MAX]; /* in the order of registration */
    fol_term terms[SYSTEMS_MAX][TERMS_MAX + 1];
    fol_system_query queries[SYSTEMS_MAX];
    fol_system systems[SYSTEMS_MAX];
    uint32_t count;
} stage_of;

static void draw_actor(uint64_t *random, uint32_t number, actor *out)
{
    *out = (actor){.seed = draw(random), .phase = draw_below(random, 2)};
    snprintf(out->name, sizeof(out->name), "s%u", number % 100);
    out->term_count = 1 + draw_below(random, TERMS_MAX);
    uint32_t first = draw_below(random, COMPONENTS);
    for (uint32_t i = 0; i < out->term_count; i++) {
        out->components[i] = (first + i) % COMPONENTS;
        out->kinds[i] = i == 0 ? (fol_term_kind)draw_below(random, 2)
                               : (fol_term_kind)draw_below(random, FOL_TERM_ADDED + 1);
    }
    out->writes_resource = draw_below(random, 6) == 0;
    out->reads_resource = !out->writes_resource && draw_below(random, 4) == 0;
    out->is_exclusive = draw_below(random, 12) == 0;
    out->records = draw_below(random, 3) == 0;
    out->has_condition = draw_below(random, 4) == 0;
    out->fails_every = draw_below(random, 4) == 0 ? 2 + draw_below(random, 4) : 0;
    out->max_rows = draw_below(random, 2) == 0 ? 0 : 1 + draw_below(random, 9);
}

static int condition_of(void *user, fol_task *task)
{
    const actor *a = user;
    return mix(a->seed, task->frame) % 3 != 0;
}

static int command_on_resource(void *world, void *argument)
{
    const actor *a = argument;
    uint64_t *value = fol_world_resource(world, a->stage->resource);
    if (value != NULL) {
        *value = mix(*value, a->seed);
    }
    return a->seed % 5 == 0 ? -EINVAL : 0;
}

/* One random command for an entity; refusals are part of the game. */
static void record_for(const actor *a, fol_commands *commands, fol_entity entity, uint64_t chance)
{
    fol_component *const *components = a->stage->components;
    uint64_t data = mix(chance, a->seed);
    fol_value values[2] = {{components[data % COMPONENTS], &data},
                           {components[(data + 1) % COMPONENTS], NULL}};
    fol_component *removed = components[(data >> 8) % COMPONENTS];
    fol_entity spawned;
    switch (chance % 40) {
    case 0:
        if (fol_world_entity_count(a->stage->world) < LIVE_MAX &&
            fol_commands_spawn(commands, values, 2, &spawned) == 0) {
            (void)fol_commands_add(commands, spawned, &values[0], 1);
        }
        break;
    case 1:
        (void)fol_commands_despawn(commands, entity);
        break;
    case 2:
    case 3:
        (void)fol_commands_add(commands, entity, values, 1 + data / 7 % 2);
        break;
    case 4:
        (void)fol_commands_set(commands, entity, values, 1);
        break;
    case 5:
    case 6:
        (void)fol_commands_remove(commands, entity, &removed, 1);
        break;
    case 7:
        (void)fol_commands_call(commands, command_on_resource, NULL, (void *)(uintptr_t)a, false);
        break;
    case 8:
        (void)fol_commands_despawn_many(commands, &entity, data % 2);
        break;
    case 9: {
        const fol_source source = {&data, 0};
        const fol_bulk bulk = {components[data % COMPONENTS], &source};
        (void)fol_commands_add_many(commands, &entity, 1, &bulk, 1);
        break;
    }
    default:
        break;
    }
}

/* Every written cell becomes a hash of the row; columns are writes, then reads, all of 8 bytes. */
static void work_on_rows(const actor *a, uint32_t columns, uint32_t writes, const fol_run *run,
                         fol_commands *commands, uint64_t frame)
{
    for (size_t row = 0; row < run->rows; row++) {
        uint64_t hash = mix(a->seed, run->entities[row]);
        for (uint32_t c = 0; c < columns; c++) {
            bool is_resource =
                (a->writes_resource && c + 1 == writes) || (a->reads_resource && c + 1 == columns);
            hash += mix(((uint64_t *)run->columns[c])[is_resource ? 0 : row], c);
        }
        for (uint32_t c = 0; c < writes; c++) {
            bool is_resource = a->writes_resource && c + 1 == writes;
            /* Sums, so that the order of the rows does not matter to the resource. */
            uint64_t *cell = &((uint64_t *)run->columns[c])[is_resource ? 0 : row];
            *cell = is_resource ? *cell + run->entities[row] : mix(hash, c);
        }
        if (commands != NULL) {
            record_for(a, commands, run->entities[row], mix(hash, frame));
        }
    }
}

static int run_actor(void *user, fol_task *task)
{
    const actor *a = user;
    fol_query *query = task->queries[0];
    fol_query_iterator iterator;
    fol_run run;
    uint32_t writes = a->writes_resource;
    for (uint32_t i = 0; i < a->term_count; i++) {
        writes += a->kinds[i] == FOL_TERM_WRITE;
    }
    int status = fol_query_begin(query, task->since, a->max_rows, &iterator);
    if (status < 0) {
        return status;
    }
    while (fol_query_next(&iterator, &run)) {
        work_on_rows(a, fol_query_column_count(query), writes, &run, task->commands, task->frame);
        fol_query_mark(query, &run, NULL, task->tick);
        task->rows += run.rows;
    }
    if (a->is_exclusive && fol_world_entity_count(task->world) < LIVE_MAX) {
        fol_entity entity;
        uint64_t data = mix(a->seed, task->frame);
        const fol_value value = {a->stage->components[data % COMPONENTS], &data};
        status = fol_world_spawn(task->world, &value, 1, &entity);
    }
    bool fails = a->fails_every != 0 && task->frame % a->fails_every == 0;
    return status < 0 ? status : fails ? -EINVAL : 0;
}

static fol_component *make_component(const char *name, bool is_resource)
{
    const fol_field field = {.name = "", .format = "Q", .item_size = 8};
    const fol_component_spec spec = {
        .name = name, .is_resource = is_resource, .field_count = 1, .fields = &field};
    fol_component *component = NULL;
    CHECK_EQ(fol_component_create(&spec, &component), 0);
    return component;
}

/* Declares one actor to the schedule. Filters on changes read. */
static void declare(stage_of *s, const actor *a)
{
    uint32_t lists[4][TERMS_MAX]; /* reads, writes, required, excluded */
    fol_id_list ids[4];
    const uint32_t list_of[] = {1, 0, 2, 3, 0, 0}; /* by kind */
    for (uint32_t i = 0; i < 4; i++) {
        ids[i] = (fol_id_list){lists[i], 0};
    }
    for (uint32_t i = 0; i < a->term_count; i++) {
        uint32_t list = list_of[a->kinds[i]];
        lists[list][ids[list].count++] = a->components[i];
    }
    const uint32_t resource = COMPONENTS;
    const fol_query_access access = {ids[0], ids[1], ids[2], ids[3]};
    const fol_system_spec spec = {
        .name = a->name,
        .phase = a->phase,
        .is_exclusive = a->is_exclusive,
        .records_commands = a->records,
        .queries = &access,
        .query_count = 1,
        .resource_reads = {&resource, a->reads_resource},
        .resource_writes = {&resource, a->writes_resource},
    };
    uint32_t id;
    CHECK_EQ(fol_schedule_add_system(s->schedule, &spec, &id), 0);
}

/* Makes the systems known in the given order; without a scheduler yet. */
static void describe(stage_of *s, const actor *actors, const uint32_t *order, uint32_t count)
{
    uint32_t id;
    s->count = count;
    CHECK_EQ(fol_schedule_create(NULL, &s->schedule), 0);
    CHECK_EQ(fol_schedule_add_phase(s->schedule, "early", &id), 0);
    CHECK_EQ(fol_schedule_add_phase(s->schedule, "late", &id), 0);
    for (uint32_t i = 0; i <= COMPONENTS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "C%u", i % 100);
        CHECK_EQ(fol_schedule_add_resource(s->schedule, name, &id), 0);
        *(i == COMPONENTS ? &s->resource : &s->components[i]) =
            make_component(name, i == COMPONENTS);
    }
    for (uint32_t i = 0; i < count; i++) {
        actor *a = &s->actors[i];
        *a = actors[order[i]];
        a->stage = s;
        declare(s, a);
        uint32_t terms = a->term_count;
        for (uint32_t t = 0; t < terms; t++) {
            s->terms[i][t] = (fol_term){s->components[a->components[t]], a->kinds[t]};
        }
        if (a->writes_resource || a->reads_resource) {
            s->terms[i][terms++] =
                (fol_term){s->resource, a->writes_resource ? FOL_TERM_WRITE : FOL_TERM_READ};
        }
        s->queries[i] = (fol_system_query){s->terms[i], terms};
        s->systems[i] = (fol_system){.kind = FOL_SYSTEM_HOSTED,
                                     .hosted = run_actor,
                                     .user = a,
                                     .condition = a->has_condition ? condition_of : NULL,
                                     .condition_user = a,
                                     .queries = &s->queries[i],
                                     .query_count = 1,
                                     .carries_state = i};
    }
    CHECK_EQ(fol_plan_create(s->schedule, &s->plan, NULL), 0);
}

static const fol_phase_rate rates[2] = {
    {.kind = FOL_RATE_FRAMES, .every = 1},
    {.kind = FOL_RATE_FIXED, .step_seconds = 0.1, .max_steps = 3},
};

static void open_world(stage_of *s, uint64_t seed)
{
    fol_scheduler_config config = fol_scheduler_config_default;
    config.backend = "blocking";
    config.errors = FOL_ERRORS_CONTINUE;
    config.command_bytes = 1 << 20;
    CHECK_EQ(fol_world_create(NULL, &s->world), 0);
    CHECK_EQ(fol_world_insert(s->world, &(fol_value){s->resource, &seed}), 0);
    for (uint32_t i = 0; i < START_ROWS; i++) {
        uint64_t data = mix(seed, i);
        fol_entity entity;
        fol_value values[COMPONENTS];
        size_t count = 0;
        for (uint32_t c = 0; c < COMPONENTS; c++) {
            if ((data >> c) & 1) {
                values[count++] = (fol_value){s->components[c], &data};
            }
        }
        CHECK_EQ(fol_world_spawn(s->world, values, count, &entity), 0);
    }
    CHECK_EQ(fol_scheduler_create(s->world, s->plan, s->systems, rates, &config, &s->scheduler), 0);
}

static void close_world(stage_of *s)
{
    fol_scheduler_destroy(s->scheduler);
    fol_world_destroy(s->world);
    fol_plan_destroy(s->plan);
    fol_schedule_destroy(s->schedule);
    fol_component_release(s->resource);
    for (uint32_t i = 0; i < COMPONENTS; i++) {
        fol_component_release(s->components[i]);
    }
}

/* One filters on changes of what the other writes. When their filters keep them apart they do not
 * conflict, but a row that later moves brings the tick of its change along. */
static bool watches_writes(const actor *watcher, const actor *writer)
{
    for (uint32_t i = 0; i < watcher->term_count; i++) {
        for (uint32_t k = 0; k < writer->term_count; k++) {
            if (watcher->kinds[i] >= FOL_TERM_CHANGED && writer->kinds[k] == FOL_TERM_WRITE &&
                watcher->components[i] == writer->components[k]) {
                return true;
            }
        }
    }
    return false;
}

/* Whether the order of two systems matters: all of them observe. */
static bool order_matters(const stage_of *s, uint32_t a, uint32_t b)
{
    const actor *first = &s->actors[a];
    const actor *second = &s->actors[b];
    return first->phase == second->phase &&
           (fol_plan_in_conflict(s->plan, a, b) || first->records || second->records ||
            watches_writes(first, second) || watches_writes(second, first));
}

/* A random order of registration that keeps every pair whose order matters. */
static void reorder(const stage_of *s, uint64_t *random, uint32_t *order)
{
    bool is_taken[SYSTEMS_MAX] = {false};
    for (uint32_t place = 0; place < s->count; place++) {
        uint32_t ready[SYSTEMS_MAX];
        uint32_t ready_count = 0;
        for (uint32_t i = 0; i < s->count; i++) {
            bool is_ready = !is_taken[i];
            for (uint32_t k = 0; k < i && is_ready; k++) {
                is_ready = is_taken[k] || !order_matters(s, k, i);
            }
            if (is_ready) {
                ready[ready_count++] = i;
            }
        }
        order[place] = ready[draw_below(random, ready_count)];
        is_taken[order[place]] = true;
    }
}

static bool same_digest(const stage_of *a, const stage_of *b)
{
    uint8_t first[16];
    uint8_t second[16];
    fol_world_digest(a->world, first);
    fol_world_digest(b->world, second);
    return memcmp(first, second, sizeof(first)) == 0;
}

/* Runs both for some frames; false at the first difference. */
static bool run_both(stage_of *a, stage_of *b, uint64_t *random)
{
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        double dt = (double)draw_below(random, 30) * 0.01;
        if (frame == FRAMES / 2) {
            CHECK_EQ(fol_scheduler_replan(b->scheduler, b->plan, b->systems, rates), 0);
        }
        CHECK_EQ(fol_scheduler_tick(a->scheduler, dt), 0);
        CHECK_EQ(fol_scheduler_tick(b->scheduler, dt), 0);
        fol_world_invariants(a->world);
        const fol_frame *first = fol_scheduler_frame(a->scheduler);
        const fol_frame *second = fol_scheduler_frame(b->scheduler);
        bool is_same = CHECK(same_digest(a, b)) &
                       CHECK_EQ(first->error_count, second->error_count) &
                       CHECK_EQ(first->merged.dropped, second->merged.dropped);
        for (uint32_t kind = 0; kind < FOL_COMMAND_KINDS; kind++) {
            is_same &= CHECK_EQ(first->merged.applied[kind], second->merged.applied[kind]);
        }
        if (!is_same) {
            return false;
        }
    }
    return true;
}

/* Runs frames in which allocations are refused; the world stays whole, and recovers. */
static void run_refused(stage_of *s, uint64_t *random)
{
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        fol_memory_fail_nth(1 + draw_below(random, 12));
        int status = fol_scheduler_tick(s->scheduler, 0.1);
        fol_memory_fail_nth(0);
        CHECK(status == 0 || status == -ENOMEM);
        fol_world_invariants(s->world);
    }
    CHECK_EQ(fol_scheduler_tick(s->scheduler, 0.1), 0);
    CHECK_EQ(fol_commands_count(fol_scheduler_commands(s->scheduler, 0)), 0);
    fol_world_invariants(s->world);
}

static bool run_case(uint64_t seed)
{
    static stage_of own;
    static stage_of other;
    static stage_of refused;
    uint64_t random = seed;
    actor actors[SYSTEMS_MAX];
    uint32_t order[SYSTEMS_MAX];
    uint32_t count = 2 + draw_below(&random, SYSTEMS_MAX - 1);
    for (uint32_t i = 0; i < count; i++) {
        draw_actor(&random, i, &actors[i]);
        order[i] = i;
    }
    memset(&own, 0, sizeof(own));
    memset(&other, 0, sizeof(other));
    memset(&refused, 0, sizeof(refused));
    describe(&own, actors, order, count);
    describe(&refused, actors, order, count);
    reorder(&own, &random, order);
    describe(&other, actors, order, count);
    open_world(&own, seed);
    open_world(&other, seed);
    open_world(&refused, seed);
    int failures = check_failures;
    (void)run_both(&own, &other, &random);
    run_refused(&refused, &random);
    close_world(&own);
    close_world(&other);
    close_world(&refused);
    return check_failures == failures;
}

static void test_the_order_of_registration_matters_only_where_it_has_to(void)
{
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    uint64_t cases = setting("FOLIOT_FUZZ_CASES", CASES);
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    uint64_t live = stats.live_blocks;
    for (uint64_t i = 0; i < cases; i++) {
        if (!run_case(first + i)) {
            fprintf(stderr, "seed %llu\n", (unsigned long long)(first + i));
        }
    }
    fol_memory_read_stats(&stats);
    CHECK_EQ(stats.live_blocks, live);
}

int main(void)
{
    RUN(test_the_order_of_registration_matters_only_where_it_has_to);
    CHECK_MAIN_END();
}
