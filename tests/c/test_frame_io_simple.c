/* Simple operations in frames: reads into the asker's own memory with nothing but a place for the
 * result. They take a short way, alone and in order or not at all, and nobody may be able to tell.
 */

#include "frame_io_model.h"

#define BLOCK   64u
#define BLOCKS  100u
#define SYSTEMS 3u
#define MOST    80u
#define NOTHING INT64_C(-77777)

static const fol_io_choice choices[] = {FOL_IO_CHOICE_RING, FOL_IO_CHOICE_POOL};

/* BLOCKS blocks, of which each byte is the block's number, and half a block. */
static int blocks_fd;

/* What one system asks for in each frame. */
typedef struct reader {
    uint32_t count;
    uint32_t first;   /* block */
    int32_t fails_in; /* frame, or -1 */
    int32_t status;
    fol_io_result results[MOST];
    uint8_t buffers[MOST][BLOCK];
} reader;

static void make_blocks(void)
{
    char path[] = "/tmp/foliot-blocks-XXXXXX";
    blocks_fd = mkstemp(path);
    CHECK(blocks_fd >= 0);
    unlink(path);
    for (uint32_t k = 0; k < BLOCKS; k++) {
        uint8_t block[BLOCK];
        memset(block, (int)k, sizeof(block));
        CHECK_EQ(write(blocks_fd, block, sizeof(block)), (ssize_t)sizeof(block));
    }
    CHECK_EQ(ftruncate(blocks_fd, BLOCKS * BLOCK + BLOCK / 2), 0);
}

static void reset(reader *r, uint32_t count, uint32_t first)
{
    memset(r, 0xee, sizeof(*r));
    r->count = count;
    r->first = first;
    r->fails_in = -1;
    for (uint32_t i = 0; i < MOST; i++) {
        r->results[i].value = NOTHING;
    }
}

static fol_io_intent read_of(reader *r, uint32_t i, uint32_t block)
{
    return (fol_io_intent){.request = {.kind = FOL_IO_READ,
                                       .fd = blocks_fd,
                                       .buffer = r->buffers[i],
                                       .size = BLOCK,
                                       .offset = (uint64_t)block * BLOCK},
                           .result = &r->results[i]};
}

static uint32_t block_of(const reader *r, uint32_t i, uint64_t frame)
{
    return (r->first + 7 * i + (uint32_t)frame) % BLOCKS;
}

static int hosted_read(void *user, fol_task *task)
{
    reader *r = user;
    for (uint32_t i = 0; i < r->count; i++) {
        const fol_io_intent intent = read_of(r, i, block_of(r, i, task->frame));
        fol_io_handle handle = 0;
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, i % 2 == 0 ? NULL : &handle), 0);
        CHECK_EQ(handle != 0, i % 2 == 1);
    }
    return (int64_t)task->frame == r->fails_in ? r->status : 0;
}

/* The results of a frame are there, and of no other. */
static void check_read(const reader *r, uint64_t frame)
{
    for (uint32_t i = 0; i < r->count; i++) {
        CHECK_EQ(r->results[i].value, BLOCK);
        CHECK(r->results[i].data == NULL);
        CHECK_EQ(r->results[i].size, 0);
        CHECK_EQ(r->results[i].flags, 0);
        CHECK_EQ(r->buffers[i][0], block_of(r, i, frame));
        CHECK_EQ(r->buffers[i][BLOCK - 1], block_of(r, i, frame));
    }
}

static void check_untouched(const reader *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        CHECK_EQ(r->results[i].value, NOTHING);
        CHECK_EQ(r->buffers[i][0], 0xee);
    }
}

static void add_readers(io_fixture *f, reader *readers)
{
    static const char *const names[SYSTEMS] = {"first", "second", "third"};
    for (uint32_t i = 0; i < SYSTEMS; i++) {
        reset(&readers[i], 20 * i + 10, 30 * i);
        io_add(f,
               (io_brief){
                   .name = names[i], .does_io = true, .hosted = hosted_read, .user = &readers[i]});
    }
}

static void test_reads_of_several_systems_come_whole_in_every_frame(void)
{
    for (size_t choice = 0; choice < 2; choice++) {
        io_fixture f;
        reader readers[SYSTEMS];
        fol_scheduler_stats stats;
        io_setup(&f);
        f.config.io = choices[choice];
        add_readers(&f, readers);
        io_start(&f);
        for (uint64_t frame = 0; frame < 5; frame++) {
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
            for (uint32_t i = 0; i < SYSTEMS; i++) {
                check_read(&readers[i], frame);
            }
        }
        fol_scheduler_read_stats(f.scheduler, &stats);
        CHECK_EQ(stats.io_submitted, 5 * (10 + 30 + 50));
        CHECK_EQ(stats.io_completed, stats.io_submitted);
        CHECK_EQ(stats.io_failed, 0);
        io_teardown(&f);
    }
}

static void test_reads_of_systems_on_several_workers_come_whole_in_every_frame(void)
{
    for (size_t choice = 0; choice < 2; choice++) {
        io_fixture f;
        reader readers[SYSTEMS];
        io_setup(&f);
        f.config.io = choices[choice];
        f.config.backend = "threadpool";
        f.config.workers = 3;
        add_readers(&f, readers);
        io_start(&f);
        for (uint64_t frame = 0; frame < 200; frame++) {
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
            for (uint32_t i = 0; i < SYSTEMS; i++) {
                check_read(&readers[i], frame);
            }
        }
        io_teardown(&f);
    }
}

static void test_what_a_failed_system_asked_for_is_left_out_between_the_others(void)
{
    io_fixture f;
    reader readers[SYSTEMS];
    io_setup(&f);
    f.config.errors = FOL_ERRORS_CONTINUE;
    add_readers(&f, readers);
    readers[1].fails_in = 0;
    readers[1].status = -EIO;
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    check_read(&readers[0], 0);
    check_untouched(&readers[1]);
    check_read(&readers[2], 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    check_read(&readers[1], 1);
    io_teardown(&f);
}

static void test_nothing_of_an_interrupted_frame_is_sent_and_its_slots_are_free(void)
{
    io_fixture f;
    reader readers[SYSTEMS];
    io_setup(&f);
    f.config.max_io = 10 + 30 + 50;
    add_readers(&f, readers);
    readers[2].fails_in = 1;
    readers[2].status = FOL_E_INTERRUPTED;
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    for (uint32_t i = 0; i < SYSTEMS; i++) {
        for (uint32_t k = 0; k < readers[i].count; k++) {
            readers[i].results[k].value = NOTHING;
            readers[i].buffers[k][0] = 0xee;
        }
    }
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_INTERRUPTED);
    for (uint32_t i = 0; i < SYSTEMS; i++) {
        check_untouched(&readers[i]);
    }
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    for (uint32_t i = 0; i < SYSTEMS; i++) {
        check_read(&readers[i], 2);
    }
    io_teardown(&f);
}

/* Eight reads, of which one ends short, one finds the end, and one has no file. */
static int hosted_read_oddly(void *user, fol_task *task)
{
    reader *r = user;
    for (uint32_t i = 0; i < 8; i++) {
        fol_io_intent intent = read_of(r, i, i);
        if (i == 2) {
            intent.request.offset = BLOCKS * BLOCK;
        } else if (i == 4) {
            intent.request.offset = (BLOCKS + 9) * BLOCK;
        } else if (i == 6) {
            intent.request.fd = 1 << 20;
            intent.result = r->count == 0 ? NULL : intent.result;
        }
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    return 0;
}

static void test_short_ends_and_failures_between_others_have_their_own_results(void)
{
    for (size_t choice = 0; choice < 2; choice++) {
        io_fixture f;
        reader odd;
        io_setup(&f);
        f.config.io = choices[choice];
        ADD("odd", .does_io = true, .hosted = hosted_read_oddly, .user = &odd);
        io_start(&f);
        for (int frame = 0; frame < 3; frame++) {
            reset(&odd, 8, 0);
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
            for (uint32_t i = 0; i < 8; i++) {
                const int64_t odd_values[] = {BLOCK, BLOCK, BLOCK / 2, BLOCK,
                                              0,     BLOCK, -EBADF,    BLOCK};
                CHECK_EQ(odd.results[i].value, odd_values[i]);
            }
            CHECK_EQ(odd.buffers[7][BLOCK - 1], 7);
            CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 0);
        }
        io_teardown(&f);
    }
}

static void test_a_failure_without_a_place_for_it_fails_the_system_and_no_other_read(void)
{
    for (size_t choice = 0; choice < 2; choice++) {
        io_fixture f;
        reader odd;
        io_setup(&f);
        f.config.io = choices[choice];
        f.config.errors = FOL_ERRORS_CONTINUE;
        ADD("odd", .does_io = true, .hosted = hosted_read_oddly, .user = &odd);
        io_start(&f);
        reset(&odd, 0, 0);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
        CHECK_EQ(io_error(&f, 0).status, -EBADF);
        CHECK_EQ(odd.results[5].value, BLOCK);
        CHECK_EQ(odd.results[6].value, NOTHING);
        CHECK_EQ(odd.results[7].value, BLOCK);
        io_teardown(&f);
    }
}

/* Frames of 0: simple, 1: into a component, 2: told to a receiver, 3: simple again. */
static int hosted_change(void *user, fol_task *task)
{
    reader *r = user;
    fol_io_intent intent = read_of(r, 0, 3);
    if (task->frame % 4 == 1) {
        intent = io_read_of(5, FOL_IO_STAGE);
        intent.component = F->inbox;
    } else if (task->frame % 4 == 2) {
        intent.result = NULL;
        intent.receiver = &log_receiver;
        intent.until = FOL_IO_PHASE;
    }
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), FOL_E_CAPACITY);
    return 0;
}

static void test_one_slot_serves_simple_and_other_intents_in_turn(void)
{
    io_fixture f;
    reader only;
    io_setup(&f);
    f.config.max_io = 1;
    reset(&only, 1, 0);
    const fol_value empty = {f.inbox, NULL};
    CHECK_EQ(fol_world_insert(f.world, &empty), FOL_OK);
    ADD("change", .does_io = true, .writes_inbox = true, .hosted = hosted_change, .user = &only);
    io_start(&f);
    for (uint32_t frame = 0; frame < 12; frame++) {
        only.results[0].value = NOTHING;
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        bool is_simple = frame % 4 == 0 || frame % 4 == 3;
        CHECK_EQ(only.results[0].value, is_simple ? BLOCK : NOTHING);
    }
    CHECK_EQ(f.logged, 3);
    CHECK_EQ(f.values[2], BLOCK);
    io_teardown(&f);
}

/* What a receiver saw of places for results when it was told. */
static const reader *looked_at;

static bool look_at_results(void *user, const fol_io_result *result)
{
    (void)user;
    F->values[F->logged++] = looked_at->results[0].value;
    F->values[F->logged++] = looked_at->results[1].value;
    return result->value >= 0;
}

static const fol_io_receiver looking_receiver = {.deliver = look_at_results};

static int hosted_read_round_a_receiver(void *user, fol_task *task)
{
    reader *r = user;
    const fol_io_intent before = read_of(r, 0, 1);
    const fol_io_intent told = {.receiver = &looking_receiver};
    const fol_io_intent after = read_of(r, 1, 2);
    CHECK_EQ(fol_io_queue_submit(task->io, &before, NULL), 0);
    CHECK_EQ(fol_io_queue_submit(task->io, &told, NULL), 0);
    CHECK_EQ(fol_io_queue_submit(task->io, &after, NULL), 0);
    return 0;
}

static void test_results_are_written_in_the_order_of_asking_round_a_receiver(void)
{
    for (size_t choice = 0; choice < 2; choice++) {
        io_fixture f;
        reader one;
        io_setup(&f);
        f.config.io = choices[choice];
        reset(&one, 2, 0);
        looked_at = &one;
        ADD("ask", .does_io = true, .hosted = hosted_read_round_a_receiver, .user = &one);
        io_start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.logged, 2);
        CHECK_EQ(f.values[0], BLOCK);
        CHECK_EQ(f.values[1], NOTHING);
        CHECK_EQ(one.results[1].value, BLOCK);
        io_teardown(&f);
    }
}

static int hosted_tell_at_the_phases_end(void *user, fol_task *task)
{
    const fol_io_intent told = {.until = FOL_IO_PHASE, .receiver = &looking_receiver};
    (void)user;
    CHECK_EQ(fol_io_queue_submit(task->io, &told, NULL), 0);
    return 0;
}

static void test_what_an_earlier_stage_asked_for_is_delivered_before_simple_results(void)
{
    io_fixture f;
    reader two;
    io_setup(&f);
    reset(&two, 2, 0);
    looked_at = &two;
    ADD("ask", .does_io = true, .writes_data = true, .hosted = hosted_tell_at_the_phases_end);
    ADD("read", .does_io = true, .reads_data = true, .hosted = hosted_read, .user = &two);
    io_start(&f);
    CHECK_EQ(fol_plan_segment_count(f.plan, 0), 2);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(f.logged, 2);
    CHECK_EQ(f.values[0], NOTHING);
    CHECK_EQ(f.values[1], NOTHING);
    check_read(&two, 0);
    io_teardown(&f);
}

/* Cancels the second of three reads before anything was sent. */
static int hosted_read_and_cancel(void *user, fol_task *task)
{
    reader *r = user;
    fol_io_intent cancel = {.request = {.kind = FOL_IO_CANCEL}};
    for (uint32_t i = 0; i < 3; i++) {
        const fol_io_intent intent = read_of(r, i, i);
        fol_io_handle handle = 0;
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, &handle), 0);
        cancel.request.handle = i == 1 ? handle : cancel.request.handle;
    }
    CHECK_EQ(fol_io_queue_submit(task->io, &cancel, NULL), 0);
    return 0;
}

static void test_a_simple_read_is_cancelled_by_its_handle(void)
{
    for (size_t choice = 0; choice < 2; choice++) {
        io_fixture f;
        reader one;
        io_setup(&f);
        f.config.io = choices[choice];
        ADD("ask", .does_io = true, .hosted = hosted_read_and_cancel, .user = &one);
        io_start(&f);
        for (int frame = 0; frame < 3; frame++) {
            reset(&one, 3, 0);
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
            CHECK_EQ(one.results[0].value, BLOCK);
            CHECK_EQ(one.results[1].value, -ECANCELED);
            CHECK_EQ(one.results[2].value, BLOCK);
        }
        io_teardown(&f);
    }
}

int main(void)
{
    make_files();
    make_blocks();
    RUN(test_reads_of_several_systems_come_whole_in_every_frame);
    RUN(test_reads_of_systems_on_several_workers_come_whole_in_every_frame);
    RUN(test_what_a_failed_system_asked_for_is_left_out_between_the_others);
    RUN(test_nothing_of_an_interrupted_frame_is_sent_and_its_slots_are_free);
    RUN(test_short_ends_and_failures_between_others_have_their_own_results);
    RUN(test_a_failure_without_a_place_for_it_fails_the_system_and_no_other_read);
    RUN(test_one_slot_serves_simple_and_other_intents_in_turn);
    RUN(test_results_are_written_in_the_order_of_asking_round_a_receiver);
    RUN(test_what_an_earlier_stage_asked_for_is_delivered_before_simple_results);
    RUN(test_a_simple_read_is_cancelled_by_its_handle);
    close(blocks_fd);
    remove_files();
    CHECK_MAIN_END();
}
