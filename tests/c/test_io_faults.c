/* Frames of random I/O: reads of pipes, timeouts and cancels that race, driven by threads that end
 * with operations in flight, and forks in the middle.
 *
 * Each operation has a record; whatever happens it must be told of its end exactly once, by a last
 * delivery or by a drop. The seed is printed when a check fails.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "draw.h"
#include "frame_io_model.h"
#include "stress.h"

#define PIPES       8u
#define CHAOTICS    3u
#define RECORDS_MAX 60000u
#define HANG_S      300u

typedef struct record {
    fol_io_handle handle;
    uint32_t kind;
    uint32_t ends; /* last deliveries and drops */
    int64_t value;
    uint8_t byte; /* what is read into, or written from */
} record;

/* One system and all it ever asked for. */
typedef struct chaotic {
    uint64_t draws;
    record *records;
    uint32_t count;
    uint32_t limit;
    uint32_t cancels;
} chaotic;

static int pipes[PIPES][2];

static const struct {
    const char *backend;
    uint32_t workers;
    fol_io_choice io;
} ways[] = {
    {"blocking", 1, FOL_IO_CHOICE_POOL}, {"blocking", 1, FOL_IO_CHOICE_RING},
    {"evented", 1, FOL_IO_CHOICE_AUTO},  {"stealing", 3, FOL_IO_CHOICE_RING},
    {"stealing", 3, FOL_IO_CHOICE_POOL}, {"uring", 3, FOL_IO_CHOICE_AUTO},
    {"adaptive", 2, FOL_IO_CHOICE_AUTO},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static bool note_result(void *user, const fol_io_result *result)
{
    record *one = user;
    one->value = result->value;
    one->ends += (result->flags & FOL_IO_MORE) == 0;
    return true;
}

static void note_drop(void *user)
{
    record *one = user;
    one->value = -ECANCELED;
    one->ends++;
}

static const fol_io_receiver note_receiver = {.deliver = note_result, .drop = note_drop};

static void ask(chaotic *c, fol_task *task, fol_io_request request, fol_io_until until)
{
    record *one = &c->records[c->count++];
    *one = (record){.kind = request.kind, .value = INT64_MIN};
    if (request.kind == FOL_IO_READ || request.kind == FOL_IO_WRITE) {
        request.buffer = &one->byte;
    }
    const fol_io_intent intent = {
        .request = request, .until = until, .receiver = &note_receiver, .user = one};
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, &one->handle), 0);
}

static void ask_something(chaotic *c, fol_task *task)
{
    int *ends = pipes[draw_below(&c->draws, PIPES)];
    fol_io_until until = draw_below(&c->draws, 4) == 0 ? FOL_IO_PHASE : FOL_IO_LATER;
    switch (draw_below(&c->draws, 6)) {
    case 0:
        ask(c, task,
            (fol_io_request){
                .kind = FOL_IO_READ, .fd = ends[0], .size = 1, .offset = FOL_IO_CURRENT},
            FOL_IO_LATER);
        break;
    case 1:
        ask(c, task,
            (fol_io_request){
                .kind = FOL_IO_WRITE, .fd = ends[1], .size = 1, .offset = FOL_IO_CURRENT},
            FOL_IO_LATER);
        break;
    case 2:
        ask(c, task,
            (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = draw_below(&c->draws, 100000)},
            until);
        break;
    case 3:
        ask(c, task, (fol_io_request){.kind = FOL_IO_NOP}, until);
        break;
    case 4:
        ask(c, task,
            (fol_io_request){.kind = FOL_IO_POLL,
                             .fd = ends[0],
                             .options = 1,
                             .timeout_ns = 1 + draw_below(&c->draws, 1000000)},
            FOL_IO_LATER);
        break;
    default:
        ask(c, task,
            (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = UINT64_C(3600000000000)},
            FOL_IO_LATER);
        break;
    }
}

/* Asks for a few things, and cancels a few of the latest, ended or not. */
static int hosted_chaos(void *user, fol_task *task)
{
    chaotic *c = user;
    for (int i = 0; i < 8 && c->count + 16 < c->limit; i++) {
        ask_something(c, task);
    }
    uint32_t before = c->count;
    for (int i = 0; i < 8 && before > 0 && c->count < c->limit; i++) {
        uint32_t back = 1 + draw_below(&c->draws, before < 40 ? before : 40);
        const record *of = &c->records[before - back];
        fol_io_until until = draw_below(&c->draws, 2) == 0 ? FOL_IO_STAGE : FOL_IO_LATER;
        if (of->kind != FOL_IO_CANCEL) {
            c->cancels++;
            ask(c, task, (fol_io_request){.kind = FOL_IO_CANCEL, .handle = of->handle}, until);
        }
    }
    return 0;
}

static void open_pipes(void)
{
    for (uint32_t i = 0; i < PIPES; i++) {
        CHECK_EQ(pipe2(pipes[i], O_CLOEXEC), 0);
    }
}

static void close_pipes(void)
{
    for (uint32_t i = 0; i < PIPES; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void start_chaos(io_fixture *f, size_t way, chaotic *systems, uint64_t seed)
{
    static const char *const names[CHAOTICS] = {"one", "two", "three"};
    io_setup(f);
    f->config.backend = ways[way].backend;
    f->config.workers = ways[way].workers;
    f->config.io = ways[way].io;
    f->config.max_io = RECORDS_MAX;
    f->config.target_task_seconds = 1e-7;
    open_pipes();
    for (uint32_t i = 0; i < CHAOTICS; i++) {
        systems[i] = (chaotic){.draws = seed + i, .limit = RECORDS_MAX};
        systems[i].records = malloc(RECORDS_MAX * sizeof(record));
        CHECK(systems[i].records != NULL);
        io_add(f, (io_brief){.name = names[i],
                             .phase = 0,
                             .does_io = true,
                             .hosted = hosted_chaos,
                             .user = &systems[i]});
    }
    io_start(f);
}

/* Everything has had its one end, and what was left in the pipes is the pipes'. */
static uint32_t end_chaos(io_fixture *f, chaotic *systems, uint64_t seed, size_t way)
{
    io_teardown(f);
    uint32_t bad = 0;
    uint32_t cancels = 0;
    for (uint32_t i = 0; i < CHAOTICS; i++) {
        for (uint32_t k = 0; k < systems[i].count; k++) {
            const record *one = &systems[i].records[k];
            bool is_known = one->value >= 0 || one->value == -ECANCELED ||
                            one->value == -ETIMEDOUT ||
                            (one->value == -ENOENT && one->kind == FOL_IO_CANCEL);
            bad += one->ends != 1 || !is_known;
        }
        cancels += systems[i].cancels;
        free(systems[i].records);
    }
    close_pipes();
    if (!CHECK_EQ(bad, 0)) {
        fprintf(stderr, "  on %s with io %d, FOLIOT_SEED=%llu\n", ways[way].backend,
                (int)ways[way].io, (unsigned long long)seed);
    }
    return cancels;
}

static void test_cancels_that_race_completions_leave_each_operation_one_end(void)
{
    uint32_t cancels = 0;
    for (size_t way = 0; way < WAYS; way++) {
        io_fixture f;
        chaotic systems[CHAOTICS];
        uint64_t seed = stress_seed() + way;
        start_chaos(&f, way, systems, seed);
        uint32_t frames = stress_rounds(100) > 1500 ? 1500 : stress_rounds(100);
        for (uint32_t frame = 0; frame < frames; frame++) {
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        }
        cancels += end_chaos(&f, systems, seed, way);
    }
    CHECK(cancels >= 10000);
}

static void *drive(void *argument)
{
    fol_scheduler *scheduler = argument;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(fol_scheduler_tick(scheduler, 0.1), FOL_OK);
    }
    return NULL;
}

static void *drive_and_end(void *argument)
{
    drive(argument);
    fol_scheduler_destroy(argument);
    return NULL;
}

static void in_thread(void *(*function)(void *), fol_scheduler *scheduler)
{
    pthread_t thread;
    if (CHECK_EQ(pthread_create(&thread, NULL, function, scheduler), 0)) {
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
}

static void test_threads_that_end_leave_their_operations_to_the_next_one(void)
{
    for (size_t way = 0; way < WAYS; way++) {
        for (int last = 0; last < 2; last++) {
            io_fixture f;
            chaotic systems[CHAOTICS];
            uint64_t seed = stress_seed() + 100 + way;
            start_chaos(&f, way, systems, seed);
            for (uint32_t turn = 0; turn < 4; turn++) {
                in_thread(drive, f.scheduler);
            }
            if (last == 1) {
                in_thread(drive_and_end, f.scheduler);
                f.scheduler = NULL;
            }
            end_chaos(&f, systems, seed, way);
        }
    }
}

/* In the child: the parent's operations are dropped, once each, and nothing of it is touched. */
static int end_in_child(io_fixture *f, const chaotic *systems)
{
    alarm(HANG_S);
    if (fol_scheduler_tick(f->scheduler, 0.1) != FOL_E_FORKED) {
        return 2;
    }
    fol_scheduler_destroy(f->scheduler);
    for (uint32_t i = 0; i < CHAOTICS; i++) {
        for (uint32_t k = 0; k < systems[i].count; k++) {
            if (systems[i].records[k].ends != 1) {
                return 3;
            }
        }
    }
    return 0;
}

static void test_forks_in_mid_flight_end_the_childs_copies_and_leave_the_parents(void)
{
    for (size_t way = 0; way < WAYS; way++) {
        io_fixture f;
        chaotic systems[CHAOTICS];
        uint64_t seed = stress_seed() + 200 + way;
        start_chaos(&f, way, systems, seed);
        for (uint32_t turn = 0; turn < 5; turn++) {
            drive(f.scheduler);
            pid_t child = fork();
            if (child == 0) {
                _exit(end_in_child(&f, systems));
            }
            int status = -1;
            CHECK_EQ(waitpid(child, &status, 0), child);
            if (!CHECK_EQ(status, 0)) {
                fprintf(stderr, "  on %s with io %d\n", ways[way].backend, (int)ways[way].io);
            }
        }
        end_chaos(&f, systems, seed, way);
    }
}

int main(void)
{
    stress_watch(HANG_S);
    RUN(test_cancels_that_race_completions_leave_each_operation_one_end);
    RUN(test_threads_that_end_leave_their_operations_to_the_next_one);
    RUN(test_forks_in_mid_flight_end_the_childs_copies_and_leave_the_parents);
    stress_report();
    CHECK_MAIN_END();
}
