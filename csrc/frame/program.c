/* Building and ending a program: a plan and its systems, laid out in running order. */

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"
#include "frame/budget.h"
#include "frame/frame.h"

static void deinit_node(fol_node *node)
{
    for (uint32_t i = 0; node->queries != NULL && i < node->query_count; i++) {
        if (node->queries[i] != NULL) {
            fol_query_destroy(node->queries[i]);
        }
    }
    for (uint32_t i = 0; node->components != NULL && i < node->component_count; i++) {
        fol_component_release(node->components[i]);
    }
    fol_free(node->queries);
    fol_free(node->components);
    fol_free(node->resource_columns);
}

/* The components of the default query that give columns: writes, then reads. */
static int take_components(fol_node *node, const fol_system_query *query)
{
    node->components = fol_alloc_array(query->count, sizeof(*node->components));
    if (node->components == NULL) {
        return -ENOMEM;
    }
    const fol_term_kind order[2] = {FOL_TERM_WRITE, FOL_TERM_READ};
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < query->count; i++) {
            if (query->terms[i].kind == order[pass]) {
                fol_component_retain(query->terms[i].component);
                node->components[node->component_count] = query->terms[i].component;
                node->component_count++;
            }
        }
    }
    return FOL_OK;
}

/* A system without components has no table to take its columns from. */
static int take_resource_columns(fol_node *node, const fol_system_query *query)
{
    node->resource_columns = fol_alloc_array(node->column_count, sizeof(*node->resource_columns));
    if (node->resource_columns == NULL) {
        return -ENOMEM;
    }
    uint32_t written = 0;
    for (size_t i = 0; i < query->count; i++) {
        written += query->terms[i].kind == FOL_TERM_WRITE;
    }
    uint32_t column = 0;
    for (uint32_t i = 0; i < node->component_count; i++) {
        fol_component *component = node->components[i];
        uint32_t fields = fol_component_field_count(component);
        for (uint32_t field = 0; field < fields; field++) {
            FOL_ASSERT(column < node->column_count);
            node->resource_columns[column] =
                (fol_resource_column){.component = component,
                                      .offset = fol_component_field(component, field)->offset,
                                      .is_written = i < written};
            column++;
        }
    }
    return FOL_OK;
}

static int init_queries(fol_world *world, fol_node *node, const fol_system *system)
{
    node->queries = fol_alloc_zeroed(system->query_count, sizeof(*node->queries));
    if (node->queries == NULL) {
        return -ENOMEM;
    }
    node->query_count = (uint32_t)system->query_count;
    for (size_t i = 0; i < system->query_count; i++) {
        int status = fol_query_create(world, system->queries[i].terms, system->queries[i].count,
                                      &node->queries[i]);
        if (status != FOL_OK) {
            return status;
        }
    }
    node->has_components = fol_query_has_components(node->queries[0]);
    node->column_count = fol_query_column_count(node->queries[0]);
    for (size_t i = 0; i < system->queries[0].count; i++) {
        fol_term_kind kind = system->queries[0].terms[i].kind;
        node->has_filters = node->has_filters || kind == FOL_TERM_CHANGED || kind == FOL_TERM_ADDED;
    }
    return FOL_OK;
}

/* Pieces run at once, so what all rows share must not be written. */
static void judge_cuts(fol_node *node, const fol_system_query *query)
{
    node->may_be_cut = node->kind != FOL_SYSTEM_HOSTED && !node->needs_host &&
                       !node->is_exclusive && node->has_components;
    for (size_t i = 0; i < query->count; i++) {
        const fol_term *term = &query->terms[i];
        if (term->kind == FOL_TERM_CHANGED || term->kind == FOL_TERM_ADDED) {
            node->has_filters = true;
        }
        if (term->kind == FOL_TERM_WRITE && fol_component_is_resource(term->component)) {
            node->may_be_cut = false;
        }
    }
}

/* On failure the node is left for deinit_node. */
static int init_node(fol_world *world, fol_node *node, const fol_plan *plan, uint32_t index,
                     const fol_system *system, bool in_lane)
{
    node->kind = system->kind;
    node->needs_host = system->needs_host;
    node->condition_needs_host = system->condition_needs_host;
    node->in_lane = in_lane;
    node->records_commands = fol_plan_system_records(plan, index);
    /* Of native systems all, whether or not they can be cut: so much is simple to say. */
    node->records_parts = node->records_commands &&
                          (node->kind != FOL_SYSTEM_HOSTED || (in_lane && !node->needs_host));
    node->does_io = fol_plan_system_does_io(plan, index);
    node->is_exclusive = fol_plan_system_is_exclusive(plan, index);
    node->system = index;
    node->max_rows = system->max_rows;
    atomic_init(&node->paced_rows, FOL_FIRST_ROWS);
    node->user = system->user;
    node->condition = system->condition;
    node->condition_user = system->condition_user;
    switch (system->kind) {
    case FOL_SYSTEM_COLUMNS:
        node->function.columns_kernel = system->columns_kernel;
        break;
    case FOL_SYSTEM_CHUNK:
        node->function.chunk_kernel = system->chunk_kernel;
        break;
    case FOL_SYSTEM_HOSTED:
        node->function.hosted = system->hosted;
        break;
    }
    int status = init_queries(world, node, system);
    if (status == FOL_OK) {
        judge_cuts(node, &system->queries[0]);
        status = take_components(node, &system->queries[0]);
    }
    if (status == FOL_OK && !node->has_components) {
        status = take_resource_columns(node, &system->queries[0]);
    }
    return status;
}

static int init_phase_nodes(fol_world *world, fol_program *program, const fol_phase *phase,
                            const fol_system *systems)
{
    const uint32_t *order = fol_plan_running_order(program->plan);
    for (uint32_t node = phase->first; node < phase->first + phase->count; node++) {
        uint32_t system = order[node];
        FOL_ASSERT(node < program->node_count && system < program->node_count);
        program->node_of_system[system] = node;
        int status =
            init_node(world, &program->nodes[node], program->plan, system, &systems[system],
                      phase->in_lane[node - phase->first] != FOL_LANE_NOTHING);
        if (status != FOL_OK) {
            return status;
        }
    }
    return FOL_OK;
}

static int allocate_program(fol_program *program)
{
    uint32_t nodes = program->node_count;
    uint32_t phases = program->phase_count;
    program->nodes = fol_alloc_aligned(nodes * sizeof(*program->nodes));
    program->node_of_system = fol_alloc_zeroed(nodes, sizeof(*program->node_of_system));
    program->timings = fol_alloc_zeroed(nodes, sizeof(*program->timings));
    program->quarantines = fol_alloc_zeroed(nodes, sizeof(*program->quarantines));
    program->quarantined = fol_alloc_zeroed(nodes, sizeof(*program->quarantined));
    program->phases = fol_alloc_zeroed(phases, sizeof(*program->phases));
    program->phase_cycles = fol_alloc_zeroed(phases, sizeof(*program->phase_cycles));
    program->phase_ns = fol_alloc_zeroed(phases, sizeof(*program->phase_ns));
    program->phase_steps = fol_alloc_zeroed(phases, sizeof(*program->phase_steps));
    if (program->nodes != NULL) {
        memset(program->nodes, 0, nodes * sizeof(*program->nodes));
    }
    bool is_complete =
        program->nodes != NULL && program->node_of_system != NULL && program->timings != NULL &&
        program->quarantines != NULL && program->quarantined != NULL && program->phases != NULL &&
        program->phase_cycles != NULL && program->phase_ns != NULL && program->phase_steps != NULL;
    return is_complete ? FOL_OK : -ENOMEM;
}

static int prepare_phases(fol_program *program)
{
    for (uint32_t i = 0; i < program->phase_count; i++) {
        fol_phase *phase = &program->phases[i];
        int status = fol_backend_prepare(program->backend, &phase->work);
        if (status != FOL_OK) {
            return status;
        }
        phase->is_prepared = true;
    }
    return FOL_OK;
}

int fol_program_create(fol_world *world, fol_backend *backend, const fol_plan *plan,
                       const fol_system *systems, const fol_phase_rate *rates, fol_program **out)
{
    const fol_phase_rate every_frame = {.kind = FOL_RATE_FRAMES, .every = 1};
    fol_program *program = fol_alloc_zeroed(1, sizeof(*program));
    if (program == NULL) {
        return -ENOMEM;
    }
    program->plan = plan;
    program->backend = backend;
    program->node_count = fol_plan_system_count(plan);
    program->phase_count = fol_plan_phase_count(plan);
    int status = allocate_program(program);
    for (uint32_t i = 0; status == FOL_OK && i < program->phase_count; i++) {
        status = fol_phase_init(&program->phases[i], plan, i,
                                rates == NULL ? &every_frame : &rates[i], systems);
        if (status == FOL_OK) {
            status = init_phase_nodes(world, program, &program->phases[i], systems);
        }
    }
    if (status == FOL_OK) {
        status = prepare_phases(program);
    }
    if (status != FOL_OK) {
        fol_program_destroy(program);
        return status;
    }
    *out = program;
    return FOL_OK;
}

void fol_program_destroy(fol_program *program)
{
    for (uint32_t i = 0; program->phases != NULL && i < program->phase_count; i++) {
        fol_phase *phase = &program->phases[i];
        if (phase->is_prepared) {
            fol_backend_unprepare(program->backend, &phase->work);
        }
        fol_phase_deinit(phase);
    }
    for (uint32_t i = 0; program->nodes != NULL && i < program->node_count; i++) {
        deinit_node(&program->nodes[i]);
    }
    fol_budget_program_destroy(program->budget);
    fol_free(program->nodes);
    fol_free(program->node_of_system);
    fol_free(program->timings);
    fol_free(program->quarantines);
    fol_free(program->quarantined);
    fol_free(program->phases);
    fol_free(program->phase_cycles);
    fol_free(program->phase_ns);
    fol_free(program->phase_steps);
    fol_free(program);
}

/* The first phase of a name, or NULL. */
static const fol_phase *find_phase(const fol_program *program, const char *name)
{
    for (uint32_t i = 0; i < program->phase_count; i++) {
        if (strcmp(fol_plan_phase_name(program->plan, i), name) == 0) {
            return &program->phases[i];
        }
    }
    return NULL;
}

static void carry_node(fol_node *node, const fol_node *source)
{
    node->last_tick = source->last_tick;
    node->failures = source->failures;
    node->mean_rows = source->mean_rows;
    atomic_init(&node->mean_cycles,
                atomic_load_explicit(&source->mean_cycles, memory_order_relaxed));
    atomic_init(&node->paced_rows, atomic_load_explicit(&source->paced_rows, memory_order_relaxed));
    atomic_init(&node->is_disabled,
                atomic_load_explicit(&source->is_disabled, memory_order_relaxed));
    atomic_init(&node->is_quarantined,
                atomic_load_explicit(&source->is_quarantined, memory_order_relaxed));
}

void fol_program_carry(fol_program *program, const fol_program *old, const fol_system *systems)
{
    for (uint32_t i = 0; i < program->node_count; i++) {
        int64_t from = systems[i].carries_state;
        if (from < 0 || (uint64_t)from >= old->node_count) {
            continue;
        }
        const fol_node *source = &old->nodes[old->node_of_system[from]];
        fol_node *node = &program->nodes[program->node_of_system[i]];
        carry_node(node, source);
    }
    for (uint32_t i = 0; i < program->phase_count; i++) {
        const fol_phase *source = find_phase(old, fol_plan_phase_name(program->plan, i));
        if (source != NULL) {
            program->phases[i].owed = source->owed;
        }
    }
}
