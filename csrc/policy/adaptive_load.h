/* What kind of load the frames are, and whether that has changed.
 *
 * A load is known by its features: the logarithms of a frame's time, of the work of its nodes, of
 * its I/O operations, of the nodes that ran, and of the parallelism that the plan leaves. On a
 * logarithmic scale a change by a factor is as far wherever it starts, and noise in proportion is
 * as wide.
 *
 * A change is found by a cumulative sum to either side of each feature's mean (E. S. Page,
 * Continuous inspection schemes, Biometrika 41, 1954): what lies farther off than `slack` is added
 * up, what lies nearer is taken off, and the sum never falls below nothing. One frame adds at most
 * FOL_LOAD_STEP of the threshold, so it takes two: a frame that something interrupted is no change.
 * The first slack is wider than noise of +-30 %, so that such a load never changes; a factor of
 * 1.5 does in the end, one of 2 within three frames, a larger one within two.
 *
 * Pure: integers only, no clock.
 */
#ifndef FOL_POLICY_ADAPTIVE_LOAD_H
#define FOL_POLICY_ADAPTIVE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/adaptive_window.h"

/* Units of a feature: this many to a factor of two. */
#define FOL_LOAD_UNIT       256
#define FOL_LOAD_SLACK      141  /* a factor of 1.46 */
#define FOL_LOAD_MAX_SLACK  2048 /* a factor of 256 */
#define FOL_LOAD_STEP       154
#define FOL_LOAD_THRESHOLD  256
#define FOL_LOAD_MEAN_COUNT 64u /* frames that a mean is made of */

typedef enum fol_feature {
    FOL_FEATURE_CYCLES = 0,
    FOL_FEATURE_BUSY,
    FOL_FEATURE_OPERATIONS,
    FOL_FEATURE_NODES,
    FOL_FEATURE_PLAN,
    FOL_FEATURE_COUNT,
} fol_feature;

typedef struct fol_features {
    int32_t value[FOL_FEATURE_COUNT];
} fol_features;

/* The first FOL_LOAD_MEAN_COUNT frames of a load, as a mean. */
typedef struct fol_load_mean {
    int32_t sum[FOL_FEATURE_COUNT];
    uint32_t count;
} fol_load_mean;

/* The sums of one load so far. */
typedef struct fol_load_watch {
    int32_t above[FOL_FEATURE_COUNT];
    int32_t below[FOL_FEATURE_COUNT];
} fol_load_watch;

/* About FOL_LOAD_UNIT times the binary logarithm of value + 1: straight between powers of two. */
int32_t fol_load_logarithm(uint64_t value);
fol_features fol_load_features(const fol_adaptive_sample *sample);

void fol_load_mean_add(fol_load_mean *mean, const fol_features *features);
fol_features fol_load_mean_get(const fol_load_mean *mean);

/* Takes a frame; the feature that has changed by it, or FOL_FEATURE_COUNT. */
fol_feature fol_load_watch_add(fol_load_watch *watch, const fol_features *mean, int32_t slack,
                               const fol_features *features);

#endif
