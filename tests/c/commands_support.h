/* What tests of command buffers with limits share: small buffers and worlds, and what a merge
 * tells.
 */
#ifndef FOL_TESTS_COMMANDS_SUPPORT_H
#define FOL_TESTS_COMMANDS_SUPPORT_H

#include "world_support.h"

enum { BUFFERS = 3 };

static inline fol_commands *make_commands(fol_world *world, uint8_t worker, uint32_t max_commands,
                                          size_t max_bytes)
{
    fol_commands *commands;
    fol_commands_config config = {
        .max_commands = max_commands, .max_bytes = max_bytes, .worker = worker};
    must(fol_commands_create(world, &config, &commands));
    return commands;
}

static inline fol_world *make_small_world(uint32_t max_entities)
{
    fol_world *world;
    fol_world_config config = fol_world_config_default;
    config.max_entities = max_entities;
    must(fol_world_create(&config, &world));
    return world;
}

/* What a merge told. */
typedef struct told {
    const fol_world *world;
    uint32_t count;
    uint32_t orders[8];
    const char *settings[8];
    uint64_t limits[8];
} told;

static inline void note(void *argument, uint32_t system_order, int status)
{
    told *t = argument;
    CHECK_EQ(status, FOL_E_CAPACITY);
    if (t->count < 8) {
        t->orders[t->count] = system_order;
        t->settings[t->count] = fol_world_full_setting(t->world);
        t->limits[t->count] = fol_world_full_limit(t->world);
    }
    t->count++;
}

#endif
