/* Trace rings: what they keep, what they lose, and readers beside a writer at full speed. */

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "foliot/memory.h"
#include "trace_race.h"

static void write_number(fol_trace *trace, uint32_t worker, uint64_t number)
{
    fol_trace_write(trace, worker, FOL_TRACE_SYSTEM, (uint32_t)number, ~(uint32_t)number, number,
                    number * 3);
}

/* Every word of the record was written by one call with this number. */
static bool is_whole(const fol_trace_record *record, uint32_t worker)
{
    uint64_t number = record->start_cycles;
    return record->end_cycles == number * 3 && record->subject == (uint32_t)number &&
           record->detail == ~(uint32_t)number && record->kind == FOL_TRACE_SYSTEM &&
           record->worker == worker;
}

static void test_an_empty_ring_reads_as_nothing(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(2, 4, &trace), 0);
    fol_trace_record record;
    uint64_t lost = 7;
    CHECK_EQ(fol_trace_read(trace, 1, &record, 1, &lost), 0);
    CHECK_EQ(lost, 0);
    fol_trace_destroy(trace);
}

static void test_capacity_is_the_next_power_of_two(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(1, 5, &trace), 0);
    CHECK_EQ(fol_trace_capacity(trace), 8);
    fol_trace_destroy(trace);
    CHECK_EQ(fol_trace_create(1, 0, &trace), 0);
    CHECK_EQ(fol_trace_capacity(trace), 1);
    fol_trace_destroy(trace);
    CHECK_EQ(fol_trace_create(1, UINT32_MAX, &trace), -ENOMEM);
}

static void test_records_come_back_as_written_and_in_order(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(2, 8, &trace), 0);
    fol_trace_begin_frame(trace, UINT64_C(0x100000005));
    write_number(trace, 0, 10);
    write_number(trace, 1, 20);
    write_number(trace, 1, 21);
    fol_trace_record records[8];
    uint64_t lost;
    CHECK_EQ(fol_trace_read(trace, 1, records, 8, &lost), 2);
    CHECK_EQ(lost, 0);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(is_whole(&records[i], 1));
        CHECK_EQ(records[i].start_cycles, 20 + i);
        CHECK_EQ(records[i].frame, 5);
    }
    fol_trace_destroy(trace);
}

static void test_a_span_that_ends_before_it_starts_is_an_instant(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(1, 2, &trace), 0);
    fol_trace_write(trace, 0, FOL_TRACE_PARK, 0, 0, 100, 90);
    fol_trace_record record;
    uint64_t lost;
    CHECK_EQ(fol_trace_read(trace, 0, &record, 1, &lost), 1);
    CHECK_EQ(record.start_cycles, 100);
    CHECK_EQ(record.end_cycles, 100);
    fol_trace_destroy(trace);
}

static void test_a_full_ring_keeps_the_newest_and_counts_the_rest(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(1, 8, &trace), 0);
    for (uint64_t i = 0; i < 20; i++) {
        write_number(trace, 0, i);
    }
    fol_trace_record records[16];
    uint64_t lost;
    CHECK_EQ(fol_trace_read(trace, 0, records, 16, &lost), 8);
    CHECK_EQ(lost, 12);
    CHECK_EQ(records[0].start_cycles, 12);
    CHECK_EQ(records[7].start_cycles, 19);
    fol_trace_destroy(trace);
}

static void test_a_small_room_gets_the_newest(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(1, 8, &trace), 0);
    for (uint64_t i = 0; i < 6; i++) {
        write_number(trace, 0, i);
    }
    fol_trace_record records[2];
    uint64_t lost;
    CHECK_EQ(fol_trace_read(trace, 0, records, 2, &lost), 2);
    CHECK_EQ(lost, 4);
    CHECK_EQ(records[0].start_cycles, 4);
    CHECK_EQ(fol_trace_read(trace, 0, NULL, 0, &lost), 0);
    CHECK_EQ(lost, 6);
    fol_trace_destroy(trace);
}

static void test_clearing_forgets_all_workers_and_losses(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(2, 4, &trace), 0);
    for (uint64_t i = 0; i < 9; i++) {
        write_number(trace, 0, i);
        write_number(trace, 1, i);
    }
    fol_trace_clear(trace);
    write_number(trace, 1, 100);
    fol_trace_record records[4];
    uint64_t lost;
    CHECK_EQ(fol_trace_read(trace, 0, records, 4, &lost), 0);
    CHECK_EQ(lost, 0);
    CHECK_EQ(fol_trace_read(trace, 1, records, 4, &lost), 1);
    CHECK_EQ(lost, 0);
    CHECK_EQ(records[0].start_cycles, 100);
    fol_trace_destroy(trace);
}

static void test_every_kind_has_a_name(void)
{
    CHECK_STR(fol_trace_kind_name(FOL_TRACE_FRAME), "frame");
    CHECK_STR(fol_trace_kind_name(FOL_TRACE_HOST), "host");
    for (int kind = 0; kind < FOL_TRACE_KINDS; kind++) {
        CHECK(fol_trace_kind_name((fol_trace_kind)kind)[0] != '\0');
    }
    CHECK_STR(fol_trace_kind_name(FOL_TRACE_KINDS), "unknown");
}

static void test_each_refused_allocation_leaves_nothing_behind(void)
{
    fol_memory_stats before, after;
    fol_memory_read_stats(&before);
    int status = -ENOMEM;
    uint64_t n = 0;
    while (status != 0 && n < 100) {
        n++;
        fol_trace *trace = NULL;
        fol_memory_fail_nth(n);
        status = fol_trace_create(3, 16, &trace);
        fol_memory_fail_nth(0);
        if (status == 0) {
            fol_trace_destroy(trace);
        } else {
            CHECK_EQ(status, -ENOMEM);
            CHECK(trace == NULL);
        }
    }
    CHECK_EQ(n, 8);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

#define FRAME_EVERY 100u

static void *write_all_the_time(void *argument)
{
    trace_race *race = argument;
    for (uint64_t i = 1; i < SPINS_MAX && !race_is_over(race); i++) {
        if (i % FRAME_EVERY == 0) {
            fol_trace_begin_frame(race->trace, i / FRAME_EVERY);
        }
        write_number(race->trace, 1, i);
    }
    return NULL;
}

static bool is_sound(const fol_trace_record *record, const fol_trace_record *before)
{
    bool rises = before == NULL || (record->start_cycles == before->start_cycles + 1 &&
                                    record->frame >= before->frame);
    return rises && is_whole(record, 1) && record->frame == record->start_cycles / FRAME_EVERY;
}

static void test_readers_beside_a_writer_see_whole_records_in_order(void)
{
    run_race(&(trace_race){
        .worker = 1, .clears = false, .write = write_all_the_time, .is_sound = is_sound});
}

static void test_clearing_beside_a_writer_spoils_nothing(void)
{
    run_race(&(trace_race){
        .worker = 1, .clears = true, .write = write_all_the_time, .is_sound = is_sound});
}

int main(void)
{
    RUN(test_an_empty_ring_reads_as_nothing);
    RUN(test_capacity_is_the_next_power_of_two);
    RUN(test_records_come_back_as_written_and_in_order);
    RUN(test_a_span_that_ends_before_it_starts_is_an_instant);
    RUN(test_a_full_ring_keeps_the_newest_and_counts_the_rest);
    RUN(test_a_small_room_gets_the_newest);
    RUN(test_clearing_forgets_all_workers_and_losses);
    RUN(test_every_kind_has_a_name);
    RUN(test_each_refused_allocation_leaves_nothing_behind);
    RUN(test_readers_beside_a_writer_see_whole_records_in_order);
    RUN(test_clearing_beside_a_writer_spoils_nothing);
    CHECK_MAIN_END();
}
