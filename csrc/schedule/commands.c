/* Rows of recorders and observers; see commands.h. */

#include "schedule/commands.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"

int fol_command_rows_init(fol_command_rows *rows, const fol_catalog *catalog,
                          const uint32_t *systems, size_t count)
{
    size_t words = fol_bits_words(count);
    uint64_t *block = fol_alloc_zeroed(4 * words, sizeof(*block));
    if (block == NULL) {
        return -ENOMEM;
    }
    *rows = (fol_command_rows){
        .words = words,
        .recorders = block,
        .observers = block + words,
        .accessors = block + 2 * words,
        .doers = block + 3 * words,
    };
    for (size_t i = 0; i < count; i++) {
        const fol_system_record *system = fol_catalog_system(catalog, systems[i]);
        if (system->records_commands) {
            fol_bits_set(rows->recorders, i);
        }
        if (fol_system_observes(system)) {
            fol_bits_set(rows->observers, i);
        }
        if (fol_system_has_access(catalog, system)) {
            fol_bits_set(rows->accessors, i);
        }
        if (system->does_io) {
            fol_bits_set(rows->doers, i);
            rows->has_doers = true;
        }
    }
    return FOL_OK;
}

void fol_command_rows_deinit(fol_command_rows *rows)
{
    fol_free(rows->recorders);
    *rows = (fol_command_rows){0};
}

void fol_command_rows_matter(const fol_command_rows *rows, size_t index, uint64_t *out)
{
    bool is_recorder = fol_bits_test(rows->recorders, index);
    bool is_observer = fol_bits_test(rows->observers, index);
    for (size_t i = 0; i < rows->words; i++) {
        uint64_t matters = is_recorder || is_observer ? rows->recorders[i] : 0;
        out[i] = matters | (is_recorder ? rows->observers[i] : 0);
    }
    fol_bits_reset(out, index);
}

/* Those that observe nothing but come after a recorder by explicit order, pair by pair: the matrix
 * is symmetric, and their own rows get the recorder's bit. */
static void add_accessors(const fol_command_rows *rows, fol_phase_plan *phase, size_t recorder)
{
    const uint64_t *ordered = fol_matrix_row(&phase->explicit, recorder);
    uint64_t *conflicts = fol_matrix_row(&phase->conflicts, recorder);
    for (size_t i = recorder / FOL_WORD_BITS; i < rows->words; i++) {
        uint64_t seeing = fol_command_rows_seeing(rows, ordered, recorder, i);
        conflicts[i] |= seeing;
        /* At most 64 rounds: each takes one bit. */
        for (uint64_t rest = seeing & ~rows->observers[i]; rest != 0; rest &= rest - 1) {
            size_t place = i * FOL_WORD_BITS + (size_t)__builtin_ctzll(rest);
            fol_bits_set(fol_matrix_row(&phase->conflicts, place), recorder);
        }
    }
}

void fol_commands_add_conflicts(const fol_command_rows *rows, fol_phase_plan *phase)
{
    FOL_ASSERT(rows->words == phase->conflicts.words);
    for (size_t place = 0; place < phase->count; place++) {
        if (fol_bits_test(rows->recorders, place)) {
            add_accessors(rows, phase, place);
        }
        if (fol_bits_test(rows->observers, place)) {
            uint64_t *conflicts = fol_matrix_row(&phase->conflicts, place);
            for (size_t i = 0; i <= place / FOL_WORD_BITS; i++) {
                conflicts[i] |= rows->recorders[i] & fol_bits_below(place, i);
            }
        }
    }
}
