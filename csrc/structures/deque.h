/* The work-stealing deque: one owner at the bottom, any number of thieves at the top.
 *
 * Chase and Lev, "Dynamic circular work-stealing deque" (SPAA 2005), in the C11 form of Lê, Pop,
 * Cohen and Zappa Nardelli, "Correct and efficient work-stealing for weak memory models" (PPoPP
 * 2013) with its known errata; with a private part added at the bottom, as in the split deques of
 * van Dijk and van de Pol, "Lace" (2014).
 *
 * Items lie in [top, tail). Those in [top, bottom) are public: thieves may take them. Those in
 * [bottom, tail) are private: the owner pushes and pops them without a fence, and publishes them by
 * moving bottom. Invariants: top <= bottom <= tail whenever the owner is outside of a call, each
 * item is taken exactly once, and an array that thieves may still read is kept until the deque ends
 * (the retired ones together are smaller than the last).
 *
 * Items are pointers to something aligned to two bytes, never NULL; the low bit is a mark that the
 * user may set, so that who may run only some kinds of items can leave the others where they are.
 * `_owner`: the thread that owns the deque; `_thief`: any thread.
 */
#ifndef FOL_STRUCTURES_DEQUE_H
#define FOL_STRUCTURES_DEQUE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fol_deque fol_deque;

/* capacity is rounded up to a power of two, at least 64. -ENOMEM. */
int fol_deque_init(fol_deque *deque, uint32_t capacity);
/* Nobody uses the deque any more; items still in it are forgotten. */
void fol_deque_deinit(fol_deque *deque);
/* Room for `count` more items without growing. -ENOMEM: nothing changed. */
int fol_deque_reserve_owner(fol_deque *deque, uint32_t count);

/* Pushes and publishes everything. -ENOMEM when it had to grow and could not: nothing pushed. */
int fol_deque_push_owner(fol_deque *deque, void *item);
/* Pushes without publishing. -ENOMEM as above. */
int fol_deque_push_private_owner(fol_deque *deque, void *item);
/* Makes all items public. */
void fol_deque_publish_owner(fol_deque *deque);
/* When no public item is left and private ones are, publishes the older half of them (at least
 * one) and returns true: the caller tells idle workers. Two plain loads otherwise. */
bool fol_deque_share_owner(fol_deque *deque);
/* The newest item, or NULL. No fence while it is private. */
void *fol_deque_pop_owner(fol_deque *deque);
/* The oldest item, as a thief takes it, or NULL when there is none. Publishes everything first. */
void *fol_deque_take_owner(fol_deque *deque);
/* The newest item if it is marked, else NULL: what is not stays. */
void *fol_deque_pop_marked_owner(fol_deque *deque);

/* The oldest public item; NULL when there is none, or (*contended true) when another took it. */
void *fol_deque_steal_thief(fol_deque *deque, bool *contended);
/* The same if that item is marked; NULL without an attempt when it is not. */
void *fol_deque_steal_marked_thief(fol_deque *deque, bool *contended);
/* Moves up to `most` public items, and at most half of them (rounded up), into the thief's own
 * deque, oldest first, and returns the first of them instead of pushing it; *count gets how many
 * were taken in all. One compare-and-swap an item. Room is reserved first (without it one item is
 * taken), and the thief's bottom is published once. NULL and 0 as above. */
void *fol_deque_steal_batch_thief(fol_deque *victim, fol_deque *own, uint32_t most, uint32_t *count,
                                  bool *contended);

/* Public items, about: exact when nobody moves. Any thread. */
uint32_t fol_deque_public_count(const fol_deque *deque);
/* All items, exact. */
uint32_t fol_deque_count_owner(const fol_deque *deque);

#endif
