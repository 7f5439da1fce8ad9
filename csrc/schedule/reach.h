/* Searches through the precedence of a phase: what a system reaches, and strong components. */
#ifndef FOL_SCHEDULE_REACH_H
#define FOL_SCHEDULE_REACH_H

#include "schedule/precedence.h"

/* Scratch, kept over many searches. */
typedef struct fol_reach {
    const fol_precedence *precedence;
    uint64_t *rows; /* the block of the three rows below, which change places */
    uint64_t *frontier;
    uint64_t *fresh;
    uint64_t *unseen;
    uint32_t *stack; /* owns the block of items a system; free between searches */
    uint32_t *cursors;
    uint32_t *finished;
} fol_reach;

/* -ENOMEM. */
int fol_reach_init(fol_reach *reach, const fol_precedence *precedence);
void fol_reach_deinit(fol_reach *reach);

/* reached = `rank`, which is in `within`, and all it reaches inside `within`. */
void fol_reach_out(fol_reach *reach, fol_direction direction, uint32_t rank, const uint64_t *within,
                   uint64_t *reached);

/* Depth first, forward, from everything in `within`: reach->finished gets the systems in the order
 * of leaving them. How many there are. Taken backwards, each one that is not yet in a component is
 * the root of a component: what reaches it of those not yet taken (Kosaraju). */
uint32_t fol_reach_finish(fol_reach *reach, const uint64_t *within);

#endif
