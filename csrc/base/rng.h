/* A small, fast, seeded generator for choices that need no secrecy: where to steal first.
 *
 * Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014): any seed
 * is good, also neighbouring ones. One owner; no thread shares a generator.
 */
#ifndef FOL_BASE_RNG_H
#define FOL_BASE_RNG_H

#include <stdint.h>

typedef struct fol_rng {
    uint64_t state;
} fol_rng;

static inline void fol_rng_init(fol_rng *rng, uint64_t seed)
{
    rng->state = seed;
}

static inline uint64_t fol_rng_next(fol_rng *rng)
{
    uint64_t mixed = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* 0 .. count - 1; count is at least 1. Off from even by less than count / 2^32. */
static inline uint32_t fol_rng_below(fol_rng *rng, uint32_t count)
{
    return (uint32_t)(((fol_rng_next(rng) >> 32) * count) >> 32);
}

#endif
