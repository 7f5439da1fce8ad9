/* Random systems over a random world, native ones among them, to run twice and compare.
 *
 * Whatever a system does follows from its seed, the frame and the rows it sees, so two worlds that
 * were made alike stay alike as long as rows, filters and commands come out the same. Kernels treat
 * rows independently. A native system that fails writes nothing: which of its rows a failed kernel
 * has changed is open.
 */
#ifndef FOL_TESTS_FRAME_MODEL_H
#define FOL_TESTS_FRAME_MODEL_H

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "draw.h"
#include "foliot/memory.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"
#include "frame/frame.h"
#include "world/world.h"

#define COMPONENTS  4
#define SYSTEMS_MAX 12
#define TERMS_MAX   4
#define LIVE_MAX    3000

typedef struct model model;

/* What one system does; terms[0] gives a column. */
typedef struct actor {
    uint64_t seed;
    char name[8];
    uint32_t phase;
    uint32_t term_count;
    uint32_t components[TERMS_MAX];
    fol_term_kind kinds[TERMS_MAX];
    fol_system_kind kind;
    bool writes_resource;
    bool records;
    bool is_exclusive;
    bool has_condition;
    bool condition_needs_host;
    bool needs_host;
    bool in_lane;
    uint32_t fails_every; /* frames; 0: never */
    uint32_t interrupts_every;
    uint32_t max_rows;
    model *owner;
} actor;

/* A host's lock as tests see it. */
typedef struct model_host {
    pthread_mutex_t lock;
    _Atomic int attached;
    _Atomic int bad_calls;
    _Atomic int pending;
} model_host;

struct model {
    fol_component *components[COMPONENTS];
    fol_component *resource;
    fol_world *world;
    fol_schedule *schedule;
    fol_plan *plan;
    fol_scheduler *scheduler;
    model_host host;
    actor actors[SYSTEMS_MAX];
    fol_term terms[SYSTEMS_MAX][TERMS_MAX + 1];
    fol_system_query queries[SYSTEMS_MAX];
    fol_system systems[SYSTEMS_MAX];
    uint32_t count;
    uint64_t log; /* a hash over the custom commands in the order they ran */
    uint64_t logged;
    uint32_t max_entities; /* 0, like the two below: more than a case needs */
    uint32_t max_commands;
    uint32_t command_bytes;
};

static _Thread_local bool holds_host;

static void model_attach(void *state)
{
    model_host *host = state;
    pthread_mutex_lock(&host->lock);
    host->bad_calls += holds_host;
    holds_host = true;
}

static void model_detach(void *state)
{
    model_host *host = state;
    host->bad_calls += !holds_host;
    holds_host = false;
    pthread_mutex_unlock(&host->lock);
}

static int model_pending(void *state)
{
    model_host *host = state;
    host->bad_calls += !holds_host;
    return host->pending;
}

static void draw_actor(uint64_t *random, uint32_t number, actor *out)
{
    *out = (actor){.seed = draw(random), .phase = draw_below(random, 2)};
    snprintf(out->name, sizeof(out->name), "s%u", number % 100);
    out->kind = (fol_system_kind)draw_below(random, 3);
    out->term_count = 1 + draw_below(random, TERMS_MAX);
    uint32_t first = draw_below(random, COMPONENTS);
    bool is_native = out->kind != FOL_SYSTEM_HOSTED;
    if (out->kind != FOL_SYSTEM_COLUMNS && draw_below(random, 3) == 0) {
        out->fails_every = 1 + draw_below(random, 4);
    }
    for (uint32_t i = 0; i < out->term_count; i++) {
        out->components[i] = (first + i) % COMPONENTS;
        out->kinds[i] = i == 0 ? (fol_term_kind)draw_below(random, 2)
                               : (fol_term_kind)draw_below(random, FOL_TERM_ADDED + 1);
        if (is_native && out->fails_every != 0 && out->kinds[i] == FOL_TERM_WRITE) {
            out->kinds[i] = FOL_TERM_READ;
        }
    }
    bool may_write = !is_native || out->fails_every == 0;
    out->writes_resource = may_write && draw_below(random, 8) == 0;
    out->is_exclusive = !is_native && draw_below(random, 6) == 0;
    out->records = out->kind != FOL_SYSTEM_COLUMNS && draw_below(random, 2) == 0;
    out->has_condition = draw_below(random, 4) == 0;
    out->condition_needs_host = draw_below(random, 2) == 0;
    out->needs_host = !is_native && draw_below(random, 2) == 0;
    out->in_lane = draw_below(random, 4) != 0;
    out->max_rows = draw_below(random, 2) == 0 ? 0 : 1 + draw_below(random, 90);
}

static int model_condition(void *user, fol_task *task)
{
    const actor *a = user;
    a->owner->host.bad_calls += a->condition_needs_host && !holds_host;
    return mix(a->seed, task->frame) % 3 != 0;
}

/* Custom commands tell the order of the merge: each is a system and a row. */
static _Thread_local model *merged_model;

static int log_command(void *world, void *argument)
{
    model *m = merged_model;
    uint64_t number = (uint64_t)(uintptr_t)argument;
    m->log = mix(m->log, number);
    m->logged++;
    (void)world;
    return number % 13 == 0 ? -EINVAL : 0;
}

/* One random command for an entity, and what came of it; refusals are part of the game. */
static int record_for(const actor *a, fol_commands *commands, fol_entity entity, uint64_t chance)
{
    fol_component *const *components = a->owner->components;
    uint64_t data = mix(chance, a->seed);
    fol_value values[2] = {{components[data % COMPONENTS], &data},
                           {components[(data + 1) % COMPONENTS], NULL}};
    fol_component *removed = components[(data >> 8) % COMPONENTS];
    fol_entity spawned;
    int status;
    switch (chance % 60) {
    case 0:
        if (fol_world_entity_count(a->owner->world) >= LIVE_MAX) {
            return 0;
        }
        status = fol_commands_spawn(commands, values, 2, &spawned);
        return status < 0 ? status : fol_commands_add(commands, spawned, &values[0], 1);
    case 1:
        return fol_commands_despawn(commands, entity);
    case 2:
        return fol_commands_add(commands, entity, values, 1 + data / 7 % 2);
    case 3:
        return fol_commands_set(commands, entity, values, 1);
    case 4:
        return fol_commands_remove(commands, entity, &removed, 1);
    case 5:
        return fol_commands_call(commands, log_command, NULL,
                                 (void *)(uintptr_t)(mix(data, entity) | 1), false);
    default:
        return 0;
    }
}

static uint32_t count_writes(const actor *a)
{
    uint32_t writes = 0;
    for (uint32_t i = 0; i < a->term_count; i++) {
        writes += a->kinds[i] == FOL_TERM_WRITE;
    }
    return writes;
}

/* What a row's command came to stays in the world, so that it has to come out the same. */
static void keep_status(const actor *a, void *const *columns, size_t row, int status)
{
    if (count_writes(a) != 0) {
        ((uint64_t *)columns[0])[row] ^= (uint64_t)(int64_t)status;
    }
}

/* Every written cell becomes a hash of the row's cells; columns are writes (the resource last of
 * them), then reads, all of 8 bytes. */
static void work_on_row(const actor *a, void *const *columns, uint32_t count, uint32_t writes,
                        size_t row)
{
    uint64_t hash = a->seed;
    for (uint32_t c = 0; c < count; c++) {
        if (!(a->writes_resource && c == writes)) {
            hash += mix(((const uint64_t *)columns[c])[row], c);
        }
    }
    for (uint32_t c = 0; c < writes; c++) {
        ((uint64_t *)columns[c])[row] = mix(hash, c);
    }
    if (a->writes_resource) {
        *(uint64_t *)columns[writes] += hash;
    }
}

static uint32_t count_columns(const actor *a)
{
    uint32_t columns = a->writes_resource;
    for (uint32_t i = 0; i < a->term_count; i++) {
        columns += a->kinds[i] == FOL_TERM_WRITE || a->kinds[i] == FOL_TERM_READ;
    }
    return columns;
}

static int model_columns(void **columns, ptrdiff_t rows, void *user)
{
    const actor *a = user;
    a->owner->host.bad_calls += holds_host;
    for (ptrdiff_t row = 0; row < rows; row++) {
        work_on_row(a, columns, count_columns(a), count_writes(a), (size_t)row);
    }
    return 0;
}

static bool fails_now(const actor *a, uint64_t frame)
{
    return a->fails_every != 0 && frame % a->fails_every == 0;
}

static int model_chunk(const fol_chunk *chunk, void *user)
{
    const actor *a = user;
    a->owner->host.bad_calls += holds_host;
    for (ptrdiff_t row = 0; row < chunk->rows; row++) {
        fol_entity entity = chunk->entities[row];
        if (fails_now(a, chunk->frame) && mix(a->seed, entity) % 40 == 0) {
            return 1 + (int)(entity % 1000);
        }
        work_on_row(a, chunk->columns, chunk->column_count, count_writes(a), (size_t)row);
        if (chunk->commands != NULL) {
            int status =
                record_for(a, chunk->commands, entity, mix(mix(a->seed, entity), chunk->frame));
            keep_status(a, chunk->columns, (size_t)row, status);
        }
    }
    return 0;
}

static int model_hosted(void *user, fol_task *task)
{
    const actor *a = user;
    fol_query *query = task->queries[0];
    fol_query_iterator iterator;
    fol_run run;
    a->owner->host.bad_calls += a->needs_host && !holds_host;
    int status = fol_query_begin(query, task->since, a->max_rows, &iterator);
    if (status < 0) {
        return status;
    }
    while (fol_query_next(&iterator, &run)) {
        for (size_t row = 0; row < run.rows; row++) {
            work_on_row(a, run.columns, fol_query_column_count(query), count_writes(a), row);
            if (task->commands != NULL) {
                uint64_t chance = mix(mix(a->seed, run.entities[row]), task->frame);
                keep_status(a, run.columns, row,
                            record_for(a, task->commands, run.entities[row], chance));
            }
        }
        fol_query_mark(query, &run, NULL, task->tick);
        task->rows += run.rows;
    }
    if (a->is_exclusive && fol_world_entity_count(task->world) < LIVE_MAX) {
        fol_entity entity;
        uint64_t data = mix(a->seed, task->frame);
        const fol_value value = {a->owner->components[data % COMPONENTS], &data};
        status = fol_world_spawn(task->world, &value, 1, &entity);
    }
    if (a->interrupts_every != 0 && task->frame % a->interrupts_every == 1) {
        return FOL_E_INTERRUPTED;
    }
    return status < 0 ? status : fails_now(a, task->frame) ? -EINVAL : 0;
}

static fol_component *model_component(const char *name, bool is_resource)
{
    const fol_field field = {.name = "", .format = "Q", .item_size = 8};
    const fol_component_spec spec = {
        .name = name, .is_resource = is_resource, .field_count = 1, .fields = &field};
    fol_component *component = NULL;
    CHECK_EQ(fol_component_create(&spec, &component), 0);
    return component;
}

/* Declares one actor to the schedule. Filters on changes read. */
static void declare(model *m, const actor *a)
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
        .resource_writes = {&resource, a->writes_resource},
    };
    uint32_t id;
    CHECK_EQ(fol_schedule_add_system(m->schedule, &spec, &id), 0);
}

static void bind_actor(model *m, uint32_t i)
{
    actor *a = &m->actors[i];
    uint32_t terms = a->term_count;
    for (uint32_t t = 0; t < terms; t++) {
        m->terms[i][t] = (fol_term){m->components[a->components[t]], a->kinds[t]};
    }
    if (a->writes_resource) {
        m->terms[i][terms++] = (fol_term){m->resource, FOL_TERM_WRITE};
    }
    m->queries[i] = (fol_system_query){m->terms[i], terms};
    m->systems[i] = (fol_system){.kind = a->kind,
                                 .columns_kernel = model_columns,
                                 .chunk_kernel = model_chunk,
                                 .hosted = model_hosted,
                                 .user = a,
                                 .condition = a->has_condition ? model_condition : NULL,
                                 .condition_user = a,
                                 .condition_needs_host = a->condition_needs_host,
                                 .needs_host = a->needs_host,
                                 .in_lane = a->in_lane,
                                 .queries = &m->queries[i],
                                 .query_count = 1,
                                 .max_rows = a->max_rows,
                                 .carries_state = i};
}

/* Makes the systems known; without a scheduler yet. */
static void describe(model *m, const actor *actors, uint32_t count)
{
    uint32_t id;
    memset(m, 0, sizeof(*m));
    m->count = count;
    CHECK_EQ(fol_schedule_create(NULL, &m->schedule), 0);
    CHECK_EQ(fol_schedule_add_phase(m->schedule, "early", &id), 0);
    CHECK_EQ(fol_schedule_add_phase(m->schedule, "late", &id), 0);
    for (uint32_t i = 0; i <= COMPONENTS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "C%u", i % 100);
        CHECK_EQ(fol_schedule_add_resource(m->schedule, name, &id), 0);
        *(i == COMPONENTS ? &m->resource : &m->components[i]) =
            model_component(name, i == COMPONENTS);
    }
    for (uint32_t i = 0; i < count; i++) {
        m->actors[i] = actors[i];
        m->actors[i].owner = m;
        declare(m, &m->actors[i]);
        bind_actor(m, i);
    }
    CHECK_EQ(fol_plan_create(m->schedule, &m->plan, NULL), 0);
}

static const fol_phase_rate model_rates[2] = {
    {.kind = FOL_RATE_FRAMES, .every = 1},
    {.kind = FOL_RATE_FIXED, .step_seconds = 0.1, .max_steps = 3},
};

static fol_scheduler_config model_config(model *m)
{
    fol_scheduler_config config = fol_scheduler_config_default;
    pthread_mutex_init(&m->host.lock, NULL);
    config.errors = FOL_ERRORS_CONTINUE;
    config.command_bytes = m->command_bytes != 0 ? m->command_bytes : 1 << 20;
    config.max_commands = m->max_commands != 0 ? m->max_commands : config.max_commands;
    config.target_task_seconds = 1e-9; /* as many pieces as the rows allow */
    config.host = (fol_host){.state = &m->host,
                             .attach = model_attach,
                             .detach = model_detach,
                             .pending = model_pending};
    return config;
}

static void open_world(model *m, uint64_t seed, uint32_t rows)
{
    fol_world_config config = fol_world_config_default;
    config.max_entities = m->max_entities != 0 ? m->max_entities : config.max_entities;
    CHECK_EQ(fol_world_create(&config, &m->world), 0);
    CHECK_EQ(fol_world_insert(m->world, &(fol_value){m->resource, &seed}), 0);
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t data = mix(seed, i);
        fol_entity entity;
        fol_value values[COMPONENTS];
        size_t count = 0;
        for (uint32_t c = 0; c < COMPONENTS; c++) {
            if (((data >> c) & 1) != 0 || (data >> 60) == 0) {
                values[count++] = (fol_value){m->components[c], &data};
            }
        }
        CHECK_EQ(fol_world_spawn(m->world, values, count, &entity), 0);
    }
}

/* A frame as the host drives one: attached. */
static int model_tick(model *m, double dt)
{
    merged_model = m;
    model_attach(&m->host);
    int status = fol_scheduler_tick(m->scheduler, dt);
    model_detach(&m->host);
    return status;
}

static void close_model(model *m)
{
    fol_scheduler_destroy(m->scheduler);
    fol_world_destroy(m->world);
    fol_plan_destroy(m->plan);
    fol_schedule_destroy(m->schedule);
    fol_component_release(m->resource);
    for (uint32_t i = 0; i < COMPONENTS; i++) {
        fol_component_release(m->components[i]);
    }
    pthread_mutex_destroy(&m->host.lock);
}

#endif
