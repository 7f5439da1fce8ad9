/* A schedule under test with three phases and six components, and short ways to fill and plan it.
 */
#ifndef FOL_TESTS_TEST_SCHEDULE_H
#define FOL_TESTS_TEST_SCHEDULE_H

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "foliot/schedule.h"
#include "foliot/status.h"

static fol_schedule *schedule;
static fol_plan *plan;
static fol_plan_error error;

enum { FIRST, UPDATE, LAST };
enum { A, B, C, D, E, F, COMPONENTS };

/* A system by short lists: each letter of a string is an id. */
typedef struct brief {
    const char *name;
    const char *reads;
    const char *writes;
    const char *with;
    const char *without;
    const char *resource_reads;
    const char *resource_writes;
    const char *sets;
    uint32_t phase;
    bool exclusive;
    bool records;
    bool does_io;
    bool locks;
} brief;

static inline fol_id_list parse(const char *letters, uint32_t *ids)
{
    size_t count = 0;
    for (; letters != NULL && *letters != 0; letters++) {
        ids[count++] = (uint32_t)(*letters - 'A');
    }
    return (fol_id_list){ids, count};
}

static inline uint32_t add(brief b)
{
    uint32_t ids[7][8];
    fol_query_access query = {
        .reads = parse(b.reads, ids[0]),
        .writes = parse(b.writes, ids[1]),
        .required = parse(b.with, ids[2]),
        .excluded = parse(b.without, ids[3]),
    };
    bool has_query = b.reads || b.writes || b.with || b.without;
    fol_system_spec spec = {
        .name = b.name,
        .phase = b.phase != 0 ? b.phase : UPDATE,
        .is_exclusive = b.exclusive,
        .records_commands = b.records,
        .does_io = b.does_io,
        .holds_interpreter = b.locks,
        .queries = &query,
        .query_count = has_query ? 1 : 0,
        .resource_reads = parse(b.resource_reads, ids[4]),
        .resource_writes = parse(b.resource_writes, ids[5]),
        .sets = parse(b.sets, ids[6]),
    };
    uint32_t id = UINT32_MAX;
    CHECK_EQ(fol_schedule_add_system(schedule, &spec, &id), FOL_OK);
    return id;
}

#define ADD(...) add((brief){.name = __VA_ARGS__})

static inline uint32_t add_set(const char *name)
{
    uint32_t id = UINT32_MAX;
    CHECK_EQ(fol_schedule_add_set(schedule, name, &id), FOL_OK);
    return id;
}

static inline fol_node_ref system_ref(uint32_t id)
{
    return (fol_node_ref){FOL_NODE_SYSTEM, id};
}

static inline fol_node_ref set_ref(uint32_t id)
{
    return (fol_node_ref){FOL_NODE_SET, id};
}

static inline void order(uint32_t first, uint32_t second)
{
    CHECK_EQ(fol_schedule_add_order(schedule, system_ref(first), system_ref(second)), FOL_OK);
}

static inline void begin(void)
{
    static const char *const components[COMPONENTS] = {"Position", "Velocity", "Health",
                                                       "Frozen",   "Mass",     "Gravity"};
    uint32_t id;
    plan = NULL;
    CHECK_EQ(fol_schedule_create(NULL, &schedule), FOL_OK);
    fol_schedule_add_phase(schedule, "first", &id);
    fol_schedule_add_phase(schedule, "update", &id);
    fol_schedule_add_phase(schedule, "last", &id);
    for (int i = 0; i < COMPONENTS; i++) {
        fol_schedule_add_resource(schedule, components[i], &id);
    }
}

static inline void make(void)
{
    fol_plan_destroy(plan);
    plan = NULL;
    CHECK_EQ(fol_plan_create(schedule, &plan, &error), FOL_OK);
    CHECK_STR(error.message, "");
}

static inline void refuse(fol_plan_error_kind kind, const char *message)
{
    fol_plan *none = NULL;
    CHECK_EQ(fol_plan_create(schedule, &none, &error), FOL_E_CYCLE);
    CHECK_EQ(fol_plan_create(schedule, &none, NULL), FOL_E_CYCLE);
    CHECK(none == NULL);
    CHECK_EQ(error.kind, kind);
    if (!CHECK(strcmp(error.message, message) == 0)) {
        fprintf(stderr, "  said: %s\n", error.message);
    }
}

static inline void explains(uint32_t a, uint32_t b, const char *sentence)
{
    char text[1024];
    fol_plan_explain(plan, a, b, text, sizeof(text));
    if (!CHECK(strcmp(text, sentence) == 0)) {
        fprintf(stderr, "  said: %s\n", text);
    }
}

static inline void end(void)
{
    fol_plan_destroy(plan);
    fol_schedule_destroy(schedule);
    plan = NULL;
}

static inline uint32_t stage(uint32_t system)
{
    return fol_plan_system_stage(plan, system);
}

static inline uint32_t segment(uint32_t system)
{
    return fol_plan_system_segment(plan, system);
}

static inline uint32_t place(uint32_t system)
{
    return fol_plan_system_place(plan, system);
}

static inline size_t sync_count(uint32_t phase)
{
    size_t count;
    fol_plan_sync_points(plan, phase, &count);
    return count;
}

#endif
