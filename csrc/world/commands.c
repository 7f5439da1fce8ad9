/* A command buffer's life: creation, stamps, rollback, the end of a frame; see commands.h. */

#include "world/commands.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

/* What a new buffer has room for before it grows. */
#define FIRST_RECORDS    1024u
#define FIRST_BYTES      65536u
#define FIRST_STRETCHES  64u
#define FIRST_COMPONENTS 64u

static const char *const kind_names[FOL_COMMAND_KINDS] = {
    "spawn", "despawn", "add", "set", "remove", "insert", "call",
};

const char *fol_command_kind_name(fol_command_kind kind)
{
    FOL_ASSERT((uint32_t)kind < FOL_COMMAND_KINDS);
    return kind_names[kind];
}

static void free_outgrown(fol_commands *commands)
{
    while (commands->outgrown != NULL) {
        fol_component **block = commands->outgrown - 1;
        commands->outgrown = (fol_component **)(void *)block[0];
        fol_free(block);
    }
}

static void free_memory(fol_commands *commands)
{
    fol_world *world = commands->world;
    fol_ids_deinit(&commands->ids, world == NULL ? NULL : &world->ids);
    fol_map_deinit(&commands->type_of);
    free_outgrown(commands);
    fol_component **components = atomic_load_explicit(&commands->components, memory_order_relaxed);
    fol_free(components == NULL ? NULL : components - 1);
    fol_free(commands->world_types);
    fol_free(commands->stretches);
    fol_pages_deinit(&commands->arena_pages);
    fol_pages_deinit(&commands->record_pages);
    fol_free(commands);
}

static int take_memory(fol_commands *commands)
{
    const fol_commands_size first = {
        .records = FIRST_RECORDS, .bytes = FIRST_BYTES, .stretches = FIRST_STRETCHES};
    int status = fol_id_directory_ensure(&commands->world->ids);
    if (status == 0) {
        status = fol_ids_init(&commands->ids, &commands->world->ids);
    }
    if (status == 0) {
        status = fol_commands_grow(commands, &first);
    }
    return status == 0 ? fol_commands_grow_components(commands, FIRST_COMPONENTS) : status;
}

int fol_commands_create(fol_world *world, const fol_commands_config *config, fol_commands **out)
{
    if (config->max_commands == 0 || config->max_commands == UINT32_MAX || config->max_bytes == 0 ||
        config->max_bytes > PTRDIFF_MAX || config->worker >= FOL_COMMANDS_WORKERS) {
        return FOL_E_VALUE;
    }
    /* Workers record at once: no two buffers share a cache line. */
    fol_commands *commands = fol_alloc_aligned(sizeof(*commands));
    if (commands == NULL) {
        return -ENOMEM;
    }
    memset(commands, 0, sizeof(*commands));
    commands->world = world;
    commands->worker = config->worker;
    commands->max_commands = config->max_commands;
    commands->max_bytes = config->max_bytes;
    commands->full_setting = "";
    commands->round = world->merge_round;
    int status = take_memory(commands);
    if (status < 0) {
        free_memory(commands);
        return status;
    }
    commands->next = world->commands;
    commands->link = &world->commands;
    if (commands->next != NULL) {
        commands->next->link = &commands->next;
    }
    world->commands = commands;
    *out = commands;
    return 0;
}

static void unlink_from_world(fol_commands *commands)
{
    fol_world *world = commands->world;
    if (world == NULL) {
        return;
    }
    *commands->link = commands->next;
    if (commands->next != NULL) {
        commands->next->link = commands->link;
    }
    commands->world = NULL;
}

/* Provisional ids that no merge saw are unresolved: commands that name one are dropped. */
static void discard_records(fol_commands *commands, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        fol_record *record = fol_commands_record(commands, i);
        if (record->kind != FOL_RECORD_DONE) {
            fol_record_finish(commands, record);
        }
    }
}

void fol_commands_destroy(fol_commands *commands)
{
    if (commands == NULL) {
        return;
    }
    discard_records(commands, 0, fol_commands_records(commands));
    for (uint32_t i = 0; i < commands->component_count; i++) {
        fol_component_release(fol_commands_component(commands, i));
    }
    unlink_from_world(commands);
    free_memory(commands);
}

void fol_commands_forget_world(fol_world *world)
{
    for (fol_commands *commands = world->commands; commands != NULL; commands = commands->next) {
        fol_commands_close(commands);
        commands->world = NULL;
    }
    world->commands = NULL;
}

fol_commands *fol_commands_next(const fol_commands *commands)
{
    return commands->next;
}

void fol_commands_close(fol_commands *commands)
{
    if (commands->is_open) {
        fol_stretch *stretch = &commands->stretches[commands->stretch_count - 1];
        stretch->kept = (fol_need){
            .commands = fol_commands_records(commands) - stretch->first,
            .bytes = commands->run_bytes + (size_t)(commands->arena_next - commands->run_start),
            .spawns = commands->run_spawns,
        };
        commands->is_open = false;
    }
    /* The next command takes the slow way, which opens a stretch. */
    commands->record_end = commands->record_next;
}

void fol_commands_begin(fol_commands *commands, uint32_t system_order, uint32_t chunk)
{
    fol_commands_close(commands);
    commands->is_part = false;
    commands->system_order = system_order;
    commands->chunk = chunk;
}

void fol_commands_begin_part(fol_commands *commands, uint32_t system_order, uint32_t chunk)
{
    fol_commands_begin(commands, system_order, chunk);
    commands->is_part = true;
}

void fol_commands_forget_lost(fol_commands *commands, fol_stretch *stretch)
{
    FOL_ASSERT(fol_commands_waiting(commands) >= stretch->lost);
    fol_commands_set_waiting(commands, fol_commands_waiting(commands) - stretch->lost);
    stretch->lost = 0;
    stretch->lost_weight = 0;
}

void fol_commands_rollback(fol_commands *commands)
{
    if (!commands->is_open) {
        return;
    }
    fol_stretch *stretch = &commands->stretches[commands->stretch_count - 1];
    discard_records(commands, stretch->first, fol_commands_records(commands));
    fol_commands_forget_lost(commands, stretch);
    atomic_store_explicit(&commands->record_count, stretch->first, memory_order_relaxed);
    commands->arena_page = stretch->arena_page;
    commands->arena_next = stretch->arena_start;
    commands->stretch_count--;
    commands->is_open = false;
    fol_commands_find_ends(commands);
}

/* Starts over with records and payloads, which are all done with. */
static void empty(fol_commands *commands)
{
    FOL_ASSERT(fol_commands_waiting(commands) == 0);
    atomic_store_explicit(&commands->record_count, 0, memory_order_relaxed);
    commands->stretch_count = 0;
    commands->is_open = false;
    commands->arena_page = 0;
    commands->arena_next = commands->arena_pages.items[0];
    fol_commands_find_ends(commands);
    free_outgrown(commands);
}

void fol_commands_discard(fol_commands *commands, uint32_t system_order)
{
    uint32_t count = commands->stretch_count;
    for (uint32_t s = 0; s < count; s++) {
        fol_stretch *stretch = &commands->stretches[s];
        if (stretch->round == commands->round && stretch->system_order == system_order) {
            discard_records(commands, stretch->first, fol_stretch_end(commands, s));
            fol_commands_forget_lost(commands, stretch);
        }
    }
    /* A merge passes over a buffer where nothing waits, and would not empty it. */
    if (fol_commands_waiting(commands) == 0) {
        empty(commands);
    }
}

/* Components that the world has no number for would otherwise gather without end. */
static void forget_components(fol_commands *commands)
{
    for (uint32_t i = 0; i < commands->component_count; i++) {
        fol_component_release(fol_commands_component(commands, i));
    }
    commands->component_count = 0;
    commands->last_component = NULL;
    fol_map_deinit(&commands->type_of);
}

void fol_commands_reset(fol_commands *commands)
{
    empty(commands);
    commands->round = commands->world->merge_round;
    if (commands->component_count > commands->world->config.max_components) {
        forget_components(commands);
    }
}

void fol_commands_end_frame(fol_commands *commands)
{
    /* Most buffers of most frames, whose cache lines stay where they are. */
    if (!commands->is_open && fol_ids_are_settled(&commands->ids)) {
        return;
    }
    if (fol_commands_waiting(commands) == 0 && commands->world != NULL) {
        fol_ids_end_frame(&commands->ids, &commands->world->ids);
        fol_commands_close(commands);
    }
}

uint32_t fol_commands_count(const fol_commands *commands)
{
    return fol_commands_waiting(commands);
}

uint32_t fol_commands_recorded(const fol_commands *commands)
{
    if (!commands->is_open) {
        return 0;
    }
    const fol_stretch *stretch = &commands->stretches[commands->stretch_count - 1];
    return fol_commands_records(commands) - stretch->first + stretch->lost;
}

/* A command on an entity may drop objects that the world holds, so with object types about every
 * command may need the host. */
bool fol_commands_need_host(const fol_commands *commands)
{
    return atomic_load_explicit(&commands->host_count, memory_order_relaxed) != 0 ||
           (fol_commands_waiting(commands) != 0 && commands->world != NULL &&
            commands->world->object_type_count != 0);
}

const char *fol_commands_full_setting(const fol_commands *commands)
{
    return commands->full_setting;
}

uint64_t fol_commands_full_limit(const fol_commands *commands)
{
    return commands->full_limit;
}

fol_entity fol_commands_resolve(const fol_commands *commands, fol_entity entity)
{
    if (!fol_entity_is_provisional(entity)) {
        return entity;
    }
    const fol_entity *resolved = fol_commands_find_resolved(commands, entity);
    return resolved == NULL || fol_entity_generation(*resolved) == 0 ? entity : *resolved;
}

void fol_commands_publish(fol_commands *commands, const fol_record *record, uint8_t *payload_end)
{
    uint32_t count = fol_commands_records(commands);
    FOL_ASSERT_HOT(commands->is_open && commands->record_next != commands->record_end);
    FOL_ASSERT_HOT((uintptr_t)payload_end % 16 == 0 && payload_end <= commands->arena_end);
    commands->arena_next = payload_end;
    *commands->record_next++ = *record;
    fol_commands_set_waiting(commands, fol_commands_waiting(commands) + 1);
    /* Pairs with the acquire in fol_commands_visit: who sees the count sees the record. */
    atomic_store_explicit(&commands->record_count, count + 1, memory_order_release);
    if (record->needs_host) {
        atomic_fetch_add_explicit(&commands->host_count, 1, memory_order_relaxed);
    }
}

/* A component that the buffer meets for the first time. */
static int meet_component(fol_commands *commands, fol_component *component, uint32_t *out)
{
    uint32_t type = commands->component_count;
    if (type == commands->component_capacity) {
        int status = fol_commands_grow_components(commands, 2 * type);
        if (status < 0) {
            return status;
        }
    }
    int status = fol_map_insert(&commands->type_of, (uintptr_t)component, type);
    if (status < 0) {
        return status;
    }
    fol_component_retain(component);
    atomic_load_explicit(&commands->components, memory_order_relaxed)[type] = component;
    commands->world_types[type] = FOL_NO_INDEX;
    commands->component_count++;
    *out = type;
    return 0;
}

int fol_commands_type_of(fol_commands *commands, fol_component *component, uint32_t *out)
{
    if (FOL_LIKELY(component == commands->last_component && component != NULL)) {
        *out = commands->last_type;
        return 0;
    }
    if (component == NULL) {
        return FOL_E_VALUE;
    }
    uint32_t type = fol_map_find(&commands->type_of, (uintptr_t)component);
    if (type == FOL_MAP_ABSENT) {
        int status = meet_component(commands, component, &type);
        if (status < 0) {
            return status;
        }
    }
    commands->last_component = component;
    commands->last_type = type;
    *out = type;
    return 0;
}
