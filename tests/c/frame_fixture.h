/* A small world, schedule and scheduler, and the kernels that the frame tests share.
 *
 * Every test program uses what it needs; the rest is marked unused on purpose.
 */
#ifndef FOL_TESTS_FRAME_FIXTURE_H
#define FOL_TESTS_FRAME_FIXTURE_H

#include <string.h>

#include "check.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"

#define UNUSED __attribute__((unused))

#define MAX_SYSTEMS 8

/* A world with Position and Velocity (one float each), a Gravity resource, and room for systems. */
typedef struct fixture {
    fol_component *position;
    fol_component *velocity;
    fol_component *gravity;
    fol_world *world;
    fol_schedule *schedule;
    fol_plan *plan;
    uint32_t phase;
    uint32_t ids[3]; /* of the three above in the schedule */
    fol_system systems[MAX_SYSTEMS];
    fol_term terms[MAX_SYSTEMS][4];
    fol_system_query queries[MAX_SYSTEMS];
    uint32_t count;
    fol_scheduler_config config;
    fol_virtual_clock clock;
    fol_scheduler *scheduler;
} fixture;

static UNUSED fol_component *make_component(const char *name, bool is_resource)
{
    const fol_field field = {.name = "", .format = "f", .item_size = 4};
    const fol_component_spec spec = {
        .name = name, .is_resource = is_resource, .field_count = 1, .fields = &field};
    fol_component *component = NULL;
    CHECK_EQ(fol_component_create(&spec, &component), 0);
    return component;
}

static UNUSED void setup(fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->position = make_component("Position", false);
    f->velocity = make_component("Velocity", false);
    f->gravity = make_component("Gravity", true);
    CHECK_EQ(fol_world_create(&fol_world_config_default, &f->world), 0);
    CHECK_EQ(fol_schedule_create(&fol_schedule_limits_default, &f->schedule), 0);
    CHECK_EQ(fol_schedule_add_phase(f->schedule, "update", &f->phase), 0);
    const char *names[3] = {"Position", "Velocity", "Gravity"};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(fol_schedule_add_resource(f->schedule, names[i], &f->ids[i]), 0);
    }
    f->config = fol_scheduler_config_default;
    f->config.backend = "blocking";
    f->config.command_bytes = 1 << 20;
    fol_virtual_clock_init(&f->clock, 0);
}

static UNUSED void teardown(fixture *f)
{
    fol_scheduler_destroy(f->scheduler);
    fol_plan_destroy(f->plan);
    fol_schedule_destroy(f->schedule);
    fol_world_destroy(f->world);
    fol_component_release(f->position);
    fol_component_release(f->velocity);
    fol_component_release(f->gravity);
}

/* Adds a system to both sides; which component it reads and writes: 0 position, 1 velocity,
 * 2 gravity, -1 none. */
static UNUSED fol_system *add_system(fixture *f, const char *name, int writes, int reads,
                                     bool records)
{
    fol_component *components[3] = {f->position, f->velocity, f->gravity};
    uint32_t index = f->count++;
    size_t terms = 0;
    if (writes >= 0) {
        f->terms[index][terms++] = (fol_term){components[writes], FOL_TERM_WRITE};
    }
    if (reads >= 0) {
        f->terms[index][terms++] = (fol_term){components[reads], FOL_TERM_READ};
    }
    f->queries[index] = (fol_system_query){f->terms[index], terms};
    f->systems[index] = (fol_system){.kind = FOL_SYSTEM_COLUMNS,
                                     .queries = &f->queries[index],
                                     .query_count = 1,
                                     .carries_state = -1};
    fol_query_access access = {0};
    fol_system_spec spec = {.name = name, .phase = f->phase, .records_commands = records};
    fol_id_list *write_list = writes == 2 ? &spec.resource_writes : &access.writes;
    fol_id_list *read_list = reads == 2 ? &spec.resource_reads : &access.reads;
    *write_list = (fol_id_list){writes < 0 ? NULL : &f->ids[writes], writes >= 0};
    *read_list = (fol_id_list){reads < 0 ? NULL : &f->ids[reads], reads >= 0};
    bool has_query = (writes >= 0 && writes < 2) || (reads >= 0 && reads < 2);
    spec.queries = has_query ? &access : NULL;
    spec.query_count = has_query;
    uint32_t id;
    CHECK_EQ(fol_schedule_add_system(f->schedule, &spec, &id), 0);
    CHECK_EQ(id, index);
    return &f->systems[index];
}

static UNUSED int start_with_rates(fixture *f, const fol_phase_rate *rates)
{
    fol_plan_error error;
    CHECK_EQ(fol_plan_create(f->schedule, &f->plan, &error), 0);
    return fol_scheduler_create(f->world, f->plan, f->systems, rates, &f->config, &f->scheduler);
}

static UNUSED void start(fixture *f)
{
    CHECK_EQ(start_with_rates(f, NULL), 0);
}

static UNUSED void spawn_floats(fixture *f, size_t count, float position, float velocity)
{
    const fol_source p = {&position, 0};
    const fol_source v = {&velocity, 0};
    const fol_bulk bulks[2] = {{f->position, &p}, {f->velocity, &v}};
    CHECK_EQ(fol_world_spawn_many(f->world, count, bulks, 2, NULL), 0);
}

static UNUSED float first_position(fixture *f)
{
    fol_term term = {f->position, FOL_TERM_READ};
    fol_query *query = NULL;
    fol_query_iterator iterator;
    fol_run run;
    CHECK_EQ(fol_query_create(f->world, &term, 1, &query), 0);
    CHECK_EQ(fol_query_begin(query, 0, 0, &iterator), 0);
    float value = fol_query_next(&iterator, &run) ? *(float *)run.columns[0] : -1.0f;
    fol_query_destroy(query);
    return value;
}

static UNUSED int kernel_move(void **columns, ptrdiff_t rows, void *user)
{
    float *restrict position = columns[0];
    const float *restrict velocity = columns[1];
    (void)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        position[i] += velocity[i];
    }
    return 0;
}

static UNUSED int kernel_count(void **columns, ptrdiff_t rows, void *user)
{
    (void)columns;
    *(int64_t *)user += rows;
    return 0;
}

static UNUSED int kernel_fail(void **columns, ptrdiff_t rows, void *user)
{
    (void)columns;
    (void)rows;
    return *(int *)user;
}

static UNUSED int hosted_record_then_fail(void *user, fol_task *task)
{
    fol_entity entity;
    CHECK_EQ(fol_commands_spawn(task->commands, NULL, 0, &entity), 0);
    return *(int *)user;
}

#endif
