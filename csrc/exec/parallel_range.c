/* The parallel loop: lazy splitting on a team.
 *
 * A worker goes through its range grain by grain. Before each it looks whether thieves have
 * something left to take from it; if not, it forks the upper half of what remains. When its range
 * is done it takes back what nobody took, the last fork first, and goes on with that; what was
 * taken it waits for. So without thieves a loop costs two loads an iteration, whatever the grain,
 * and with them the pieces are as large as they can be.
 *
 * The lowest failure wins. A piece knows the failure of its own rows; pieces that were forked later
 * are lower, so going from the last fork to the first meets the rows in rising order, and the first
 * failure met is the lowest. What lies above a known failure is skipped, what lies below never is.
 */
#include "exec/parallel.h"
#include "exec/worker.h"

/* Each split halves what remains. */
#define SPLITS_MAX 64u
/* Long enough that the clock and the look for thieves vanish in it, short enough to share. */
#define TARGET_NS 5000u

typedef struct loop {
    fol_range_function body;
    void *argument;
    size_t fixed_grain;           /* 0: learnt */
    FOL_ATOMIC(size_t) grain;     /* learnt so far, for pieces that begin */
    FOL_ATOMIC(size_t) failed_at; /* the lowest row whose range failed; SIZE_MAX: none */
} loop;

typedef struct piece {
    fol_branch branch;
    loop *loop;
    size_t first;
    size_t end;
    int status; /* of its lowest range that failed */
} piece;

static void note_failure(loop *l, size_t first)
{
    size_t lowest = fol_atomic_load(&l->failed_at, memory_order_relaxed);
    /* Each turn in vain is another failure; statuses travel through the joins. */
    while (first < lowest &&
           !fol_atomic_compare_exchange_weak(&l->failed_at, &lowest, first, memory_order_relaxed,
                                             memory_order_relaxed)) {
    }
}

/* The next grain after one of `rows` rows took this long. */
static size_t learn_grain(loop *l, size_t grain, size_t rows, uint64_t took_ns)
{
    if (took_ns > 2 * TARGET_NS && grain > 1) {
        grain /= 2;
    } else if (took_ns < TARGET_NS / 2 && rows == grain && grain <= SIZE_MAX / 4) {
        grain *= took_ns < TARGET_NS / 8 ? 4 : 2;
    } else {
        return grain;
    }
    fol_atomic_store(&l->grain, grain, memory_order_relaxed);
    return grain;
}

static void run_piece(fol_parallel *self, void *argument);

/* Forks the upper half of [first, end) and returns where it begins. */
static size_t split(fol_worker *worker, loop *l, piece *upper, size_t first, size_t end)
{
    size_t middle = end - (end - first) / 2;
    upper->loop = l;
    upper->first = middle;
    upper->end = end;
    upper->status = 0;
    fol_worker_fork(worker, &upper->branch, run_piece, upper);
    return middle;
}

/* Whether thieves took all that they could. Older forks, if there are any, are theirs next. */
static inline bool deserves_split(fol_worker *worker, size_t rows, size_t grain, uint32_t splits)
{
    fol_deque *deque = &worker->deque;
    if (FOL_UNLIKELY(fol_deque_share_owner(deque))) {
        fol_fork_tell(worker);
    }
    return fol_atomic_load(&deque->top, memory_order_relaxed) == deque->tail && rows > grain &&
           splits < SPLITS_MAX;
}

/* Ranges of a learnt grain; returns the first status that is not 0. *end shrinks by splits. */
static int run_learning(fol_worker *worker, loop *l, piece *pieces, uint32_t *splits, size_t first,
                        size_t end)
{
    size_t grain = fol_atomic_load(&l->grain, memory_order_relaxed);
    uint64_t before = fol_exec_now_ns();
    while (first < end && first < fol_atomic_load(&l->failed_at, memory_order_relaxed)) {
        if (deserves_split(worker, end - first, grain, *splits)) {
            end = split(worker, l, &pieces[(*splits)++], first, end);
        }
        size_t rows = end - first < grain ? end - first : grain;
        int status = l->body((fol_parallel *)worker, first, first + rows, l->argument);
        if (status != 0) {
            note_failure(l, first);
            return status;
        }
        uint64_t now = fol_exec_now_ns();
        grain = learn_grain(l, grain, rows, now - before);
        before = now;
        first += rows;
    }
    return 0;
}

/* The same for the grain that was asked for. */
static int run_fixed(fol_worker *worker, loop *l, piece *pieces, uint32_t *splits, size_t first,
                     size_t end)
{
    size_t grain = l->fixed_grain;
    while (first < end && first < fol_atomic_load(&l->failed_at, memory_order_relaxed)) {
        if (deserves_split(worker, end - first, grain, *splits)) {
            end = split(worker, l, &pieces[(*splits)++], first, end);
        }
        size_t next = end - first < grain ? end : first + grain;
        int status = l->body((fol_parallel *)worker, first, next, l->argument);
        if (status != 0) {
            note_failure(l, first);
            return status;
        }
        first = next;
    }
    return 0;
}

/* Runs [first, end) and returns the status of its lowest failure. */
static int run_range(fol_worker *worker, loop *l, size_t first, size_t end)
{
    piece pieces[SPLITS_MAX];
    uint32_t splits = 0;
    int status = 0;
    /* Each turn ends with one fork less, after splits that halve what is left. */
    for (;;) {
        int own = l->fixed_grain != 0 ? run_fixed(worker, l, pieces, &splits, first, end)
                                      : run_learning(worker, l, pieces, &splits, first, end);
        status = status != 0 ? status : own;
        bool is_back = false;
        while (splits > 0 && !is_back) {
            piece *lowest = &pieces[--splits];
            is_back = fol_fork_reclaim(worker, (fol_fork *)&lowest->branch);
            if (is_back) {
                first = lowest->first;
                end = lowest->end;
            } else {
                status = status != 0 ? status : lowest->status;
            }
        }
        if (!is_back) {
            return status;
        }
    }
}

static void run_piece(fol_parallel *self, void *argument)
{
    piece *p = argument;
    p->status = run_range((fol_worker *)self, p->loop, p->first, p->end);
}

static int for_range(fol_parallel *self, size_t count, size_t grain, fol_range_function body,
                     void *argument)
{
    loop l = {.body = body, .argument = argument, .fixed_grain = grain};
    fol_atomic_init(&l.grain, 1);
    fol_atomic_init(&l.failed_at, SIZE_MAX);
    return run_range((fol_worker *)self, &l, 0, count);
}

static void fork_branch(fol_parallel *self, fol_branch *branch, fol_branch_function function,
                        void *argument)
{
    fol_worker_fork((fol_worker *)self, branch, function, argument);
}

static void join_branch(fol_parallel *self, fol_branch *branch)
{
    fol_worker_join((fol_worker *)self, branch);
}

static uint32_t worker_of(const fol_parallel *self)
{
    return ((const fol_worker *)self)->place;
}

static uint32_t count_workers(const fol_parallel *self)
{
    return ((const fol_worker *)self)->team->worker_count;
}

const fol_parallel_api fol_parallel_on_team = {
    .fork = fork_branch,
    .join = join_branch,
    .for_range = for_range,
    .worker = worker_of,
    .worker_count = count_workers,
};
