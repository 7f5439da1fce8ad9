/* Rolling figures of the last frames, exact from the first one on.
 *
 * Figures are whole numbers, and their sums are kept as whole numbers too, so that they equal a
 * recomputation over the same frames however many frames came and went. A figure is held to
 * FOL_FIGURE_MAX, with which no sum over FOL_ADAPTIVE_MAX_WINDOW frames overflows. Every ratio of
 * nothing is 0.
 *
 * Pure: the storage is the caller's.
 */
#ifndef FOL_POLICY_ADAPTIVE_WINDOW_H
#define FOL_POLICY_ADAPTIVE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define FOL_ADAPTIVE_MAX_WINDOW 4096u
#define FOL_FIGURE_MAX          (UINT64_C(1) << 51)

typedef enum fol_figure {
    FOL_FIGURE_CYCLES = 0,    /* from the frame's begin to its end */
    FOL_FIGURE_BUSY,          /* cycles, sum over the nodes */
    FOL_FIGURE_IO,            /* cycles the caller waited for I/O */
    FOL_FIGURE_OPERATIONS,    /* submitted */
    FOL_FIGURE_IN_FLIGHT,     /* at the end */
    FOL_FIGURE_NODES,         /* that ran */
    FOL_FIGURE_WORK,          /* cycles, of the phases that ran, by the learnt costs of all nodes */
    FOL_FIGURE_SPAN,          /* cycles these take at least on the workers there are */
    FOL_FIGURE_RUNS,          /* of phases */
    FOL_FIGURE_PARALLEL_RUNS, /* of phases that are better off on several workers */
    FOL_FIGURE_LOOKING_RUNS,  /* of phases of which that is being found out */
    FOL_FIGURE_STEALS,
    FOL_FIGURE_STEAL_ATTEMPTS,
    FOL_FIGURE_COUNT,
} fol_figure;

typedef struct fol_adaptive_sample {
    uint64_t value[FOL_FIGURE_COUNT];
} fol_adaptive_sample;

typedef struct fol_adaptive_window {
    fol_adaptive_sample *samples; /* a ring of `capacity` */
    uint32_t capacity;
    uint32_t count;
    uint32_t next;
    uint64_t sum[FOL_FIGURE_COUNT];
} fol_adaptive_window;

/* samples: `capacity` of them, 1 .. FOL_ADAPTIVE_MAX_WINDOW. */
void fol_adaptive_window_init(fol_adaptive_window *window, fol_adaptive_sample *samples,
                              uint32_t capacity);
/* Forgets all frames. */
void fol_adaptive_window_clear(fol_adaptive_window *window);
void fol_adaptive_window_push(fol_adaptive_window *window, const fol_adaptive_sample *sample);
/* Of one frame; 0 when there is none. */
double fol_adaptive_window_mean(const fol_adaptive_window *window, fol_figure figure);
/* The sum of one figure for each of another, such as busy cycles for each cycle. */
double fol_adaptive_window_ratio(const fol_adaptive_window *window, fol_figure figure,
                                 fol_figure of);
/* A mean without the highest sixteenth of the frames (of 8 frames or more, at least one): what was
 * interrupted decides nothing. */
double fol_adaptive_window_trimmed(const fol_adaptive_window *window, fol_figure figure);

#endif
