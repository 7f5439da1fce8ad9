/* Kahn's algorithm on bit rows.
 *
 * A waiting system watches one remaining system it waits for, the first; when that goes, the search
 * for another one continues from there, for those before it have gone too. So every row is walked
 * once, whatever the number of pairs. The ready systems are a bit row as well: the earliest
 * registered is its first bit.
 */

#include "schedule/order.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/catalog.h"
#include "schedule/knot.h"

typedef struct ordering {
    const fol_precedence *precedence;
    uint64_t *remaining;
    uint64_t *ready;
    uint32_t *watchers; /* per rank: the first of those that watch it */
    uint32_t *others;   /* per rank: the next that watches the same */
    fol_knot knot;
} ordering;

/* Finds what `rank` waits for at or after `from`, or makes it ready. */
static void watch(ordering *o, uint32_t rank, size_t from)
{
    size_t blocker = fol_precedence_next(o->precedence, FOL_BACKWARD, rank, o->remaining, from);
    if (blocker == SIZE_MAX) {
        fol_bits_set(o->ready, rank);
    } else {
        o->others[rank] = o->watchers[blocker];
        o->watchers[blocker] = rank;
    }
}

static void go(ordering *o, uint32_t rank)
{
    FOL_ASSERT(fol_bits_test(o->remaining, rank));
    fol_bits_reset(o->remaining, rank);
    fol_bits_reset(o->ready, rank);
    fol_knot_forget(&o->knot, rank);
    uint32_t watcher = o->watchers[rank];
    while (watcher != FOL_NONE) {
        uint32_t following = o->others[watcher];
        /* One that opened a cycle has gone while it was watching. */
        if (fol_bits_test(o->remaining, watcher)) {
            watch(o, watcher, (size_t)rank + 1);
        }
        watcher = following;
    }
}

static void order_all(ordering *o, uint32_t *out)
{
    size_t size = o->precedence->after.size;
    size_t words = o->precedence->after.words;
    for (uint32_t i = 0; i < size; i++) {
        o->watchers[i] = FOL_NONE;
        fol_bits_set(o->remaining, i);
    }
    for (uint32_t i = 0; i < size; i++) {
        watch(o, i, 0);
    }
    for (size_t done = 0; done < size; done++) {
        size_t rank = fol_bits_next(o->ready, words, 0);
        if (rank >= size) {
            rank = fol_knot_open(&o->knot, o->remaining);
        }
        out[done] = (uint32_t)rank;
        go(o, (uint32_t)rank);
    }
}

int fol_order_make(const fol_precedence *precedence, uint32_t *out)
{
    size_t size = precedence->after.size;
    size_t words = precedence->after.words;
    int status = -ENOMEM;
    ordering o = {.precedence = precedence};
    o.remaining = fol_alloc_zeroed(2 * words, sizeof(*o.remaining));
    if (o.remaining == NULL) {
        goto fail_rows;
    }
    o.ready = o.remaining + words;
    o.watchers = fol_alloc_array(2 * size, sizeof(*o.watchers));
    if (o.watchers == NULL) {
        goto fail_watchers;
    }
    o.others = o.watchers + size;
    status = fol_knot_init(&o.knot, precedence);
    if (status != FOL_OK) {
        goto fail_knot;
    }
    order_all(&o, out);
    fol_knot_deinit(&o.knot);

fail_knot:
    fol_free(o.watchers);
fail_watchers:
    fol_free(o.remaining);
fail_rows:
    return status;
}
