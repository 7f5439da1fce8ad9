/* The systems of a random case, and one run of it: see frame_io_random.h.
 *
 * A system that fails in a frame changes no column, so that it does not matter which of its pieces
 * had run. What fills a pipe never fails and is in every plan.
 */
#ifndef FOL_TESTS_FRAME_IO_LANE_H
#define FOL_TESTS_FRAME_IO_LANE_H

#include <sched.h>

#include "frame/io.h"
#include "frame_io_random.h"

/* More than any case takes. */
#define SETTLE_ROUNDS 200000000u

typedef struct choice {
    const char *backend;
    uint32_t workers;
    fol_io_choice io;
} choice;

static const fol_phase_rate lane_rates[PHASES] = {
    {.kind = FOL_RATE_FRAMES, .every = 1},
    {.kind = FOL_RATE_FIXED, .step_seconds = 0.1, .max_steps = 3},
};

static uint64_t moment_of(uint64_t frame, double time)
{
    uint64_t bits;
    memcpy(&bits, &time, sizeof(bits));
    return mix(frame, bits);
}

static void record_for(const actor *a, fol_commands *commands, fol_entity entity, uint64_t chance)
{
    lane *l = a->lane;
    uint64_t data = mix(chance, 5);
    uint32_t file = (uint32_t)(data % FILES);
    const fol_value values[3] = {{l->number, &file}, {l->data, NULL}, {l->value, &data}};
    fol_component *removed = data % 3 == 0 ? l->value : l->extra;
    fol_entity spawned;
    /* Refusals are part of the game. */
    switch (chance % 24) {
    case 0:
    case 1:
        if (fol_world_entity_count(l->world) < ROWS_MAX) {
            (void)fol_commands_spawn(commands, values, 3, &spawned);
        }
        break;
    case 2:
        (void)fol_commands_despawn(commands, entity);
        break;
    case 3:
    case 4: {
        const fol_value added = {l->extra, &data};
        (void)fol_commands_add(commands, entity, &added, 1);
        break;
    }
    case 5:
        (void)fol_commands_remove(commands, entity, &removed, 1);
        break;
    case 6:
        (void)fol_commands_add(commands, entity, &values[2], 1);
        break;
    default:
        break;
    }
}

static bool fails_now(const actor *a, uint64_t frame)
{
    return a->fails && mix(a->seed, frame) % 3 == 0;
}

/* One row; 0, or the number with which the system fails. The columns: what is written first. */
static int run_row(actor *a, const fol_chunk *chunk, ptrdiff_t row, uint64_t moment)
{
    uint32_t data_column = a->writes_data ? 0 : a->writes_value;
    uint32_t value_column = a->writes_value ? a->writes_data : 1;
    const fol_bytes *data = chunk->columns[data_column];
    uint64_t *value = chunk->columns[value_column];
    fol_entity entity = chunk->entities[row];
    uint64_t hash = mix(a->seed ^ moment, entity);
    if (fails_now(a, chunk->frame) && hash % 32 == 0) {
        return 1 + (int)(hash % 1000);
    }
    uint64_t seen = mix(hash_bytes(data[row].data, data[row].size), value[row]);
    if (a->writes_value && !fails_now(a, chunk->frame)) {
        value[row] = mix(hash, seen);
    }
    if (a->records) {
        record_for(a, chunk->commands, entity, mix(hash, 1));
    }
    if (a->does_io && mix(hash, 2) % 3 == 0) {
        asker s = {.lane = a->lane,
                   .actor = a,
                   .io = chunk->io,
                   .commands = chunk->commands,
                   .moment = moment,
                   .frame = (uint32_t)chunk->frame};
        (void)ask(&s, entity, mix(hash, 3));
    }
    return 0;
}

static int run_rows(const fol_chunk *chunk, void *user)
{
    actor *a = user;
    uint64_t moment = moment_of(chunk->frame, chunk->time);
    if (a->lane->is_quiet) {
        return 0;
    }
    for (ptrdiff_t row = 0; row < chunk->rows; row++) {
        int code = run_row(a, chunk, row, moment);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static int run_filler(void *user, fol_task *task)
{
    static const char letters[LETTERS] = {0};
    const actor *a = user;
    (void)task;
    /* What does not go in is not needed. */
    ssize_t size = write(a->lane->filled[1], letters, sizeof(letters));
    return size > 0 || errno == EAGAIN ? 0 : -errno;
}

/* A later operation that a later run of this system cancels. */
static void ask_silent(asker *s, uint64_t chance)
{
    actor *a = s->actor;
    lane *l = s->lane;
    if (a->silent != NULL) {
        ticket *c = take_ticket(s, 1, chance);
        fol_io_intent cancel = {.request = {.kind = FOL_IO_CANCEL, .handle = a->silent_handle}};
        c->has_receiver = true;
        c->cancels = a->silent;
        c->until = FOL_IO_STAGE;
        if (queue_ticket(s, c, &cancel, NULL) == 0) {
            a->silent = NULL;
        }
        return;
    }
    ticket *t = take_ticket(s, 1, chance);
    fol_io_intent poll = {.request = {.kind = FOL_IO_POLL, .fd = l->silent[0], .options = POLLIN}};
    t->has_receiver = true;
    t->until = FOL_IO_LATER;
    if (queue_ticket(s, t, &poll, &a->silent_handle) == 0) {
        a->silent = t;
        t->is_silent = true;
        atomic_fetch_add_explicit(&l->silent_count, 1, memory_order_relaxed);
    }
}

/* What only a stop of the frame ends. */
static void ask_hanging(asker *s)
{
    ticket *t = take_ticket(s, 2, 0);
    fol_io_intent poll = {
        .request = {.kind = FOL_IO_POLL, .fd = s->lane->silent[0], .options = POLLIN}};
    t->has_receiver = true;
    t->until = FOL_IO_PHASE;
    (void)queue_ticket(s, t, &poll, NULL);
}

static int run_loader(void *user, fol_task *task)
{
    actor *a = user;
    lane *l = a->lane;
    uint64_t moment = moment_of(task->frame, task->time);
    uint64_t chance = mix(a->seed, moment);
    asker s = {.lane = l,
               .actor = a,
               .io = task->io,
               .commands = task->commands,
               .moment = moment,
               .frame = (uint32_t)task->frame};
    if (l->is_quiet) {
        return 0;
    }
    count_bad_call(l, a->needs_host && attached_depth != 1);
    for (uint32_t i = 0; i < 1 + chance % 5; i++) {
        (void)ask(&s, 0, mix(chance, i));
    }
    if (chance >> 8 & 1) {
        ask_silent(&s, chance >> 9);
    }
    if (l->must_stop) {
        ask_hanging(&s);
    }
    if (a->is_exclusive && fol_world_entity_count(task->world) < ROWS_MAX) {
        fol_entity entity;
        const fol_value value = {l->data, NULL};
        int status = fol_world_spawn(task->world, &value, 1, &entity);
        if (status < 0) {
            return status;
        }
        (void)ask_into_world(&s, entity, mix(chance, 99));
    }
    if (a->interrupts && mix(chance, 3) % 6 == 0) {
        return FOL_E_INTERRUPTED;
    }
    return fails_now(a, task->frame) ? -EINVAL : 0;
}

static int condition_of(void *user, fol_task *task)
{
    const actor *a = user;
    return mix(a->seed, task->frame + 1) % 4 != 0;
}

static void draw_actor(uint64_t *random, uint32_t number, case_kind kind, actor *out)
{
    *out = (actor){.seed = draw(random), .number = number};
    snprintf(out->name, sizeof(out->name), "s%u", number % 100);
    out->phase = number < PHASES ? number : draw_below(random, PHASES);
    out->kind = number < PHASES              ? ACTOR_FILLER
                : draw_below(random, 3) == 0 ? ACTOR_LOADER
                                             : ACTOR_ROWS;
    bool is_loader = out->kind == ACTOR_LOADER;
    out->needs_host = out->kind != ACTOR_ROWS && draw_below(random, 3) == 0;
    if (out->kind == ACTOR_FILLER) {
        return;
    }
    out->does_io = is_loader || draw_below(random, 3) != 0;
    out->records = draw_below(random, 2) == 0;
    out->writes_data = !is_loader && draw_below(random, 2) == 0;
    out->writes_value = !is_loader && draw_below(random, 2) == 0;
    out->extra = draw_below(random, 2) == 0 ? 0 : 1 + (int)draw_below(random, 2);
    out->is_exclusive = is_loader && draw_below(random, 4) == 0;
    out->records = out->records && !out->is_exclusive;
    out->has_condition = draw_below(random, 4) == 0;
    out->fails = draw_below(random, 3) == 0;
    out->interrupts = is_loader && kind == CASE_ROUGH && draw_below(random, 2) == 0;
    out->max_rows = draw_below(random, 2) == 0 ? 0 : 1 + draw_below(random, 9);
}

static fol_component *make_component(const char *name, fol_storage storage, const char *format,
                                     bool is_resource)
{
    uint32_t size = format[0] == 'I' ? 4 : format[0] == 'Q' ? 8 : sizeof(fol_bytes);
    const fol_field field = {.name = "", .format = format, .item_size = size};
    const fol_component_spec spec = {.name = name,
                                     .storage = storage,
                                     .is_resource = is_resource,
                                     .field_count = 1,
                                     .fields = &field};
    fol_component *component = NULL;
    CHECK_EQ(fol_component_create(&spec, &component), 0);
    return component;
}

/* Ids in the schedule are data, number, value, extra, inbox. */
static void declare(variant *v, lane *l, actor *a)
{
    static const uint32_t ids[5] = {0, 1, 2, 3, 4};
    uint32_t writes[2];
    uint32_t reads[3];
    fol_query_access access = {.writes = {writes, 0}, .reads = {reads, 0}};
    fol_term *terms = v->terms[v->count];
    uint32_t term_count = 0;
    bool has_rows = a->kind == ACTOR_ROWS;
    for (uint32_t pass = 0; has_rows && pass < 2; pass++) {
        bool is_write = pass == 0;
        if (a->writes_data == is_write) {
            *(is_write ? &writes[access.writes.count++] : &reads[access.reads.count++]) = 0;
            terms[term_count++] = (fol_term){l->data, is_write ? FOL_TERM_WRITE : FOL_TERM_READ};
        }
        if (a->writes_value == is_write) {
            *(is_write ? &writes[access.writes.count++] : &reads[access.reads.count++]) = 2;
            terms[term_count++] = (fol_term){l->value, is_write ? FOL_TERM_WRITE : FOL_TERM_READ};
        }
    }
    if (has_rows && a->extra != 0) {
        *(a->extra == 1 ? &access.required : &access.excluded) = (fol_id_list){&ids[3], 1};
        terms[term_count++] =
            (fol_term){l->extra, a->extra == 1 ? FOL_TERM_WITH : FOL_TERM_WITHOUT};
    }
    const fol_system_spec spec = {.name = a->name,
                                  .phase = a->phase,
                                  .is_exclusive = a->is_exclusive,
                                  .records_commands = a->records,
                                  .does_io = a->does_io,
                                  .queries = has_rows ? &access : NULL,
                                  .query_count = has_rows,
                                  .resource_writes = {&ids[4], a->kind == ACTOR_LOADER}};
    uint32_t id;
    CHECK_EQ(fol_schedule_add_system(v->schedule, &spec, &id), 0);
    v->queries[v->count] = (fol_system_query){terms, term_count};
    v->systems[v->count] = (fol_system){.kind = has_rows ? FOL_SYSTEM_CHUNK : FOL_SYSTEM_HOSTED,
                                        .chunk_kernel = has_rows ? run_rows : NULL,
                                        .hosted = has_rows                  ? NULL
                                                  : a->kind == ACTOR_FILLER ? run_filler
                                                                            : run_loader,
                                        .user = a,
                                        .condition = a->has_condition ? condition_of : NULL,
                                        .condition_user = a,
                                        .queries = &v->queries[v->count],
                                        .query_count = 1,
                                        .needs_host = a->needs_host,
                                        .in_lane = a->needs_host,
                                        .max_rows = a->max_rows,
                                        .carries_state = -1};
    v->actors[v->count++] = a->number;
}

/* The plan of the actors in the mask. */
static void describe(lane *l, variant *v, uint32_t mask)
{
    static const char *const resources[5] = {"Data", "Number", "Value", "Extra", "Inbox"};
    static const char *const phases[PHASES] = {"early", "late"};
    uint32_t id;
    v->count = 0;
    CHECK_EQ(fol_schedule_create(NULL, &v->schedule), 0);
    for (uint32_t i = 0; i < PHASES; i++) {
        CHECK_EQ(fol_schedule_add_phase(v->schedule, phases[i], &id), 0);
    }
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(fol_schedule_add_resource(v->schedule, resources[i], &id), 0);
    }
    for (uint32_t i = 0; i < l->actor_count; i++) {
        if (mask >> i & 1) {
            declare(v, l, &l->actors[i]);
        }
    }
    CHECK_EQ(fol_plan_create(v->schedule, &v->plan, NULL), 0);
}

/* The other plan, or the same anew; systems that are in both carry on. */
static int replan(lane *l, uint32_t to)
{
    const variant *from = &l->variants[l->current];
    variant *v = &l->variants[to];
    for (uint32_t i = 0; i < v->count; i++) {
        v->systems[i].carries_state = -1;
        for (uint32_t k = 0; k < from->count; k++) {
            if (from->actors[k] == v->actors[i]) {
                v->systems[i].carries_state = k;
            }
        }
    }
    int status = fol_scheduler_replan(l->scheduler, v->plan, v->systems, lane_rates);
    l->current = status == 0 ? to : l->current;
    return status;
}

static void host_attach(void *state)
{
    lane *l = state;
    pthread_mutex_lock(&l->host);
    count_bad_call(l, attached_depth != 0);
    attached_depth = 1;
}

static void host_detach(void *state)
{
    lane *l = state;
    count_bad_call(l, attached_depth != 1);
    attached_depth = 0;
    pthread_mutex_unlock(&l->host);
}

static int host_pending(void *state)
{
    lane *l = state;
    count_bad_call(l, attached_depth != 1 || pthread_equal(l->driver, pthread_self()) == 0);
    return l->must_stop;
}

static void fill_world(lane *l, uint64_t *random)
{
    uint32_t rows = 10 + draw_below(random, ROWS_MAX - 20);
    const fol_value inbox = {l->inbox, NULL};
    CHECK_EQ(fol_world_insert(l->world, &inbox), 0);
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t data = draw(random);
        uint32_t file = (uint32_t)(data % FILES);
        const fol_value values[4] = {
            {l->data, NULL}, {l->value, &data}, {l->number, &file}, {l->extra, &data}};
        fol_entity entity;
        CHECK_EQ(fol_world_spawn(l->world, values, 3 + (data >> 9 & 1), &entity), 0);
    }
}

static void open_pipes(lane *l)
{
    CHECK_EQ(pipe2(l->silent, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(l->paired, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(l->filled, O_CLOEXEC), 0);
    CHECK_EQ(fcntl(l->filled[1], F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->sockets), 0);
    l->scratch = open(file_folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(l->scratch >= 0);
}

static void close_pipes(lane *l)
{
    int *const pairs[4] = {l->silent, l->paired, l->filled, l->sockets};
    for (uint32_t i = 0; i < 4; i++) {
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    close(l->scratch);
}

static void open_lane(lane *l, case_kind kind, uint64_t seed, const choice *on)
{
    uint64_t random = seed;
    uint32_t count = PHASES + 1 + draw_below(&random, ACTORS_MAX - PHASES);
    *l = (lane){.kind = kind, .seed = seed, .tickets = l->tickets, .deliveries = l->deliveries};
    CHECK_EQ(pthread_mutex_init(&l->host, NULL), 0);
    l->data = make_component("Data", FOL_STORAGE_BYTES, "O", false);
    l->number = make_component("Number", FOL_STORAGE_PLAIN, "I", false);
    l->value = make_component("Value", FOL_STORAGE_PLAIN, "Q", false);
    l->extra = make_component("Extra", FOL_STORAGE_PLAIN, "Q", false);
    l->inbox = make_component("Inbox", FOL_STORAGE_BYTES, "O", true);
    CHECK_EQ(fol_world_create(NULL, &l->world), 0);
    l->actor_count = count;
    for (uint32_t i = 0; i < count; i++) {
        draw_actor(&random, i, kind, &l->actors[i]);
        l->actors[i].lane = l;
    }
    describe(l, &l->variants[0], UINT32_MAX);
    describe(l, &l->variants[1], (uint32_t)draw(&random) | ((1u << PHASES) - 1));
    fill_world(l, &random);
    open_pipes(l);
    fol_virtual_clock_init(&l->clock, 0);
    fol_scheduler_config config = fol_scheduler_config_default;
    config.backend = on->backend;
    config.workers = on->workers;
    config.io = on->io;
    config.seed = seed;
    config.errors = (fol_error_policy)draw_below(&random, 3);
    config.quarantine_after = 3;
    config.command_bytes = 1 << 22;
    config.target_task_seconds = 1e-7;
    config.max_io = kind == CASE_ROUGH && draw_below(&random, 2) == 0 ? 12 : 8192;
    config.max_io_threads = 1 + draw_below(&random, 6);
    config.adaptive = (fol_adaptive_config){.window = 4, .cooldown = 0, .least_operations = 4.0};
    config.host = (fol_host){
        .state = l, .attach = host_attach, .detach = host_detach, .pending = host_pending};
    if (kind != CASE_ROUGH) {
        config.clock = fol_virtual_clock_face(&l->clock);
    }
    l->driver = pthread_self();
    host_attach(l);
    const variant *v = &l->variants[0];
    CHECK_EQ(
        fol_scheduler_create(l->world, v->plan, v->systems, lane_rates, &config, &l->scheduler), 0);
}

/* Lets all later operations end that end by themselves. */
static void settle(lane *l)
{
    fol_frame_io *io = fol_io_of(l->scheduler);
    uint32_t rounds = 0;
    while (io != NULL && rounds < SETTLE_ROUNDS &&
           io->later - io->came_count >
               atomic_load_explicit(&l->silent_count, memory_order_relaxed)) {
        fol_io_poll(io->driver);
        fol_io_collect(io);
        fol_virtual_clock_advance(&l->clock, 50000);
        sched_yield();
        rounds++;
    }
    CHECK(rounds < SETTLE_ROUNDS);
}

static void check_slots_are_free(const lane *l)
{
    const fol_frame_io *io = fol_io_of(l->scheduler);
    uint32_t taken = 0;
    for (uint32_t i = 0; io != NULL && i < io->queue_count; i++) {
        const fol_io_queue *queue = &io->queues[i];
        for (uint32_t k = 0; k < queue->used; k++) {
            taken += queue->slots[k].state != FOL_IO_SLOT_FREE;
        }
    }
    CHECK_EQ(taken, atomic_load_explicit(&l->silent_count, memory_order_relaxed));
}

static void close_lane(lane *l)
{
    fol_scheduler_destroy(l->scheduler);
    host_detach(l);
    CHECK_EQ(atomic_load_explicit(&l->bad_calls, memory_order_relaxed), 0);
    for (uint32_t i = 0; i < 2; i++) {
        fol_plan_destroy(l->variants[i].plan);
        fol_schedule_destroy(l->variants[i].schedule);
    }
    fol_world_destroy(l->world);
    fol_component_release(l->data);
    fol_component_release(l->number);
    fol_component_release(l->value);
    fol_component_release(l->extra);
    fol_component_release(l->inbox);
    pthread_mutex_destroy(&l->host);
    close_pipes(l);
}

#endif
