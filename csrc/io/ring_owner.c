/* Tokens of threads; see ring_owner.h.
 *
 * A token is shared by its thread and by rings that other threads may end. `holders` counts both;
 * at zero it is free, and who takes it from zero owns it.
 */

#include "io/ring_owner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/assert.h"

#define OWNERS_MAX 4096

struct fol_ring_owner {
    _Atomic uint32_t holders;
    _Atomic bool has_ended;
};

static fol_ring_owner owners[OWNERS_MAX];
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int key_status;

static void let_go(fol_ring_owner *owner)
{
    /* Releases what this holder did to who takes the token next; pairs with the exchange there. */
    uint32_t before = atomic_fetch_sub_explicit(&owner->holders, 1, memory_order_acq_rel);
    FOL_ASSERT(before > 0);
}

static void thread_ends(void *value)
{
    fol_ring_owner *owner = value;
    /* Pairs with the acquire in has_ended: all the thread did to its rings is before. */
    atomic_store_explicit(&owner->has_ended, true, memory_order_release);
    let_go(owner);
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
    for (uint32_t index = 0; index < OWNERS_MAX; index++) {
        uint32_t nobody = 0;
        owner = &owners[index];
        /* Acquires what the last holders did; pairs with the release when they let go. */
        if (atomic_compare_exchange_strong_explicit(&owner->holders, &nobody, 2,
                                                    memory_order_acquire, memory_order_relaxed)) {
            atomic_store_explicit(&owner->has_ended, false, memory_order_relaxed);
            break;
        }
        owner = NULL;
    }
    if (owner != NULL && pthread_setspecific(key, owner) != 0) {
        atomic_store_explicit(&owner->holders, 0, memory_order_release);
        return NULL;
    }
    return owner;
}

void fol_ring_owner_drop(fol_ring_owner *owner)
{
    FOL_ASSERT(owner != NULL);
    let_go(owner);
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
