/* Counting lines and words of a text that comes in blocks.
 *
 * A word is a run of bytes outside ASCII white space, so a text has as many words as it has places
 * where a byte of a word follows a byte outside one. That asks nothing but each byte and the one
 * before it, and sixteen places are looked at together.
 */
#include "bindings/census_count.h"

#include <assert.h>
#include <string.h>

#define LANES 16
/* Additions of 0 or 1 that an 8-bit lane can hold. */
#define LANE_ADDITIONS_MAX 255
/* How far ahead memory is asked for. A text that another thread has read is in nobody's first-level
 * cache, and to wait for it takes longer than to count it. */
#define AHEAD 2048

typedef uint8_t lanes_u8 __attribute__((vector_size(LANES)));

static_assert(sizeof(lanes_u8) == LANES, "one lane holds one byte");

static inline lanes_u8 load(const uint8_t *data)
{
    lanes_u8 lanes;
    memcpy(&lanes, data, sizeof lanes);
    return lanes;
}

/* 0xff where the byte is space, \t, \n, \v, \f or \r, and 0 elsewhere. */
static inline lanes_u8 spaces_in(lanes_u8 bytes)
{
    return (lanes_u8)(bytes == ' ') | (lanes_u8)((lanes_u8)(bytes - '\t') <= '\r' - '\t');
}

static inline uint8_t is_space(uint8_t byte)
{
    return byte == ' ' || (uint8_t)(byte - '\t') <= '\r' - '\t';
}

static uint64_t sum_of(lanes_u8 lanes)
{
    uint64_t sum = 0;
    for (int lane = 0; lane < LANES; lane++) {
        sum += lanes[lane];
    }
    return sum;
}

/* Counts whole groups of lanes from data on, which has a byte before it; returns where it stopped,
 * less than a group before end. */
static const uint8_t *count_groups(fol_py_counts *counts, const uint8_t *data, const uint8_t *end)
{
    while (end - data >= LANES) {
        ptrdiff_t groups = (end - data) / LANES;
        groups = groups < LANE_ADDITIONS_MAX ? groups : LANE_ADDITIONS_MAX;
        lanes_u8 lines = {0};
        lanes_u8 words = {0};
        for (ptrdiff_t group = 0; group < groups; group++, data += LANES) {
            /* Behind the end, too: an address that is not there does no harm. */
            __builtin_prefetch((const void *)((uintptr_t)data + AHEAD));
            lanes_u8 bytes = load(data);
            /* A comparison is 0xff where it holds, which is -1 to subtract. */
            lines -= (lanes_u8)(bytes == '\n');
            words -= ~spaces_in(bytes) & spaces_in(load(data - 1));
        }
        counts->lines += sum_of(lines);
        counts->words += sum_of(words);
    }
    return data;
}

static void count_byte(fol_py_counts *counts, uint8_t byte)
{
    uint8_t is_in_word = !is_space(byte);
    counts->lines += byte == '\n';
    counts->words += is_in_word && !counts->in_word;
    counts->in_word = is_in_word;
}

void fol_py_count_block(fol_py_counts *counts, const uint8_t *data, size_t size)
{
    if (size == 0) {
        return;
    }
    const uint8_t *end = data + size;
    count_byte(counts, data[0]);
    data = count_groups(counts, data + 1, end);
    counts->in_word = !is_space(data[-1]);
    for (; data < end; data++) {
        count_byte(counts, *data);
    }
}
