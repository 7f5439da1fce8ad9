/* Random frames with I/O: one story, whoever runs what and whatever does the I/O.
 *
 * A case is drawn from a seed and told first by the blocking backend with blocking calls, then by
 * some of the other backends, numbers of workers and engines. After each frame the world, what was
 * delivered, in which order and with which content, the errors and the files that were written are
 * the same. Of every case each operation has one end, and no descriptor, slot or block of memory is
 * left. FOLIOT_FUZZ_CASES and FOLIOT_FUZZ_SEED choose how many cases to run and where to start;
 * with FOLIOT_STRESS there are thirty times as many.
 */

#include <sys/ioctl.h>

#include "frame_io_lane.h"
#include "world/world.h"

#define CASES       24
#define LANES       3
#define FRAMES      8
#define ERRORS_MAX  64
#define SCRATCH_MAX (4096u * ACTORS_MAX * SCRATCH_STEP)

static const choice reference = {"blocking", 1, FOL_IO_CHOICE_POOL};

static const choice choices[] = {
    {"blocking", 1, FOL_IO_CHOICE_RING},   {"evented", 1, FOL_IO_CHOICE_AUTO},
    {"evented", 1, FOL_IO_CHOICE_POOL},    {"threadpool", 2, FOL_IO_CHOICE_AUTO},
    {"threadpool", 3, FOL_IO_CHOICE_RING}, {"stealing", 1, FOL_IO_CHOICE_RING},
    {"stealing", 2, FOL_IO_CHOICE_AUTO},   {"stealing", 4, FOL_IO_CHOICE_RING},
    {"uring", 1, FOL_IO_CHOICE_AUTO},      {"uring", 4, FOL_IO_CHOICE_AUTO},
    {"uring", 2, FOL_IO_CHOICE_POOL},      {"adaptive", 2, FOL_IO_CHOICE_AUTO},
    {"adaptive", 4, FOL_IO_CHOICE_AUTO},
};

#define CHOICES (sizeof(choices) / sizeof(choices[0]))

/* What one frame came to. */
typedef struct chapter {
    int status;
    uint8_t digest[16];
    uint64_t scratch;
    uint64_t results; /* of those that have a place of their own */
    uint64_t operations;
    uint64_t applied;
    uint64_t dropped;
    uint32_t quarantined;
    uint32_t error_count;
    fol_frame_error errors[ERRORS_MAX];
    uint32_t first; /* of its deliveries */
    uint32_t count;
} chapter;

typedef struct story {
    chapter chapters[FRAMES + 1];
    uint32_t frames;
    delivery *deliveries;
    uint32_t delivered;
} story;

/* The place of a ticket in the order of the reference. */
typedef struct serial {
    uint64_t id;
    uint32_t index;
} serial;

static serial serials[TICKETS_MAX];
static uint32_t serial_count;

static uint64_t hash_scratch(const lane *l)
{
    static uint8_t content[SCRATCH_MAX];
    ssize_t size = pread(l->scratch, content, sizeof(content), 0);
    CHECK(size >= 0);
    return size < 0 ? 0 : hash_bytes(content, (size_t)size);
}

/* Sums do not depend on the order in which tickets were taken. */
static uint64_t sum_results(const lane *l, uint32_t frame)
{
    uint32_t count = atomic_load_explicit(&l->ticket_count, memory_order_relaxed);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const ticket *t = &l->tickets[i];
        if (t->has_result && t->drops == 0 && t->until != FOL_IO_LATER && t->frame == frame) {
            CHECK(t->result.value != INT64_MIN);
            sum += mix(t->id, (uint64_t)t->result.value);
        }
    }
    return sum;
}

static void drain(int fd)
{
    uint8_t letters[512];
    int waiting = 0;
    CHECK_EQ(ioctl(fd, FIONREAD, &waiting), 0);
    while (waiting > 0) {
        ssize_t size = read(fd, letters, sizeof(letters));
        waiting = CHECK(size > 0) ? waiting - (int)size : 0;
    }
}

static void tell(lane *l, story *s, int status)
{
    chapter *c = &s->chapters[s->frames++];
    const fol_frame *frame = fol_scheduler_frame(l->scheduler);
    memset(c, 0, sizeof(*c));
    c->status = status;
    fol_world_digest(l->world, c->digest);
    c->scratch = hash_scratch(l);
    c->results = sum_results(l, (uint32_t)frame->frame);
    c->operations = frame->io_operations;
    c->dropped = frame->merged.dropped;
    c->quarantined = frame->quarantined_count;
    for (uint32_t kind = 0; kind < FOL_COMMAND_KINDS; kind++) {
        c->applied = mix(c->applied, frame->merged.applied[kind]);
    }
    c->error_count = frame->error_count;
    for (uint32_t i = 0; i < frame->error_count && i < ERRORS_MAX; i++) {
        c->errors[i] = frame->errors[i];
    }
    c->first = s->delivered;
    c->count = l->delivered;
    CHECK(s->delivered + l->delivered <= TICKETS_MAX);
    memcpy(&s->deliveries[s->delivered], l->deliveries, l->delivered * sizeof(delivery));
    s->delivered += l->delivered;
}

static int tick(lane *l, double dt)
{
    l->delivered = 0;
    int status = fol_scheduler_tick(l->scheduler, dt);
    fol_world_invariants(l->world);
    drain(l->paired[0]);
    drain(l->filled[0]);
    drain(l->sockets[0]);
    if (l->kind == CASE_SETTLED) {
        settle(l);
    }
    return status;
}

/* A frame in which much may go wrong. */
static int tick_roughly(lane *l, double dt, uint64_t *random)
{
    bool must_fail = draw_below(random, 4) == 0;
    l->must_stop = draw_below(random, 40) == 0;
    fol_memory_fail_nth(must_fail ? 1 + draw_below(random, 60) : 0);
    int status = tick(l, dt);
    fol_memory_fail_nth(0);
    l->must_stop = false;
    CHECK(status == FOL_OK || status == FOL_E_FRAME || status == FOL_E_INTERRUPTED ||
          status == -ENOMEM);
    return status;
}

/* Frames that ask for nothing, until all that ends by itself was delivered. */
static void come_to_rest(lane *l)
{
    l->is_quiet = true;
    settle(l);
    (void)fol_scheduler_tick(l->scheduler, 0.0);
    check_slots_are_free(l);
}

static void check_tickets(const lane *l)
{
    uint32_t count = atomic_load_explicit(&l->ticket_count, memory_order_relaxed);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; i++) {
        const ticket *t = &l->tickets[i];
        uint32_t ends = t->finals + t->drops;
        ends += t->has_result && t->result.value != INT64_MIN;
        bool is_told = t->has_receiver || t->has_result;
        wrong += is_told ? ends != 1 : ends > 1;
    }
    CHECK_EQ(wrong, 0);
}

/* Runs a case in one lane, and tells what happened. */
static void run_lane(lane *l, case_kind kind, uint64_t seed, const choice *on, story *s)
{
    uint64_t random = mix(seed, 1);
    s->frames = 0;
    s->delivered = 0;
    open_lane(l, kind, seed, on);
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        double dt = (double)draw_below(&random, 30) * 0.01;
        if (draw_below(&random, 3) == 0) {
            CHECK_EQ(replan(l, draw_below(&random, 2)), 0);
        }
        bool is_rough = kind == CASE_ROUGH;
        int status = is_rough ? tick_roughly(l, dt, &random) : tick(l, dt);
        tell(l, s, status);
    }
    if (seed & 1) {
        l->delivered = 0;
        come_to_rest(l);
    }
    close_lane(l);
    check_tickets(l);
}

static int compare_serials(const void *a, const void *b)
{
    const serial *first = a;
    const serial *second = b;
    return (first->id > second->id) - (first->id < second->id);
}

static void learn_order(const lane *l)
{
    serial_count = atomic_load_explicit(&l->ticket_count, memory_order_relaxed);
    for (uint32_t i = 0; i < serial_count; i++) {
        serials[i] = (serial){l->tickets[i].id, i};
    }
    qsort(serials, serial_count, sizeof(*serials), compare_serials);
    for (uint32_t i = 1; i < serial_count; i++) {
        CHECK(serials[i - 1].id != serials[i].id);
    }
}

static bool is_same_place(fol_place a, fol_place b)
{
    return a.run == b.run && a.place == b.place;
}

/* Of what is delivered at one cut, and of what waits for the same in one frame, the earlier asked
 * comes first. */
static void check_order(const story *s)
{
    for (uint32_t frame = 0; frame < s->frames; frame++) {
        const chapter *c = &s->chapters[frame];
        int64_t last[3] = {-1, -1, -1};
        int64_t previous = -1;
        for (uint32_t i = 0; i < c->count; i++) {
            const delivery *d = &s->deliveries[c->first + i];
            const serial key = {.id = d->id};
            const serial *found =
                bsearch(&key, serials, serial_count, sizeof(*serials), compare_serials);
            if (!CHECK(found != NULL) || !CHECK((int64_t)found->index > last[d->until])) {
                return;
            }
            bool is_same_cut = i > 0 && is_same_place(d->cut, d[-1].cut);
            if (!CHECK(!is_same_cut || (int64_t)found->index > previous)) {
                return;
            }
            last[d->until] = found->index;
            previous = found->index;
        }
    }
}

static bool same_errors(const chapter *a, const chapter *b)
{
    bool is_same = CHECK_EQ(a->error_count, b->error_count);
    for (uint32_t i = 0; is_same && i < a->error_count && i < ERRORS_MAX; i++) {
        is_same = CHECK_EQ(a->errors[i].system, b->errors[i].system) &
                  CHECK_EQ(a->errors[i].status, b->errors[i].status) &
                  CHECK_EQ(a->errors[i].code, b->errors[i].code) &
                  CHECK_EQ(a->errors[i].is_merge, b->errors[i].is_merge) &
                  CHECK_EQ(a->errors[i].sequence, b->errors[i].sequence);
    }
    return is_same;
}

/* The next delivery that has its place in the story; NULL behind the last. */
static const delivery *next_delivery(const story *s, const chapter *c, case_kind kind,
                                     uint32_t *index)
{
    while (*index < c->count) {
        const delivery *d = &s->deliveries[c->first + (*index)++];
        if (kind == CASE_SETTLED || d->until != FOL_IO_LATER) {
            return d;
        }
    }
    return NULL;
}

static bool same_deliveries(const story *a, const story *b, uint32_t frame, case_kind kind)
{
    const chapter *first = &a->chapters[frame];
    const chapter *second = &b->chapters[frame];
    uint32_t i = 0;
    uint32_t k = 0;
    for (uint32_t turn = 0; turn <= first->count; turn++) {
        const delivery *one = next_delivery(a, first, kind, &i);
        const delivery *other = next_delivery(b, second, kind, &k);
        if (!CHECK((one == NULL) == (other == NULL))) {
            return false;
        }
        if (one == NULL) {
            break;
        }
        if (!(CHECK(one->id == other->id) & CHECK_EQ(one->value, other->value) &
              CHECK(one->content == other->content) & CHECK_EQ(one->until, other->until))) {
            return false;
        }
    }
    return true;
}

static void check_same_story(const story *a, const story *b, case_kind kind)
{
    CHECK_EQ(a->frames, b->frames);
    for (uint32_t frame = 0; frame < a->frames; frame++) {
        const chapter *first = &a->chapters[frame];
        const chapter *second = &b->chapters[frame];
        bool is_same =
            CHECK_EQ(first->status, second->status) & same_errors(first, second) &
            same_deliveries(a, b, frame, kind) & CHECK_EQ(first->operations, second->operations) &
            CHECK_EQ(first->dropped, second->dropped) & CHECK(first->applied == second->applied) &
            CHECK_EQ(first->quarantined, second->quarantined) &
            CHECK(first->results == second->results) & CHECK(first->scratch == second->scratch) &
            CHECK(memcmp(first->digest, second->digest, sizeof(first->digest)) == 0);
        if (!is_same) {
            fprintf(stderr, "  in frame %u\n", frame);
            return;
        }
    }
}

static uint32_t count_descriptors(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static uint64_t live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

/* One lane, with what must be as before after it. */
static void run_watched(lane *l, case_kind kind, uint64_t seed, const choice *on, story *s)
{
    int failures = check_failures;
    uint32_t descriptors = count_descriptors();
    uint64_t blocks = live_blocks();
    run_lane(l, kind, seed, on, s);
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK_EQ(live_blocks(), blocks);
    if (check_failures != failures) {
        fprintf(stderr, "  on %s with %u workers, io %d\n", on->backend, on->workers, on->io);
    }
}

static void run_case(uint64_t seed, case_kind kind)
{
    static lane l;
    static story model;
    static story other;
    int failures = check_failures;
    if (l.tickets == NULL) {
        l.tickets = calloc(TICKETS_MAX, sizeof(ticket));
        l.deliveries = calloc(TICKETS_MAX, sizeof(delivery));
        model.deliveries = calloc(TICKETS_MAX, sizeof(delivery));
        other.deliveries = calloc(TICKETS_MAX, sizeof(delivery));
    }
    run_watched(&l, kind, seed, &reference, &model);
    if (kind != CASE_ROUGH) {
        learn_order(&l);
        check_order(&model);
    }
    for (uint32_t i = 0; i < LANES; i++) {
        const choice *on = &choices[(seed * LANES + i) % CHOICES];
        int before = check_failures;
        run_watched(&l, kind, seed, on, &other);
        if (kind != CASE_ROUGH) {
            check_order(&other);
            check_same_story(&model, &other, kind);
        }
        if (check_failures != before) {
            fprintf(stderr, "  told by %s with %u workers, io %d\n", on->backend, on->workers,
                    on->io);
        }
    }
    if (check_failures != failures) {
        fprintf(stderr, "FOLIOT_FUZZ_SEED=%" PRIu64 " FOLIOT_FUZZ_CASES=1\n", seed);
    }
}

/* What the process makes once for all schedulers is there before anything is counted. */
static void warm_up(void)
{
    const choice several = {"stealing", 2, FOL_IO_CHOICE_AUTO};
    lane l = {.tickets = calloc(TICKETS_MAX, sizeof(ticket)),
              .deliveries = calloc(TICKETS_MAX, sizeof(delivery))};
    open_lane(&l, CASE_LOOSE, 1, &several);
    close_lane(&l);
    free(l.tickets);
    free(l.deliveries);
}

static void run_cases(case_kind kind)
{
    uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    uint64_t cases = setting("FOLIOT_FUZZ_CASES", CASES * (getenv("FOLIOT_STRESS") ? 30u : 1u));
    for (uint64_t i = 0; i < cases; i++) {
        run_case(first + i, kind);
    }
}

static void test_frames_with_io_have_one_result_whoever_does_it(void)
{
    run_cases(CASE_SETTLED);
}

static void test_later_operations_come_in_order_and_change_nothing_else(void)
{
    run_cases(CASE_LOOSE);
}

static void test_every_operation_has_one_end_whatever_goes_wrong(void)
{
    run_cases(CASE_ROUGH);
}

int main(void)
{
    make_files();
    warm_up();
    RUN(test_frames_with_io_have_one_result_whoever_does_it);
    RUN(test_later_operations_come_in_order_and_change_nothing_else);
    RUN(test_every_operation_has_one_end_whatever_goes_wrong);
    remove_files();
    CHECK_MAIN_END();
}
