/* Counting what was read: the demo's second native kernel; see census.c for the first.
 *
 * It counts what was asked for a frame ago, while what was asked for since is read.
 */
#include "bindings/census.h"
#include "bindings/census_count.h"
#include "bindings/census_crc.h"
#include "bindings/census_look.h"

#include <string.h>

/* Counting and checksum take turns on blocks that stay in the first-level cache. */
#define BLOCK_SIZE 16384

/* What is counted so far; pointers to columns of one row. */
typedef struct sums {
    uint64_t *bytes;
    uint64_t *lines;
    uint64_t *words;
    uint32_t *crc;
    uint8_t *in_word;
} sums;

static void count_text(const sums *row, fol_bytes text)
{
    fol_py_counts counts = {*row->lines, *row->words, *row->in_word};
    const uint8_t *data = text.data;
    uint32_t crc = *row->crc;
    for (uint64_t left = text.size; left > 0;) {
        size_t block = left < BLOCK_SIZE ? (size_t)left : BLOCK_SIZE;
        fol_py_count_block(&counts, data, block);
        crc = fol_py_crc_update(crc, data, block);
        data += block;
        left -= block;
    }
    *row->bytes += text.size;
    *row->lines = counts.lines;
    *row->words = counts.words;
    *row->in_word = counts.in_word;
    *row->crc = crc;
}

/* What was read whole. Only a second look tells what it was read of; see the top of census.c. */
static void take_whole(const fol_py_desk *desk, const fol_py_place *place, const int64_t *identity,
                       int32_t *state, uint32_t *step)
{
    int64_t seen[FOL_PY_IDENTITY_FIELDS];
    const int64_t size = identity[FOL_PY_IDENTITY_SIZE];
    const int64_t value = place->got.value;
    *state = fol_py_look_at(desk->root, place->path, seen);
    *step = FOL_PY_STEP_ENDED;
    if (*state != FOL_PY_FILE_WAITING) {
        return;
    }
    if (size == 0 && value != 0) {
        *step = FOL_PY_STEP_UNANSWERED;
    } else if (memcmp(seen, identity, sizeof seen) != 0) {
        *state = FOL_PY_FILE_CHANGED;
    } else if (value != size) {
        *step = FOL_PY_STEP_UNANSWERED;
    } else {
        *state = FOL_PY_FILE_DONE;
    }
}

/* What a piece leaves its file in: one that gave less than it promised is at its end. */
static void take_piece(const fol_py_place *place, uint64_t size, uint64_t counted, int32_t *state,
                       uint32_t *step)
{
    *step = FOL_PY_STEP_OPEN;
    if (place->got.value < 0) {
        *state = (int32_t)-place->got.value;
    } else if ((uint64_t)place->got.value < place->wanted || (size > 0 && counted >= size)) {
        *state = FOL_PY_FILE_DONE;
    }
}

int fol_py_census_count(void **columns, ptrdiff_t rows, void *user)
{
    fol_py_desk *desk = user;
    uint64_t *bytes = columns[0];
    uint64_t *lines = columns[1];
    uint64_t *words = columns[2];
    uint32_t *crcs = columns[3];
    uint8_t *in_words = columns[4];
    int32_t *states = columns[5];
    uint32_t *steps = columns[6];
    const uint32_t *places = columns[7];
    const int64_t *identities = columns[8];
    const fol_bytes *texts = columns[9];
    for (ptrdiff_t i = 0; i < rows; i++) {
        const fol_py_place *place = &desk->places[places[i]];
        bool is_whole = steps[i] == FOL_PY_STEP_WHOLE;
        bool is_asked = is_whole || steps[i] == FOL_PY_STEP_READING;
        /* A file that nobody has asked for has no place yet. */
        if (states[i] != FOL_PY_FILE_WAITING || !is_asked || place->got.value == FOL_PY_NOT_YET) {
            continue;
        }
        const int64_t *identity = &identities[i * FOL_PY_IDENTITY_FIELDS];
        const sums row = {&bytes[i], &lines[i], &words[i], &crcs[i], &in_words[i]};
        if (is_whole) {
            take_whole(desk, place, identity, &states[i], &steps[i]);
        }
        if (is_whole ? states[i] == FOL_PY_FILE_DONE : place->got.value >= 0) {
            count_text(&row, texts[i]);
        }
        if (!is_whole) {
            uint64_t size = (uint64_t)identity[FOL_PY_IDENTITY_SIZE];
            take_piece(place, size, bytes[i], &states[i], &steps[i]);
        }
    }
    return 0;
}
