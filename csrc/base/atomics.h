/* The atomic operations that shared structures are written with.
 *
 * C11's own, with the order always named. The same source is also compiled twice for tests: with
 * FOL_MODEL it is C++ for a checker of memory models, which supplies these names itself, and with
 * FOL_FUZZ every operation on shared memory first asks a seeded scheduler who runs next. So the
 * structures that have a model use nothing from <stdatomic.h> but through here.
 *
 * FOL_PLAIN marks a field that is no atomic and yet passes from thread to thread: other operations
 * order its uses, and the checker reports when they do not.
 */
#ifndef FOL_BASE_ATOMICS_H
#define FOL_BASE_ATOMICS_H

#include <stdint.h>

#if defined(FOL_MODEL)

/* The header that supplies them. */
#include FOL_MODEL

#else

#include <stdatomic.h>

#if defined(FOL_FUZZ)
/* The running thread may be stopped here for another one. */
void fol_fuzz_point(void);
#else
#define fol_fuzz_point() ((void)0)
#endif

#define FOL_ATOMIC(type)               _Atomic(type)
#define FOL_PLAIN(type)                type

/* Before the object is shared. */
#define fol_atomic_init(object, value) atomic_init((object), (value))

#define fol_atomic_load(object, order) (fol_fuzz_point(), atomic_load_explicit((object), (order)))
#define fol_atomic_store(object, value, order)                                                     \
    (fol_fuzz_point(), atomic_store_explicit((object), (value), (order)))
#define fol_atomic_fetch_add(object, value, order)                                                 \
    (fol_fuzz_point(), atomic_fetch_add_explicit((object), (value), (order)))
#define fol_atomic_fetch_sub(object, value, order)                                                 \
    (fol_fuzz_point(), atomic_fetch_sub_explicit((object), (value), (order)))
/* True when *object was *expected and is now the value; else *expected gets what it was. */
#define fol_atomic_compare_exchange(object, expected, value, order, failure_order)                 \
    (fol_fuzz_point(), atomic_compare_exchange_strong_explicit((object), (expected), (value),      \
                                                               (order), (failure_order)))
/* The same, and may fail for no reason: for loops. */
#define fol_atomic_compare_exchange_weak(object, expected, value, order, failure_order)            \
    (fol_fuzz_point(), atomic_compare_exchange_weak_explicit((object), (expected), (value),        \
                                                             (order), (failure_order)))
#define fol_fence(order) (fol_fuzz_point(), atomic_thread_fence(order))

#define fol_plain_init(object, value)  ((void)(*(object) = (value)))
#define fol_plain_load(object)         (*(object))
#define fol_plain_store(object, value) ((void)(*(object) = (value)))

#endif

/* Tells the processor that this is a loop that waits. */
static inline void fol_pause(void)
{
#if defined(FOL_MODEL)
    fol_model_pause();
#elif defined(FOL_FUZZ)
    fol_fuzz_point();
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
