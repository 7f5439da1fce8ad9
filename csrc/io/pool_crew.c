/* The threads of a pool; see pool_crew.h for the rules. */
#include "io/pool_crew.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/memory.h"
#include "base/thread.h"

/* Work that waited so long while no thread took any. */
#define ALARM_NS 1000000
/* What a job counts as at most when its time is noted. */
#define EACH_NS (4 * FOL_IO_CREW_QUICK_NS)
/* How long running calls may take to end when the pool is destroyed. */
#define STOP_NS (UINT64_C(2) * FOL_IO_NS_PER_S)

static FOL_ATOMIC(uint64_t) thread_failure_countdown;

void fol_io_pool_fail_nth_thread(uint64_t n)
{
    fol_atomic_store(&thread_failure_countdown, n, memory_order_relaxed);
}

static struct timespec time_after(uint64_t ns)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seconds = ns / FOL_IO_NS_PER_S < INT32_MAX ? ns / FOL_IO_NS_PER_S : INT32_MAX;
    uint64_t rest = (uint64_t)now.tv_nsec + ns % FOL_IO_NS_PER_S;
    now.tv_sec += (time_t)(seconds + rest / FOL_IO_NS_PER_S);
    now.tv_nsec = (long)(rest % FOL_IO_NS_PER_S);
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

/* One processor is the driving thread's. */
static uint32_t count_team(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 1 ? (uint32_t)count - 1 : 1;
}

int fol_io_crew_init(fol_io_crew *crew, uint32_t min, uint32_t max, uint64_t idle_ns)
{
    int status = -ENOMEM;
    FOL_ASSERT(max != 0);
    memset(crew, 0, sizeof(*crew));
    crew->min = min < max ? min : max;
    crew->max = max;
    crew->idle_ns = idle_ns;
    crew->wanted = 1;
    crew->team = count_team();
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
    if (FOL_UNLIKELY(written != sizeof(one)) && !crew->is_stopping) {
        fol_io_crew_mend(crew);
    }
}

/* With the mutex: after jobs have ended. */
static void tell_of_ended(fol_io_crew *crew)
{
    if (crew->ended.count >= crew->wanted) {
        put_notice_up(crew);
    }
}

static fol_io_job *pop_queued(fol_io_crew *crew)
{
    fol_io_job *job = fol_io_jobs_pop(&crew->queue);
    crew->slow -= job->is_slow;
    return job;
}

/* With the mutex: how many jobs of the queue one who comes for some gets. */
static uint32_t share_of(const fol_io_crew *crew)
{
    uint64_t most = FOL_IO_CREW_BATCH;
    if (crew->job_ns > FOL_IO_CREW_BATCH_NS / FOL_IO_CREW_BATCH) {
        most = FOL_IO_CREW_BATCH_NS / crew->job_ns;
    }
    uint64_t fair = crew->queue.count / (crew->live + 1);
    most = fair < most ? fair : most;
    return most > 1 ? (uint32_t)most : 1;
}

/* With the mutex: there is one. */
static void take_batch(fol_io_crew *crew, fol_io_hand *hand)
{
    uint32_t share = share_of(crew);
    uint32_t count = 0;
    bool is_alone = crew->queue.first->is_slow;
    do {
        fol_io_job *job = pop_queued(crew);
        job->place = FOL_IO_PLACE_RUNNING;
        job->hand = hand->number;
        hand->batch[count] = job;
        count += 1;
    } while (!is_alone && count < share && crew->queue.count != 0 && !crew->queue.first->is_slow);
    hand->count = count;
    /* Under the mutex; see the header. */
    fol_atomic_store(&hand->begun, 0, memory_order_relaxed);
}

/* With the mutex: puts what the thread has not begun before all others in the queue. */
static void take_rest(fol_io_crew *crew, fol_io_hand *hand)
{
    if (fol_atomic_load(&hand->begun, memory_order_relaxed) >= hand->count) {
        /* So that adding is done once for a batch, and the number stays in its bounds. */
        return;
    }
    /* Relaxed, as in do_batch: they need to agree on the numbers only; see the header. */
    uint32_t begun = fol_atomic_fetch_add(&hand->begun, FOL_IO_CREW_TAKEN, memory_order_relaxed);
    if (begun >= hand->count) {
        return;
    }
    for (uint32_t i = hand->count; i > begun; i--) {
        fol_io_job *job = hand->batch[i - 1];
        job->place = FOL_IO_PLACE_NONE;
        fol_io_jobs_push_front(&crew->queue, job, FOL_IO_PLACE_QUEUED);
        crew->slow += job->is_slow;
    }
    hand->count = begun;
}

/* With the mutex: jobs, ever. */
static uint64_t count_begun(const fol_io_crew *crew)
{
    uint64_t total = crew->given;
    for (uint32_t i = 0; i < crew->max; i++) {
        uint32_t begun = fol_atomic_load(&crew->hands[i].begun, memory_order_relaxed);
        total += begun < crew->hands[i].count ? begun : crew->hands[i].count;
    }
    return total;
}

/* With the mutex: jobs that nobody has begun. */
static uint64_t count_waiting(const fol_io_crew *crew)
{
    uint64_t total = crew->queue.count;
    for (uint32_t i = 0; i < crew->max; i++) {
        uint32_t begun = fol_atomic_load(&crew->hands[i].begun, memory_order_relaxed);
        total += begun < crew->hands[i].count ? crew->hands[i].count - begun : 0;
    }
    return total;
}

/* With the mutex: waits for a batch. False: the thread has to end. */
static bool wait_for_batch(fol_io_crew *crew, fol_io_hand *hand)
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
            return false;
        }
    }
    if (crew->is_stopping) {
        return false;
    }
    take_batch(crew, hand);
    return true;
}

/* Without the mutex. */
static void do_batch(fol_io_hand *hand, uint32_t count)
{
    /* Bounded by the batch. Relaxed; see take_rest. */
    uint32_t i = fol_atomic_fetch_add(&hand->begun, 1, memory_order_relaxed);
    while (i < count) {
        fol_io_job *job = hand->batch[i];
        job->value = fol_io_job_call(job, true);
        i = fol_atomic_fetch_add(&hand->begun, 1, memory_order_relaxed);
    }
}

/* With the mutex: what the thread did. */
static void give_batch(fol_io_crew *crew, fol_io_hand *hand, uint64_t passed_ns)
{
    for (uint32_t i = 0; i < hand->count; i++) {
        fol_io_job *job = hand->batch[i];
        int32_t opened = crew->is_stopping ? fol_io_job_opened(job, job->value) : -1;
        if (opened >= 0) {
            /* Nobody will hear of it. */
            close(opened);
            job->value = -ECANCELED;
            job->is_dropped = true;
        }
        job->place = FOL_IO_PLACE_NONE;
        fol_io_jobs_append(&crew->ended, job, FOL_IO_PLACE_ENDED);
    }
    if (hand->count != 0 && !hand->batch[0]->is_slow) {
        uint64_t each_ns = passed_ns / hand->count;
        /* A thread whose processor was another's for a while says nothing about its jobs. */
        each_ns = each_ns < EACH_NS ? each_ns : EACH_NS;
        crew->job_ns += each_ns / 16;
        crew->job_ns -= crew->job_ns / 16;
    }
    crew->given += hand->count;
    hand->count = 0;
    tell_of_ended(crew);
}

static void *serve(void *argument)
{
    fol_io_hand *hand = argument;
    fol_io_crew *crew = hand->crew;
    char name[16];
    snprintf(name, sizeof(name), "foliot-io-%u", (unsigned)(uint16_t)(hand->number + 1));
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&crew->mutex);
    /* Until the crew is stopped or the thread has been idle for long. */
    while (wait_for_batch(crew, hand)) {
        uint32_t count = hand->count;
        pthread_mutex_unlock(&crew->mutex);
        uint64_t start_ns = fol_io_pool_now_ns();
        do_batch(hand, count);
        uint64_t passed_ns = fol_io_pool_now_ns() - start_ns;
        pthread_mutex_lock(&crew->mutex);
        give_batch(crew, hand, passed_ns);
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

/* With the mutex: starts up to `count` threads, as far as they can be had. */
static void add_threads(fol_io_crew *crew, uint32_t count)
{
    sigset_t before;
    join_ended(crew);
    fol_thread_block_signals(&before);
    bool can_start = true;
    for (uint32_t i = 0; i < crew->max && count != 0 && can_start; i++) {
        fol_io_hand *hand = &crew->hands[i];
        if (hand->state != FOL_IO_HAND_FREE) {
            continue;
        }
        *hand = (fol_io_hand){.crew = crew, .number = i, .state = FOL_IO_HAND_LIVES};
        can_start = !fol_countdown_hits(&thread_failure_countdown) &&
                    pthread_create(&hand->thread, NULL, serve, hand) == 0;
        if (can_start) {
            crew->live += 1;
            count -= 1;
        } else {
            hand->state = FOL_IO_HAND_FREE;
        }
    }
    fol_thread_restore_signals(&before);
}

/* With the mutex: makes the alarm go off if what waits now is not begun soon. */
static void set_alarm(fol_io_crew *crew)
{
    const struct itimerspec once = {.it_value = {.tv_nsec = ALARM_NS}};
    if (crew->is_alarmed || count_waiting(crew) <= crew->idle || crew->live == crew->max) {
        return;
    }
    crew->begun_at_alarm = count_begun(crew);
    crew->is_alarmed = timerfd_settime(crew->alarm_fd, 0, &once, NULL) == 0;
    if (FOL_UNLIKELY(!crew->is_alarmed)) {
        fol_io_crew_mend(crew);
    }
}

/* With the mutex: nothing waits, so nobody has to be told that it does. */
static void stop_alarm(fol_io_crew *crew)
{
    const struct itimerspec never = {0};
    if (crew->is_alarmed && count_waiting(crew) == 0) {
        /* One that went off already is taken back too. */
        crew->is_alarmed = false;
        if (timerfd_settime(crew->alarm_fd, 0, &never, NULL) != 0) {
            fol_io_crew_mend(crew);
        }
    }
}

/* With the mutex: for `count` jobs of the queue. */
static void wake_idle(fol_io_crew *crew, uint32_t count)
{
    uint32_t woken = count < crew->idle ? count : crew->idle;
    for (uint32_t i = 0; i < woken; i++) {
        pthread_cond_signal(&crew->has_work);
    }
}

/* With the mutex: adds the threads that what waits has a use for. */
static void grow(fol_io_crew *crew, uint32_t waiting, bool has_slow)
{
    bool is_quick = !has_slow && crew->job_ns <= FOL_IO_CREW_QUICK_NS;
    uint32_t most = is_quick && crew->team < crew->max ? crew->team : crew->max;
    if (waiting <= crew->idle || crew->live >= most) {
        return;
    }
    uint32_t beyond = waiting - crew->idle;
    uint32_t wanted = beyond / FOL_IO_CREW_SHARE + (beyond % FOL_IO_CREW_SHARE != 0);
    uint32_t room = most - crew->live;
    add_threads(crew, wanted < room ? wanted : room);
}

bool fol_io_crew_hand_over(fol_io_crew *crew, fol_io_jobs *jobs, bool has_help)
{
    uint32_t slow = 0;
    for (const fol_io_job *job = jobs->first; job != NULL; job = job->next) {
        slow += job->is_slow;
    }
    pthread_mutex_lock(&crew->mutex);
    FOL_ASSERT(!crew->is_stopping);
    grow(crew, crew->queue.count + jobs->count, crew->slow + slow != 0);
    bool is_manned = crew->live != 0;
    if (is_manned) {
        uint32_t left = has_help && slow == 0 ? jobs->count - 1 : jobs->count;
        fol_io_job *job = NULL;
        while ((job = fol_io_jobs_pop(jobs)) != NULL) {
            fol_io_jobs_append(&crew->queue, job, FOL_IO_PLACE_QUEUED);
        }
        crew->slow += slow;
        wake_idle(crew, left);
        set_alarm(crew);
    }
    pthread_mutex_unlock(&crew->mutex);
    return is_manned;
}

bool fol_io_crew_take(fol_io_crew *crew, fol_io_jobs *out)
{
    pthread_mutex_lock(&crew->mutex);
    bool has_any = crew->queue.count != 0 && !crew->queue.first->is_slow &&
                   crew->job_ns <= FOL_IO_CREW_QUICK_NS;
    if (has_any) {
        uint32_t share = share_of(crew);
        do {
            fol_io_jobs_append(out, pop_queued(crew), FOL_IO_PLACE_OWN);
        } while (out->count < share && crew->queue.count != 0 && !crew->queue.first->is_slow);
        crew->given += out->count;
        crew->wanted = UINT32_MAX;
    }
    pthread_mutex_unlock(&crew->mutex);
    return has_any;
}

void fol_io_crew_expect(fol_io_crew *crew, uint32_t wanted)
{
    FOL_ASSERT(wanted != 0);
    pthread_mutex_lock(&crew->mutex);
    crew->wanted = wanted;
    tell_of_ended(crew);
    wake_idle(crew, crew->queue.count);
    pthread_mutex_unlock(&crew->mutex);
}

void fol_io_crew_answer_alarm(fol_io_crew *crew)
{
    uint64_t expirations = 0;
    pthread_mutex_lock(&crew->mutex);
    if (read(crew->alarm_fd, &expirations, sizeof(expirations)) > 0) {
        crew->is_alarmed = false;
        if (count_waiting(crew) != 0 && count_begun(crew) == crew->begun_at_alarm &&
            crew->live < crew->max) {
            for (uint32_t i = 0; i < crew->max; i++) {
                take_rest(crew, &crew->hands[i]);
            }
            add_threads(crew, 1);
        }
        set_alarm(crew);
    }
    pthread_mutex_unlock(&crew->mutex);
}

bool fol_io_crew_take_back(fol_io_crew *crew, fol_io_job *job)
{
    pthread_mutex_lock(&crew->mutex);
    if (job->place == FOL_IO_PLACE_RUNNING) {
        take_rest(crew, &crew->hands[job->hand]);
    }
    bool is_queued = job->place == FOL_IO_PLACE_QUEUED;
    if (is_queued) {
        fol_io_jobs_remove(&crew->queue, job);
        crew->slow -= job->is_slow;
    }
    wake_idle(crew, crew->queue.count);
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
        crew->is_signalled = false;
        if (read(crew->notice_fd, &count, sizeof(count)) != sizeof(count)) {
            fol_io_crew_mend(crew);
        }
    }
    crew->wanted = crew->wanted == UINT32_MAX ? UINT32_MAX : 1;
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
    for (uint32_t i = 0; i < crew->max; i++) {
        take_rest(crew, &crew->hands[i]);
    }
    crew->queue = (fol_io_jobs){0};
    crew->slow = 0;
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
