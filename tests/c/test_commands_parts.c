/* Random runs, recorded whole and in parts of any number: the same commands are refused, and the
 * same is told. FOLIOT_FUZZ_CASES and FOLIOT_FUZZ_SEED choose how many runs and where to start. */

#include <errno.h>

#include "commands_support.h"
#include "draw.h"

enum { ATTEMPTS = 60, ROUNDS = 600 };

typedef struct attempt {
    uint32_t kind;
    uint32_t target;
    uint32_t size; /* bytes of a text, or how many */
} attempt;

typedef struct copy {
    fol_world *world;
    fol_commands *buffers[BUFFERS];
    fol_entity ids[20];
    fol_component *s;
    fol_component *o;
    counted object;
    told told;
    fol_merge_report report;
} copy;

static void open_copy(copy *c, uint32_t max_entities, uint32_t max_commands, size_t max_bytes)
{
    *c = (copy){.s = make_bytes("S"), .o = make_object("O")};
    c->world = make_small_world(max_entities);
    c->told.world = c->world;
    c->report.on_error = note;
    c->report.on_error_argument = &c->told;
    for (uint32_t b = 0; b < BUFFERS; b++) {
        c->buffers[b] = make_commands(c->world, (uint8_t)b, max_commands, max_bytes);
    }
    must(fol_world_spawn_many(c->world, 20, NULL, 0, c->ids));
}

static void close_copy(copy *c)
{
    for (uint32_t b = 0; b < BUFFERS; b++) {
        fol_commands_destroy(c->buffers[b]);
    }
    fol_world_destroy(c->world);
    CHECK_EQ(c->object.references, 0);
    fol_component_release(c->s);
    fol_component_release(c->o);
}

static void try(copy *c, fol_commands *buffer, const attempt *a)
{
    static uint8_t letters[300] = "a fine text";
    void *pointer = &c->object;
    fol_bytes text = {letters, a->size};
    fol_value values[2] = {{c->s, &text}, {c->o, &pointer}};
    fol_source source = {&text, 0};
    fol_bulk bulk = {c->s, &source};
    fol_entity ids[300];
    fol_entity target = c->ids[a->target];
    switch (a->kind) {
    case 0:
        must(fol_commands_spawn(buffer, values, 2, ids));
        must(fol_commands_set(buffer, ids[0], values, 1));
        break;
    case 1:
        must(fol_commands_spawn_many(buffer, a->size, &bulk, 1, ids));
        must(fol_commands_despawn(buffer, ids[a->size / 2]));
        break;
    case 2:
        must(fol_commands_despawn(buffer, target));
        break;
    case 3:
        must(fol_commands_add_many(buffer, c->ids, a->target, &bulk, 1));
        break;
    case 4:
        must(fol_commands_remove(buffer, target, &c->o, 1));
        break;
    default:
        must(fol_commands_add(buffer, target, values, 1 + a->size % 2));
        break;
    }
}

/* Records attempts of one run: in one part, or cut anywhere, the parts in any order. */
static void record_run(copy *c, const attempt *attempts, uint32_t order, uint64_t *random,
                       bool is_cut)
{
    uint32_t cuts[ATTEMPTS + 1] = {0};
    uint32_t parts = 1;
    for (uint32_t i = 1; i < ATTEMPTS && is_cut; i++) {
        if (draw_below(random, 6) == 0) {
            cuts[parts++] = i;
        }
    }
    cuts[parts] = ATTEMPTS;
    uint32_t start = is_cut ? draw_below(random, parts) : 0;
    for (uint32_t p = 0; p < parts; p++) {
        uint32_t part = (start + p) % parts;
        fol_commands *buffer = c->buffers[is_cut ? draw_below(random, BUFFERS) : 0];
        fol_commands_begin_part(buffer, order, part);
        for (uint32_t i = cuts[part]; i < cuts[part + 1]; i++) {
            try(c, buffer, &attempts[i]);
        }
    }
}

static void compare_copies(const copy *a, const copy *b)
{
    uint8_t digests[2][16];
    fol_world_digest(a->world, digests[0]);
    fol_world_digest(b->world, digests[1]);
    CHECK(memcmp(digests[0], digests[1], 16) == 0);
    CHECK_EQ(a->report.dropped, b->report.dropped);
    for (uint32_t k = 0; k < FOL_COMMAND_KINDS; k++) {
        CHECK_EQ(a->report.applied[k], b->report.applied[k]);
    }
    CHECK_EQ(a->told.count, b->told.count);
    for (uint32_t i = 0; i < a->told.count && i < 8; i++) {
        CHECK_EQ(a->told.orders[i], b->told.orders[i]);
        CHECK_EQ(a->told.limits[i], b->told.limits[i]);
        CHECK_STR(b->told.settings[i], a->told.settings[i]);
    }
    CHECK_EQ(a->object.references, b->object.references);
    fol_world_invariants(b->world);
}

static void test_parts_of_any_number_are_refused_the_same(void)
{
    uint64_t seed = setting("FOLIOT_FUZZ_SEED", 1);
    uint32_t refusals = 0;
    for (uint64_t round = 0; round < setting("FOLIOT_FUZZ_CASES", ROUNDS); round++) {
        uint64_t random = seed + round;
        attempt attempts[2][ATTEMPTS];
        copy whole;
        copy cut;
        uint32_t most = draw_below(&random, 3) == 0 ? 1000 : 1 + draw_below(&random, 80);
        size_t bytes = draw_below(&random, 3) == 0 ? 1 << 20 : 1 + draw_below(&random, 6000);
        uint32_t entities = draw_below(&random, 3) == 0 ? 2000 : 20 + draw_below(&random, 200);
        for (uint32_t i = 0; i < 2 * ATTEMPTS; i++) {
            attempts[i / ATTEMPTS][i % ATTEMPTS] =
                (attempt){draw_below(&random, 12), draw_below(&random, 20),
                          1 + draw_below(&random, draw_below(&random, 6) == 0 ? 250 : 20)};
        }
        open_copy(&whole, entities, most, bytes);
        open_copy(&cut, entities, most, bytes);
        for (uint32_t order = 0; order < 2; order++) {
            record_run(&whole, attempts[order], order, &random, false);
            record_run(&cut, attempts[order], order, &random, true);
        }
        must(fol_world_merge(whole.world, whole.buffers, BUFFERS, &whole.report));
        /* A merge without memory refuses nothing twice. */
        fol_memory_fail_nth(1 + draw_below(&random, 10));
        int status = fol_world_merge(cut.world, cut.buffers, BUFFERS, &cut.report);
        fol_memory_fail_nth(0);
        CHECK(status == 0 || status == -ENOMEM);
        must(fol_world_merge(cut.world, cut.buffers, BUFFERS, &cut.report));
        int failures = check_failures;
        compare_copies(&whole, &cut);
        refusals += whole.told.count;
        if (check_failures != failures) {
            fprintf(stderr, "seed %llu\n", (unsigned long long)(seed + round));
        }
        close_copy(&whole);
        close_copy(&cut);
    }
    CHECK(setting("FOLIOT_FUZZ_CASES", ROUNDS) < ROUNDS || refusals > 100);
}

int main(void)
{
    uint64_t before = live_blocks();
    RUN(test_parts_of_any_number_are_refused_the_same);
    CHECK_EQ(live_blocks(), before);
    CHECK_MAIN_END();
}
