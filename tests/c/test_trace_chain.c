/* Chains of a trace: systems one after another in 4 bytes each, read back as whole records. */

#include "check.h"
#include "trace_race.h"

#define CAPACITY 64u
#define MOST     (CAPACITY / FOL_TRACE_CHAIN_PART)
#define ROOM     (2 * CAPACITY)
#define START    (UINT64_C(1) << 60)

static fol_trace_record records[ROOM];

static fol_trace *create(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(2, CAPACITY, &trace), 0);
    return trace;
}

static size_t read_caller(const fol_trace *trace, uint64_t *lost)
{
    return fol_trace_read(trace, 0, records, ROOM, lost);
}

/* When the last system of the chain ended. */
static uint64_t stamp;

static void begin_chain(fol_trace *trace, uint32_t systems, uint64_t start)
{
    stamp = start;
    fol_trace_begin_chain(trace, systems, &stamp);
}

/* As the frame does it: one row within a chain is what happens most. False when it has no entry. */
static bool follow(fol_trace *trace, uint32_t system, uint64_t rows, uint64_t end)
{
    uint64_t cycles = end > stamp ? end - stamp : 0;
    bool has_entry = true;
    if (fol_trace_is_chained(trace) && rows == 1 && cycles < FOL_TRACE_CHAIN_CYCLES) {
        fol_trace_follow_one_row(trace, system, (uint32_t)cycles);
    } else {
        has_entry = fol_trace_follow(trace, system, rows, stamp, end);
    }
    stamp = end;
    return has_entry;
}

/* Systems first, first + 1, … of ten cycles each, one after another; returns when the last ended.
 */
static uint64_t follow_many(fol_trace *trace, uint32_t first, uint32_t count, uint64_t start)
{
    for (uint32_t i = 0; i < count; i++) {
        follow(trace, first + i, 1, start + 10 * ((uint64_t)i + 1));
    }
    return start + 10 * (uint64_t)count;
}

static void check_system(const fol_trace_record *record, uint32_t system, uint32_t rows,
                         uint64_t start, uint64_t end)
{
    CHECK_EQ(record->kind, FOL_TRACE_SYSTEM);
    CHECK_EQ(record->worker, 0);
    CHECK_EQ(record->subject, system);
    CHECK_EQ(record->detail, rows);
    CHECK_EQ(record->start_cycles, start);
    CHECK_EQ(record->end_cycles, end);
}

static void test_a_chain_is_read_as_records_that_follow_each_other(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    fol_trace_begin_frame(trace, 7);
    begin_chain(trace, MOST, START);
    follow_many(trace, 40, 5, START);
    fol_trace_end_chain(trace);
    CHECK_EQ(read_caller(trace, &lost), 5);
    CHECK_EQ(lost, 0);
    for (uint32_t i = 0; i < 5; i++) {
        check_system(&records[i], 40 + i, 1, START + 10 * i, START + 10 * (i + 1));
        CHECK_EQ(records[i].frame, 7);
    }
    fol_trace_destroy(trace);
}

static void test_an_open_chain_is_not_read_yet(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST, START);
    follow_many(trace, 0, 5, START);
    CHECK_EQ(read_caller(trace, &lost), 0);
    CHECK_EQ(lost, 0);
    fol_trace_destroy(trace);
}

static void test_whatever_else_the_caller_writes_ends_the_chain_before_it(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST, START);
    uint64_t end = follow_many(trace, 0, 3, START);
    fol_trace_write(trace, 0, FOL_TRACE_HOST, 0, 0, end, end + 5);
    CHECK(!fol_trace_is_chained(trace));
    CHECK_EQ(read_caller(trace, &lost), 4);
    check_system(&records[2], 2, 1, START + 20, START + 30);
    CHECK_EQ(records[3].kind, FOL_TRACE_HOST);
    fol_trace_destroy(trace);
}

static void test_what_another_worker_writes_leaves_the_chain_open(void)
{
    fol_trace *trace = create();
    begin_chain(trace, MOST, START);
    fol_trace_write(trace, 1, FOL_TRACE_PARK, 0, 0, START, START);
    CHECK(fol_trace_is_chained(trace));
    fol_trace_destroy(trace);
}

static void test_behind_a_break_one_system_has_a_slot_and_the_next_a_chain_again(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST, START);
    uint64_t end = follow_many(trace, 0, 2, START);
    fol_trace_write(trace, 0, FOL_TRACE_CONDITION, 2, 1, end + 1, end + 2);
    follow(trace, 2, 1, end + 10);
    CHECK(fol_trace_is_chained(trace));
    follow_many(trace, 3, 2, end + 10);
    fol_trace_end_chain(trace);
    CHECK_EQ(read_caller(trace, &lost), 6);
    CHECK_EQ(records[2].kind, FOL_TRACE_CONDITION);
    check_system(&records[3], 2, 1, START + 20, START + 30);
    check_system(&records[4], 3, 1, START + 30, START + 40);
    check_system(&records[5], 4, 1, START + 40, START + 50);
    fol_trace_destroy(trace);
}

static void test_no_chain_begins_for_more_systems_than_were_announced(void)
{
    fol_trace *trace = create();
    begin_chain(trace, 3, START);
    fol_trace_write(trace, 0, FOL_TRACE_HOST, 0, 0, START, START);
    follow(trace, 0, 1, START + 10);
    CHECK(fol_trace_is_chained(trace));
    follow_many(trace, 1, 1, START + 10);
    fol_trace_write(trace, 0, FOL_TRACE_HOST, 0, 0, START, START);
    follow(trace, 2, 1, START + 30);
    CHECK(!fol_trace_is_chained(trace));
    fol_trace_destroy(trace);
}

static void test_rows_other_than_one_come_back(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST, START);
    follow(trace, 65535, 0, START + 1);
    follow(trace, 65535, 1, START + 2);
    follow(trace, 0, 70000, START + 3);
    follow(trace, 3, UINT64_C(1) << 40, START + 4);
    CHECK(fol_trace_is_chained(trace));
    fol_trace_end_chain(trace);
    CHECK_EQ(read_caller(trace, &lost), 4);
    check_system(&records[0], 65535, 0, START, START + 1);
    check_system(&records[1], 65535, 1, START + 1, START + 2);
    check_system(&records[2], 0, 70000, START + 2, START + 3);
    check_system(&records[3], 3, UINT32_MAX, START + 3, START + 4);
    fol_trace_destroy(trace);
}

static void test_a_system_longer_than_an_entry_can_say_has_a_slot(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    const uint64_t most = FOL_TRACE_CHAIN_CYCLES - 1;
    begin_chain(trace, MOST, START);
    CHECK(follow(trace, 0, 1, START + 10));
    CHECK(follow(trace, 1, 1, START + 10 + most));
    CHECK(follow(trace, 2, 2, START + 10 + 2 * most));
    CHECK(!follow(trace, 3, 1, START + 11 + 3 * most));
    CHECK(follow(trace, 4, 1, START + 12 + 3 * most));
    CHECK(!follow(trace, 5, 2, START + (UINT64_C(5) << 60)));
    CHECK_EQ(read_caller(trace, &lost), 6);
    check_system(&records[1], 1, 1, START + 10, START + 10 + most);
    check_system(&records[2], 2, 2, START + 10 + most, START + 10 + 2 * most);
    check_system(&records[3], 3, 1, START + 10 + 2 * most, START + 11 + 3 * most);
    check_system(&records[4], 4, 1, START + 11 + 3 * most, START + 12 + 3 * most);
    check_system(&records[5], 5, 2, START + 12 + 3 * most, START + (UINT64_C(5) << 60));
    fol_trace_destroy(trace);
}

static void test_a_counter_that_goes_back_makes_no_span_that_ends_before_it_starts(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST, START);
    follow(trace, 0, 1, START + 50);
    follow(trace, 1, 1, START - 20);
    follow(trace, 2, 1, START + 60);
    fol_trace_end_chain(trace);
    CHECK_EQ(read_caller(trace, &lost), 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(records[i].start_cycles <= records[i].end_cycles);
        CHECK(records[i].start_cycles >= START);
        CHECK(records[i].end_cycles <= START + 60);
    }
    fol_trace_destroy(trace);
}

static void test_more_systems_than_a_chain_may_have_are_told_in_several(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    uint64_t slots;
    uint64_t count;
    begin_chain(trace, 3 * MOST, START);
    follow_many(trace, 0, 2 * MOST + 1, START);
    CHECK_EQ(read_caller(trace, &lost), 2 * MOST);
    fol_trace_end_chain(trace);
    CHECK_EQ(read_caller(trace, &lost), 2 * MOST + 1);
    CHECK_EQ(lost, 0);
    for (uint32_t i = 0; i <= 2 * MOST; i++) {
        check_system(&records[i], i, 1, START + 10 * i, START + 10 * (i + 1));
    }
    fol_trace_count(trace, 0, &slots, &count);
    CHECK_EQ(slots, 3);
    CHECK_EQ(count, 2 * MOST + 1);
    fol_trace_destroy(trace);
}

static void test_a_full_chain_is_followed_by_one_with_rows_too(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST + 1, START);
    uint64_t end = follow_many(trace, 0, MOST, START);
    follow(trace, MOST, 300, end + 10);
    CHECK(!fol_trace_is_chained(trace));
    fol_trace_end_chain(trace);
    CHECK_EQ(read_caller(trace, &lost), MOST + 1);
    check_system(&records[MOST], MOST, 300, end, end + 10);
    fol_trace_destroy(trace);
}

static void test_a_capacity_too_small_for_chains_has_none(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(1, FOL_TRACE_CHAIN_PART / 2, &trace), 0);
    begin_chain(trace, 1, START);
    CHECK(!fol_trace_is_chained(trace));
    fol_trace_end_chain(trace);
    fol_trace_destroy(trace);
}

/* Whatever the lengths of chains, which decide where one does not fit before the ring's end. */
static void test_the_newest_records_up_to_the_capacity_are_kept_and_the_rest_is_counted(void)
{
    for (uint32_t length = 1; length <= 3 * MOST + 1; length++) {
        fol_trace *trace = create();
        uint64_t now = START;
        uint64_t written = 0;
        for (uint32_t round = 0; round < 200; round++) {
            uint64_t lost;
            begin_chain(trace, length, now);
            now = follow_many(trace, (uint32_t)written, length, now);
            fol_trace_end_chain(trace);
            written += length;
            uint64_t kept = written < CAPACITY ? written : CAPACITY;
            CHECK_EQ(read_caller(trace, &lost), kept);
            CHECK_EQ(lost, written - kept);
            check_system(&records[0], (uint32_t)(written - kept), 1, now - 10 * kept,
                         now - 10 * kept + 10);
            check_system(&records[kept - 1], (uint32_t)written - 1, 1, now - 10, now);
        }
        fol_trace_destroy(trace);
    }
}

static void test_a_small_room_gets_the_end_of_a_chain(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST, START);
    follow_many(trace, 0, 6, START);
    fol_trace_end_chain(trace);
    CHECK_EQ(fol_trace_read(trace, 0, records, 2, &lost), 2);
    CHECK_EQ(lost, 4);
    check_system(&records[0], 4, 1, START + 40, START + 50);
    check_system(&records[1], 5, 1, START + 50, START + 60);
    CHECK_EQ(fol_trace_read(trace, 0, NULL, 0, &lost), 0);
    CHECK_EQ(lost, 6);
    fol_trace_destroy(trace);
}

static void test_clearing_forgets_chains_but_not_the_open_one(void)
{
    fol_trace *trace = create();
    uint64_t lost;
    begin_chain(trace, MOST, START);
    uint64_t now = follow_many(trace, 0, 4, START);
    fol_trace_end_chain(trace);
    begin_chain(trace, MOST, now);
    follow_many(trace, 4, 2, now);
    fol_trace_clear(trace);
    CHECK_EQ(read_caller(trace, &lost), 0);
    CHECK_EQ(lost, 0);
    fol_trace_end_chain(trace);
    CHECK_EQ(read_caller(trace, &lost), 2);
    CHECK_EQ(lost, 0);
    check_system(&records[0], 4, 1, START + 40, START + 50);
    fol_trace_destroy(trace);
}

#define FRAME_EVERY 16u

/* The n-th system of all ends at 10 n; its number and rows tell which it is. */
static uint64_t rows_of(uint64_t n)
{
    return n % 3 == 0 ? n & 0xffffffu : 1;
}

static void *write_all_the_time(void *argument)
{
    trace_race *race = argument;
    uint64_t n = 0;
    for (uint64_t chain = 1; chain < SPINS_MAX && !race_is_over(race); chain++) {
        if (chain % FRAME_EVERY == 0) {
            fol_trace_begin_frame(race->trace, chain / FRAME_EVERY);
        }
        begin_chain(race->trace, MOST, 10 * n);
        for (uint64_t i = 0; i < 1 + chain % MOST; i++) {
            n++;
            follow(race->trace, (uint32_t)n & 0xffffu, rows_of(n), 10 * n);
        }
        if (chain % 5 == 0) {
            fol_trace_end_chain(race->trace);
            n++;
            follow(race->trace, (uint32_t)n & 0xffffu, rows_of(n), 10 * n);
        }
        fol_trace_end_chain(race->trace);
    }
    return NULL;
}

static bool is_sound(const fol_trace_record *one, const fol_trace_record *before)
{
    uint64_t n = one->end_cycles / 10;
    bool is_whole = one->end_cycles == 10 * n && one->start_cycles == 10 * (n - 1) &&
                    one->subject == (n & 0xffffu) && one->detail == rows_of(n) &&
                    one->kind == FOL_TRACE_SYSTEM && one->worker == 0;
    return is_whole && (before == NULL ||
                        (before->end_cycles == one->start_cycles && before->frame <= one->frame));
}

static void test_readers_beside_chains_see_whole_records_in_order(void)
{
    run_race(&(trace_race){.clears = false, .write = write_all_the_time, .is_sound = is_sound});
}

static void test_clearing_beside_chains_spoils_nothing(void)
{
    run_race(&(trace_race){.clears = true, .write = write_all_the_time, .is_sound = is_sound});
}

int main(void)
{
    RUN(test_a_chain_is_read_as_records_that_follow_each_other);
    RUN(test_an_open_chain_is_not_read_yet);
    RUN(test_whatever_else_the_caller_writes_ends_the_chain_before_it);
    RUN(test_what_another_worker_writes_leaves_the_chain_open);
    RUN(test_behind_a_break_one_system_has_a_slot_and_the_next_a_chain_again);
    RUN(test_no_chain_begins_for_more_systems_than_were_announced);
    RUN(test_rows_other_than_one_come_back);
    RUN(test_a_system_longer_than_an_entry_can_say_has_a_slot);
    RUN(test_a_counter_that_goes_back_makes_no_span_that_ends_before_it_starts);
    RUN(test_more_systems_than_a_chain_may_have_are_told_in_several);
    RUN(test_a_full_chain_is_followed_by_one_with_rows_too);
    RUN(test_a_capacity_too_small_for_chains_has_none);
    RUN(test_the_newest_records_up_to_the_capacity_are_kept_and_the_rest_is_counted);
    RUN(test_a_small_room_gets_the_end_of_a_chain);
    RUN(test_clearing_forgets_chains_but_not_the_open_one);
    RUN(test_readers_beside_chains_see_whole_records_in_order);
    RUN(test_clearing_beside_chains_spoils_nothing);
    CHECK_MAIN_END();
}
