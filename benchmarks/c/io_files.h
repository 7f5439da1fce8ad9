/* The files that the programs of bench_io read, which benchmarks/io_files.py makes: BENCH_FILES of
 * one block each, each beginning with its own number, and one of BENCH_BLOCKS blocks likewise.
 */
#ifndef BENCH_IO_FILES_H
#define BENCH_IO_FILES_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BENCH_FILES  10000
#define BENCH_BLOCKS 4096
#define BENCH_BLOCK  4096u

typedef struct bench_files {
    char paths[BENCH_FILES][128];
    char big[128];
    uint8_t *content; /* BENCH_FILES blocks */
} bench_files;

/* Not 0 when there is no folder, or no memory. The folder is in the environment, since every
 * program of the benchmarks takes the same arguments. */
static inline int bench_files_open(bench_files *files)
{
    const char *folder = getenv("BENCH_IO_FILES");
    if (folder == NULL || strlen(folder) > 100) {
        fprintf(stderr, "BENCH_IO_FILES must name the folder of the files, in 100 bytes\n");
        return 1;
    }
    for (unsigned i = 0; i < BENCH_FILES; i++) {
        snprintf(files->paths[i], sizeof(files->paths[i]), "%s/%05u", folder, i);
    }
    snprintf(files->big, sizeof(files->big), "%s/big", folder);
    files->content = mmap(NULL, (size_t)BENCH_FILES * BENCH_BLOCK, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return files->content == MAP_FAILED;
}

/* The next block of the big file to read; every contender takes them in this order. */
static inline uint64_t bench_next_block(uint64_t *state)
{
    *state = (*state * 1103515245u + 12345u) & (BENCH_BLOCKS - 1);
    return *state;
}

static inline uint64_t bench_number_of(const uint8_t *block)
{
    uint64_t number = 0;
    memcpy(&number, block, sizeof(number));
    return number;
}

/* How many files' content is there, and forgets it. */
static inline uint64_t bench_files_check(bench_files *files)
{
    uint64_t good = 0;
    for (uint64_t i = 0; i < BENCH_FILES; i++) {
        uint8_t *block = files->content + i * BENCH_BLOCK;
        good += bench_number_of(block) == i && block[BENCH_BLOCK - 1] == 0x5a;
        memset(block, 0, 8);
    }
    return good;
}

#endif
