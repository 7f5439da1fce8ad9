/* Which system of a phase waits for which, before the order is known.
 *
 * Systems are ranks of registration. A system waits for those that explicit order puts before it
 * and, of those it is tied to, for the ones registered earlier: a tie is a pair that conflicts or
 * whose order matters and that no explicit order relates. Words of the combined rows are made on
 * the fly, so the two directions of ties share one matrix.
 */
#ifndef FOL_SCHEDULE_PRECEDENCE_H
#define FOL_SCHEDULE_PRECEDENCE_H

#include "schedule/matrix.h"

typedef struct fol_precedence {
    fol_matrix after;  /* explicit: the column comes after the row */
    fol_matrix before; /* its transpose */
    fol_matrix ties;   /* symmetric */
} fol_precedence;

typedef enum fol_direction { FOL_BACKWARD = 0, FOL_FORWARD = 1 } fol_direction;

/* Word `word` of the row of systems that `rank` waits for, or that wait for `rank`. */
static inline uint64_t fol_precedence_word(const fol_precedence *p, fol_direction direction,
                                           size_t rank, size_t word)
{
    uint64_t tied = fol_matrix_row(&p->ties, rank)[word];
    if (direction == FOL_BACKWARD) {
        tied &= fol_bits_below(rank, word);
        return fol_matrix_row(&p->before, rank)[word] | tied;
    }
    tied &= fol_bits_above(rank, word);
    return fol_matrix_row(&p->after, rank)[word] | tied;
}

/* The first system at or after `from` in `among` that stands in that row, or SIZE_MAX. */
static inline size_t fol_precedence_next(const fol_precedence *p, fol_direction direction,
                                         size_t rank, const uint64_t *among, size_t from)
{
    uint64_t mask = ~UINT64_C(0) << (from % FOL_WORD_BITS);
    for (size_t i = from / FOL_WORD_BITS; i < p->after.words; i++) {
        uint64_t word = among[i] & mask;
        word = word != 0 ? word & fol_precedence_word(p, direction, rank, i) : 0;
        if (word != 0) {
            return i * FOL_WORD_BITS + (size_t)__builtin_ctzll(word);
        }
        mask = ~UINT64_C(0);
    }
    return SIZE_MAX;
}

#endif
