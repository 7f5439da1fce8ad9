/* A tournament of times: one for each of a fixed number of players, and who has the least.
 *
 * A complete binary tree with the players as leaves; each node holds the better of its two children
 * (Knuth, The Art of Computer Programming 3, 5.4.1). Setting one player's time replays its way to
 * the root: as many steps as the tree has levels, whatever the times are. Ties go to the lower
 * number. A player out of the game has the time FOL_TIME_NEVER.
 */
#ifndef FOL_SIM_TOURNAMENT_H
#define FOL_SIM_TOURNAMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "foliot/policy.h"

typedef struct fol_tournament_node {
    int64_t time;
    uint64_t player;
} fol_tournament_node;

typedef struct fol_tournament {
    fol_tournament_node *nodes; /* the root is 1; leaves from `leaves` on */
    uint32_t leaves;            /* a power of two */
} fol_tournament;

/* Everybody is out of the game. -ENOMEM. */
int fol_tournament_init(fol_tournament *tournament, uint32_t players);
/* Fine for a zeroed one. */
void fol_tournament_deinit(fol_tournament *tournament);

static inline int64_t fol_tournament_time(const fol_tournament *tournament)
{
    return tournament->nodes[1].time;
}

static inline uint32_t fol_tournament_first(const fol_tournament *tournament)
{
    return (uint32_t)tournament->nodes[1].player;
}

static inline int64_t fol_tournament_get(const fol_tournament *tournament, uint32_t player)
{
    return tournament->nodes[tournament->leaves + player].time;
}

static inline void fol_tournament_set(fol_tournament *tournament, uint32_t player, int64_t time)
{
    fol_tournament_node *nodes = tournament->nodes;
    FOL_ASSERT_HOT(player < tournament->leaves);
    nodes[tournament->leaves + player].time = time;
    fol_tournament_node best = nodes[tournament->leaves + player];
    for (uint32_t node = tournament->leaves + player; node > 1; node /= 2) {
        const fol_tournament_node *other = &nodes[node ^ 1u];
        bool is_beaten =
            other->time < best.time || (other->time == best.time && other->player < best.player);
        best.time = is_beaten ? other->time : best.time;
        best.player = is_beaten ? other->player : best.player;
        nodes[node / 2] = best;
    }
}

/* Every node holds the better of its children. Costly. */
bool fol_tournament_invariants(const fol_tournament *tournament);

#endif
