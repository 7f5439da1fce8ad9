/* Transposition in blocks of 64 by 64 (Warren, Hacker's Delight, 7-3), and renumbering by it. */

#include "schedule/matrix.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"

int fol_matrix_init(fol_matrix *matrix, size_t size)
{
    size_t words = fol_bits_words(size);
    uint64_t *bits = fol_alloc_zeroed(size * words, sizeof(*bits));
    if (bits == NULL) {
        return -ENOMEM;
    }
    *matrix = (fol_matrix){.bits = bits, .size = size, .words = words};
    return FOL_OK;
}

void fol_matrix_deinit(fol_matrix *matrix)
{
    fol_free(matrix->bits);
    *matrix = (fol_matrix){0};
}

static void transpose_block(uint64_t block[FOL_WORD_BITS])
{
    uint64_t mask = UINT64_C(0x00000000ffffffff);
    for (unsigned step = FOL_WORD_BITS / 2; step != 0; step /= 2, mask ^= mask << step) {
        for (unsigned i = 0; i < FOL_WORD_BITS; i = (i + step + 1) & ~step) {
            uint64_t swapped = ((block[i] >> step) ^ block[i + step]) & mask;
            block[i] ^= swapped << step;
            block[i + step] ^= swapped;
        }
    }
}

void fol_matrix_transpose(const fol_matrix *from, fol_matrix *out)
{
    FOL_ASSERT(from->size == out->size);
    FOL_ASSERT(from->bits != out->bits);
    uint64_t block[FOL_WORD_BITS];
    for (size_t across = 0; across < from->words; across++) {
        for (size_t down = 0; down < from->words; down++) {
            size_t row = down * FOL_WORD_BITS;
            size_t rows = from->size - row < FOL_WORD_BITS ? from->size - row : FOL_WORD_BITS;
            uint64_t any = 0;
            for (size_t i = 0; i < FOL_WORD_BITS; i++) {
                block[i] = i < rows ? from->bits[(row + i) * from->words + across] : 0;
                any |= block[i];
            }
            if (any != 0) {
                transpose_block(block);
            }
            row = across * FOL_WORD_BITS;
            rows = from->size - row < FOL_WORD_BITS ? from->size - row : FOL_WORD_BITS;
            for (size_t i = 0; i < rows; i++) {
                out->bits[(row + i) * out->words + down] = block[i];
            }
        }
    }
}

static void permute_rows(const fol_matrix *from, const uint32_t *order, fol_matrix *out)
{
    for (size_t i = 0; i < from->size; i++) {
        fol_bits_copy(fol_matrix_row(out, i), fol_matrix_row(from, order[i]), from->words);
    }
}

void fol_matrix_permute(fol_matrix *matrix, const uint32_t *order, fol_matrix *scratch)
{
    FOL_ASSERT(matrix->size == scratch->size);
    permute_rows(matrix, order, scratch);
    fol_matrix_transpose(scratch, matrix);
    permute_rows(matrix, order, scratch);
    fol_matrix_transpose(scratch, matrix);
}
