/* Set-up of a tournament, and the check of all its nodes; tournament.h has the rest. */

#include "sim/tournament.h"

#include <errno.h>

#include "base/memory.h"

#define MAX_PLAYERS (1u << 20)

int fol_tournament_init(fol_tournament *tournament, uint32_t players)
{
    FOL_ASSERT(players >= 1 && players <= MAX_PLAYERS);
    uint32_t leaves = 1;
    while (leaves < players) {
        leaves *= 2;
    }
    tournament->nodes = fol_alloc_array((size_t)2 * leaves, sizeof(fol_tournament_node));
    if (tournament->nodes == NULL) {
        return -ENOMEM;
    }
    tournament->leaves = leaves;
    tournament->nodes[0] = (fol_tournament_node){.time = FOL_TIME_NEVER};
    for (uint32_t player = 0; player < leaves; player++) {
        tournament->nodes[leaves + player] =
            (fol_tournament_node){.time = FOL_TIME_NEVER, .player = player};
    }
    for (uint32_t node = leaves - 1; node >= 1; node--) {
        tournament->nodes[node] = tournament->nodes[2 * node];
    }
    return 0;
}

void fol_tournament_deinit(fol_tournament *tournament)
{
    fol_free(tournament->nodes);
    tournament->nodes = NULL;
}

bool fol_tournament_invariants(const fol_tournament *tournament)
{
    const fol_tournament_node *nodes = tournament->nodes;
    bool holds = true;
    for (uint32_t node = 1; node < tournament->leaves; node++) {
        const fol_tournament_node *left = &nodes[2 * node];
        const fol_tournament_node *right = &nodes[2 * node + 1];
        const fol_tournament_node *best = right->time < left->time ? right : left;
        holds = holds && nodes[node].time == best->time && nodes[node].player == best->player;
    }
    return holds;
}
