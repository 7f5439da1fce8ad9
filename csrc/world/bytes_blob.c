/* The memory of blobs; see bytes_blob.h.
 *
 * Each kind has a shelf: a list of kept blobs behind a flag that whoever uses the list holds.
 *   - A thread that finds the flag taken does not wait: it asks the C library. So nothing here
 *     blocks, and a child of a fork in which the flag was taken only does without this shelf.
 *   - The list and its length are touched by the holder alone. Taking the flag acquires what
 *     letting go of it released: the next holder sees the list whole, and of a blob on it all that
 *     its last user did.
 *   - How many blobs are in use, and how many bytes are kept, are counts beside the lists, which
 *     order nothing: a stale one keeps a blob too many or too few for a while.
 */
#include "world/bytes_blob.h"

#include <stdalign.h>
#include <stdbool.h>

#include "base/assert.h"
#include "base/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define FORBIDS_KEPT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORBIDS_KEPT 1
#endif
#endif

#ifdef FORBIDS_KEPT
#include <sanitizer/asan_interface.h>
#define FORBID(data, size) ASAN_POISON_MEMORY_REGION((data), (size))
#define PERMIT(data, size) ASAN_UNPOISON_MEMORY_REGION((data), (size))
#else
#define FORBID(data, size) ((void)(data), (void)(size))
#define PERMIT(data, size) ((void)(data), (void)(size))
#endif

/* Sizes from above 2^9 to 2^20 have a kind; each doubling has 2^3. */
#define MIN_SHIFT  9u
#define MAX_SHIFT  20u
#define STEP_SHIFT 3u
#define STEPS      (1u << STEP_SHIFT)
#define KIND_COUNT ((MAX_SHIFT - MIN_SHIFT) * STEPS + 1)

/* Surplus blobs that go at a time. Two keep the invariant, for a freed blob makes room for one
 * less; the rest catches up where threads met. */
#define MAX_SURPLUS 4u

typedef struct blob_shelf {
    alignas(FOL_CACHE_LINE) atomic_bool is_taken;
    fol_blob *first;
    uint64_t kept;
    _Atomic uint64_t in_use;
} blob_shelf;

_Static_assert(sizeof(blob_shelf) == FOL_CACHE_LINE, "a shelf has a cache line of its own");

static blob_shelf shelves[KIND_COUNT];
static _Atomic uint64_t kept_bytes;

uint32_t fol_blob_kind(size_t size)
{
    FOL_ASSERT(size > 0);
    if (size <= (size_t)1 << MIN_SHIFT || size > (size_t)1 << MAX_SHIFT) {
        return 0;
    }
    uint64_t last = size - 1;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(last);
    uint32_t step = (uint32_t)(last >> (shift - STEP_SHIFT)) & (STEPS - 1);
    return (shift - MIN_SHIFT) * STEPS + step + 1;
}

/* Bytes of data that blobs of a kind have room for. */
static size_t room_of(uint32_t kind)
{
    FOL_ASSERT(kind > 0 && kind < KIND_COUNT);
    uint32_t shift = MIN_SHIFT + (kind - 1) / STEPS;
    uint32_t step = (kind - 1) % STEPS;
    return (size_t)(STEPS + step + 1) << (shift - STEP_SHIFT);
}

static bool try_hold(blob_shelf *shelf)
{
    /* Pairs with the release of let_go. */
    return !atomic_exchange_explicit(&shelf->is_taken, true, memory_order_acquire);
}

static void let_go(blob_shelf *shelf)
{
    /* Pairs with the acquire of try_hold. */
    atomic_store_explicit(&shelf->is_taken, false, memory_order_release);
}

static fol_blob *pop(blob_shelf *shelf)
{
    fol_blob *blob = shelf->first;
    if (blob != NULL) {
        FOL_ASSERT(shelf->kept > 0);
        shelf->first = blob->next;
        shelf->kept--;
    }
    return blob;
}

static void note_gone(const fol_blob *blob, size_t room)
{
    PERMIT(blob->data, room);
    atomic_fetch_sub_explicit(&kept_bytes, room, memory_order_relaxed);
}

static fol_blob *take_kept(blob_shelf *shelf, size_t room)
{
    if (!try_hold(shelf)) {
        return NULL;
    }
    fol_blob *blob = pop(shelf);
    let_go(shelf);
    if (blob != NULL) {
        note_gone(blob, room);
    }
    return blob;
}

fol_blob *fol_blob_create(size_t size)
{
    uint32_t kind = fol_blob_kind(size);
    if (size > SIZE_MAX - sizeof(fol_blob)) {
        return NULL;
    }
    size_t room = kind == 0 ? size : room_of(kind);
    FOL_ASSERT(room >= size);
    fol_blob *blob = kind == 0 ? NULL : take_kept(&shelves[kind], room);
    if (blob == NULL) {
        blob = fol_alloc(sizeof(*blob) + room);
    }
    if (blob == NULL) {
        return NULL;
    }
    if (kind != 0) {
        atomic_fetch_add_explicit(&shelves[kind].in_use, 1, memory_order_relaxed);
    }
    atomic_init(&blob->references, 1);
    blob->kind = kind;
    return blob;
}

/* Keeps the blob if it may stay, and gives what is to be freed: it, or what is too many. */
static fol_blob *exchange(blob_shelf *shelf, fol_blob *blob, size_t room, uint64_t in_use)
{
    fol_blob *surplus = NULL;
    uint64_t bytes = atomic_load_explicit(&kept_bytes, memory_order_relaxed);
    if (shelf->kept < in_use && bytes + room <= FOL_BLOB_KEPT_BYTES) {
        FORBID(blob->data, room);
        atomic_fetch_add_explicit(&kept_bytes, room, memory_order_relaxed);
        blob->next = shelf->first;
        shelf->first = blob;
        shelf->kept++;
        return NULL;
    }
    blob->next = NULL;
    surplus = blob;
    for (uint32_t i = 0; i < MAX_SURPLUS && shelf->kept > in_use; i++) {
        fol_blob *gone = pop(shelf);
        note_gone(gone, room);
        gone->next = surplus;
        surplus = gone;
    }
    return surplus;
}

void fol_blob_destroy(fol_blob *blob)
{
    uint32_t kind = (uint32_t)blob->kind;
    FOL_ASSERT(kind < KIND_COUNT);
    if (kind == 0) {
        fol_free(blob);
        return;
    }
    blob_shelf *shelf = &shelves[kind];
    uint64_t before = atomic_fetch_sub_explicit(&shelf->in_use, 1, memory_order_relaxed);
    FOL_ASSERT(before > 0);
    fol_blob *surplus = blob;
    if (try_hold(shelf)) {
        surplus = exchange(shelf, blob, room_of(kind), before - 1);
        let_go(shelf);
    } else {
        blob->next = NULL;
    }
    /* One, and at most MAX_SURPLUS more. */
    while (surplus != NULL) {
        fol_blob *next = surplus->next;
        fol_free(surplus);
        surplus = next;
    }
}

uint64_t fol_blob_kept_bytes(void)
{
    return atomic_load_explicit(&kept_bytes, memory_order_relaxed);
}
