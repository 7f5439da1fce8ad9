/* Who of a phase records commands or does I/O, and who must see commands. Rows are by place, once
 * the order is known.
 */
#ifndef FOL_SCHEDULE_COMMANDS_H
#define FOL_SCHEDULE_COMMANDS_H

#include "schedule/plan_state.h"

typedef struct fol_command_rows {
    size_t words;
    uint64_t *recorders; /* owns the block */
    uint64_t *observers;
    uint64_t *accessors; /* have any access */
    uint64_t *doers;     /* of I/O */
    bool has_doers;
} fol_command_rows;

/* systems[i] is bit i. -ENOMEM. */
int fol_command_rows_init(fol_command_rows *rows, const fol_catalog *catalog,
                          const uint32_t *systems, size_t count);
void fol_command_rows_deinit(fol_command_rows *rows);

/* Writes the row of those whose order with system `index` changes the outcome by way of commands.
 */
void fol_command_rows_matter(const fol_command_rows *rows, size_t index, uint64_t *out);

/* Word `word` of those that must see what the recorder at place `place` records: later observers,
 * and whoever has access and comes after it by explicit order. */
static inline uint64_t fol_command_rows_seeing(const fol_command_rows *rows,
                                               const uint64_t *explicit_row, size_t place,
                                               size_t word)
{
    uint64_t seeing = rows->observers[word] | (explicit_row[word] & rows->accessors[word]);
    return seeing & fol_bits_above(place, word);
}

/* Adds to the conflicts of a phase the pairs of a recorder and one that must see its commands. */
void fol_commands_add_conflicts(const fol_command_rows *rows, fol_phase_plan *phase);

#endif
