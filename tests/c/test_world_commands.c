/* Random commands in several buffers against the model, which does them one after another in the
 * order of their stamps; a mirror world that takes the same commands from one buffer must agree to
 * the last bit. */

#include "world_model.h"

enum {
    BUFFERS = 3,
    MAX_TARGETS = 4,
    MAX_COMMANDS = 80,
    MAX_SPAWNS = 300,
    ROUNDS = 150,
    SEEDS = 25,
    DOOMED_ORDER = 5 /* of a system that fails */
};

typedef enum kind {
    SPAWN,
    DESPAWN,
    ADD,
    SET,
    REMOVE,
    CALL,
    SPAWN_SOME,
    ADD_SOME,
    REMOVE_SOME,
    DESPAWN_SOME,
    KINDS
} kind;

/* An entity of the world, or what the spawn of a number gives. */
typedef struct target {
    bool is_spawn;
    uint32_t spawn;
    fol_entity id;
} target;

typedef struct command {
    kind kind;
    uint32_t order;
    uint32_t chunk;
    uint32_t sequence;
    uint32_t worker;
    uint32_t spawn; /* number of the first spawned */
    size_t count;   /* targets, or entities spawned */
    target targets[MAX_TARGETS];
    values v;
    fol_entity called; /* what a custom command spawned */
} command;

typedef struct program {
    command commands[MAX_COMMANDS];
    size_t count;
    uint32_t spawn_count;
    held *spawned[MAX_SPAWNS]; /* NULL until the model spawned it */
} program;

/* One world that runs programs. */
typedef struct runner {
    fol_world *world;
    fol_commands *buffers[BUFFERS];
    size_t buffer_count;
    fol_entity provisional[MAX_SPAWNS];
    fol_merge_report report;
    int errors;
} runner;

static program the_program;

static void generate_command(model *m, program *p, command *c)
{
    /* Mostly single commands: what stands between two others makes one group. */
    c->kind = (kind)random_below(&m->random, random_below(&m->random, 4) == 0 ? KINDS : CALL);
    uint32_t mask = random_below(&m->random, 1u << COMPONENTS);
    fill_values(m, &c->v, random_below(&m->random, 2) ? mask : mask & random_next(&m->random));
    c->count = c->kind >= SPAWN_SOME ? random_below(&m->random, MAX_TARGETS + 1) : 1;
    for (size_t i = 0; i < c->count; i++) {
        held *e =
            random_below(&m->random, 2) && m->count != 0 ? &m->entities[m->count - 1] : pick(m);
        bool is_spawn = p->spawn_count != 0 && random_below(&m->random, 2) != 0;
        c->targets[i] = (target){
            .is_spawn = is_spawn,
            .spawn = is_spawn ? random_below(&m->random, p->spawn_count) : 0,
            .id = e == NULL ? 77 : e->id,
        };
    }
    c->spawn = p->spawn_count;
    if (c->kind == SPAWN || c->kind == SPAWN_SOME) {
        p->spawn_count += (uint32_t)c->count;
    }
}

static void generate(model *m, program *p)
{
    *p = (program){0};
    uint32_t stretches = 1 + random_below(&m->random, 8);
    for (uint32_t s = 0; s < stretches; s++) {
        uint32_t order = random_below(&m->random, 5);
        uint32_t worker = random_below(&m->random, BUFFERS);
        uint32_t length = random_below(&m->random, 10);
        for (uint32_t i = 0; i < length && p->count < MAX_COMMANDS; i++) {
            command *c = &p->commands[p->count++];
            generate_command(m, p, c);
            c->order = order;
            c->chunk = s;
            c->sequence = i;
            c->worker = worker;
        }
    }
}

/* Recording. */

static int spawn_in_call(void *world, void *argument)
{
    command *c = argument;
    must(fol_world_spawn(world, c->v.list, c->v.count, &c->called));
    return -5;
}

static size_t make_bulks(const model *m, const command *c, fol_source sources[][2], fol_bulk *bulks)
{
    size_t count = 0;
    const fol_source all[COMPONENTS][2] = {{{&c->v.a, 0}},
                                           {{&c->v.b.x, 0}, {&c->v.b.y, 0}},
                                           {{0}},
                                           {{&c->v.bytes, 0}},
                                           {{&c->v.pointer, 0}}};
    memcpy(sources, all, sizeof(all));
    for (uint32_t i = 0; i < COMPONENTS; i++) {
        if (c->v.mask & (1u << i)) {
            bulks[count++] = (fol_bulk){m->components[i], sources[i]};
        }
    }
    return count;
}

/* The same value for every entity, but as an array with a stride, so that elements may move. */
typedef struct spread {
    float floats[MAX_TARGETS];
    void *objects[MAX_TARGETS];
    fol_source float_source;
    fol_source object_source;
} spread;

static void spread_values(const model *m, const command *c, spread *s, fol_bulk *bulks, size_t n)
{
    for (size_t i = 0; i < MAX_TARGETS; i++) {
        s->floats[i] = c->v.a;
        s->objects[i] = c->v.pointer;
    }
    s->float_source = (fol_source){s->floats, sizeof(float)};
    s->object_source = (fol_source){s->objects, sizeof(void *)};
    for (size_t i = 0; i < n; i++) {
        if (bulks[i].component == m->components[A]) {
            bulks[i].sources = &s->float_source;
        } else if (bulks[i].component == m->components[O]) {
            bulks[i].sources = &s->object_source;
        }
    }
}

static void record_many(const model *m, runner *r, fol_commands *buffer, command *c,
                        const fol_entity *ids)
{
    fol_source sources[COMPONENTS][2];
    fol_bulk bulks[COMPONENTS];
    fol_component *components[COMPONENTS];
    spread spread;
    size_t n = make_bulks(m, c, sources, bulks);
    size_t component_count = list_components(m, c->v.mask, components);
    spread_values(m, c, &spread, bulks, n);
    if (c->kind == SPAWN_SOME) {
        must(fol_commands_spawn_many(buffer, c->count, bulks, n, &r->provisional[c->spawn]));
    } else if (c->kind == ADD_SOME) {
        must(fol_commands_add_many(buffer, ids, c->count, bulks, n));
    } else if (c->kind == REMOVE_SOME) {
        must(fol_commands_remove_many(buffer, ids, c->count, components, component_count));
    } else {
        must(fol_commands_despawn_many(buffer, ids, c->count));
    }
}

static void record(const model *m, runner *r, fol_commands *buffer, command *c)
{
    fol_entity ids[MAX_TARGETS];
    fol_component *components[COMPONENTS];
    for (size_t i = 0; i < c->count; i++) {
        ids[i] = c->targets[i].is_spawn ? r->provisional[c->targets[i].spawn] : c->targets[i].id;
    }
    switch (c->kind) {
    case SPAWN:
        must(fol_commands_spawn(buffer, c->v.list, c->v.count, &r->provisional[c->spawn]));
        break;
    case DESPAWN:
        must(fol_commands_despawn(buffer, ids[0]));
        break;
    case ADD:
        must(fol_commands_add(buffer, ids[0], c->v.list, c->v.count));
        break;
    case SET:
        must(fol_commands_set(buffer, ids[0], c->v.list, c->v.count));
        break;
    case REMOVE:
        must(fol_commands_remove(buffer, ids[0], components,
                                 list_components(m, c->v.mask, components)));
        break;
    case CALL:
        must(fol_commands_call(buffer, spawn_in_call, NULL, c, true));
        break;
    default:
        record_many(m, r, buffer, c, ids);
        break;
    }
}

/* Something recorded and taken back leaves no trace. */
static void record_in_vain(model *m, fol_commands *buffer)
{
    values v;
    fol_entity lost;
    fill_values(m, &v, (1u << COMPONENTS) - 1);
    uint32_t before = fol_commands_count(buffer);
    fol_commands_begin(buffer, 3, 0);
    must(fol_commands_spawn(buffer, v.list, v.count, &lost));
    must(fol_commands_add(buffer, lost, v.list, v.count));
    must(fol_commands_despawn(buffer, lost));
    fol_commands_rollback(buffer);
    CHECK_EQ(fol_commands_count(buffer), before);
}

/* What a system records before it fails, on any worker and in any chunk. */
static void record_doomed(model *m, fol_commands *buffer)
{
    values v;
    fol_entity lost;
    fol_entity some[3];
    held *e = pick(m);
    fill_values(m, &v, random_below(&m->random, 1u << COMPONENTS));
    fol_source object = {&v.pointer, 0};
    fol_bulk bulk = {m->components[O], &object};
    fol_commands_begin(buffer, DOOMED_ORDER, random_below(&m->random, 3));
    must(fol_commands_spawn(buffer, v.list, v.count, &lost));
    must(fol_commands_spawn_many(buffer, 3, &bulk, 1, some));
    must(fol_commands_add(buffer, some[1], v.list, v.count));
    if (e != NULL) {
        must(fol_commands_add(buffer, e->id, v.list, v.count));
        must(fol_commands_despawn(buffer, e->id));
    }
}

static void count_error(void *argument, uint32_t system_order, int status)
{
    CHECK(system_order < 5);
    CHECK_EQ(status, -5);
    ((runner *)argument)->errors++;
}

static void run_program(model *m, runner *r, program *p)
{
    for (size_t i = 0; i < p->count; i++) {
        command *c = &p->commands[i];
        fol_commands *buffer = r->buffers[c->worker % r->buffer_count];
        if (c->sequence == 0) {
            record_in_vain(m, buffer);
            record_doomed(m, buffer);
        }
        if (c->sequence == 0 || r->buffer_count == 1) {
            fol_commands_begin(buffer, c->order, c->chunk);
        }
        record(m, r, buffer, c);
    }
    for (size_t i = 0; i < r->buffer_count; i++) {
        fol_commands_discard(r->buffers[i], DOOMED_ORDER);
    }
    r->errors = 0;
    r->report = (fol_merge_report){.on_error = count_error, .on_error_argument = r};
    fol_world_set_tick(r->world, m->tick);
    must(fol_world_merge(r->world, r->buffers, r->buffer_count, &r->report));
    for (size_t i = 0; i < r->buffer_count; i++) {
        CHECK_EQ(fol_commands_count(r->buffers[i]), 0);
        CHECK(!fol_commands_need_host(r->buffers[i]));
    }
}

/* The model. */

static int compare_commands(const void *left, const void *right)
{
    const command *a = left;
    const command *b = right;
    if (a->order != b->order) {
        return a->order < b->order ? -1 : 1;
    }
    if (a->chunk != b->chunk) {
        return a->chunk < b->chunk ? -1 : 1;
    }
    return a->sequence < b->sequence ? -1 : 1;
}

/* Does one command to one entity; false when it is dropped. */
static bool do_to(model *m, held *e, const command *c)
{
    bool has_all = e != NULL && e->is_alive && (e->mask & c->v.mask) == c->v.mask;
    if (e == NULL || !e->is_alive) {
        return false;
    }
    switch (c->kind) {
    case DESPAWN:
    case DESPAWN_SOME:
        e->is_alive = false;
        return true;
    case ADD:
    case ADD_SOME:
        model_write(m, e, &c->v);
        return true;
    case SET:
        if (has_all) {
            model_write(m, e, &c->v);
        }
        return has_all;
    default:
        e->mask &= has_all ? ~c->v.mask : ~0u;
        return has_all;
    }
}

static const fol_command_kind public_kinds[KINDS] = {
    FOL_COMMAND_SPAWN,  FOL_COMMAND_DESPAWN, FOL_COMMAND_ADD,   FOL_COMMAND_SET,
    FOL_COMMAND_REMOVE, FOL_COMMAND_CALL,    FOL_COMMAND_SPAWN, FOL_COMMAND_ADD,
    FOL_COMMAND_REMOVE, FOL_COMMAND_DESPAWN,
};

static void model_run(model *m, program *p, const runner *r, fol_merge_report *expected)
{
    qsort(p->commands, p->count, sizeof(p->commands[0]), compare_commands);
    for (size_t i = 0; i < p->count; i++) {
        command *c = &p->commands[i];
        uint64_t *applied = &expected->applied[public_kinds[c->kind]];
        for (size_t t = 0; t < c->count; t++) {
            if (c->kind == CALL) {
                (void)model_spawn(m, 0, &c->v);
                (*applied)++;
            } else if (c->kind == SPAWN || c->kind == SPAWN_SOME) {
                fol_entity id = fol_commands_resolve(r->buffers[0], r->provisional[c->spawn + t]);
                CHECK(!fol_entity_is_provisional(id));
                p->spawned[c->spawn + t] = model_spawn(m, id, &c->v);
                (*applied)++;
            } else {
                held *e = c->targets[t].is_spawn ? p->spawned[c->targets[t].spawn]
                                                 : find_held(m, c->targets[t].id);
                bool is_done = do_to(m, e, c);
                *applied += is_done ? 1 : 0;
                expected->dropped += is_done ? 0 : 1;
            }
        }
    }
}

/* The array of commands is sorted only after both worlds ran, so what a call spawned is found by
 * whoever has no id yet. */
static void name_called(model *m, const program *p)
{
    size_t next = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->commands[i].kind != CALL) {
            continue;
        }
        while (m->entities[next].id != 0) {
            next++;
        }
        m->entities[next].id = p->commands[i].called;
    }
}

static void check_reports(const runner *r, const fol_merge_report *expected)
{
    for (int kind = 0; kind < FOL_COMMAND_KINDS; kind++) {
        CHECK_EQ(r->report.applied[kind], expected->applied[kind]);
    }
    CHECK_EQ(r->report.dropped, expected->dropped);
    CHECK_EQ(r->errors, expected->applied[FOL_COMMAND_CALL]);
}

static void play_round(model *m, runner *real, runner *mirror, fol_query **filters)
{
    uint8_t digest[16];
    uint8_t other[16];
    fol_merge_report expected = {0};
    program *p = &the_program;
    m->tick++;
    if (m->count > MAX_ENTITIES / 2) {
        model_forget_dead(m);
    }
    generate(m, p);
    run_program(m, real, p);
    run_program(m, mirror, p);
    model_run(m, p, real, &expected);
    name_called(m, p);
    check_reports(real, &expected);
    check_reports(mirror, &expected);
    check_world(m);
    fol_world_invariants(mirror->world);
    fol_world_digest(real->world, digest);
    fol_world_digest(mirror->world, other);
    CHECK(memcmp(digest, other, sizeof(digest)) == 0);
    check_filter(m, filters[0], m->tick - 1, false);
    check_filter(m, filters[1], m->tick - 1, true);
    for (size_t i = 0; i < real->buffer_count; i++) {
        fol_commands_end_frame(real->buffers[i]);
    }
    fol_commands_end_frame(mirror->buffers[0]);
}

static void make_runner(runner *r, fol_world *world, size_t buffers)
{
    *r = (runner){.world = world, .buffer_count = buffers};
    for (size_t i = 0; i < buffers; i++) {
        fol_commands_config config = {
            .max_commands = 200, .max_bytes = 1 << 20, .worker = (uint8_t)(i * 100)};
        must(fol_commands_create(world, &config, &r->buffers[i]));
    }
}

/* Half of the living go now and then, so that the model's array suffices. */
static void thin_out(model *m, fol_world *mirror)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->entities[i].is_alive && model_living(m) > MAX_ENTITIES / 4) {
            must(fol_world_despawn(m->world, m->entities[i].id));
            must(fol_world_despawn(mirror, m->entities[i].id));
            m->entities[i].is_alive = false;
        }
    }
}

static void run_seed(uint64_t seed)
{
    model m;
    runner real;
    runner mirror;
    fol_query *filters[2];
    model_init(&m, seed);
    m.holders = 2;
    fol_world *other = make_world();
    make_runner(&real, m.world, BUFFERS);
    make_runner(&mirror, other, 1);
    fol_term changed[2] = {{m.components[A], FOL_TERM_READ}, {m.components[A], FOL_TERM_CHANGED}};
    fol_term added[2] = {{m.components[A], FOL_TERM_READ}, {m.components[A], FOL_TERM_ADDED}};
    must(fol_query_create(m.world, changed, 2, &filters[0]));
    must(fol_query_create(m.world, added, 2, &filters[1]));
    for (int i = 0; i < ROUNDS && check_failures == 0; i++) {
        play_round(&m, &real, &mirror, filters);
        thin_out(&m, other);
        if (check_failures != 0) {
            fprintf(stderr, "seed %llu, round %d\n", (unsigned long long)seed, i);
        }
    }
    fol_query_destroy(filters[0]);
    fol_query_destroy(filters[1]);
    for (size_t i = 0; i < BUFFERS; i++) {
        fol_commands_destroy(real.buffers[i]);
    }
    fol_commands_destroy(mirror.buffers[0]);
    fol_world_destroy(other);
    model_deinit(&m);
}

static void test_a_merge_does_what_the_model_does_one_by_one(void)
{
    for (uint64_t seed = 1; seed <= SEEDS && check_failures == 0; seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_a_merge_does_what_the_model_does_one_by_one);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
