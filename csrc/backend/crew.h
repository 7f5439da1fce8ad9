/* The threads and the team of a backend with several workers.
 *
 * Fewer threads than asked for are no failure unless the configuration says so: the crew is as
 * large as the system lets it be, and the backend's reason says what the system said.
 */
#ifndef FOL_BACKEND_CREW_H
#define FOL_BACKEND_CREW_H

#include "backend/backend.h"

typedef struct fol_crew {
    fol_pool *pool; /* NULL: one worker, and no team */
    fol_team *team;
    double cycles_a_microsecond;
} fol_crew;

/* How many workers the configuration means, the caller included. */
uint32_t fol_crew_size(const fol_backend_config *config);
/* Acquires the pool, grows it, and makes the team. Fills the backend's workers, team and reason.
 * -ENOMEM; what the system said when it started no thread, or fewer than required; FOL_E_VALUE when
 * more are required than there can be. */
int fol_crew_init(fol_crew *crew, fol_backend *backend, const fol_backend_config *config,
                  fol_team_source source);
/* Works in a forked child too, where it touches no thread. */
void fol_crew_deinit(fol_crew *crew);

#endif
