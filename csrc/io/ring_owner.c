/* Tokens of threads; see ring_owner.h.
 *
 * A token is shared by its thread and by rings that other threads may end. `holders` counts both;
 * who takes it to zero frees it. While a thread lives and rings come and go, its token stays only
 * as long as a ring holds it: a thread that lets go of the last but its own frees it at once.
 */

#include "io/ring_owner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/memory.h"

struct fol_ring_owner {
    _Atomic uint32_t holders;
    _Atomic bool has_ended;
};

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int key_status;

/* True when it was the last. */
static bool let_go(fol_ring_owner *owner)
{
    /* Releases what this holder did to who frees it, and acquires what the others did. */
    uint32_t before = atomic_fetch_sub_explicit(&owner->holders, 1, memory_order_acq_rel);
    FOL_ASSERT(before > 0);
    return before == 1;
}

static void thread_ends(void *value)
{
    fol_ring_owner *owner = value;
    /* Pairs with the acquire in has_ended: all the thread did to its rings is before. */
    atomic_store_explicit(&owner->has_ended, true, memory_order_release);
    if (let_go(owner)) {
        fol_free(owner);
    }
}

static void make_key(void)
{
    key_status = pthread_key_create(&key, thread_ends);
}

fol_ring_owner *fol_ring_owner_take(void)
{
    if (pthread_once(&key_once, make_key) != 0 || key_status != 0) {
        return NULL;
    }
    fol_ring_owner *owner = pthread_getspecific(key);
    if (owner != NULL) {
        /* Relaxed: the thread itself holds it, so it cannot go meanwhile. */
        atomic_fetch_add_explicit(&owner->holders, 1, memory_order_relaxed);
        return owner;
    }
    owner = fol_alloc(sizeof *owner);
    if (owner == NULL) {
        return NULL;
    }
    atomic_init(&owner->holders, 2);
    atomic_init(&owner->has_ended, false);
    if (pthread_setspecific(key, owner) != 0) {
        fol_free(owner);
        return NULL;
    }
    return owner;
}

void fol_ring_owner_drop(fol_ring_owner *owner)
{
    if (fol_ring_owner_is_caller(owner)) {
        /* Acquires what other threads did with it before they let go: only the thread itself makes
         * new holders, so one holder more than this one means that nobody else is left. */
        if (atomic_load_explicit(&owner->holders, memory_order_acquire) == 2) {
            pthread_setspecific(key, NULL);
            fol_free(owner);
            return;
        }
    }
    if (let_go(owner)) {
        fol_free(owner);
    }
}

bool fol_ring_owner_is_caller(const fol_ring_owner *owner)
{
    return owner != NULL && pthread_getspecific(key) == owner;
}

bool fol_ring_owner_has_ended(const fol_ring_owner *owner)
{
    /* Pairs with the release when the thread ends. */
    return atomic_load_explicit(&owner->has_ended, memory_order_acquire);
}
