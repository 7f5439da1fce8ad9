/* Lines and words of a text: what the demo's kernel counts beside bytes and a checksum. */
#ifndef FOL_BINDINGS_CENSUS_COUNT_H
#define FOL_BINDINGS_CENSUS_COUNT_H

#include <stddef.h>
#include <stdint.h>

typedef struct fol_py_counts {
    uint64_t lines;
    uint64_t words;
    uint8_t in_word; /* the last byte was part of a word */
} fol_py_counts;

/* Continues the counts with more of the text; all zeros stand for nothing. Any thread. */
void fol_py_count_block(fol_py_counts *counts, const uint8_t *data, size_t size);

#endif
