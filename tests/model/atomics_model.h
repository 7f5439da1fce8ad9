/* The atomic operations of the core, done by Relacy: a simulator that runs the threads of a model
 * in one thread, in random order, and lets a load see any value that C11's memory model allows. It
 * finds data races, uses of freed memory, and (as a deadlock) sleepers that nobody wakes.
 *
 * base/atomics.h includes this in place of its own definitions, so what is checked is the source
 * that is shipped, line by line. A shared word is a pointer to the simulator's object, made by
 * fol_atomic_init and gone at the end of the iteration, so that structures stay plain old data.
 */
#ifndef FOL_MODEL_ATOMICS_MODEL_H
#define FOL_MODEL_ATOMICS_MODEL_H

#include <relacy/relacy.hpp>

/* Relacy takes these names for itself; the core means the language's. */
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef EAGAIN
#undef EINTR
#undef ETIMEDOUT
#undef memory_order_relaxed
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#define EAGAIN    11
#define EINTR     4
#define ETIMEDOUT 110

#define memory_order_relaxed rl::mo_relaxed
#define memory_order_acquire rl::mo_acquire
#define memory_order_release rl::mo_release
#define memory_order_acq_rel rl::mo_acq_rel
#define memory_order_seq_cst rl::mo_seq_cst
#define _Noreturn            [[noreturn]]

namespace model
{

/* Everything an iteration makes lies here, at the same addresses in each; Relacy watches the heap.
 */
struct arena {
    struct thing {
        void *object;
        void (*destroy)(void *);
    };

    size_t used;
    size_t thing_count;
    thing things[1024];
    alignas(64) char memory[1 << 18];

    void *take(size_t size)
    {
        void *start = memory + used;
        used += (size + 63) / 64 * 64;
        RL_ASSERT(used <= sizeof(memory));
        return start;
    }
};

inline arena &iteration()
{
    static arena only;
    return only;
}

template <typename T, typename... arguments> T *make(arguments... values)
{
    arena &here = iteration();
    T *object = ::new (here.take(sizeof(T))) T(values...);
    RL_ASSERT(here.thing_count < 1024);
    here.things[here.thing_count] = {object, [](void *gone) { static_cast<T *>(gone)->~T(); }};
    here.thing_count += 1;
    return object;
}

/* First in before(): an iteration that failed left its things behind. */
inline void begin()
{
    iteration().used = 0;
    iteration().thing_count = 0;
}

/* Last in after(). */
inline void end()
{
    arena &here = iteration();
    for (size_t index = 0; index < here.thing_count; index++) {
        here.things[index].destroy(here.things[index].object);
    }
    begin();
}

/* In freed memory the pointer is NULL. */
template <typename T> struct atomic {
    rl::atomic<T> *word;

    rl::atomic<T> &use() const
    {
        RL_ASSERT(word != nullptr);
        return *word;
    }
};

template <typename T> struct plain {
    rl::var<T> *word;

    rl::var<T> &use() const
    {
        RL_ASSERT(word != nullptr);
        return *word;
    }
};

template <typename T> void init(atomic<T> *object, T value)
{
    object->word = make<rl::atomic<T>>(value);
}

template <typename T> void init(plain<T> *object, T value)
{
    object->word = make<rl::var<T>>(value);
}

} // namespace model

#define FOL_ATOMIC(type) model::atomic<type>
#define FOL_PLAIN(type)  model::plain<type>

#define fol_atomic_init(object, value)             model::init((object), (value))
#define fol_atomic_load(object, order)             (object)->use().load((order), $)
#define fol_atomic_store(object, value, order)     (object)->use().store((value), (order), $)
#define fol_atomic_fetch_add(object, value, order) (object)->use().fetch_add((value), (order), $)
#define fol_atomic_fetch_sub(object, value, order) (object)->use().fetch_sub((value), (order), $)
#define fol_atomic_compare_exchange(object, expected, value, order, failure_order)                 \
    (object)->use().compare_exchange_strong(*(expected), (value), (order), $, (failure_order), $)
#define fol_atomic_compare_exchange_weak(object, expected, value, order, failure_order)            \
    (object)->use().compare_exchange_weak(*(expected), (value), (order), $, (failure_order), $)
#define fol_fence(order) rl::atomic_thread_fence((order), $)

#define fol_plain_init(object, value)  model::init((object), (value))
#define fol_plain_load(object)         (object)->use()($).load()
#define fol_plain_store(object, value) (object)->use()($).store(value)

inline void fol_model_pause()
{
    rl::yield(1, $);
}

#endif
