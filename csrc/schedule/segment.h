/* Segments, the stretches of a phase between merges, and stages, the levels of its graph. */
#ifndef FOL_SCHEDULE_SEGMENT_H
#define FOL_SCHEDULE_SEGMENT_H

#include "schedule/commands.h"

/* Scratch, an item a place. */
typedef struct fol_stretches {
    uint32_t *needs;   /* the segment that what it must see calls for */
    uint32_t *sorted;  /* places by (segment, place) */
    uint32_t *cursors; /* per segment and one more */
} fol_stretches;

/* -ENOMEM. */
int fol_stretches_init(fol_stretches *stretches, size_t count);
void fol_stretches_deinit(fol_stretches *stretches);

/* Fills the plan's segments of the phase, and needs and sorted. */
void fol_segments_assign(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                         fol_stretches *stretches);

/* Fills the plan's stages of the phase after that. */
void fol_stages_assign(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                       const fol_stretches *stretches);

/* After that, cuts behind stages with I/O. */
void fol_segments_cut(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                      fol_stretches *stretches);

/* Fills the phase's sync points after that. -ENOMEM. */
int fol_sync_points_make(fol_plan *plan, fol_phase_plan *phase, const fol_command_rows *rows,
                         fol_stretches *stretches);

#endif
