/* Which thread a ring belongs to, and whether it still lives.
 *
 * The kernel ties a ring to the thread that uses it and ends its requests when that thread ends.
 * Numbers of threads are used again, so a thread is known by a token here: given when it first
 * takes a ring, marked by the destructor of a thread-specific key when the thread ends, and free
 * again when neither the thread nor a ring holds it. Tokens are static: a thread whose ring another
 * one ends keeps its own until it ends, and that is no memory lost.
 *
 * The mark comes shortly before the kernel ends the thread's requests: who sees it waits for them.
 */
#ifndef FOL_IO_RING_OWNER_H
#define FOL_IO_RING_OWNER_H

#include <stdbool.h>

typedef struct fol_ring_owner fol_ring_owner;

/* The token of the calling thread, held once more by the caller; NULL: more threads than tokens
 * have rings, or there is no key. */
fol_ring_owner *fol_ring_owner_take(void);
/* Lets go of it. Any thread. */
void fol_ring_owner_drop(fol_ring_owner *owner);

bool fol_ring_owner_is_caller(const fol_ring_owner *owner);
bool fol_ring_owner_has_ended(const fol_ring_owner *owner);

#endif
