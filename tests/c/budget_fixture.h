/* Systems that cost what they are told, on a virtual clock: for tests of governed frames. */
#ifndef FOL_TESTS_BUDGET_FIXTURE_H
#define FOL_TESTS_BUDGET_FIXTURE_H

#include "frame_fixture.h"

#define PIECE_ROWS 16
#define PIECES     4
#define ROWS       (PIECES * PIECE_ROWS)
#define MAX_LOG    4096

/* When pieces ran, by which system, and how long they took. */
typedef struct piece_log {
    uint32_t count;
    uint32_t system[MAX_LOG];
    int64_t at[MAX_LOG];
    int64_t cost[MAX_LOG];
} piece_log;

/* One system: a piece of it costs so much, and may do something at its n-th call. */
typedef struct costly {
    fixture *f;
    piece_log *log;
    uint32_t number;
    int64_t cost;
    uint32_t calls;
    uint32_t act_at; /* call, from 1; 0: never */
    void (*act)(struct costly *self);
} costly;

static UNUSED int64_t time_of(fixture *f)
{
    fol_clock face = fol_virtual_clock_face(&f->clock);
    return (int64_t)face.now_ns(face.state);
}

static UNUSED int kernel_costs(const fol_chunk *chunk, void *user)
{
    costly *c = user;
    piece_log *log = c->log;
    if (log->count < MAX_LOG) {
        log->system[log->count] = c->number;
        log->at[log->count] = time_of(c->f);
        log->cost[log->count] = c->cost;
        log->count++;
    }
    c->calls++;
    if (chunk->api != NULL) {
        fol_entity entity;
        float zero = 0.0f;
        const fol_value value = {c->f->velocity, &zero};
        CHECK_EQ(chunk->api->spawn(chunk->commands, &value, 1, &entity), 0);
    }
    if (c->act != NULL && c->calls == c->act_at) {
        c->act(c);
    }
    fol_virtual_clock_advance(&c->f->clock, (uint64_t)c->cost);
    return 0;
}

/* A system over ROWS rows in pieces of PIECE_ROWS, each of that cost. */
static UNUSED fol_system *add_costly(fixture *f, costly *c, piece_log *log, const char *name,
                                     int writes, int64_t cost, const fol_system_budget *budget)
{
    *c = (costly){.f = f, .log = log, .number = f->count, .cost = cost};
    fol_system *system = add_system(f, name, writes, -1, false);
    system->kind = FOL_SYSTEM_CHUNK;
    system->chunk_kernel = kernel_costs;
    system->user = c;
    system->max_rows = PIECE_ROWS;
    system->budget = budget;
    return system;
}

static UNUSED void start_costly(fixture *f)
{
    f->config.clock = fol_virtual_clock_face(&f->clock);
    spawn_floats(f, ROWS, 0.0f, 0.0f);
    start(f);
}

static UNUSED fol_system_budget context_of(uint64_t key, int64_t budget, int64_t period,
                                           fol_overrun overrun)
{
    return (fol_system_budget){.key = key,
                               .context = {.kind = FOL_CONTEXT_SPORADIC,
                                           .overrun = overrun,
                                           .refills = 8,
                                           .budget = budget,
                                           .period = period}};
}

static UNUSED fol_system_budget group_of(uint64_t key, uint32_t weight)
{
    return (fol_system_budget){.key = key, .is_group = true, .weight = weight, .latency = 1};
}

static UNUSED fol_account account_of(fixture *f, uint32_t system)
{
    fol_account account = {0};
    CHECK_EQ(fol_scheduler_read_account(f->scheduler, FOL_ACCOUNT_SYSTEM, system, &account), 0);
    return account;
}

static UNUSED fol_run_state state_of(fixture *f, uint32_t system)
{
    return fol_scheduler_frame(f->scheduler)->systems[system].state;
}

/* The most that one system used in any window of that length that begins with a piece. */
static UNUSED int64_t most_in_window(const piece_log *log, uint32_t system, int64_t window)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < log->count; i++) {
        int64_t end = log->at[i] + window;
        int64_t used = 0;
        for (uint32_t k = i; k < log->count && log->at[k] < end; k++) {
            int64_t left = end - log->at[k];
            used += log->system[k] != system ? 0 : log->cost[k] < left ? log->cost[k] : left;
        }
        most = used > most ? used : most;
    }
    return most;
}

#endif
