/* Runs that were recorded in parts: the merge looks at their limits; see commands.h.
 *
 * The parts of a run stand together in the order of the merge. Its commands count in that order,
 * and from the first that does not fit on all of them are refused. Each part kept at least what
 * comes before that one: it lost its first command because it did not fit behind the part's own
 * ones, so behind those of the parts before it, it does not fit either. The reason is looked for
 * with the whole run's sums, so it is the same one too.
 */

#include "world/merge.h"

/* The limits of a run, and why it ends, with a number for fol_world_is_full. */
typedef struct run_limits {
    fol_need most;
    fol_need used;
    const char *setting; /* NULL: all fits so far */
    uint64_t limit;
    uint64_t refused;
} run_limits;

static void count_need(run_limits *run, const fol_need *need)
{
    if (need->commands > run->most.commands - run->used.commands) {
        run->setting = "max_commands";
        run->limit = run->most.commands;
    } else if (need->bytes > run->most.bytes - run->used.bytes) {
        run->setting = "command_bytes";
        run->limit = run->most.bytes;
    } else if (need->spawns > run->most.spawns - run->used.spawns) {
        run->setting = "max_entities";
        run->limit = run->most.spawns;
    } else {
        run->used.commands += need->commands;
        run->used.bytes += need->bytes;
        run->used.spawns += need->spawns;
    }
}

/* Whether the stretches [begin, end), which are one run, are beyond the limits together. */
static bool is_beyond(const fol_merge *merge, uint32_t begin, uint32_t end, run_limits *run)
{
    bool has_lost = false;
    for (uint32_t s = begin; s < end && run->setting == NULL; s++) {
        const fol_stretch *stretch = fol_merge_stretch_of(&merge->stretches[s]);
        has_lost = has_lost || stretch->lost != 0;
        count_need(run, &stretch->kept);
    }
    bool is_beyond = has_lost || run->setting != NULL;
    run->used = (fol_need){0};
    run->setting = NULL;
    return is_beyond;
}

static void limit_stretch(const fol_merge_stretch *part, run_limits *run)
{
    fol_stretch *stretch = fol_merge_stretch_of(part);
    for (uint32_t i = part->first; i < part->end; i++) {
        fol_record *record = fol_commands_record(part->commands, i);
        if (record->kind == FOL_RECORD_DONE) {
            continue;
        }
        if (run->setting == NULL) {
            fol_need need = fol_record_need(part->commands, record);
            count_need(run, &need);
        }
        if (run->setting != NULL) {
            run->refused += fol_record_weight(record);
            fol_record_finish(part->commands, record);
        }
    }
    if (stretch->lost != 0) {
        if (run->setting == NULL) {
            count_need(run, &stretch->first_lost);
        }
        FOL_ASSERT(run->setting != NULL);
        run->refused += stretch->lost_weight;
        fol_commands_forget_lost(part->commands, stretch);
    }
}

static void limit_run(fol_world *world, uint32_t begin, uint32_t end, fol_merge_report *report)
{
    const fol_merge *merge = world->merge;
    const fol_commands *commands = merge->stretches[begin].commands;
    run_limits run = {.most = {.commands = commands->max_commands,
                               .bytes = commands->max_bytes,
                               .spawns = world->config.max_entities}};
    if (!is_beyond(merge, begin, end, &run)) {
        return;
    }
    for (uint32_t s = begin; s < end; s++) {
        limit_stretch(&merge->stretches[s], &run);
    }
    if (run.setting == NULL) {
        return;
    }
    report->dropped += run.refused;
    (void)fol_world_is_full(world, run.setting, run.limit);
    if (report->on_error != NULL) {
        report->on_error(report->on_error_argument, merge->stretches[begin].system_order,
                         FOL_E_CAPACITY);
    }
}

void fol_merge_limit_runs(fol_world *world, fol_merge_report *report)
{
    const fol_merge *merge = world->merge;
    uint32_t end;
    for (uint32_t begin = 0; begin < merge->stretch_count; begin = end) {
        fol_stretch *first = fol_merge_stretch_of(&merge->stretches[begin]);
        for (end = begin + 1; end < merge->stretch_count; end++) {
            if (!fol_merge_is_one_run(&merge->stretches[begin], &merge->stretches[end])) {
                break;
            }
        }
        /* What waits from a merge that failed was looked at by that one. */
        if (first->is_part && !first->is_judged) {
            limit_run(world, begin, end, report);
        }
        for (uint32_t s = begin; s < end; s++) {
            fol_merge_stretch_of(&merge->stretches[s])->is_judged = true;
        }
    }
}
