/* add_remove one entity at a time through the public C interface: 10,000 entities with A get B,
 * then lose it. Called as `c_add_remove add_remove SAMPLES`; prints the JSON of
 * benchmarks/protocol.py.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foliot/clock.h"
#include "foliot/world.h"

#define ENTITIES 10000
#define INNER    10

static uint64_t now_ns(void)
{
    return fol_clock_monotonic.now_ns(fol_clock_monotonic.state);
}

static int make_component(const char *name, fol_component **out)
{
    const fol_field field = {.name = "", .format = "f", .item_size = 4};
    const fol_component_spec spec = {.name = name, .field_count = 1, .fields = &field};
    return fol_component_create(&spec, out);
}

static int add_and_remove(fol_world *world, const fol_entity *entities, fol_component *b)
{
    const float value = 0.0f;
    const fol_value values[1] = {{b, &value}};
    fol_component *const components[1] = {b};
    int status = 0;
    for (size_t i = 0; i < ENTITIES; i++) {
        status |= fol_world_add(world, entities[i], values, 1);
    }
    for (size_t i = 0; i < ENTITIES; i++) {
        status |= fol_world_remove(world, entities[i], components, 1);
    }
    return status;
}

static int sample(fol_world *world, const fol_entity *entities, fol_component *b, double *seconds)
{
    int status = 0;
    uint64_t start = now_ns();
    for (int i = 0; i < INNER; i++) {
        status |= add_and_remove(world, entities, b);
    }
    *seconds = (double)(now_ns() - start) * 1e-9 / INNER;
    return status;
}

int main(int argc, char **argv)
{
    static fol_entity entities[ENTITIES];
    if (argc < 2 || strcmp(argv[1], "add_remove") != 0) {
        fprintf(stderr, "usage: %s add_remove [SAMPLES]\n", argv[0]);
        return 2;
    }
    long samples = argc > 2 ? strtol(argv[2], NULL, 10) : 20;
    fol_component *a = NULL;
    fol_component *b = NULL;
    fol_world *world = NULL;
    int status = make_component("A", &a) | make_component("B", &b);
    if (status == 0) {
        status = fol_world_create(&fol_world_config_default, &world);
    }
    const fol_bulk bulk = {a, NULL};
    if (status == 0) {
        status = fol_world_spawn_many(world, ENTITIES, &bulk, 1, entities);
    }
    double seconds = 0.0;
    for (int i = 0; i < 10 && status == 0; i++) {
        status = sample(world, entities, b, &seconds);
    }
    printf("{\"peer\": \"foliot\", \"workload\": \"add_remove\", \"inner\": %d, \"seconds\": [",
           INNER);
    for (long i = 0; i < samples && status == 0; i++) {
        status = sample(world, entities, b, &seconds);
        printf("%s%.9g", i == 0 ? "" : ", ", seconds);
    }
    printf("]}\n");
    if (status != 0) {
        fprintf(stderr, "the world refused: status %d\n", status);
        return 1;
    }
    fol_world_destroy(world);
    fol_component_release(a);
    fol_component_release(b);
    return 0;
}
