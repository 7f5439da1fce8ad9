/* A command buffer's life: creation, stamps, rollback, the end of a frame; see commands.h. */

#include "world/commands.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

#define PAYLOAD_ALIGNMENT 16u

static const char *const kind_names[FOL_COMMAND_KINDS] = {
    "spawn", "despawn", "add", "set", "remove", "insert", "call",
};

const char *fol_command_kind_name(fol_command_kind kind)
{
    FOL_ASSERT((uint32_t)kind < FOL_COMMAND_KINDS);
    return kind_names[kind];
}

/* How many provisional ids one frame may need: what one merge can take, and then some. */
static uint32_t spawns_of(const fol_world *world, const fol_commands_config *config)
{
    uint32_t wanted = world->config.max_entities > config->max_commands ? world->config.max_entities
                                                                        : config->max_commands;
    return wanted < FOL_PROVISIONAL_MAX ? wanted : FOL_PROVISIONAL_MAX;
}

static size_t records_size(const fol_commands *commands)
{
    return (size_t)commands->max_commands * sizeof(fol_record);
}

/* A stretch is not begun anew while it is empty, so there is one more than records at most. */
static size_t stretches_size(const fol_commands *commands)
{
    return ((size_t)commands->max_commands + 1) * sizeof(fol_stretch);
}

static size_t resolved_size(const fol_commands *commands)
{
    return (size_t)commands->max_spawns * sizeof(fol_entity);
}

static void free_memory(fol_commands *commands)
{
    fol_map_deinit(&commands->type_of);
    fol_free(commands->components);
    fol_unreserve(commands->resolved, resolved_size(commands));
    fol_unreserve(commands->stretches, stretches_size(commands));
    fol_unreserve(commands->arena, commands->max_bytes);
    fol_unreserve(commands->records, records_size(commands));
    fol_free(commands);
}

static int take_memory(fol_commands *commands)
{
    uint32_t types = commands->max_components;
    commands->records = fol_reserve(records_size(commands));
    commands->arena = fol_reserve(commands->max_bytes);
    commands->stretches = fol_reserve(stretches_size(commands));
    commands->resolved = fol_reserve(resolved_size(commands));
    commands->components =
        fol_alloc_zeroed(types, sizeof(*commands->components) + sizeof(*commands->world_types));
    if (commands->records == NULL || commands->arena == NULL || commands->stretches == NULL ||
        commands->resolved == NULL || commands->components == NULL) {
        return -ENOMEM;
    }
    commands->world_types = (uint32_t *)(void *)(commands->components + types);
    return fol_map_reserve(&commands->type_of, types);
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
    commands->max_components = world->config.max_components;
    commands->max_bytes = config->max_bytes;
    commands->max_spawns = spawns_of(world, config);
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
    if (world->peers[commands->worker] == commands) {
        world->peers[commands->worker] = NULL;
    }
    commands->world = NULL;
}

void fol_commands_give_back_spawns(fol_commands *commands, uint64_t count)
{
    FOL_ASSERT(count <= commands->reserved);
    commands->reserved -= count;
    if (commands->world != NULL) {
        atomic_fetch_sub_explicit(&commands->world->pending_spawns, count, memory_order_relaxed);
    }
}

/* How many entities a record spawns. */
static uint64_t spawns_of_record(const fol_record *record)
{
    if (record->kind == FOL_RECORD_SPAWN) {
        return 1;
    }
    return record->kind == FOL_RECORD_SPAWN_MANY ? record->count : 0;
}

/* Provisional ids that no merge saw are unresolved: commands that name one are dropped. */
static void discard_records(fol_commands *commands, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        fol_record *record = &commands->records[i];
        if (record->kind != FOL_RECORD_DONE) {
            fol_commands_give_back_spawns(commands, spawns_of_record(record));
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
    FOL_ASSERT(commands->reserved == 0);
    unlink_from_world(commands);
    for (uint32_t i = 0; i < commands->component_count; i++) {
        fol_component_release(commands->components[i]);
    }
    free_memory(commands);
}

void fol_commands_forget_world(fol_world *world)
{
    for (fol_commands *commands = world->commands; commands != NULL; commands = commands->next) {
        commands->world = NULL;
    }
    world->commands = NULL;
}

fol_commands *fol_commands_next(const fol_commands *commands)
{
    return commands->next;
}

static void open_stretch(fol_commands *commands)
{
    uint32_t last = commands->stretch_count - 1;
    bool is_reused = commands->stretch_count != 0 &&
                     commands->stretches[last].first == fol_commands_records(commands);
    if (!is_reused) {
        commands->stretch_count++;
    }
    commands->stretches[commands->stretch_count - 1] = (fol_stretch){
        .round = commands->round,
        .system_order = commands->system_order,
        .chunk = commands->chunk,
        .first = fol_commands_records(commands),
        .first_spawn = fol_commands_spawned(commands),
        .arena_start = commands->arena_used,
    };
}

/* Whether what is recorded now belongs to the last stretch: a merge, failed or not, ends it. */
static bool is_stretch_open(const fol_commands *commands)
{
    return commands->stretch_count != 0 &&
           commands->stretches[commands->stretch_count - 1].round == commands->round;
}

void fol_commands_begin(fol_commands *commands, uint32_t system_order, uint32_t chunk)
{
    FOL_ASSERT(commands->stretch_count <= commands->max_commands + 1);
    commands->system_order = system_order;
    commands->chunk = chunk;
    open_stretch(commands);
}

void fol_commands_rollback(fol_commands *commands)
{
    if (!is_stretch_open(commands)) {
        return;
    }
    const fol_stretch *stretch = &commands->stretches[commands->stretch_count - 1];
    discard_records(commands, stretch->first, fol_commands_records(commands));
    atomic_store_explicit(&commands->record_count, stretch->first, memory_order_relaxed);
    fol_commands_set_spawned(commands, stretch->first_spawn);
    commands->arena_used = stretch->arena_start;
}

/* Starts over with records and payloads, which are all done with. */
static void empty(fol_commands *commands)
{
    FOL_ASSERT(fol_commands_waiting(commands) == 0);
    FOL_ASSERT(commands->reserved == 0);
    atomic_store_explicit(&commands->record_count, 0, memory_order_relaxed);
    commands->stretch_count = 0;
    commands->arena_used = 0;
}

void fol_commands_discard(fol_commands *commands, uint32_t system_order)
{
    uint32_t count = commands->stretch_count;
    for (uint32_t s = 0; s < count; s++) {
        const fol_stretch *stretch = &commands->stretches[s];
        if (stretch->round == commands->round && stretch->system_order == system_order) {
            discard_records(commands, stretch->first, fol_stretch_end(commands, s));
        }
    }
    /* A merge passes over a buffer where nothing waits, and would not empty it. */
    if (fol_commands_waiting(commands) == 0) {
        empty(commands);
    }
}

void fol_commands_reset(fol_commands *commands)
{
    empty(commands);
    commands->round = commands->world->merge_round;
}

void fol_commands_end_frame(fol_commands *commands)
{
    if (fol_commands_waiting(commands) != 0) {
        return;
    }
    for (uint32_t i = 0; i < fol_commands_spawned(commands); i++) {
        commands->resolved[i] = 0;
    }
    commands->spawn_base += fol_commands_spawned(commands);
    fol_commands_set_spawned(commands, 0);
}

uint32_t fol_commands_count(const fol_commands *commands)
{
    return fol_commands_waiting(commands);
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

fol_entity *fol_commands_find_resolved(const fol_commands *commands, fol_entity entity)
{
    uint32_t worker = fol_entity_index(entity) >> FOL_PROVISIONAL_BITS;
    if (worker >= FOL_COMMANDS_WORKERS) {
        return NULL;
    }
    if (worker != commands->worker) {
        commands = commands->world == NULL ? NULL : commands->world->peers[worker];
    }
    if (commands == NULL) {
        return NULL;
    }
    /* Ids of earlier frames come out far above the count, round the end of the numbers. */
    uint32_t number = (fol_entity_index(entity) - commands->spawn_base) & (FOL_PROVISIONAL_MAX - 1);
    return number < fol_commands_spawned(commands) ? &commands->resolved[number] : NULL;
}

fol_entity fol_commands_resolve(const fol_commands *commands, fol_entity entity)
{
    if (!fol_entity_is_provisional(entity)) {
        return entity;
    }
    const fol_entity *resolved = fol_commands_find_resolved(commands, entity);
    return resolved == NULL || fol_entity_generation(*resolved) == 0 ? entity : *resolved;
}

void fol_commands_publish(fol_commands *commands, const fol_record *record,
                          const uint8_t *payload_end)
{
    uint32_t count = fol_commands_records(commands);
    FOL_ASSERT_HOT(is_stretch_open(commands));
    commands->arena_used = (size_t)(payload_end - commands->arena);
    commands->records[count] = *record;
    fol_commands_set_waiting(commands, fol_commands_waiting(commands) + 1);
    /* Pairs with the acquire in fol_commands_visit: who sees the count sees the record. */
    atomic_store_explicit(&commands->record_count, count + 1, memory_order_release);
    if (record->needs_host) {
        atomic_fetch_add_explicit(&commands->host_count, 1, memory_order_relaxed);
    }
}

int fol_commands_room(fol_commands *commands, size_t bytes, uint8_t **out)
{
    if (FOL_UNLIKELY(commands->world == NULL || commands->world->is_merging)) {
        return FOL_E_BUSY;
    }
    if (fol_commands_records(commands) == commands->max_commands) {
        commands->full_setting = "max_commands";
        return FOL_E_CAPACITY;
    }
    size_t start =
        (commands->arena_used + PAYLOAD_ALIGNMENT - 1) & ~(size_t)(PAYLOAD_ALIGNMENT - 1);
    if (start > commands->max_bytes || bytes > commands->max_bytes - start) {
        commands->full_setting = "command_bytes";
        return FOL_E_CAPACITY;
    }
    if (FOL_UNLIKELY(!is_stretch_open(commands))) {
        open_stretch(commands);
    }
    *out = commands->arena + start;
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
        type = commands->component_count;
        if (type == commands->max_components) {
            commands->full_setting = "max_components";
            return FOL_E_CAPACITY;
        }
        int status = fol_map_insert(&commands->type_of, (uintptr_t)component, type);
        FOL_ASSERT(status == 0);
        fol_component_retain(component);
        commands->components[type] = component;
        commands->world_types[type] = FOL_NO_INDEX;
        commands->component_count++;
    }
    commands->last_component = component;
    commands->last_type = type;
    *out = type;
    return 0;
}

int fol_commands_reserve_spawns(fol_commands *commands, size_t count)
{
    fol_world *world = commands->world;
    uint64_t room = world->config.max_entities - world->slots.live;
    uint64_t pending = atomic_load_explicit(&world->pending_spawns, memory_order_relaxed);
    if (count > commands->max_spawns - fol_commands_spawned(commands)) {
        commands->full_setting = "max_entities";
        return FOL_E_CAPACITY;
    }
    /* Bounded by contention: each failed exchange means that another thread recorded a spawn. The
     * count publishes nothing, so relaxed order is enough. */
    do {
        if (pending > room || count > room - pending) {
            commands->full_setting = "max_entities";
            return FOL_E_CAPACITY;
        }
    } while (!atomic_compare_exchange_weak_explicit(&world->pending_spawns, &pending,
                                                    pending + count, memory_order_relaxed,
                                                    memory_order_relaxed));
    commands->reserved += count;
    return 0;
}
