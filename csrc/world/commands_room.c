/* Room in a command buffer: limits of a run, pages that end, and a stretch that is not open yet;
 * see commands.h.
 *
 * record_next always points into a page that has been looked up, or at its end. The ends that the
 * fast way compares with are the nearer of what the page and what the run's limits allow; while no
 * stretch is open, and in a part that lost a command, they allow nothing.
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "world/commands.h"

static const uint8_t *arena_page_end(const fol_commands *commands)
{
    uint32_t page = commands->arena_page;
    return commands->arena_pages.items[page] + commands->arena_pages.sizes[page];
}

static const fol_record *record_page_end(const fol_commands *commands)
{
    uint32_t page = commands->record_page;
    uint32_t first = page == 0 ? 0 : commands->record_ends[page - 1];
    return (fol_record *)(void *)commands->record_pages.items[page] +
           (commands->record_ends[page] - first);
}

/* Of the open stretch. */
static size_t run_bytes(const fol_commands *commands)
{
    return commands->run_bytes + (size_t)(commands->arena_next - commands->run_start);
}

static fol_stretch *open_stretch_of(const fol_commands *commands)
{
    FOL_ASSERT(commands->is_open && commands->stretch_count != 0);
    return &commands->stretches[commands->stretch_count - 1];
}

/* Room for what the pages and the limits of the run leave. */
static void set_ends(fol_commands *commands)
{
    const fol_stretch *stretch = open_stretch_of(commands);
    uint32_t left = commands->max_commands - (fol_commands_records(commands) - stretch->first);
    size_t in_page = (size_t)(record_page_end(commands) - commands->record_next);
    commands->record_end = commands->record_next + (left < in_page ? left : in_page);
    size_t bytes = commands->max_bytes - run_bytes(commands);
    size_t bytes_in_page = (size_t)(arena_page_end(commands) - commands->arena_next);
    commands->arena_end = commands->arena_next + (bytes < bytes_in_page ? bytes : bytes_in_page);
    uint64_t spawns = commands->world->config.max_entities - commands->run_spawns;
    uint32_t numbers = commands->ids.end - commands->ids.next;
    commands->spawn_room = spawns < numbers ? (uint32_t)spawns : numbers;
}

void fol_commands_find_ends(fol_commands *commands)
{
    uint32_t count = fol_commands_records(commands);
    uint32_t page = 0;
    /* A record at a page's end is found there: the slow way turns the page. */
    while (count > commands->record_ends[page]) {
        page++;
    }
    uint32_t first = page == 0 ? 0 : commands->record_ends[page - 1];
    commands->record_page = page;
    commands->record_next =
        (fol_record *)(void *)commands->record_pages.items[page] + (count - first);
    commands->record_end = commands->record_next;
}

static int open_stretch(fol_commands *commands)
{
    if (commands->stretch_count == commands->stretch_capacity) {
        size_t capacity = 2 * (size_t)commands->stretch_capacity;
        fol_stretch *stretches =
            capacity > UINT32_MAX
                ? NULL
                : fol_realloc_array(commands->stretches, capacity, sizeof(*stretches));
        if (stretches == NULL) {
            return -ENOMEM;
        }
        commands->stretches = stretches;
        commands->stretch_capacity = (uint32_t)capacity;
    }
    commands->stretches[commands->stretch_count++] = (fol_stretch){
        .round = commands->round,
        .system_order = commands->system_order,
        .chunk = commands->chunk,
        .first = fol_commands_records(commands),
        .arena_page = commands->arena_page,
        .arena_start = commands->arena_next,
        .is_part = commands->is_part,
    };
    commands->is_open = true;
    commands->run_start = commands->arena_next;
    commands->run_bytes = 0;
    commands->run_spawns = 0;
    return 0;
}

/* A limit is reached: the system is told, or, in a part, the command is lost and all behind it. */
static int refuse(fol_commands *commands, size_t bytes, uint32_t spawns, const char *setting,
                  uint64_t limit)
{
    fol_stretch *stretch = open_stretch_of(commands);
    if (!stretch->is_part) {
        commands->full_setting = setting;
        commands->full_limit = limit;
        return FOL_E_CAPACITY;
    }
    stretch->first_lost = (fol_need){.commands = 1, .bytes = bytes, .spawns = spawns};
    commands->record_end = commands->record_next;
    return FOL_COMMANDS_LOST;
}

static int turn_record_page(fol_commands *commands)
{
    uint32_t next = commands->record_page + 1;
    if (next == commands->record_pages.count) {
        int status = fol_pages_push(&commands->record_pages, sizeof(fol_record));
        if (status < 0) {
            return status;
        }
        size_t room = commands->record_pages.sizes[next] / sizeof(fol_record);
        size_t left = UINT32_MAX - commands->record_ends[next - 1];
        commands->record_ends[next] =
            commands->record_ends[next - 1] + (uint32_t)(room < left ? room : left);
    }
    if (commands->record_ends[next] == commands->record_ends[next - 1]) {
        return -ENOMEM;
    }
    commands->record_page = next;
    commands->record_next = (fol_record *)(void *)commands->record_pages.items[next];
    return 0;
}

/* Pages that cannot hold the payload are passed over until the next merge. */
static int turn_arena_page(fol_commands *commands, size_t bytes)
{
    uint32_t next = commands->arena_page + 1;
    while (next < commands->arena_pages.count && commands->arena_pages.sizes[next] < bytes) {
        next++;
    }
    if (next == commands->arena_pages.count) {
        int status = fol_pages_push(&commands->arena_pages, bytes);
        if (status < 0) {
            return status;
        }
    }
    commands->run_bytes = run_bytes(commands);
    commands->arena_page = next;
    commands->arena_next = commands->arena_pages.items[next];
    commands->run_start = commands->arena_next;
    return 0;
}

/* Memory for a command within the limits. */
static int grow(fol_commands *commands, size_t bytes, uint32_t spawns)
{
    int status = 0;
    if (commands->record_next == record_page_end(commands)) {
        status = turn_record_page(commands);
    }
    if (status == 0 && bytes > (size_t)(arena_page_end(commands) - commands->arena_next)) {
        status = turn_arena_page(commands, bytes);
    }
    if (status == 0) {
        status = fol_ids_reserve(&commands->ids, &commands->world->ids, spawns);
    }
    return status;
}

int fol_commands_make_room(fol_commands *commands, size_t bytes, uint32_t spawns)
{
    if (commands->world == NULL || commands->world->is_merging) {
        return FOL_E_BUSY;
    }
    int status = commands->is_open ? 0 : open_stretch(commands);
    if (status < 0) {
        return status;
    }
    FOL_ASSERT(bytes % 16 == 0);
    const fol_stretch *stretch = open_stretch_of(commands);
    uint32_t max_entities = commands->world->config.max_entities;
    if (stretch->lost != 0) {
        return FOL_COMMANDS_LOST;
    }
    if (fol_commands_records(commands) - stretch->first == commands->max_commands) {
        return refuse(commands, bytes, spawns, "max_commands", commands->max_commands);
    }
    if (bytes > commands->max_bytes - run_bytes(commands)) {
        return refuse(commands, bytes, spawns, "command_bytes", commands->max_bytes);
    }
    if (spawns > max_entities - commands->run_spawns) {
        return refuse(commands, bytes, spawns, "max_entities", max_entities);
    }
    status = grow(commands, bytes, spawns);
    set_ends(commands);
    return status;
}

int fol_commands_lose(fol_commands *commands, uint32_t weight)
{
    fol_stretch *stretch = open_stretch_of(commands);
    FOL_ASSERT(stretch->is_part);
    /* Beyond that many the count stays; the merge refuses them all the same. */
    if (stretch->lost < INT32_MAX) {
        stretch->lost++;
        fol_commands_set_waiting(commands, fol_commands_waiting(commands) + 1);
    }
    stretch->lost_weight += weight;
    return 0;
}

fol_commands_size fol_commands_measure(const fol_commands *commands)
{
    fol_commands_size size = {
        .records = fol_commands_records(commands),
        .bytes = (size_t)(commands->arena_next - commands->arena_pages.items[commands->arena_page]),
        .stretches = commands->stretch_count,
    };
    for (uint32_t i = 0; i < commands->arena_page; i++) {
        size.bytes += commands->arena_pages.sizes[i];
    }
    for (uint32_t i = 0; i < commands->stretch_count; i++) {
        size.spawns += commands->stretches[i].kept.spawns;
    }
    return size;
}

/* Keeps what there is where it is more. */
static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

int fol_commands_grow(fol_commands *commands, const fol_commands_size *size)
{
    FOL_ASSERT(fol_commands_waiting(commands) == 0 && fol_commands_records(commands) == 0);
    size_t records =
        larger(size->records * sizeof(fol_record),
               commands->record_pages.count > 1 ? fol_pages_size(&commands->record_pages) : 0);
    size_t bytes = larger(
        size->bytes, commands->arena_pages.count > 1 ? fol_pages_size(&commands->arena_pages) : 0);
    int status = fol_pages_join(&commands->record_pages, records);
    if (status == 0) {
        size_t room = commands->record_pages.sizes[0] / sizeof(fol_record);
        commands->record_ends[0] = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
        status = fol_pages_join(&commands->arena_pages, bytes);
    }
    if (status == 0 && size->stretches > commands->stretch_capacity) {
        fol_stretch *stretches =
            fol_realloc_array(commands->stretches, size->stretches, sizeof(*stretches));
        status = stretches == NULL ? -ENOMEM : 0;
        commands->stretches = stretches == NULL ? commands->stretches : stretches;
        commands->stretch_capacity =
            stretches == NULL ? commands->stretch_capacity : (uint32_t)size->stretches;
    }
    if (commands->arena_pages.count != 0 && commands->record_pages.count != 0) {
        commands->arena_next = commands->arena_pages.items[0];
        commands->arena_end = commands->arena_next;
        fol_commands_find_ends(commands);
    }
    uint64_t spawns = size->spawns < UINT32_MAX ? size->spawns : UINT32_MAX;
    commands->ids.wanted = spawns > commands->ids.wanted ? (uint32_t)spawns : commands->ids.wanted;
    return status;
}

int fol_commands_grow_components(fol_commands *commands, uint32_t capacity)
{
    fol_component **old = atomic_load_explicit(&commands->components, memory_order_relaxed);
    uint32_t *types = fol_realloc_array(commands->world_types, capacity, sizeof(*types));
    if (types == NULL) {
        return -ENOMEM;
    }
    commands->world_types = types;
    int status = fol_map_reserve(&commands->type_of, capacity);
    if (status < 0) {
        return status;
    }
    fol_component **grown = fol_alloc_array((size_t)capacity + 1, sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    if (old != NULL) {
        memcpy(grown + 1, old, commands->component_count * sizeof(*grown));
        old[-1] = (fol_component *)(void *)commands->outgrown;
        commands->outgrown = old;
    }
    /* Pairs with the acquire in fol_commands_component. */
    atomic_store_explicit(&commands->components, grown + 1, memory_order_release);
    commands->component_capacity = capacity;
    return 0;
}
