/* Slots that are not the dispatcher's own, live: victims and spin limits of workers, and which
 * backend the adaptive one is. */

#include "exec/worker.h"
#include "frame/budget.h"
#include "frame_fixture.h"

/* What the slots answer, and what they were told. */
typedef struct answers {
    uint32_t backend;
    uint32_t asked_backend;
    bool is_silent;
    double frame_ns;
} answers;

static int name_victims(void *state, uint32_t worker, uint32_t workers, uint32_t *order,
                        uint32_t *count)
{
    (void)state;
    CHECK_EQ(workers, 4);
    if (worker == 2) {
        return FOL_POLICY_DEFAULT;
    }
    order[0] = (worker + 3) % workers;
    order[1] = (worker + 2) % workers;
    *count = 2;
    return FOL_POLICY_ANSWERED;
}

static int limit_spins(void *state, uint32_t worker, uint32_t *limit)
{
    (void)state;
    *limit = 10 * worker;
    return worker == 1 ? FOL_POLICY_DEFAULT : FOL_POLICY_ANSWERED;
}

static int choose_backend(void *state, const fol_policy_load *load, uint32_t *choice)
{
    answers *own = state;
    own->asked_backend++;
    own->frame_ns = load->frame_ns;
    *choice = own->backend;
    return own->is_silent ? FOL_POLICY_DEFAULT : FOL_POLICY_ANSWERED;
}

static void start_with(fixture *f, const char *backend, const fol_policy_slots *slots)
{
    setup(f);
    f->config.backend = backend;
    f->config.workers = 4;
    f->config.policy =
        (fol_policy_choice){.is_chosen = true, .kind = FOL_POLICY_EEVDF, .slots = slots};
    add_system(f, "move", 0, 1, false)->columns_kernel = kernel_move;
    spawn_floats(f, 100, 0.0f, 1.0f);
    start(f);
}

static void test_workers_look_at_the_victims_a_policy_names_first(void)
{
    fixture f;
    const fol_policy_slots slots = {.victims = name_victims, .spin_limit = limit_spins};
    start_with(&f, "stealing", &slots);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    fol_team *team = f.scheduler->backend.team;
    fol_worker *caller = fol_team_worker(team, 0);
    fol_worker_order_victims(caller);
    CHECK(caller->named_count >= 2);
    CHECK_EQ(caller->order[0], 3);
    CHECK_EQ(caller->order[1], 2);
    CHECK_EQ(caller->order[2], 1);
    CHECK_EQ(caller->order_ends[FOL_DISTANCES - 1], 3);
    CHECK_EQ(fol_team_worker(team, 2)->chosen_count, 0);
    CHECK_EQ(fol_team_worker(team, 0)->chosen_spins, 0);
    CHECK_EQ(fol_team_worker(team, 1)->chosen_spins, FOL_SPINS_LEARNT);
    CHECK_EQ(fol_team_worker(team, 3)->chosen_spins, 30);
    teardown(&f);
}

static void test_a_policy_says_which_backend_the_adaptive_one_is(void)
{
    fixture f;
    answers own = {.backend = 3};
    const fol_policy_slots slots = {.state = &own, .backend = choose_backend};
    char text[512];
    start_with(&f, "adaptive", &slots);
    for (int frame = 0; frame < 40; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    }
    CHECK(own.asked_backend >= 1);
    CHECK(own.frame_ns > 0.0);
    fol_scheduler_explain_backend(f.scheduler, text, sizeof(text));
    CHECK(strstr(text, "stealing") == text);
    CHECK(strstr(text, "as the scheduler's policy says") != NULL);
    own.backend = 0;
    uint32_t asked = own.asked_backend;
    for (int frame = 0; frame < 20000 && own.asked_backend < asked + 4; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    }
    fol_scheduler_explain_backend(f.scheduler, text, sizeof(text));
    CHECK(strstr(text, "blocking since") != NULL);
    CHECK_EQ(f.scheduler->backend.switches, 1);
    uint64_t first = 0;
    fol_decision decisions[4096];
    size_t count = fol_scheduler_read_decisions(f.scheduler, &first, decisions, 4096);
    uint32_t switches = 0;
    for (size_t i = 0; i < count; i++) {
        switches += decisions[i].kind == FOL_DECISION_SWITCH;
    }
    CHECK(switches <= 1);
    own.is_silent = true;
    for (int frame = 0; frame < 100; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    }
    teardown(&f);
}

int main(void)
{
    RUN(test_workers_look_at_the_victims_a_policy_names_first);
    RUN(test_a_policy_says_which_backend_the_adaptive_one_is);
    CHECK_MAIN_END();
}
