/* Dense bit rows of a fixed number of 64-bit words, for access sets, conflict and closure rows.
 *
 * A row is a plain array of words; the caller keeps the word count. Bits past the row's last index
 * stay zero. A row of no words may be NULL. No bounds are checked except by FOL_ASSERT_HOT.
 */
#ifndef FOL_BASE_BITSET_H
#define FOL_BASE_BITSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FOL_WORD_BITS 64u

static inline size_t fol_bits_words(size_t bits)
{
    return (bits + FOL_WORD_BITS - 1) / FOL_WORD_BITS;
}

static inline void fol_bits_set(uint64_t *row, size_t index)
{
    row[index / FOL_WORD_BITS] |= UINT64_C(1) << (index % FOL_WORD_BITS);
}

static inline void fol_bits_reset(uint64_t *row, size_t index)
{
    row[index / FOL_WORD_BITS] &= ~(UINT64_C(1) << (index % FOL_WORD_BITS));
}

static inline bool fol_bits_test(const uint64_t *row, size_t index)
{
    return (row[index / FOL_WORD_BITS] >> (index % FOL_WORD_BITS)) & 1u;
}

static inline void fol_bits_clear(uint64_t *row, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        row[i] = 0;
    }
}

static inline void fol_bits_copy(uint64_t *restrict to, const uint64_t *restrict from, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        to[i] = from[i];
    }
}

static inline void fol_bits_or(uint64_t *restrict to, const uint64_t *restrict from, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        to[i] |= from[i];
    }
}

static inline void fol_bits_and_not(uint64_t *restrict to, const uint64_t *restrict from,
                                    size_t words)
{
    for (size_t i = 0; i < words; i++) {
        to[i] &= ~from[i];
    }
}

static inline bool fol_bits_intersect(const uint64_t *a, const uint64_t *b, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (a[i] & b[i]) {
            return true;
        }
    }
    return false;
}

/* Every bit of `part` is in `whole`. */
static inline bool fol_bits_contain(const uint64_t *whole, const uint64_t *part, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (part[i] & ~whole[i]) {
            return false;
        }
    }
    return true;
}

static inline bool fol_bits_equal(const uint64_t *a, const uint64_t *b, size_t words)
{
    return words == 0 || memcmp(a, b, words * sizeof(*a)) == 0;
}

static inline size_t fol_bits_count(const uint64_t *row, size_t words)
{
    size_t count = 0;
    for (size_t i = 0; i < words; i++) {
        count += (size_t)__builtin_popcountll(row[i]);
    }
    return count;
}

/* The first set bit at or after `from`, or words * 64 when there is none. */
static inline size_t fol_bits_next(const uint64_t *row, size_t words, size_t from)
{
    size_t word = from / FOL_WORD_BITS;
    if (word >= words) {
        return words * FOL_WORD_BITS;
    }
    uint64_t rest = row[word] & (~UINT64_C(0) << (from % FOL_WORD_BITS));
    while (rest == 0) {
        word++;
        if (word == words) {
            return words * FOL_WORD_BITS;
        }
        rest = row[word];
    }
    return word * FOL_WORD_BITS + (size_t)__builtin_ctzll(rest);
}

#endif
