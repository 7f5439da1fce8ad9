/* Loading a set of tasks, and what the tests want to know of it; analysis.h has the bounds.
 *
 * Utilisation is compared with 1 by a sum of rounded quotients where that is clear, and digit by
 * digit where it is not: each digit of 62 bits adds up the tasks' long divisions. Two different
 * fractions over the product of the periods differ within as many bits as that product has, so the
 * digits end.
 */

#include "policy/analysis.h"

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"

/* Bits of one digit of the exact utilisation: a remainder of 60 bits moved up by them, and sums of
 * so many quotients, stay within 128 bits. */
#define DIGIT_BITS 62u
/* Above what a sum of quotients in doubles is off by, for one task and the sum's own rounding. */
#define ERROR_PER_TASK 0x1p-50
#define COLUMNS        6u

static size_t whole_groups(size_t count)
{
    return (count + FOL_DENSE_GROUP - 1) / FOL_DENSE_GROUP * FOL_DENSE_GROUP;
}

int fol_analysis_create(uint32_t capacity, fol_analysis **out)
{
    if (capacity == 0 || capacity > FOL_ANALYSIS_TASKS_MAX) {
        return FOL_E_VALUE;
    }
    fol_analysis *analysis = fol_alloc_zeroed(1, sizeof(*analysis));
    if (analysis == NULL) {
        return -ENOMEM;
    }
    size_t column = whole_groups(capacity) * sizeof(double);
    size_t chosen = capacity * sizeof(fol_analysis_task);
    size_t numbers = capacity * sizeof(int64_t);
    /* Columns come first, for their alignment. */
    char *block = fol_alloc_aligned(COLUMNS * column + chosen + 2 * numbers +
                                    capacity * sizeof(*analysis->order));
    if (block == NULL) {
        goto fail_block;
    }
    double **columns[] = {&analysis->dense.wcet,     &analysis->dense.period,
                          &analysis->dense.deadline, &analysis->dense.inverse,
                          &analysis->dense.share,    &analysis->dense.slope};
    for (size_t i = 0; i < COLUMNS; i++) {
        *columns[i] = (double *)(void *)block;
        block += column;
    }
    analysis->chosen = (fol_analysis_task *)(void *)block;
    analysis->due = (int64_t *)(void *)(block + chosen);
    analysis->remainders = analysis->due + capacity;
    analysis->order = (uint32_t *)(void *)(analysis->remainders + capacity);
    analysis->capacity = capacity;
    fol_dense_codes(&analysis->code);
    *out = analysis;
    return FOL_OK;
fail_block:
    fol_free(analysis);
    return -ENOMEM;
}

void fol_analysis_destroy(fol_analysis *analysis)
{
    if (analysis != NULL) {
        fol_free(analysis->dense.wcet);
        fol_free(analysis);
    }
}

int fol_analysis_load(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count)
{
    if (count > analysis->capacity) {
        return FOL_E_VALUE;
    }
    fol_dense_measure measure;
    analysis->code->load(tasks, count, &analysis->dense, analysis->due, &measure);
    if (!measure.is_valid) {
        return FOL_E_VALUE;
    }
    analysis->tasks = tasks;
    analysis->count = count;
    analysis->first_due = measure.first_due;
    analysis->last_deadline = measure.last_deadline;
    analysis->most_late = measure.most_late;
    analysis->has_blocking = measure.blocking != 0;
    analysis->has_slack = measure.has_slack;
    analysis->steps = 0;
    analysis->is_dense = measure.blocking == 0 && measure.bits < (uint64_t)FOL_DENSE_MAX;
    return FOL_OK;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    /* Each round halves the larger one at least: under 128 rounds. */
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int fol_analysis_hyperperiod(const fol_analysis *analysis, uint32_t count, int64_t *out)
{
    FOL_ASSERT(count <= analysis->count);
    int64_t multiple = 1;
    for (uint32_t i = 0; i < count; i++) {
        int64_t period = analysis->tasks[i].period;
        fol_wide next = (fol_wide)multiple * (period / common_divisor(multiple, period));
        if (next > FOL_ANALYSIS_HORIZON_MAX) {
            return -EOVERFLOW;
        }
        multiple = (int64_t)next;
    }
    *out = multiple;
    return FOL_OK;
}

/* With a common denominator of at most 2^62. */
static int compare_over(const fol_analysis *analysis, uint32_t count, int64_t denominator)
{
    fol_wide sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const fol_analysis_task *task = &analysis->tasks[i];
        /* 2^62 times 2^60 and 2^62: a sum above the denominator is an answer already. */
        sum += (fol_wide)(denominator / task->period) * task->wcet;
        if (sum > denominator) {
            return 1;
        }
    }
    return sum == denominator ? 0 : -1;
}

/* Digit by digit: `left` is what the digits so far leave of 1, in units of the last digit. */
static int compare_digits(fol_analysis *analysis, uint32_t count)
{
    uint64_t bits = DIGIT_BITS;
    fol_wide left = 1;
    for (uint32_t i = 0; i < count; i++) {
        const fol_analysis_task *task = &analysis->tasks[i];
        bits += 64 - (uint64_t)__builtin_clzll((unsigned long long)task->period);
        left -= task->wcet / task->period;
        analysis->remainders[i] = task->wcet % task->period;
    }
    for (uint64_t known = 0; known <= bits; known += DIGIT_BITS) {
        /* What the remainders still hold is at least 0 and below `count` units. */
        if (left < 0 || left >= (fol_wide)count) {
            return left < 0 ? 1 : -1;
        }
        left *= (fol_wide)1 << DIGIT_BITS;
        for (uint32_t i = 0; i < count; i++) {
            fol_wide_unsigned moved = (fol_wide_unsigned)analysis->remainders[i] << DIGIT_BITS;
            uint64_t period = (uint64_t)analysis->tasks[i].period;
            left -= (fol_wide)(moved / period);
            analysis->remainders[i] = (int64_t)(moved % period);
        }
    }
    return 0;
}

int fol_analysis_compare(fol_analysis *analysis, uint32_t count)
{
    FOL_ASSERT(count <= analysis->count);
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)analysis->tasks[i].wcet / (double)analysis->tasks[i].period;
    }
    double error = (sum + 1.0) * (count + 1) * ERROR_PER_TASK;
    if (sum - 1.0 > error || 1.0 - sum > error) {
        return sum > 1.0 ? 1 : -1;
    }
    int64_t denominator;
    if (fol_analysis_hyperperiod(analysis, count, &denominator) == FOL_OK) {
        return compare_over(analysis, count, denominator);
    }
    return compare_digits(analysis, count);
}

int fol_analysis_utilisation(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count,
                             int *out)
{
    int status = fol_analysis_load(analysis, tasks, count);
    if (status == FOL_OK) {
        *out = fol_analysis_compare(analysis, count);
    }
    return status;
}

int fol_analysis_busy_period(fol_analysis *analysis, uint32_t count, int64_t limit, int64_t *out)
{
    FOL_ASSERT(limit <= FOL_ANALYSIS_HORIZON_MAX);
    int64_t end = 1;
    for (;;) {
        int64_t work = 0;
        for (uint32_t i = 0; i < count; i++) {
            const fol_analysis_task *task = &analysis->tasks[i];
            int64_t jobs = fol_analysis_periods(end + task->jitter, task->period);
            work = fol_analysis_add(work, jobs, task->wcet);
        }
        if (work <= end || work >= limit) {
            *out = work < limit ? work : limit;
            return FOL_OK;
        }
        end = work;
        int status = fol_analysis_step(analysis, count);
        if (status < 0) {
            return status;
        }
    }
}
