/* Which way to run frames: on the caller ("blocking"), on workers that steal ("stealing"), or so
 * with I/O through the ring ("uring"). Decided after a frame, from figures of the last ones.
 *
 * What can be known without trying is not tried. That several workers gain nothing is seen while
 * stealing, which places each phase where it takes less time (placement.h): when it placed all on
 * the caller for half a window, blocking does the same without asking. What several workers could
 * save is seen while blocking: the part of the nodes' work that the plan lets others take over. The
 * ring is worth a try from `least_operations` of I/O a frame on, and of no use below half of that.
 *
 * What cannot be known so is tried once: the mode stays for the cool-down, which is its trial, then
 * the time of a frame is compared with what it was before, and the mode goes back unless it is at
 * least about as good (half of `least_gain`, which is also the least part of a frame that a switch
 * to several workers must promise). After that the load is settled: nothing is decided again while
 * it stays the same, which is why a steady load cannot make it swing.
 *
 * A load that changes (adaptive_load.h says when) is looked up among those met before. For one that
 * was settled the best mode is known and taken at once; a new one is watched for half a window
 * before anything is decided. Loads are the same when no feature differs by more than a factor of
 * 1.5, which is what it takes to be found a change, so hysteresis is in both. One that changes
 * before it could be watched is taken for noise, and judged with more slack. Frames in which a
 * phase looks for its place count for nothing that is compared, as long as that ends.
 *
 * No switch comes within the cool-down of the one before. So on a steady load it settles, and a
 * change is followed within window + cool-down.
 *
 * Pure: no thread, no clock, no allocation. Time is an argument; its unit is cycles.
 */
#ifndef FOL_POLICY_ADAPTIVE_H
#define FOL_POLICY_ADAPTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliot/scheduler.h"
#include "policy/adaptive_load.h"
#include "policy/adaptive_window.h"

#define FOL_ADAPTIVE_LEAST_WINDOW 4u
#define FOL_ADAPTIVE_LOADS        12u

typedef enum fol_mode {
    FOL_MODE_BLOCKING = 0,
    FOL_MODE_STEALING,
    FOL_MODE_URING,
    FOL_MODE_COUNT,
} fol_mode;

typedef enum fol_adaptive_reason {
    FOL_ADAPTIVE_STARTED = 0,    /* no frame was enough yet */
    FOL_ADAPTIVE_NOTHING_GAINED, /* to blocking: no phase is better off on several workers */
    FOL_ADAPTIVE_PARALLELISM,    /* to stealing: the plan's parallelism promises a gain */
    FOL_ADAPTIVE_OPERATIONS,     /* to uring: enough I/O */
    FOL_ADAPTIVE_NO_OPERATIONS,  /* from uring: too little of it */
    FOL_ADAPTIVE_SLOWER,         /* back: the trial took longer */
    FOL_ADAPTIVE_KEPT,           /* stays: the trial did not take longer */
    FOL_ADAPTIVE_FAMILIAR,       /* a load that was settled before */
    FOL_ADAPTIVE_RECOGNISED,     /* stays: the same, in the mode that suits it */
    FOL_ADAPTIVE_SETTLED,        /* stays: nothing promises a gain */
    FOL_ADAPTIVE_CHANGED,        /* stays for now: the load has changed */
    FOL_ADAPTIVE_CHOSEN,         /* somebody else's choice: fol_adaptive_hold */
} fol_adaptive_reason;

/* One load that was met. */
typedef struct fol_adaptive_known {
    uint64_t id; /* no other load has or had it; 0: not kept */
    bool is_used;
    bool is_settled; /* in `best` */
    bool is_trial;   /* of trial_mode, which is compared with trial_from */
    fol_mode best;
    fol_mode trial_mode;
    fol_mode trial_from;
    int32_t slack;
    uint64_t last_seen;              /* frame */
    bool is_refused[FOL_MODE_COUNT]; /* known to be no better */
    fol_load_mean mean[FOL_MODE_COUNT];
    double cost[FOL_MODE_COUNT]; /* cycles of a frame when last measured; 0: never */
} fol_adaptive_known;

/* A decision with what it rested on; means over `frames` frames. */
typedef struct fol_adaptive_decision {
    uint64_t frame; /* how many frames had been */
    fol_mode from;
    fol_mode to;
    fol_adaptive_reason reason;
    fol_feature feature; /* that changed */
    uint32_t frames;
    double cycles;
    double other_cycles; /* of the mode it was compared with, or the part that could be saved */
    double plan;         /* parallelism the plan leaves */
    double operations;
} fol_adaptive_decision;

typedef struct fol_adaptive {
    fol_adaptive_config config;
    uint32_t workers;
    uint32_t enough; /* frames that a decision rests on at least */
    double overhead; /* cycles that a phase on several workers costs at least */
    fol_mode mode;
    uint64_t frames;
    uint64_t switches;
    uint64_t changes;  /* of the load */
    uint64_t ids;      /* given to loads */
    bool is_held;      /* somebody else chooses */
    bool prefers_ring; /* the last load with I/O was better off with the ring */
    uint32_t cooldown_left;
    uint32_t warming;           /* frames after a switch that are not judged */
    uint32_t since;             /* frames since the last change or switch; held at UINT32_MAX */
    uint32_t familiar;          /* frames that a known load has to last now */
    uint32_t quiet;             /* frames in a row without a phase for several workers */
    fol_features previous;      /* of the last judged frame */
    bool was_looking;           /* a phase looked for its place in that */
    fol_adaptive_window window; /* of the frames since the last change or switch */
    fol_load_watch watch;
    fol_adaptive_known *load; /* one of those below */
    fol_adaptive_known fresh; /* a load that is not known for long enough to be kept */
    fol_adaptive_known known[FOL_ADAPTIVE_LOADS];
    fol_adaptive_decision decision; /* the last one */
} fol_adaptive;

/* As in fol_scheduler_config_default. */
extern const fol_adaptive_config fol_adaptive_default;

/* window 0 stands for the default of everything; else window is within its bounds, least_gain in
 * 0 .. 1 (excluded), least_operations finite and not negative. */
bool fol_adaptive_config_is_valid(const fol_adaptive_config *config);
/* Frames of the window: how many samples init needs. */
uint32_t fol_adaptive_window_size(const fol_adaptive_config *config);

/* The configuration is valid. overhead_cycles: what a phase on several workers costs at least. The
 * samples, and the struct's place, outlive its use. */
void fol_adaptive_init(fol_adaptive *adaptive, const fol_adaptive_config *config, uint32_t workers,
                       double overhead_cycles, fol_adaptive_sample *samples);
/* After each frame, which ran in adaptive->mode; the next one runs in the mode returned. */
fol_mode fol_adaptive_learn(fol_adaptive *adaptive, const fol_adaptive_sample *sample);

/* Between frames: the mode is somebody else's choice from here on, and nothing is decided here
 * until it is let go. Within the cool-down of a switch the mode stays, so the choice is asked for
 * again.
 */
void fol_adaptive_hold(fol_adaptive *adaptive, fol_mode mode);
void fol_adaptive_let_go(fol_adaptive *adaptive);

/* Whether the next frame's I/O should go to the ring: in uring; and in the others while their load,
 * settled, does none, if that is what suited the last load with I/O, so that I/O which comes back
 * does not begin with what is slower. */
bool fol_adaptive_wants_ring(const fol_adaptive *adaptive);

/* Of the window. Busy cycles for each cycle in which the caller did not wait for I/O. */
double fol_adaptive_parallelism(const fol_adaptive *adaptive);
/* Work for each cycle of its span; 0 when nothing is known of it. */
double fol_adaptive_plan_parallelism(const fol_adaptive *adaptive);

/* "blocking", "stealing", "uring". */
const char *fol_mode_name(fol_mode mode);
/* The mode, the last decision with its numbers, the figures, and when the next switch may come, as
 * a sentence; like snprintf. */
size_t fol_adaptive_explain(const fol_adaptive *adaptive, double ns_per_cycle, char *out,
                            size_t room);

#endif
