/* The driving thread's part of doing requests: first tries, further ones, many results.
 *
 * Under edge-triggered events whoever stands has been tried until there was nothing, or stands
 * behind one who was. So an event is answered by trying in order, each direction until one finds
 * nothing, and a job that has to stop before that (enough for one turn, no buffer) leaves the set
 * and comes back as a fresh one.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "io/operation_calls.h"
#include "io/pool.h"

/* Results of one request before others have their turn. */
#define TURN_PIECES 64
#define LANES       ((uint32_t)EPOLLIN | (uint32_t)EPOLLOUT)
/* What is read or written in one try, if it is in memory; larger transfers of files go to threads.
 */
#define TRY_SIZE ((size_t)64 << 10)

typedef enum verdict {
    VERDICT_ENDED,
    VERDICT_STANDS, /* there is nothing now */
    VERDICT_AGAIN,  /* there may be more */
    VERDICT_STARVES,
} verdict;

/* The job goes to a thread, or to the driving thread where there are none. */
static void send_to_file_work(fol_io_pool *pool, fol_io_job *job)
{
    const fol_io_request *request = job->request;
    bool waits_for_others = job->needs_thread ||
                            (request->kind == FOL_IO_OPEN && (request->flags & FOL_IO_PROMPT) == 0);
    job->is_slow = job->is_slow || waits_for_others || request->kind == FOL_IO_FSYNC;
    if (pool->runs_in_place && !job->needs_thread) {
        fol_io_jobs_append(&pool->own, job, FOL_IO_PLACE_OWN);
    } else {
        fol_io_jobs_append(&pool->leaving, job, FOL_IO_PLACE_FRESH);
    }
}

static uint32_t events_of(const fol_io_request *request)
{
    switch (request->kind) {
    case FOL_IO_WRITE:
    case FOL_IO_SEND:
    case FOL_IO_CONNECT:
        return EPOLLOUT;
    case FOL_IO_POLL:
        return request->options & 0xffffu;
    default:
        return EPOLLIN | EPOLLRDHUP;
    }
}

static size_t bytes_of(const fol_io_request *request)
{
    if ((request->flags & FOL_IO_VECTORS) == 0) {
        return request->size;
    }
    const struct iovec *vectors = request->buffer;
    size_t total = 0;
    for (size_t i = 0; i < request->size && total <= TRY_SIZE; i++) {
        total += vectors[i].iov_len < TRY_SIZE ? vectors[i].iov_len : TRY_SIZE + 1;
    }
    return total;
}

static int64_t call_now(fol_io_pool *pool, const fol_io_request *request)
{
    const fol_io_operation *row = fol_io_operation_of(request->kind);
    fol_io_pool_count_call(pool);
    return row->call(request, false);
}

/* A free buffer; -EAGAIN: none now; -ENOMEM. */
static int take_buffer(fol_io_pool *pool, int32_t *out)
{
    if (pool->buffers == NULL) {
        pool->buffers =
            fol_alloc_aligned((size_t)FOL_IO_POOL_BUFFER_COUNT * FOL_IO_POOL_BUFFER_SIZE);
        if (pool->buffers == NULL) {
            return -ENOMEM;
        }
        for (uint32_t i = 0; i < FOL_IO_POOL_BUFFER_COUNT; i++) {
            pool->free_buffers[i] = (int32_t)(FOL_IO_POOL_BUFFER_COUNT - 1 - i);
        }
        pool->free_buffer_count = FOL_IO_POOL_BUFFER_COUNT;
    }
    if (pool->free_buffer_count == 0) {
        return -EAGAIN;
    }
    pool->free_buffer_count -= 1;
    *out = pool->free_buffers[pool->free_buffer_count];
    return 0;
}

/* One result of a recv with many. */
static verdict receive_piece(fol_io_pool *pool, fol_io_job *job)
{
    int32_t buffer = -1;
    int status = take_buffer(pool, &buffer);
    if (status == -ENOMEM) {
        fol_io_pool_end(pool, job, status);
        return VERDICT_ENDED;
    }
    if (status != 0) {
        return VERDICT_STARVES;
    }
    fol_io_request request = *job->request;
    request.buffer = pool->buffers + (size_t)buffer * FOL_IO_POOL_BUFFER_SIZE;
    request.size = FOL_IO_POOL_BUFFER_SIZE;
    int64_t value = call_now(pool, &request);
    if (value > 0) {
        fol_io_pool_give_piece(pool, job, value, buffer);
        return VERDICT_AGAIN;
    }
    pool->free_buffers[pool->free_buffer_count] = buffer;
    pool->free_buffer_count += 1;
    if (value == -EAGAIN) {
        return VERDICT_STANDS;
    }
    fol_io_pool_end(pool, job, value);
    return VERDICT_ENDED;
}

static verdict accept_piece(fol_io_pool *pool, fol_io_job *job)
{
    int64_t value = call_now(pool, job->request);
    if (value >= 0) {
        fol_io_pool_give_piece(pool, job, value, -1);
        return VERDICT_AGAIN;
    }
    if (value == -EAGAIN) {
        return VERDICT_STANDS;
    }
    fol_io_pool_end(pool, job, value);
    return VERDICT_ENDED;
}

static verdict try_many(fol_io_pool *pool, fol_io_job *job)
{
    verdict result = VERDICT_AGAIN;
    for (int i = 0; i < TURN_PIECES && result == VERDICT_AGAIN; i++) {
        if (pool->pieces == FOL_IO_POOL_PIECES) {
            break;
        }
        result =
            job->request->kind == FOL_IO_RECV ? receive_piece(pool, job) : accept_piece(pool, job);
    }
    return result;
}

/* Tries a job that is in no list, or stands; unless it is over, it is where it was. */
static verdict try_job(fol_io_pool *pool, fol_io_job *job)
{
    if ((job->request->flags & FOL_IO_MANY) != 0) {
        return try_many(pool, job);
    }
    int64_t value = call_now(pool, job->request);
    if (value == -EAGAIN) {
        return VERDICT_STANDS;
    }
    fol_io_pool_end(pool, job, value);
    return VERDICT_ENDED;
}

static bool is_transfer(const fol_io_request *request)
{
    return request->kind == FOL_IO_READ || request->kind == FOL_IO_WRITE;
}

static bool is_of_file(fol_io_pool *pool, const fol_io_request *request)
{
    struct stat status;
    fol_io_pool_count_call(pool);
    return fstat(request->fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

/* Makes a job that is in no list stand. Some files can be watched and are never told to be ready,
 * those of sysfs among them: reading those waits for nobody. */
static void stand(fol_io_pool *pool, fol_io_job *job)
{
    bool is_file = is_transfer(job->request) && is_of_file(pool, job->request);
    int status = is_file ? -EPERM : fol_io_readiness_stand(&pool->readiness, job);
    if (FOL_UNLIKELY(status < 0) && fol_io_pool_has_lost_its_set(pool, status)) {
        status = fol_io_pool_renew_set(pool, job);
        if (status == 0) {
            return;
        }
    }
    if (status == -EPERM && (job->request->flags & FOL_IO_MANY) == 0) {
        /* It was tried, and is not in memory. */
        job->is_slow = true;
        send_to_file_work(pool, job);
    } else if (status != 0) {
        fol_io_pool_end(pool, job, status);
    }
}

/* Where a job that is in no list and is not over goes. */
static void place(fol_io_pool *pool, fol_io_job *job, verdict result)
{
    if (result == VERDICT_STANDS) {
        stand(pool, job);
    } else if (result == VERDICT_AGAIN) {
        fol_io_jobs_append(&pool->fresh, job, FOL_IO_PLACE_FRESH);
    } else {
        fol_io_jobs_append(&pool->starved, job, FOL_IO_PLACE_STARVED);
    }
}

static bool is_large_transfer_of_file(fol_io_pool *pool, const fol_io_request *request)
{
    bool is_large = is_transfer(request) && !pool->runs_in_place && bytes_of(request) > TRY_SIZE;
    return is_large && is_of_file(pool, request);
}

static void begin_waiting(fol_io_pool *pool, fol_io_job *job)
{
    job->events = events_of(job->request);
    job->lane = job->request->kind == FOL_IO_POLL ? 0 : job->events & LANES;
    if (is_large_transfer_of_file(pool, job->request)) {
        send_to_file_work(pool, job);
        return;
    }
    if (fol_io_readiness_has_earlier(&pool->readiness, job->request->fd, job->lane)) {
        stand(pool, job);
        return;
    }
    verdict result = try_job(pool, job);
    if (result != VERDICT_ENDED) {
        place(pool, job, result);
    }
}

void fol_io_pool_begin(fol_io_pool *pool, fol_io_job *job)
{
    FOL_ASSERT(job->place == FOL_IO_PLACE_NONE);
    if (fol_io_is_path_request(job->request)) {
        send_to_file_work(pool, job);
        return;
    }
    if (fol_io_operation_of(job->request->kind)->may_wait) {
        begin_waiting(pool, job);
        return;
    }
    switch (job->request->kind) {
    case FOL_IO_NOP:
    case FOL_IO_SOCKET:
    case FOL_IO_SHUTDOWN:
        fol_io_pool_end(pool, job, call_now(pool, job->request));
        break;
    case FOL_IO_CLOSE:
        fol_io_readiness_forget(&pool->readiness, job->request->fd);
        send_to_file_work(pool, job);
        break;
    default:
        send_to_file_work(pool, job);
        break;
    }
}

/* The driving thread is to begin nothing that may take long. */
static bool must_stop(const fol_io_pool *pool)
{
    const fol_io_interruption *asked = &pool->interruption;
    return asked->must_stop != NULL && asked->must_stop(asked->argument, false);
}

void fol_io_pool_run(fol_io_pool *pool, fol_io_job *job)
{
    FOL_ASSERT(job->place == FOL_IO_PLACE_NONE);
    if (job->request->kind != FOL_IO_CLOSE && must_stop(pool)) {
        fol_io_jobs_append(&pool->own, job, FOL_IO_PLACE_OWN);
        return;
    }
    bool may_wait = fol_io_operation_of(job->request->kind)->may_wait;
    /* Reads and writes were tried before, and wait for a device only. */
    bool is_patient = job->needs_thread || (may_wait && !fol_io_is_path_request(job->request));
    fol_io_pool_count_call(pool);
    fol_io_ask_when_interrupted(&pool->interruption);
    int64_t value = fol_io_job_call(job, is_patient);
    fol_io_ask_when_interrupted(NULL);
    if (value == -EINTR && must_stop(pool)) {
        value = FOL_E_INTERRUPTED;
    }
    bool has_opened = fol_io_job_opened(job, value) >= 0;
    if (value == -EAGAIN && !is_patient && !has_opened) {
        job->needs_thread = true;
        send_to_file_work(pool, job);
        return;
    }
    fol_io_pool_end(pool, job, value);
}

/* Whether a connect that is woken and still has to wait is one that nothing will wake: to a local
 * socket whose listener has no room. A thread can wait for it. */
static bool connect_needs_thread(const fol_io_job *job, uint32_t events)
{
    return job->request->kind == FOL_IO_CONNECT && (events & EPOLLHUP) != 0;
}

/* A job that stood and was tried in vain. */
static void stay_or_leave(fol_io_pool *pool, fol_io_job *job, verdict result, uint32_t events)
{
    bool needs_thread = connect_needs_thread(job, events);
    if (result == VERDICT_STANDS && !needs_thread) {
        return;
    }
    fol_io_readiness_leave(&pool->readiness, job);
    if (needs_thread) {
        /* Its thread is not to be met there by events that concern nobody. */
        fol_io_readiness_forget(&pool->readiness, job->request->fd);
        job->needs_thread = true;
        send_to_file_work(pool, job);
    } else {
        place(pool, job, result);
    }
}

void fol_io_pool_go_on(fol_io_pool *pool, const struct epoll_event *event)
{
    fol_io_watch *watch = fol_io_readiness_find(&pool->readiness, event);
    if (watch == NULL) {
        return;
    }
    uint32_t exhausted = 0; /* lanes in which there is nothing more */
    fol_io_job *job = watch->jobs.first;
    /* Nobody comes to stand here meanwhile. */
    for (uint32_t rest = watch->jobs.count; rest != 0; rest--) {
        fol_io_job *next = job->next;
        uint32_t lane = job->lane;
        uint32_t concerns = job->events | (uint32_t)EPOLLERR | (uint32_t)EPOLLHUP;
        if ((event->events & concerns) != 0 && (lane & exhausted) == 0) {
            verdict result = try_job(pool, job);
            if (result != VERDICT_ENDED) {
                stay_or_leave(pool, job, result, event->events);
                /* Who went to a thread has left the lane to those behind. */
                exhausted |= job->needs_thread ? 0 : lane;
            }
        }
        job = next;
    }
}
