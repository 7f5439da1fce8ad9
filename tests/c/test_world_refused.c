/* Commands the world has no room for: which of them are refused, who is told, and that all others
 * are applied. A model knows sets of tags alone; worlds that take the same commands from one buffer
 * and from several must agree with it. */

#include "world_support.h"

enum { TAGS = 5, MAX_ENTITIES = 400, COMMANDS = 60, BUFFERS = 3, SEEDS = 150, ROUNDS = 12 };
enum { ORDERS = 6, CHUNKS = 3 };

typedef enum kind { SPAWN, DESPAWN, ADD, SET, REMOVE, KINDS } kind;

typedef struct command {
    kind kind;
    uint32_t order;
    uint32_t chunk;
    uint32_t mask;
    uint32_t entity; /* number among those of the model */
    bool is_refused;
} command;

/* An entity as the model knows it. */
typedef struct held {
    bool is_alive;
    uint32_t mask;
    fol_entity ids[2]; /* in the two worlds */
    fol_entity provisional[2];
    /* Of the running merge. */
    bool is_there; /* it has a set, as far as commands were followed */
    uint32_t first;
    uint32_t next_set;
} held;

typedef struct model {
    fol_world *worlds[2];
    fol_commands *buffers[2][BUFFERS];
    fol_component *tags[TAGS];
    uint64_t random;
    held entities[MAX_ENTITIES];
    uint32_t count;
    command commands[COMMANDS];
    uint32_t command_count;
    bool has_table[1u << TAGS];
    uint32_t tables_left;
    uint64_t applied;
    uint64_t dropped;
    uint32_t told[2]; /* bits of orders, as the worlds told */
    uint32_t tellings[2];
    uint32_t world; /* that merges right now */
} model;

static size_t list_tags(const model *m, uint32_t mask, fol_component **out, fol_value *values)
{
    size_t count = 0;
    for (uint32_t i = 0; i < TAGS; i++) {
        if (mask & (1u << i)) {
            values[count] = (fol_value){m->tags[i], NULL};
            out[count++] = m->tags[i];
        }
    }
    return count;
}

static void generate(model *m)
{
    m->command_count = 1 + random_below(&m->random, COMMANDS);
    uint32_t order = 0;
    uint32_t chunk = 0;
    for (uint32_t i = 0; i < m->command_count; i++) {
        command *c = &m->commands[i];
        if (random_below(&m->random, 6) == 0 && order + 1 < ORDERS) {
            order++;
            chunk = 0;
        } else if (random_below(&m->random, 6) == 0 && chunk + 1 < CHUNKS) {
            chunk++;
        }
        *c = (command){.kind = (kind)random_below(&m->random, KINDS),
                       .order = order,
                       .chunk = chunk,
                       .mask = random_below(&m->random, 1u << TAGS)};
        c->mask &= random_below(&m->random, 2) ? random_next(&m->random) : UINT32_MAX;
        if (c->kind == SPAWN || m->count == 0) {
            c->kind = SPAWN;
            c->entity = m->count;
            m->entities[m->count++] = (held){0};
        } else {
            uint32_t recent = m->count < 8 ? m->count : 8;
            c->entity = m->count - 1 - random_below(&m->random, recent);
        }
    }
}

static void record(model *m, uint32_t world, fol_commands *buffer, const command *c)
{
    fol_component *tags[TAGS];
    fol_value values[TAGS];
    held *e = &m->entities[c->entity];
    fol_entity id = e->ids[world] != 0 ? e->ids[world] : e->provisional[world];
    size_t count = list_tags(m, c->mask, tags, values);
    switch (c->kind) {
    case SPAWN:
        must(fol_commands_spawn(buffer, values, count, &e->provisional[world]));
        break;
    case DESPAWN:
        must(fol_commands_despawn(buffer, id));
        break;
    case ADD:
        must(fol_commands_add(buffer, id, values, count));
        break;
    case SET:
        must(fol_commands_set(buffer, id, values, count));
        break;
    default:
        must(fol_commands_remove(buffer, id, tags, count));
        break;
    }
}

/* The model. */

/* Follows one command; false when it is not there to be done, and then nothing changed. */
static bool follow(const command *c, bool *is_there, uint32_t *mask)
{
    if (c->kind == SPAWN) {
        *is_there = true;
        *mask = c->mask;
        return true;
    }
    bool lacks = (c->kind == SET || c->kind == REMOVE) && (*mask & c->mask) != c->mask;
    if (!*is_there || lacks) {
        return false;
    }
    *is_there = c->kind != DESPAWN;
    *mask = c->kind == ADD ? *mask | c->mask : c->kind == REMOVE ? *mask & ~c->mask : *mask;
    return true;
}

/* How the entity ends when the commands from number `refused_from` on that would change its set are
 * refused. */
static uint64_t run_entity(model *m, uint32_t number, uint32_t refused_from, bool is_written)
{
    held *e = &m->entities[number];
    bool is_there = e->is_alive;
    uint32_t mask = e->mask;
    uint64_t applied = 0;
    for (uint32_t i = 0; i < m->command_count; i++) {
        command *c = &m->commands[i];
        if (c->entity != number) {
            continue;
        }
        bool before_there = is_there;
        uint32_t before = mask;
        bool is_done = follow(c, &is_there, &mask);
        bool is_change = is_there != before_there || mask != before;
        if (is_done && is_change && i >= refused_from) {
            is_there = before_there;
            mask = before;
            is_done = false;
            c->is_refused = is_written;
        }
        applied += is_done ? 1 : 0;
        m->dropped += is_written && !is_done ? 1 : 0;
    }
    if (is_written) {
        e->is_alive = is_there;
        e->mask = mask;
        m->applied += applied;
    }
    return is_there ? mask : UINT64_MAX;
}

static bool has_table(const model *m, uint64_t mask)
{
    return mask == UINT64_MAX || m->has_table[mask];
}

static void settle_entity(model *m, uint32_t number)
{
    uint64_t mask = run_entity(m, number, m->command_count, false);
    uint32_t refused_from = m->command_count;
    if (!has_table(m, mask) && m->tables_left != 0) {
        m->has_table[mask] = true;
        m->tables_left--;
    }
    if (!has_table(m, mask)) {
        /* The longest part of its commands that ends in a set with a table. */
        bool is_there = m->entities[number].is_alive;
        uint32_t now = m->entities[number].mask;
        refused_from = 0;
        for (uint32_t i = 0; i < m->command_count; i++) {
            if (m->commands[i].entity == number && follow(&m->commands[i], &is_there, &now) &&
                m->has_table[now]) {
                refused_from = i + 1;
            }
        }
    }
    (void)run_entity(m, number, refused_from, true);
}

static void run_model(model *m)
{
    m->applied = 0;
    m->dropped = 0;
    for (uint32_t e = 0; e < m->count; e++) {
        m->entities[e].first = UINT32_MAX;
    }
    for (uint32_t i = 0; i < m->command_count; i++) {
        held *e = &m->entities[m->commands[i].entity];
        if (e->first == UINT32_MAX) {
            e->first = i;
            settle_entity(m, m->commands[i].entity);
        }
    }
}

/* The worlds. */

static void note_failure(void *argument, uint32_t system_order, int status)
{
    model *m = argument;
    CHECK_EQ(status, FOL_E_CAPACITY);
    CHECK_STR(fol_world_full_setting(m->worlds[m->world]), "max_tables");
    m->told[m->world] |= 1u << system_order;
    m->tellings[m->world]++;
}

static void run_world(model *m, uint32_t world)
{
    size_t buffers = world == 0 ? 1 : BUFFERS;
    uint32_t stamp = UINT32_MAX;
    size_t buffer = 0;
    for (uint32_t i = 0; i < m->command_count; i++) {
        const command *c = &m->commands[i];
        uint32_t at = c->order * CHUNKS + c->chunk;
        if (at != stamp) {
            stamp = at;
            buffer = random_below(&m->random, (uint32_t)buffers);
            fol_commands_begin(m->buffers[world][buffer], c->order, c->chunk);
        }
        record(m, world, m->buffers[world][buffer], c);
    }
    fol_merge_report report = {.on_error = note_failure, .on_error_argument = m};
    m->world = world;
    m->told[world] = 0;
    m->tellings[world] = 0;
    must(fol_world_merge(m->worlds[world], m->buffers[world], buffers, &report));
    fol_world_invariants(m->worlds[world]);
    uint64_t applied = 0;
    for (int k = 0; k < FOL_COMMAND_KINDS; k++) {
        applied += report.applied[k];
    }
    CHECK_EQ(applied, m->applied);
    CHECK_EQ(report.dropped, m->dropped);
}

static void check_round(model *m)
{
    uint8_t digests[2][16];
    uint32_t orders = 0;
    for (uint32_t i = 0; i < m->command_count; i++) {
        orders |= m->commands[i].is_refused ? 1u << m->commands[i].order : 0;
    }
    for (uint32_t w = 0; w < 2; w++) {
        CHECK_EQ(m->told[w], orders);
        CHECK_EQ(m->tellings[w], __builtin_popcount(orders));
        fol_world_digest(m->worlds[w], digests[w]);
    }
    CHECK(memcmp(digests[0], digests[1], sizeof(digests[0])) == 0);
    for (uint32_t e = 0; e < m->count; e++) {
        held *h = &m->entities[e];
        for (uint32_t w = 0; w < 2; w++) {
            if (h->ids[w] == 0) {
                h->ids[w] = fol_commands_resolve(m->buffers[w][0], h->provisional[w]);
            }
            CHECK_EQ(fol_world_is_alive(m->worlds[w], h->ids[w]), h->is_alive);
            for (uint32_t t = 0; h->is_alive && t < TAGS; t++) {
                CHECK_EQ(fol_world_has(m->worlds[w], h->ids[w], m->tags[t]), (h->mask >> t) & 1);
            }
        }
    }
}

static void forget_dead(model *m)
{
    uint32_t kept = 0;
    for (uint32_t e = 0; e < m->count; e++) {
        if (m->entities[e].is_alive && kept < MAX_ENTITIES - COMMANDS) {
            m->entities[kept++] = m->entities[e];
        }
    }
    m->count = kept;
}

static void init_model(model *m, uint64_t seed)
{
    *m = (model){.random = seed * 0x9e3779b97f4a7c15u + 1};
    m->tables_left = 1 + random_below(&m->random, 8);
    m->has_table[0] = true;
    for (int i = 0; i < TAGS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "T%d", i);
        m->tags[i] = make_tag(name);
    }
    fol_world_config config = {1000, 64, m->tables_left};
    for (int w = 0; w < 2; w++) {
        must(fol_world_create(&config, &m->worlds[w]));
        for (int b = 0; b < (w == 0 ? 1 : BUFFERS); b++) {
            fol_commands_config buffer = {
                .max_commands = COMMANDS, .max_bytes = 1 << 16, .worker = (uint8_t)b};
            must(fol_commands_create(m->worlds[w], &buffer, &m->buffers[w][b]));
        }
    }
}

static void deinit_model(model *m)
{
    for (int w = 0; w < 2; w++) {
        for (int b = 0; b < BUFFERS; b++) {
            fol_commands_destroy(m->buffers[w][b]);
        }
        fol_world_destroy(m->worlds[w]);
    }
    for (int i = 0; i < TAGS; i++) {
        fol_component_release(m->tags[i]);
    }
}

static void test_what_is_refused_is_what_the_model_refuses(void)
{
    static model m;
    uint64_t refusals = 0;
    for (uint64_t seed = 1; seed <= SEEDS && check_failures == 0; seed++) {
        init_model(&m, seed);
        for (int round = 0; round < ROUNDS && check_failures == 0; round++) {
            generate(&m);
            run_model(&m);
            run_world(&m, 0);
            run_world(&m, 1);
            check_round(&m);
            refusals += m.tellings[0];
            for (int w = 0; w < 2; w++) {
                for (int b = 0; b < (w == 0 ? 1 : BUFFERS); b++) {
                    fol_commands_end_frame(m.buffers[w][b]);
                }
            }
            forget_dead(&m);
            if (check_failures != 0) {
                fprintf(stderr, "seed %d, round %d\n", (int)seed, round);
            }
        }
        deinit_model(&m);
    }
    CHECK(refusals > SEEDS);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_what_is_refused_is_what_the_model_refuses);
    if (live_blocks() != before) {
        fprintf(stderr, "%lld blocks were not freed\n", (long long)(live_blocks() - before));
        return 1;
    }
    CHECK_MAIN_END();
}
