/* Square bit matrices: row u holds the systems that stand in some relation to system u. */
#ifndef FOL_SCHEDULE_MATRIX_H
#define FOL_SCHEDULE_MATRIX_H

#include "base/assert.h"
#include "base/bitset.h"

typedef struct fol_matrix {
    uint64_t *bits;
    size_t size;
    size_t words; /* of a row */
} fol_matrix;

/* All zero; -ENOMEM. */
int fol_matrix_init(fol_matrix *matrix, size_t size);
void fol_matrix_deinit(fol_matrix *matrix);

/* out[j][i] = from[i][j]; both have the same size and are not the same. */
void fol_matrix_transpose(const fol_matrix *from, fol_matrix *out);

/* Renumbers: what was order[i] becomes i, in rows and columns. `scratch` has the same size. */
void fol_matrix_permute(fol_matrix *matrix, const uint32_t *order, fol_matrix *scratch);

static inline uint64_t *fol_matrix_row(const fol_matrix *matrix, size_t row)
{
    FOL_ASSERT_HOT(row < matrix->size);
    return matrix->bits + row * matrix->words;
}

static inline bool fol_matrix_test(const fol_matrix *matrix, size_t row, size_t column)
{
    FOL_ASSERT_HOT(column < matrix->size);
    return fol_bits_test(fol_matrix_row(matrix, row), column);
}

/* The bits of word `word` that stand for indexes below, or above, `index`. */
static inline uint64_t fol_bits_below(size_t index, size_t word)
{
    size_t own = index / FOL_WORD_BITS;
    uint64_t mask = (UINT64_C(1) << (index % FOL_WORD_BITS)) - 1;
    return word < own ? ~UINT64_C(0) : word == own ? mask : 0;
}

static inline uint64_t fol_bits_above(size_t index, size_t word)
{
    size_t own = index / FOL_WORD_BITS;
    uint64_t mask = (~UINT64_C(0) << (index % FOL_WORD_BITS)) << 1;
    return word > own ? ~UINT64_C(0) : word == own ? mask : 0;
}

#endif
