/* Budgets and the policy of a scheduler: what stands between its programs and the governor.
 *
 * A program is governed when the scheduler has a policy, or one of its systems a budget. Then each
 * of its nodes has runnables in the scheduler's dispatcher. The dispatcher is made for the first
 * governed program and stays: a later one takes over the runnables of the systems whose state it
 * continues, and contexts and groups by their keys, so budgets and shares go on where they were.
 *
 * What changes a dispatcher happens under the governor's lock. Everything here but the readers is
 * for who drives the scheduler, or changes it.
 */
#ifndef FOL_FRAME_BUDGET_H
#define FOL_FRAME_BUDGET_H

#include "backend/governed.h"
#include "frame/frame.h"

/* A context or group that some plan had. */
typedef struct fol_budget_entry {
    uint64_t key;
    uint64_t context; /* handle; 0: it is a group, or has gone */
    uint32_t group;
    bool is_group;
} fol_budget_entry;

struct fol_frame_budget {
    fol_governor *governor;
    uint32_t runnable_room;
    uint32_t runnable_end; /* all runnables in use are below it */
    uint32_t entry_room;
    uint32_t entry_count;
    fol_budget_entry *entries; /* in the order they came */
    uint32_t *system_of;       /* by runnable; UINT32_MAX: of none */
    int64_t least_budget;
    int64_t origin; /* the clock when it was made: sentences tell times from there on */
    bool asks_chunk_rows;
    bool asks_workers; /* for victims or spin limits */
    _Atomic uint64_t revocations;
};

/* What a node had missed and overrun, when it was looked at last. */
typedef struct fol_budget_mark {
    uint64_t misses;
    uint64_t overruns;
    uint32_t new_misses; /* between the last two looks */
    uint32_t new_overruns;
} fol_budget_mark;

struct fol_budget_program {
    fol_governed governed;
    fol_budget_mark *marks; /* one a node */
    uint8_t *is_kept;       /* one a lane: the runnable is one of the program before */
    uint32_t lane_count;
};

/* Makes what a governed program needs, and its runnables; `old` NULL: there was none. Does nothing
 * for one that is not governed. On failure nothing has changed. -ENOMEM; FOL_E_VALUE for a policy
 * or budget out of bounds; -ERANGE for one so small that no run fits in; -ENODEV for one that no
 * worker may use; -ENOSPC when the plan needs more than the first governed one made room for. */
int fol_budget_prepare(fol_scheduler *scheduler, fol_program *program, const fol_program *old,
                       const fol_system *systems);
/* The program takes the place of `old`, whose other runnables go. */
void fol_budget_commit(fol_scheduler *scheduler, const fol_program *program,
                       const fol_program *old);
/* It does not. */
void fol_budget_abandon(fol_scheduler *scheduler, fol_program *program);
void fol_budget_program_destroy(fol_budget_program *program);
void fol_budget_destroy(fol_frame_budget *budget);
/* NULL: there is none. */
fol_budget_entry *fol_budget_find(const fol_frame_budget *budget, uint64_t key);

/* Runs a phase of a governed program. */
void fol_budget_run_phase(fol_scheduler *scheduler, const fol_phase *phase);
/* Before and after a frame whose result is published: counts misses and overruns; afterwards the
 * marks tell what is new. Of a governed program. Detaches the caller. */
void fol_budget_settle_frame(fol_scheduler *scheduler);
/* What the chunk_rows slot says for a node; 0: nothing. The worker holds no host's lock. */
uint64_t fol_budget_chunk_rows(const fol_scheduler *scheduler, const fol_node *node, uint64_t rows);
/* Orders and limits that the policy gives to the workers of a team; before a run of frames, of a
 * governed program. */
void fol_budget_set_workers(fol_scheduler *scheduler);
/* The backend's calls of these names; the caller, between frames. */
bool fol_budget_choose_backend(void *state, fol_policy_load *load, uint32_t *choice);
void fol_budget_note_switch(void *state, uint32_t from, uint32_t to);

/* budget_calls.c: what a governed run asks. */
void fol_budget_trace_decision(void *state, uint32_t worker, const fol_decision *decision);
extern const fol_governed_calls fol_budget_calls;

#endif
