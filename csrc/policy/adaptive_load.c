/* Features of loads and the detection of changes; see adaptive_load.h. */

#include "policy/adaptive_load.h"

#include "base/assert.h"

#define FRACTION_BITS 8

int32_t fol_load_logarithm(uint64_t value)
{
    uint64_t x = value == UINT64_MAX ? value : value + 1;
    int power = 63 - __builtin_clzll(x);
    uint64_t fraction =
        power >= FRACTION_BITS ? x >> (power - FRACTION_BITS) : x << (FRACTION_BITS - power);
    return power * FOL_LOAD_UNIT + (int32_t)(fraction & (FOL_LOAD_UNIT - 1));
}

fol_features fol_load_features(const fol_adaptive_sample *sample)
{
    const uint64_t *value = sample->value;
    fol_features features;
    features.value[FOL_FEATURE_CYCLES] = fol_load_logarithm(value[FOL_FIGURE_CYCLES]);
    features.value[FOL_FEATURE_BUSY] = fol_load_logarithm(value[FOL_FIGURE_BUSY]);
    features.value[FOL_FEATURE_OPERATIONS] = fol_load_logarithm(value[FOL_FIGURE_OPERATIONS]);
    features.value[FOL_FEATURE_NODES] = fol_load_logarithm(value[FOL_FIGURE_NODES]);
    features.value[FOL_FEATURE_PLAN] =
        fol_load_logarithm(value[FOL_FIGURE_WORK]) - fol_load_logarithm(value[FOL_FIGURE_SPAN]);
    return features;
}

void fol_load_mean_add(fol_load_mean *mean, const fol_features *features)
{
    if (mean->count == FOL_LOAD_MEAN_COUNT) {
        return;
    }
    for (uint32_t i = 0; i < FOL_FEATURE_COUNT; i++) {
        mean->sum[i] = (mean->count == 0 ? 0 : mean->sum[i]) + features->value[i];
    }
    mean->count++;
}

fol_features fol_load_mean_get(const fol_load_mean *mean)
{
    FOL_ASSERT(mean->count > 0);
    fol_features features;
    /* The usual count is a constant, so that no frame pays for divisions. */
    bool is_whole = mean->count == FOL_LOAD_MEAN_COUNT;
    for (uint32_t i = 0; i < FOL_FEATURE_COUNT; i++) {
        features.value[i] = is_whole ? mean->sum[i] / (int32_t)FOL_LOAD_MEAN_COUNT
                                     : mean->sum[i] / (int32_t)mean->count;
    }
    return features;
}

/* One side of one feature; whether the sum has reached the threshold. */
static bool add_excess(int32_t *sum, int32_t excess)
{
    *sum += excess < FOL_LOAD_STEP ? excess : FOL_LOAD_STEP;
    *sum = *sum < 0 ? 0 : *sum;
    return *sum >= FOL_LOAD_THRESHOLD;
}

fol_feature fol_load_watch_add(fol_load_watch *watch, const fol_features *mean, int32_t slack,
                               const fol_features *features)
{
    FOL_ASSERT(slack > 0 && slack <= FOL_LOAD_MAX_SLACK);
    uint32_t changed = FOL_FEATURE_COUNT;
    for (uint32_t i = 0; i < FOL_FEATURE_COUNT; i++) {
        int32_t off = features->value[i] - mean->value[i];
        bool is_above = add_excess(&watch->above[i], off - slack);
        bool is_below = add_excess(&watch->below[i], -off - slack);
        changed = (is_above || is_below) && changed == FOL_FEATURE_COUNT ? i : changed;
    }
    return (fol_feature)changed;
}
