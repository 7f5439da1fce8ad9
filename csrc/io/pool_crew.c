/* The threads of a pool; see pool_crew.h for the rules. */
#include "io/pool_crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/memory.h"

#define NS_PER_S UINT64_C(1000000000)
/* Work that waited so long while no thread took any. */
#define ALARM_NS 1000000
/* How long running calls may take to end when the pool is destroyed. */
#define STOP_NS (UINT64_C(2) * NS_PER_S)

static FOL_ATOMIC(uint64_t) thread_failure_countdown;

void fol_io_pool_fail_nth_thread(uint64_t n)
{
    fol_atomic_store(&thread_failure_countdown, n, memory_order_relaxed);
}

static bool thread_must_fail(void)
{
    uint64_t left = fol_atomic_load(&thread_failure_countdown, memory_order_relaxed);
    /* Each turn in vain means that another thread counted down. */
    while (left != 0) {
        if (fol_atomic_compare_exchange_weak(&thread_failure_countdown, &left, left - 1,
                                             memory_order_relaxed, memory_order_relaxed)) {
            return left == 1;
        }
    }
    return false;
}

static struct timespec time_after(uint64_t ns)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seconds = ns / NS_PER_S < INT32_MAX ? ns / NS_PER_S : INT32_MAX;
    uint64_t rest = (uint64_t)now.tv_nsec + ns % NS_PER_S;
    now.tv_sec += (time_t)(seconds + rest / NS_PER_S);
    now.tv_nsec = (long)(rest % NS_PER_S);
    return now;
}

static int init_locks(fol_io_crew *crew)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&crew->mutex, NULL) != 0) {
        return -ENOMEM;
    }
    if (pthread_condattr_init(&attributes) != 0) {
        goto fail_attributes;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (pthread_cond_init(&crew->has_work, &attributes) != 0) {
        goto fail_has_work;
    }
    if (pthread_cond_init(&crew->has_ended, &attributes) != 0) {
        goto fail_has_ended;
    }
    pthread_condattr_destroy(&attributes);
    return 0;

fail_has_ended:
    pthread_cond_destroy(&crew->has_work);
fail_has_work:
    pthread_condattr_destroy(&attributes);
fail_attributes:
    pthread_mutex_destroy(&crew->mutex);
    return -ENOMEM;
}

int fol_io_crew_init(fol_io_crew *crew, uint32_t min, uint32_t max, uint64_t idle_ns)
{
    int status = -ENOMEM;
    FOL_ASSERT(max != 0);
    memset(crew, 0, sizeof(*crew));
    crew->min = min < max ? min : max;
    crew->max = max;
    crew->idle_ns = idle_ns;
    crew->hands = fol_alloc_zeroed(max, sizeof(*crew->hands));
    if (crew->hands == NULL) {
        return -ENOMEM;
    }
    crew->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (crew->notice_fd < 0) {
        status = -errno;
        goto fail_notice;
    }
    crew->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (crew->alarm_fd < 0) {
        status = -errno;
        goto fail_alarm;
    }
    status = init_locks(crew);
    if (status != 0) {
        goto fail_locks;
    }
    return 0;

fail_locks:
    close(crew->alarm_fd);
fail_alarm:
    close(crew->notice_fd);
fail_notice:
    fol_free(crew->hands);
    return status;
}

/* With the mutex. */
static void put_notice_up(fol_io_crew *crew)
{
    const uint64_t one = 1;
    if (crew->is_signalled) {
        return;
    }
    crew->is_signalled = true;
    ssize_t written = write(crew->notice_fd, &one, sizeof(one));
    FOL_ASSERT(written == sizeof(one) || crew->is_stopping);
}

/* With the mutex: waits for a job. NULL: the thread has to end. */
static fol_io_job *take_job(fol_io_crew *crew)
{
    /* Each turn is a job that another thread took first, or a wake for no reason. */
    while (!crew->is_stopping && crew->queue.count == 0) {
        bool is_beyond = crew->live > crew->min;
        int error = 0;
        crew->idle += 1;
        if (is_beyond) {
            struct timespec until = time_after(crew->idle_ns);
            error = pthread_cond_timedwait(&crew->has_work, &crew->mutex, &until);
        } else {
            error = pthread_cond_wait(&crew->has_work, &crew->mutex);
        }
        crew->idle -= 1;
        if (error == ETIMEDOUT && crew->queue.count == 0 && crew->live > crew->min) {
            return NULL;
        }
    }
    if (crew->is_stopping) {
        return NULL;
    }
    fol_io_job *job = fol_io_jobs_pop(&crew->queue);
    job->place = FOL_IO_PLACE_RUNNING;
    crew->taken += 1;
    return job;
}

static void *serve(void *argument)
{
    fol_io_hand *hand = argument;
    fol_io_crew *crew = hand->crew;
    char name[16];
    snprintf(name, sizeof(name), "foliot-io-%u", (unsigned)(uint16_t)hand->number);
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&crew->mutex);
    fol_io_job *job = take_job(crew);
    /* Until the crew is stopped or the thread has been idle for long. */
    while (job != NULL) {
        pthread_mutex_unlock(&crew->mutex);
        const fol_io_operation *row = fol_io_operation_of(job->request->kind);
        int64_t value = row->call(job->request, true);
        pthread_mutex_lock(&crew->mutex);
        if (crew->is_stopping && row->gives_fd && value >= 0) {
            /* Nobody will hear of it. */
            close((int)value);
            value = -ECANCELED;
        }
        job->value = value;
        job->place = FOL_IO_PLACE_NONE;
        fol_io_jobs_append(&crew->ended, job, FOL_IO_PLACE_ENDED);
        put_notice_up(crew);
        job = take_job(crew);
    }
    hand->state = FOL_IO_HAND_ENDED;
    crew->live -= 1;
    pthread_cond_signal(&crew->has_ended);
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

/* With the mutex, which such a thread has given back for the last time. */
static void join_ended(fol_io_crew *crew)
{
    for (uint32_t i = 0; i < crew->max; i++) {
        if (crew->hands[i].state == FOL_IO_HAND_ENDED) {
            pthread_join(crew->hands[i].thread, NULL);
            crew->hands[i].state = FOL_IO_HAND_FREE;
        }
    }
}

/* A crash belongs to the thread that makes it: blocked, it ends the process and no handler is
 * asked. */
static void block_all_but_crashes(sigset_t *before)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
        sigdelset(&set, crashes[i]);
    }
    pthread_sigmask(SIG_SETMASK, &set, before);
}

/* With the mutex: starts up to `count` threads, as far as they can be had. */
static void add_threads(fol_io_crew *crew, uint32_t count)
{
    sigset_t before;
    join_ended(crew);
    /* New threads inherit the mask. */
    block_all_but_crashes(&before);
    bool can_start = true;
    for (uint32_t i = 0; i < crew->max && count != 0 && can_start; i++) {
        fol_io_hand *hand = &crew->hands[i];
        if (hand->state != FOL_IO_HAND_FREE) {
            continue;
        }
        *hand = (fol_io_hand){.crew = crew, .number = i + 1, .state = FOL_IO_HAND_LIVES};
        can_start = !thread_must_fail() && pthread_create(&hand->thread, NULL, serve, hand) == 0;
        if (can_start) {
            crew->live += 1;
            count -= 1;
        } else {
            hand->state = FOL_IO_HAND_FREE;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* With the mutex: makes the alarm go off if what waits now is not taken soon. */
static void set_alarm(fol_io_crew *crew)
{
    const struct itimerspec once = {.it_value = {.tv_nsec = ALARM_NS}};
    if (crew->is_alarmed || crew->queue.count <= crew->idle || crew->live == crew->max) {
        return;
    }
    crew->taken_at_alarm = crew->taken;
    crew->is_alarmed = timerfd_settime(crew->alarm_fd, 0, &once, NULL) == 0;
}

/* With the mutex: nothing waits, so nobody has to be told that it does. */
static void stop_alarm(fol_io_crew *crew)
{
    const struct itimerspec never = {0};
    if (crew->is_alarmed && crew->queue.count == 0) {
        /* One that went off already is taken back too. */
        int status = timerfd_settime(crew->alarm_fd, 0, &never, NULL);
        FOL_ASSERT(status == 0);
        crew->is_alarmed = false;
    }
}

bool fol_io_crew_hand_over(fol_io_crew *crew, fol_io_jobs *jobs)
{
    pthread_mutex_lock(&crew->mutex);
    FOL_ASSERT(!crew->is_stopping);
    uint32_t waiting = crew->queue.count + jobs->count;
    if (waiting > crew->idle && crew->live < crew->max) {
        uint32_t beyond = waiting - crew->idle;
        uint32_t wanted = beyond / FOL_IO_CREW_SHARE + (beyond % FOL_IO_CREW_SHARE != 0);
        uint32_t room = crew->max - crew->live;
        add_threads(crew, wanted < room ? wanted : room);
    }
    bool is_manned = crew->live != 0;
    if (is_manned) {
        uint32_t woken = jobs->count < crew->idle ? jobs->count : crew->idle;
        fol_io_job *job = NULL;
        while ((job = fol_io_jobs_pop(jobs)) != NULL) {
            fol_io_jobs_append(&crew->queue, job, FOL_IO_PLACE_QUEUED);
        }
        for (uint32_t i = 0; i < woken; i++) {
            pthread_cond_signal(&crew->has_work);
        }
        set_alarm(crew);
    }
    pthread_mutex_unlock(&crew->mutex);
    return is_manned;
}

void fol_io_crew_answer_alarm(fol_io_crew *crew)
{
    uint64_t expirations = 0;
    pthread_mutex_lock(&crew->mutex);
    if (read(crew->alarm_fd, &expirations, sizeof(expirations)) > 0) {
        crew->is_alarmed = false;
        if (crew->queue.count != 0 && crew->taken == crew->taken_at_alarm &&
            crew->live < crew->max) {
            add_threads(crew, 1);
        }
        set_alarm(crew);
    }
    pthread_mutex_unlock(&crew->mutex);
}

bool fol_io_crew_take_back(fol_io_crew *crew, fol_io_job *job)
{
    pthread_mutex_lock(&crew->mutex);
    bool is_queued = job->place == FOL_IO_PLACE_QUEUED;
    if (is_queued) {
        fol_io_jobs_remove(&crew->queue, job);
    }
    pthread_mutex_unlock(&crew->mutex);
    return is_queued;
}

void fol_io_crew_look(fol_io_crew *crew, fol_io_jobs *out, bool *was_woken)
{
    uint64_t count = 0;
    fol_io_job *job = NULL;
    pthread_mutex_lock(&crew->mutex);
    while ((job = fol_io_jobs_pop(&crew->ended)) != NULL) {
        fol_io_jobs_append(out, job, FOL_IO_PLACE_ENDED);
    }
    if (crew->is_signalled) {
        ssize_t got = read(crew->notice_fd, &count, sizeof(count));
        FOL_ASSERT(got == sizeof(count));
        crew->is_signalled = false;
    }
    *was_woken = crew->is_woken;
    crew->is_woken = false;
    stop_alarm(crew);
    pthread_mutex_unlock(&crew->mutex);
}

void fol_io_crew_signal(fol_io_crew *crew, bool is_wake)
{
    pthread_mutex_lock(&crew->mutex);
    crew->is_woken = crew->is_woken || is_wake;
    put_notice_up(crew);
    pthread_mutex_unlock(&crew->mutex);
}

/* With the mutex: threads that are inside of a call for ever keep the crew and end with it. */
static void detach_rest(fol_io_crew *crew)
{
    for (uint32_t i = 0; i < crew->max; i++) {
        if (crew->hands[i].state == FOL_IO_HAND_LIVES) {
            pthread_detach(crew->hands[i].thread);
        }
    }
}

bool fol_io_crew_stop(fol_io_crew *crew)
{
    struct timespec until = time_after(STOP_NS);
    int error = 0;
    pthread_mutex_lock(&crew->mutex);
    crew->is_stopping = true;
    crew->queue = (fol_io_jobs){0};
    pthread_cond_broadcast(&crew->has_work);
    while (crew->live != 0 && error == 0) {
        error = pthread_cond_timedwait(&crew->has_ended, &crew->mutex, &until);
    }
    join_ended(crew);
    bool all_gone = crew->live == 0;
    if (!all_gone) {
        detach_rest(crew);
        /* Nobody looks any more, so no notice has to go up. */
        crew->is_signalled = true;
    }
    pthread_mutex_unlock(&crew->mutex);
    return all_gone;
}

void fol_io_crew_close(fol_io_crew *crew)
{
    close(crew->alarm_fd);
    close(crew->notice_fd);
}

void fol_io_crew_deinit(fol_io_crew *crew)
{
    FOL_ASSERT(crew->live == 0);
    pthread_cond_destroy(&crew->has_ended);
    pthread_cond_destroy(&crew->has_work);
    pthread_mutex_destroy(&crew->mutex);
    fol_io_crew_forget(crew);
}

void fol_io_crew_forget(fol_io_crew *crew)
{
    fol_io_crew_close(crew);
    fol_free(crew->hands);
}
