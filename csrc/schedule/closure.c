/* Transitive closure in one pass from the last node to the first.
 *
 * A node's row is the union of its successors' rows and the successors themselves. They are taken
 * nearest first, and one that stands in the row already adds nothing and is passed over: what is
 * taken is the transitive reduction. Rows of set ends span all phases, each phase from a word
 * boundary on, so a system takes the words of its own phase from them.
 */

#include "schedule/closure.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"

typedef struct closing {
    const fol_constraints *graph;
    const fol_catalog *catalog;
    const uint32_t *ranks;
    const fol_phase_plan *phases;
    size_t *word_first; /* per phase: its first word in rows of set ends */
    size_t set_words;
    uint64_t *set_rows;
    uint64_t *pending; /* successors of the node at hand, by position */
} closing;

static uint64_t *row_of_end(const closing *c, uint32_t node)
{
    FOL_ASSERT_HOT(node >= c->graph->system_count);
    return c->set_rows + (node - c->graph->system_count) * c->set_words;
}

static uint64_t *row_of_system(const closing *c, uint32_t system)
{
    const fol_phase_plan *phase = &c->phases[c->catalog->systems[system].phase];
    return fol_matrix_row(&phase->explicit, c->ranks[system]);
}

/* `row` is the words of phase `phase`; `to` is a successor. */
static void absorb_into_phase(const closing *c, uint64_t *row, uint32_t phase, uint32_t to)
{
    size_t words = c->phases[phase].explicit.words;
    if (to >= c->graph->system_count) {
        fol_bits_or(row, row_of_end(c, to) + c->word_first[phase], words);
        return;
    }
    FOL_ASSERT_HOT(c->catalog->systems[to].phase == phase);
    if (!fol_bits_test(row, c->ranks[to])) {
        fol_bits_or(row, row_of_system(c, to), words);
        fol_bits_set(row, c->ranks[to]);
    }
}

static void absorb(const closing *c, uint32_t node, uint32_t to)
{
    const fol_system_record *systems = c->catalog->systems;
    bool to_system = to < c->graph->system_count;
    if (node < c->graph->system_count) {
        uint32_t phase = systems[node].phase;
        if (!to_system || systems[to].phase == phase) {
            absorb_into_phase(c, row_of_system(c, node), phase, to);
        }
    } else if (to_system) {
        uint32_t phase = systems[to].phase;
        absorb_into_phase(c, row_of_end(c, node) + c->word_first[phase], phase, to);
    } else {
        fol_bits_or(row_of_end(c, node), row_of_end(c, to), c->set_words);
    }
}

static void close_node(const closing *c, uint32_t node)
{
    const fol_constraints *graph = c->graph;
    size_t last = 0;
    for (size_t k = graph->first[node]; k < graph->first[node + 1]; k++) {
        size_t position = graph->positions[graph->next[k]];
        fol_bits_set(c->pending, position);
        last = position > last ? position : last;
    }
    size_t own = graph->positions[node];
    for (size_t i = (own + 1) / FOL_WORD_BITS; i <= last / FOL_WORD_BITS; i++) {
        while (c->pending[i] != 0) {
            size_t bit = (size_t)__builtin_ctzll(c->pending[i]);
            c->pending[i] &= c->pending[i] - 1;
            absorb(c, node, graph->sorted[i * FOL_WORD_BITS + bit]);
        }
    }
}

int fol_closure_build(const fol_constraints *graph, const fol_catalog *catalog,
                      const uint32_t *ranks, fol_phase_plan *phases)
{
    size_t ends = graph->node_count - graph->system_count;
    closing c = {.graph = graph, .catalog = catalog, .ranks = ranks, .phases = phases};
    c.word_first = fol_alloc_array(catalog->phases.count, sizeof(*c.word_first));
    if (c.word_first == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < catalog->phases.count; i++) {
        c.word_first[i] = c.set_words;
        c.set_words += phases[i].explicit.words;
    }
    c.set_rows = fol_alloc_zeroed(ends * c.set_words, sizeof(*c.set_rows));
    c.pending = fol_alloc_zeroed(fol_bits_words(graph->node_count), sizeof(*c.pending));
    bool has_memory = c.set_rows != NULL && c.pending != NULL;
    if (has_memory) {
        for (uint32_t i = graph->node_count; i-- > 0;) {
            close_node(&c, graph->sorted[i]);
        }
    }
    fol_free(c.pending);
    fol_free(c.set_rows);
    fol_free(c.word_first);
    return has_memory ? FOL_OK : -ENOMEM;
}
