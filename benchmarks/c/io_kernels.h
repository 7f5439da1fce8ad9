/* What io_kernels.c shares with the Python programs of bench_io: this file is what cffi reads, so
 * it has declarations only.
 */
typedef struct fol_chunk fol_chunk;
typedef struct fol_io_result fol_io_result;

/* Reads of one block each, `count` of them in a frame. */
typedef struct bench_reads {
    int32_t fd;
    uint32_t count;
    uint64_t state;         /* of bench_next_block */
    uint8_t *buffers;       /* count blocks */
    fol_io_result *results; /* count of them; the memory is the caller's */
    uint64_t *asked;        /* count numbers of blocks */
    uint64_t good;          /* reads that gave the block asked for */
    uint64_t frames;
} bench_reads;

size_t bench_result_size(void);
int bench_read_blocks(const fol_chunk *chunk, void *user);
int bench_nops(const fol_chunk *chunk, void *user);
