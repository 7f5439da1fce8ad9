/* Choosing a backend: names, what stands in for what is missing, and threads that do not start. */
#include "backend_fixture.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/placed.h"
#include "base/fork.h"
#include "foliot/memory.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"

static const case_shape plain = {.nodes = 20, .segments = 2, .edge_percent = 10};

/* A process pool without threads, whatever ran before. */
static void forget_threads(void)
{
    fol_pool_fail_nth_thread(0);
    fol_pool_shutdown();
}

/* Runs a case once on a backend that is ready. */
static void run_once(fol_backend *backend, phase_case *c)
{
    c->workers = backend->workers;
    CHECK_EQ(fol_backend_prepare(backend, &c->work), FOL_OK);
    case_reset(c);
    fol_backend_run(backend, &c->work);
    case_check(c, backend->ops->name, 0);
    fol_backend_unprepare(backend, &c->work);
}

static void test_every_known_name_gives_a_backend_that_runs(void)
{
    for (size_t i = 0; fol_backend_names[i] != NULL; i++) {
        phase_case *c = case_make(&plain, i);
        fol_backend backend;
        const fol_backend_config config = {
            .name = fol_backend_names[i], .workers = 2, .calls = case_calls(c)};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        CHECK_STR(backend.requested, fol_backend_names[i]);
        run_once(&backend, c);
        fol_backend_deinit(&backend);
        free(c);
    }
}

static void test_every_name_stands_for_itself(void)
{
    for (size_t i = 0; fol_backend_names[i] != NULL; i++) {
        fol_backend backend;
        const fol_backend_config config = {.name = fol_backend_names[i], .workers = 2};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        CHECK_STR(backend.ops->name, fol_backend_names[i]);
        CHECK_STR(backend.reason, "");
        fol_backend_deinit(&backend);
    }
}

static void test_evented_gives_a_turn_between_two_nodes_and_nobody_else_does(void)
{
    for (size_t i = 0; fol_backend_names[i] != NULL; i++) {
        phase_case *c = case_make(&plain, 20 + i);
        fol_backend backend;
        const fol_backend_config config = {
            .name = fol_backend_names[i], .workers = 2, .calls = case_calls(c)};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        run_once(&backend, c);
        bool is_evented = strcmp(fol_backend_names[i], "evented") == 0;
        CHECK_EQ(c->turns, is_evented ? plain.nodes - 1 : 0);
        fol_backend_deinit(&backend);
        free(c);
    }
}

static void test_evented_and_uring_wish_for_the_ring(void)
{
    for (size_t i = 0; fol_backend_names[i] != NULL; i++) {
        fol_backend backend;
        const fol_backend_config config = {.name = fol_backend_names[i], .workers = 2};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        bool is_wished = strcmp(fol_backend_names[i], "evented") == 0 ||
                         strcmp(fol_backend_names[i], "uring") == 0;
        CHECK_EQ(backend.wants_ring, is_wished);
        fol_backend_deinit(&backend);
    }
}

static void test_an_unknown_name_is_refused(void)
{
    fol_backend backend;
    CHECK_EQ(fol_backend_init(&backend, &(fol_backend_config){.name = "steeling"}), FOL_E_VALUE);
    CHECK_EQ(fol_backend_init(&backend, &(fol_backend_config){.name = NULL}), FOL_E_VALUE);
}

static void test_no_number_means_the_processors_of_this_process(void)
{
    fol_backend backend;
    CHECK_EQ(fol_backend_init(&backend, &(fol_backend_config){.name = "stealing"}), FOL_OK);
    CHECK(backend.workers >= 1);
    CHECK((backend.team != NULL) == (backend.workers > 1));
    CHECK_STR(backend.reason, "");
    fol_backend_deinit(&backend);
}

static void test_one_worker_is_the_caller_without_a_team(void)
{
    static const char *const names[] = {"stealing", "threadpool", "uring", "adaptive"};
    for (size_t i = 0; i < 4; i++) {
        phase_case *c = case_make(&plain, 3);
        fol_backend backend;
        const fol_backend_config config = {.name = names[i], .workers = 1, .calls = case_calls(c)};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        CHECK_STR(backend.ops->name, names[i]);
        CHECK_EQ(backend.workers, 1);
        CHECK(backend.team == NULL);
        run_once(&backend, c);
        char text[200];
        fol_backend_explain_run(&backend, &c->work, 0.4, text, sizeof(text));
        CHECK(strstr(text, "on the caller: there is no other worker") != NULL);
        fol_backend_deinit(&backend);
        free(c);
    }
}

static void test_fewer_threads_than_asked_for_run_and_say_so(void)
{
    forget_threads();
    phase_case *c = case_make(&plain, 4);
    fol_backend backend;
    const fol_backend_config config = {.name = "stealing", .workers = 8, .calls = case_calls(c)};
    fol_pool_fail_nth_thread(3);
    CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
    CHECK_EQ(backend.workers, 3);
    CHECK_STR(backend.reason,
              "asked for 8 workers, the system started 3: Resource temporarily unavailable");
    run_once(&backend, c);
    fol_backend_deinit(&backend);
    free(c);
    forget_threads();
}

static void test_without_any_thread_it_is_the_nearest_that_needs_none(void)
{
    static const char *const wanted[][2] = {{"threadpool", "blocking"},
                                            {"stealing", "blocking"},
                                            {"uring", "evented"},
                                            {"adaptive", "blocking"}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        forget_threads();
        fol_backend backend;
        const fol_backend_config config = {.name = wanted[i][0], .workers = 4};
        fol_pool_fail_nth_thread(1);
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        CHECK_STR(backend.ops->name, wanted[i][1]);
        CHECK_EQ(backend.workers, 1);
        CHECK_STR(backend.reason, "asked for 4 workers, the system started no thread: Resource "
                                  "temporarily unavailable");
        fol_backend_deinit(&backend);
    }
    forget_threads();
}

static void test_required_workers_fail_when_the_system_refuses_one(void)
{
    static const char *const names[] = {"stealing", "threadpool", "uring", "adaptive"};
    for (size_t i = 0; i < 4; i++) {
        forget_threads();
        fol_backend backend;
        const fol_backend_config config = {.name = names[i], .workers = 4, .require_workers = true};
        fol_pool_fail_nth_thread(2);
        CHECK_EQ(fol_backend_init(&backend, &config), -EAGAIN);
        CHECK_STR(backend.reason,
                  "asked for 4 workers, the system started 2: Resource temporarily unavailable");
    }
    forget_threads();
}

static void test_more_workers_than_there_can_be_are_cut_or_refused(void)
{
    fol_backend backend;
    const fol_backend_config config = {
        .name = "stealing", .workers = 1000, .require_workers = true};
    /* Refused before any thread is started. */
    CHECK_EQ(fol_backend_init(&backend, &config), FOL_E_VALUE);
    CHECK_STR(backend.reason, "asked for 1000 workers, 254 are the most there can be");
}

static void test_a_failed_allocation_leaves_nothing_behind(void)
{
    static const char *const names[] = {"stealing", "threadpool", "uring", "adaptive"};
    (void)fol_fork_watch();
    for (size_t i = 0; i < 4; i++) {
        phase_case *c = case_make(&(case_shape){.nodes = 30, .segments = 2, .lane_percent = 30}, 5);
        const fol_backend_config config = {.name = names[i], .workers = 3, .calls = case_calls(c)};
        fol_memory_stats before;
        fol_memory_stats after;
        forget_threads();
        fol_memory_read_stats(&before);
        int status = -ENOMEM;
        for (uint64_t n = 1; n < 200 && status == -ENOMEM; n++) {
            fol_backend backend;
            fol_memory_fail_nth(n);
            status = fol_backend_init(&backend, &config);
            if (status == FOL_OK) {
                status = fol_backend_prepare(&backend, &c->work);
                fol_memory_fail_nth(0);
                if (status == FOL_OK) {
                    fol_backend_unprepare(&backend, &c->work);
                }
                fol_backend_deinit(&backend);
            }
            fol_memory_fail_nth(0);
            CHECK(status == FOL_OK || status == -ENOMEM);
            fol_pool_shutdown();
        }
        CHECK_EQ(status, FOL_OK);
        fol_memory_read_stats(&after);
        CHECK_EQ(after.live_blocks, before.live_blocks);
        free(c);
    }
}

static void test_a_run_without_memory_still_runs_everything(void)
{
    phase_case *c = case_make(&(case_shape){.nodes = 400, .segments = 1, .cut_percent = 5}, 6);
    fol_backend backend;
    const fol_backend_config config = {.name = "stealing", .workers = 3, .calls = case_calls(c)};
    CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
    c->workers = backend.workers;
    CHECK_EQ(fol_backend_prepare(&backend, &c->work), FOL_OK);
    for (uint32_t run = 0; run < 50; run++) {
        fol_placed *placed = c->work.prepared;
        fol_placement_init(&placed->placement, backend.workers, true, 0.0);
        case_reset(c);
        fol_memory_fail_nth(1 + run % 3);
        fol_backend_run(&backend, &c->work);
        fol_memory_fail_nth(0);
        case_check(c, "stealing", run);
    }
    fol_backend_unprepare(&backend, &c->work);
    fol_backend_deinit(&backend);
    free(c);
}

static void test_a_forked_child_can_let_go_of_a_backend(void)
{
    static const char *const names[] = {"stealing", "threadpool", "uring", "adaptive"};
    for (size_t i = 0; i < 4; i++) {
        phase_case *c = case_make(&plain, 7);
        fol_backend backend;
        const fol_backend_config config = {.name = names[i], .workers = 3, .calls = case_calls(c)};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        c->workers = backend.workers;
        CHECK_EQ(fol_backend_prepare(&backend, &c->work), FOL_OK);
        case_reset(c);
        fol_backend_run(&backend, &c->work);
        pid_t child = fork();
        if (child == 0) {
            fol_backend_unprepare(&backend, &c->work);
            fol_backend_deinit(&backend);
            _exit(0);
        }
        int how = -1;
        CHECK_EQ(waitpid(child, &how, 0), child);
        CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
        case_reset(c);
        fol_backend_run(&backend, &c->work);
        case_check(c, names[i], 1);
        fol_backend_unprepare(&backend, &c->work);
        fol_backend_deinit(&backend);
        free(c);
    }
}

static void test_phases_that_cannot_overlap_stay_on_the_caller(void)
{
    /* A chain, and systems that all take turns in the lane. */
    const case_shape shapes[] = {{.nodes = 10, .segments = 1, .edge_percent = 100},
                                 {.nodes = 10, .segments = 1, .lane_percent = 100}};
    for (size_t i = 0; i < 2; i++) {
        phase_case *c = case_make(&shapes[i], 8);
        memset(c->in_lane, i == 0 ? FOL_LANE_NOTHING : FOL_LANE_NODE, sizeof(c->in_lane));
        fol_backend backend;
        const fol_backend_config config = {
            .name = "stealing", .workers = 2, .calls = case_calls(c)};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        c->workers = backend.workers;
        CHECK_EQ(fol_backend_prepare(&backend, &c->work), FOL_OK);
        for (uint32_t run = 0; run < 50; run++) {
            case_reset(c);
            fol_backend_run(&backend, &c->work);
        }
        /* The first run has no costs yet, which say that nothing can be cut. */
        CHECK_EQ(backend.parallel_runs, 1);
        CHECK_EQ(backend.serial_runs, 49);
        char text[200];
        fol_backend_explain_run(&backend, &c->work, 0.4, text, sizeof(text));
        CHECK(strstr(text, "no two of its systems may run at the same time") != NULL);
        fol_backend_unprepare(&backend, &c->work);
        fol_backend_deinit(&backend);
        free(c);
    }
}

static void test_an_explanation_is_cut_to_the_room_it_gets(void)
{
    static const char *const names[] = {"blocking", "evented", "threadpool",
                                        "stealing", "uring",   "adaptive"};
    for (size_t i = 0; i < 6; i++) {
        phase_case *c = case_make(&plain, 9);
        fol_backend backend;
        const fol_backend_config config = {.name = names[i], .workers = 2, .calls = case_calls(c)};
        CHECK_EQ(fol_backend_init(&backend, &config), FOL_OK);
        CHECK_EQ(fol_backend_prepare(&backend, &c->work), FOL_OK);
        char text[300];
        size_t length = fol_backend_explain_run(&backend, &c->work, 0.4, text, sizeof(text));
        CHECK_EQ(length, strlen(text));
        for (size_t room = 1; room <= length; room += 7) {
            char cut[300];
            CHECK_EQ(fol_backend_explain_run(&backend, &c->work, 0.4, cut, room), length);
            CHECK_EQ(strlen(cut), room - 1);
            CHECK(strncmp(cut, text, room - 1) == 0);
        }
        fol_backend_unprepare(&backend, &c->work);
        fol_backend_deinit(&backend);
        free(c);
    }
}

int main(void)
{
    RUN(test_every_known_name_gives_a_backend_that_runs);
    RUN(test_every_name_stands_for_itself);
    RUN(test_evented_gives_a_turn_between_two_nodes_and_nobody_else_does);
    RUN(test_evented_and_uring_wish_for_the_ring);
    RUN(test_an_unknown_name_is_refused);
    RUN(test_no_number_means_the_processors_of_this_process);
    RUN(test_one_worker_is_the_caller_without_a_team);
    RUN(test_fewer_threads_than_asked_for_run_and_say_so);
    RUN(test_without_any_thread_it_is_the_nearest_that_needs_none);
    RUN(test_required_workers_fail_when_the_system_refuses_one);
    RUN(test_more_workers_than_there_can_be_are_cut_or_refused);
    RUN(test_a_failed_allocation_leaves_nothing_behind);
    RUN(test_a_run_without_memory_still_runs_everything);
    RUN(test_a_forked_child_can_let_go_of_a_backend);
    RUN(test_phases_that_cannot_overlap_stay_on_the_caller);
    RUN(test_an_explanation_is_cut_to_the_room_it_gets);
    CHECK_MAIN_END();
}
