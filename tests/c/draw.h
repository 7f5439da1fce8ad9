/* Numbers from a seed, and settings from the environment, for tests that draw their cases. */
#ifndef FOL_TESTS_DRAW_H
#define FOL_TESTS_DRAW_H

#include <stdint.h>
#include <stdlib.h>

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 29)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 32);
}

/* Numbers from a seed: SplitMix64. */
static inline uint64_t draw(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(*state, 1);
}

static inline uint32_t draw_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(draw(state) % limit);
}

static inline uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 0);
}

#endif
