/* The log: jobs in the order of their releases, segments in the order of their ends, samples.
 *
 * The number of jobs is known before the first, so their log is address space of that size, which
 * costs memory as it fills. The other two grow by doubling.
 */

#include "sim/sim_state.h"

#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"

#define FIRST_ROOM 64u

uint64_t fol_sim_log_job(fol_sim *sim, const fol_sim_job *job)
{
    FOL_ASSERT(sim->job_count < sim->job_room);
    sim->jobs[sim->job_count] = *job;
    return sim->job_count++;
}

/* Room for one more of `size` bytes. NULL with the status set: there is none. */
static void *grow(fol_sim *sim, void *block, uint64_t count, uint64_t *room, size_t size)
{
    if (count < *room) {
        return block;
    }
    uint64_t wanted = *room == 0 ? FIRST_ROOM : *room * 2;
    void *grown = fol_realloc_array(block, wanted, size);
    if (grown == NULL) {
        sim->status = -ENOMEM;
        return NULL;
    }
    *room = wanted;
    return grown;
}

void fol_sim_log_segment(fol_sim *sim, const fol_sim_segment *segment)
{
    FOL_ASSERT_HOT(segment->start < segment->end);
    fol_sim_segment *grown =
        grow(sim, sim->segments, sim->segment_count, &sim->segment_room, sizeof(fol_sim_segment));
    if (grown != NULL) {
        sim->segments = grown;
        sim->segments[sim->segment_count++] = *segment;
    }
}

void fol_sim_log_sample(fol_sim *sim)
{
    size_t columns = (size_t)1 + sim->task_count;
    int64_t *grown =
        grow(sim, sim->samples, sim->sample_count, &sim->sample_room, columns * sizeof(int64_t));
    if (grown == NULL) {
        return;
    }
    sim->samples = grown;
    int64_t *row = grown + sim->sample_count * columns;
    *row++ = sim->now;
    for (uint32_t task = 0; task < sim->task_count; task++) {
        *row++ = fol_dispatcher_lag(sim->dispatcher, task);
    }
    sim->sample_count++;
    /* Past the instant, at the next multiple. */
    sim->next_sample = sim->now - sim->now % sim->sample_every + sim->sample_every;
}
