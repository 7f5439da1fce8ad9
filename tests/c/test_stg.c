/* Standard Task Graph files: what is read, every refusal with its place, random and broken text. */

#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "check.h"
#include "foliot/memory.h"
#include "foliot/sim_graph.h"
#include "foliot/status.h"
#include "stress.h"

typedef struct reading {
    fol_sim_graph *graph;
    uint64_t *ids;
    fol_stg_fault fault;
    int status;
    char sentence[512];
} reading;

static reading read_bytes(const char *text, size_t size)
{
    reading r = {.graph = NULL};
    r.status = fol_stg_parse(text, size, &r.graph, &r.ids, &r.fault);
    fol_stg_explain(&r.fault, text, r.sentence, sizeof(r.sentence));
    return r;
}

static reading read_stg(const char *text)
{
    return read_bytes(text, strlen(text));
}

static void release(reading *r)
{
    fol_sim_graph_destroy(r->graph);
    fol_stg_release_ids(r->ids);
}

static void check_refused(const char *text, fol_stg_fault_kind kind, uint64_t line, uint64_t column,
                          const char *sentence)
{
    reading r = read_stg(text);
    CHECK(r.status == FOL_E_VALUE || r.status == FOL_E_CYCLE);
    CHECK(r.graph == NULL && r.ids == NULL);
    CHECK_EQ(r.fault.kind, kind);
    CHECK_EQ(r.fault.line, line);
    CHECK_EQ(r.fault.column, column);
    if (!CHECK_STR(r.sentence, sentence)) {
        fprintf(stderr, "%s\n", r.sentence);
    }
}

static void test_rows_become_tasks_in_their_order(void)
{
    reading r = read_stg("3\n7 5 0\n2 4 1 7\n9 1 2 7 2\n");
    CHECK_EQ(r.status, FOL_OK);
    CHECK_EQ(fol_sim_graph_count(r.graph), 3);
    CHECK(r.ids[0] == 7 && r.ids[1] == 2 && r.ids[2] == 9);
    CHECK_EQ(fol_sim_graph_cost(r.graph, 1), 4);
    uint64_t count;
    const uint32_t *before = fol_sim_graph_predecessors(r.graph, 2, &count);
    CHECK(count == 2 && before[0] == 0 && before[1] == 1);
    release(&r);
}

static void test_dummies_may_make_two_rows_more(void)
{
    reading r = read_stg("2\n 0 0 0\n 1 5 1 0\n 2 4 1 0\n 3 0 2 1 2\n");
    CHECK_EQ(r.status, FOL_OK);
    CHECK_EQ(fol_sim_graph_count(r.graph), 4);
    CHECK_EQ(fol_sim_graph_critical_path(r.graph), 5);
    release(&r);
}

static void test_comments_and_any_white_space_part_numbers(void)
{
    reading r = read_stg("# head\n2 # tasks\n\r\n1\t5\v0\f# one\n2 4\n1 1#end");
    CHECK_EQ(r.status, FOL_OK);
    CHECK_EQ(fol_sim_graph_edges(r.graph), 1);
    release(&r);
}

static void test_row_may_come_before_its_predecessor(void)
{
    reading r = read_stg("2\n1 5 1 2\n2 4 0\n");
    CHECK_EQ(r.status, FOL_OK);
    CHECK_EQ(fol_sim_graph_critical_path(r.graph), 9);
    release(&r);
}

static void test_no_tasks_are_a_graph(void)
{
    reading r = read_stg("0\n");
    CHECK_EQ(r.status, FOL_OK);
    CHECK_EQ(fol_sim_graph_count(r.graph), 0);
    release(&r);
}

static void test_what_is_no_number_is_refused_at_its_place(void)
{
    check_refused("x", FOL_STG_FAULT_TOKEN, 1, 1,
                  "expected the number of tasks, a whole number of at least 0, got 'x'");
    check_refused("1\n1 -5 0\n", FOL_STG_FAULT_TOKEN, 2, 3,
                  "expected the cost of a task, a whole number of at least 0, got '-5'");
    check_refused("1\n1 5.0 0\n", FOL_STG_FAULT_TOKEN, 2, 3,
                  "expected the cost of a task, a whole number of at least 0, got '5.0'");
    check_refused("1\n  1 5 \x01\xff"
                  "abcdefghijklmnopqrstuvwxyz\n",
                  FOL_STG_FAULT_TOKEN, 2, 7,
                  "expected the number of predecessors of a task, a whole number of at least 0, "
                  "got '??abcdefghijklmnopqrstuv...'");
}

static void test_number_beyond_its_limit_is_refused(void)
{
    check_refused("1\n1 9223372036854775807 0\n", FOL_STG_FAULT_RANGE, 2, 3,
                  "the cost of a task is at most 9223372036854775806, got '9223372036854775807'");
    check_refused("2147483646\n", FOL_STG_FAULT_RANGE, 1, 1,
                  "the number of tasks is at most 2147483645, got '2147483646'");
    check_refused("1\n99999999999999999999999999 1 0", FOL_STG_FAULT_RANGE, 2, 1,
                  "the id of a task is at most 9223372036854775807, got "
                  "'999999999999999999999999...'");
}

static void test_text_that_ends_within_a_row_is_refused(void)
{
    check_refused("", FOL_STG_FAULT_END, 1, 1, "expected the number of tasks, but the text ends");
    check_refused("1\n1 5", FOL_STG_FAULT_END, 2, 4,
                  "expected the number of predecessors of a task, but the text ends");
    check_refused("2\n1 5 0\n2 4 3 1\n", FOL_STG_FAULT_END, 4, 1,
                  "expected the id of a predecessor, but the text ends");
}

static void test_rows_that_are_not_as_many_as_said_are_refused(void)
{
    check_refused("3\n1 5 0\n2 4 0\n", FOL_STG_FAULT_COUNT, 4, 1,
                  "the first number says 3 tasks, but there are 2 rows; there may be that many, or "
                  "two more, the dummies: id 0 of cost 0 without predecessors and id 4 of cost 0");
    /* Two more, but no dummies. */
    check_refused("0\n0 1 0\n1 0 0\n", FOL_STG_FAULT_COUNT, 4, 1,
                  "the first number says 0 tasks, but there are 2 rows; there may be that many, or "
                  "two more, the dummies: id 0 of cost 0 without predecessors and id 1 of cost 0");
}

static void test_wrong_count_is_told_where_it_began(void)
{
    check_refused("3\n1 5 0\n2 4 3 1\n3 6 1 2\n", FOL_STG_FAULT_END, 5, 1,
                  "expected the number of predecessors of a task, but the text ends (line 3 is the "
                  "first that does not hold just one row)");
}

static void test_same_id_twice_is_refused(void)
{
    check_refused("2\n1 5 0\n 1 4 0\n", FOL_STG_FAULT_ID_TWICE, 3, 2,
                  "the id 1 is that of an earlier row");
}

static void test_unknown_predecessor_is_refused_at_its_place(void)
{
    check_refused("2\n1 5 0\n2 4 2 1 8 # eight\n", FOL_STG_FAULT_UNKNOWN, 3, 9,
                  "predecessor 8 is the id of no row");
}

static void test_predecessor_named_twice_is_refused(void)
{
    check_refused("2\n1 5 0\n2 4 2 1 1\n", FOL_STG_FAULT_GRAPH, 3, 1,
                  "predecessor 1 is named twice in this row");
}

static void test_sum_of_costs_beyond_64_bits_is_refused(void)
{
    check_refused("2\n1 9223372036854775806 0\n2 1 0\n", FOL_STG_FAULT_GRAPH, 3, 1,
                  "with the cost of this row the sum of all costs exceeds 9223372036854775806");
}

static void test_cycle_is_told_by_ids(void)
{
    reading r = read_stg("3\n5 1 1 8\n8 1 1 5\n9 1 0\n");
    CHECK_EQ(r.status, FOL_E_CYCLE);
    CHECK_STR(r.sentence, "the tasks wait for each other in a cycle: 5 -> 8 -> 5");
}

static void test_long_cycle_is_cut(void)
{
    char text[1024];
    size_t used = (size_t)snprintf(text, sizeof(text), "20\n");
    for (int i = 0; i < 20; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%d 1 1 %d\n", i, (i + 19) % 20);
    }
    reading r = read_stg(text);
    CHECK_EQ(r.status, FOL_E_CYCLE);
    CHECK(strstr(r.sentence, "-> (4 more) -> ") != NULL);
}

static void test_sentence_is_cut_to_its_room(void)
{
    reading r = read_stg("x");
    char small[9];
    CHECK_EQ(fol_stg_explain(&r.fault, "x", small, sizeof(small)), strlen(r.sentence));
    CHECK_STR(small, "expected");
    CHECK_EQ(fol_stg_explain(&r.fault, "x", NULL, 0), strlen(r.sentence));
}

/* Whatever the text, it is read or refused at a place within it. */
static void check_any(const char *text, size_t size)
{
    /* On the heap in its exact size, so that a read beyond it is seen. */
    char *copy = malloc(size + (size == 0));
    memcpy(copy, text, size);
    reading r = read_bytes(copy, size);
    if (r.status == FOL_OK) {
        CHECK(r.fault.kind == FOL_STG_FAULT_NONE && r.sentence[0] == '\0');
    } else {
        CHECK(r.status == FOL_E_VALUE || r.status == FOL_E_CYCLE);
        CHECK(r.fault.kind != FOL_STG_FAULT_NONE && r.sentence[0] != '\0');
        CHECK(r.fault.line >= 1 && r.fault.column >= 1);
        CHECK(r.fault.offset + r.fault.length <= size);
    }
    release(&r);
    free(copy);
}

static void test_random_bytes_are_read_or_refused(void)
{
    static const char letters[] = "0123456789 \n\n  #-x\t";
    uint32_t rounds = stress_rounds(60000);
    for (uint32_t seed = 0; seed < rounds; seed++) {
        fol_rng rng;
        fol_rng_init(&rng, stress_seed() * 1000003 + seed);
        char text[96];
        uint32_t size = fol_rng_below(&rng, sizeof(text));
        bool is_wild = seed % 4 == 0;
        for (uint32_t i = 0; i < size; i++) {
            text[i] = is_wild ? (char)fol_rng_below(&rng, 256)
                              : letters[fol_rng_below(&rng, sizeof(letters) - 1)];
        }
        check_any(text, size);
    }
}

static size_t write_graph(char *text, size_t room, fol_rng *rng)
{
    uint32_t count = fol_rng_below(rng, 12);
    size_t used = (size_t)snprintf(text, room, "%u\n", count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t edges = i == 0 ? 0 : fol_rng_below(rng, i < 4 ? i : 4);
        used += (size_t)snprintf(text + used, room - used, "%u %u %u", i, fol_rng_below(rng, 100),
                                 edges);
        uint32_t from = i == 0 ? 0 : fol_rng_below(rng, i);
        for (uint32_t k = 0; k < edges; k++) {
            used += (size_t)snprintf(text + used, room - used, " %u", (from + k) % i);
        }
        used += (size_t)snprintf(text + used, room - used, "\n");
    }
    return used;
}

static void test_graphs_are_read_and_their_mutants_read_or_refused(void)
{
    uint32_t rounds = stress_rounds(20000);
    for (uint32_t seed = 0; seed < rounds; seed++) {
        fol_rng rng;
        fol_rng_init(&rng, stress_seed() * 1000003 + seed);
        char text[512];
        size_t size = write_graph(text, sizeof(text), &rng);
        reading r = read_bytes(text, size);
        if (!CHECK_EQ(r.status, FOL_OK)) {
            fprintf(stderr, "seed %u: %s\n", seed, r.sentence);
        }
        release(&r);
        uint32_t changes = 1 + fol_rng_below(&rng, 3);
        for (uint32_t i = 0; i < changes; i++) {
            text[fol_rng_below(&rng, (uint32_t)size)] = "0179 \n#-"[fol_rng_below(&rng, 8)];
        }
        check_any(text, fol_rng_below(&rng, 2) == 0 ? size : fol_rng_below(&rng, (uint32_t)size));
    }
}

static void test_every_failed_allocation_leaves_nothing_behind(void)
{
    const char *text = "3\n1 5 0\n2 4 1 1\n3 2 2 1 2\n";
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    int status = -ENOMEM;
    uint64_t n = 0;
    while (status == -ENOMEM && n < 100) {
        fol_memory_fail_nth(++n);
        reading r = read_stg(text);
        status = r.status;
        CHECK(status == FOL_OK || (status == -ENOMEM && r.fault.kind == FOL_STG_FAULT_NONE));
        release(&r);
        fol_memory_read_stats(&after);
        CHECK_EQ(after.live_blocks, before.live_blocks);
    }
    CHECK(n > 10 && fol_memory_failure_is_armed());
    fol_memory_fail_nth(0);
}

int main(void)
{
    RUN(test_rows_become_tasks_in_their_order);
    RUN(test_dummies_may_make_two_rows_more);
    RUN(test_comments_and_any_white_space_part_numbers);
    RUN(test_row_may_come_before_its_predecessor);
    RUN(test_no_tasks_are_a_graph);
    RUN(test_what_is_no_number_is_refused_at_its_place);
    RUN(test_number_beyond_its_limit_is_refused);
    RUN(test_text_that_ends_within_a_row_is_refused);
    RUN(test_rows_that_are_not_as_many_as_said_are_refused);
    RUN(test_wrong_count_is_told_where_it_began);
    RUN(test_same_id_twice_is_refused);
    RUN(test_unknown_predecessor_is_refused_at_its_place);
    RUN(test_predecessor_named_twice_is_refused);
    RUN(test_sum_of_costs_beyond_64_bits_is_refused);
    RUN(test_cycle_is_told_by_ids);
    RUN(test_long_cycle_is_cut);
    RUN(test_sentence_is_cut_to_its_room);
    RUN(test_random_bytes_are_read_or_refused);
    RUN(test_graphs_are_read_and_their_mutants_read_or_refused);
    RUN(test_every_failed_allocation_leaves_nothing_behind);
    stress_report();
    CHECK_MAIN_END();
}
