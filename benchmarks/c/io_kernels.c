/* The native systems of bench_io. Each is one call a frame: its world has one row. */

#include <string.h>

#include "foliot/io.h"
#include "foliot/system.h"

typedef struct bench_reads {
    int32_t fd;
    uint32_t count;
    uint64_t state;
    uint8_t *buffers;
    fol_io_result *results;
    uint64_t *asked;
    uint64_t good;
    uint64_t frames;
} bench_reads;

#define BLOCKS 4096
#define BLOCK  4096u

size_t bench_result_size(void)
{
    return sizeof(fol_io_result);
}

/* Looks at what the frame before has read, and asks for the next blocks. */
int bench_read_blocks(const fol_chunk *chunk, void *user)
{
    bench_reads *reads = user;
    fol_io_intent intent = {.request = {.kind = FOL_IO_READ, .fd = reads->fd, .size = BLOCK}};
    for (uint32_t i = 0; i < reads->count; i++) {
        uint8_t *buffer = reads->buffers + (size_t)i * BLOCK;
        uint64_t number = 0;
        memcpy(&number, buffer, sizeof(number));
        reads->good += reads->results[i].value == (int64_t)BLOCK && number == reads->asked[i];
        reads->state = (reads->state * 1103515245u + 12345u) & (BLOCKS - 1);
        reads->asked[i] = reads->state;
        intent.request.buffer = buffer;
        intent.request.offset = reads->state * BLOCK;
        intent.result = &reads->results[i];
        const int status = chunk->io_api->submit(chunk->io, &intent, NULL);
        if (status != 0) {
            return status;
        }
    }
    reads->frames++;
    return 0;
}

/* As many NOPs as reads. */
int bench_nops(const fol_chunk *chunk, void *user)
{
    bench_reads *reads = user;
    const fol_io_intent intent = {.request = {.kind = FOL_IO_NOP}};
    for (uint32_t i = 0; i < reads->count; i++) {
        const int status = chunk->io_api->submit(chunk->io, &intent, NULL);
        if (status != 0) {
            return status;
        }
    }
    reads->frames++;
    return 0;
}
