/* What the tests of budgets share: refills by the plainest reading of their rules, and a log of use
 * that holds every window to a bound. */
#ifndef FOL_TESTS_BUDGET_SUPPORT_H
#define FOL_TESTS_BUDGET_SUPPORT_H

#include <stdbool.h>

#include "check.h"
#include "draw.h"

#include "foliot/budget.h"

/* Rounds of random tests: a hundred times as many with FOLIOT_STRESS=1. */
static inline uint32_t budget_rounds(uint32_t rounds)
{
    return getenv("FOLIOT_STRESS") != NULL ? rounds * 100 : rounds;
}

/* Refills in a plain list, one step at a time. */
typedef struct refill_model {
    fol_refill list[FOL_REFILLS_MAX + 1];
    uint32_t count;
    uint32_t capacity;
    int64_t period;
    int64_t minimum;
} refill_model;

static inline void model_init(refill_model *model, uint32_t capacity, int64_t budget,
                              int64_t period, int64_t minimum, int64_t now)
{
    *model = (refill_model){.count = 1, .capacity = capacity, .period = period, .minimum = minimum};
    model->list[0] = (fol_refill){.time = now, .amount = budget};
}

static inline fol_refill model_pop(refill_model *model)
{
    fol_refill head = model->list[0];
    memmove(&model->list[0], &model->list[1], (model->count - 1) * sizeof(head));
    model->count--;
    return head;
}

static inline void model_schedule(refill_model *model, int64_t time, int64_t amount)
{
    fol_refill *tail = &model->list[model->count - 1];
    if (tail->time + tail->amount >= time) {
        tail->amount += amount;
    } else if (model->count < model->capacity) {
        model->list[model->count++] = (fol_refill){.time = time, .amount = amount};
    } else {
        tail->time = time - tail->amount;
        tail->amount += amount;
    }
}

static inline void model_charge(refill_model *model, int64_t used)
{
    while (model->list[0].amount <= used) {
        used -= model->list[0].amount;
        if (model->count == 1) {
            model->list[0].time += model->period;
        } else {
            fol_refill head = model_pop(model);
            model_schedule(model, head.time + model->period, head.amount);
        }
    }
    if (used > 0) {
        model_schedule(model, model->list[0].time + model->period, used);
        model->list[0].amount -= used;
        model->list[0].time += used;
    }
    while (model->list[0].amount < model->minimum) {
        fol_refill head = model_pop(model);
        model->list[0].amount += head.amount;
        model->list[0].time -= head.amount;
    }
}

static inline void model_unblock(refill_model *model, int64_t now)
{
    if (model->list[0].time > now) {
        return;
    }
    model->list[0].time = now;
    while (model->count > 1 && model->list[1].time <= model->list[0].time + model->list[0].amount) {
        fol_refill head = model_pop(model);
        model->list[0] =
            (fol_refill){.time = head.time, .amount = head.amount + model->list[0].amount};
    }
}

/* The last stretches of use, each of which begins a window that is held to a bound. */
#define LOG_STRETCHES 24u

typedef struct use_log {
    int64_t begin[LOG_STRETCHES];
    int64_t before[LOG_STRETCHES]; /* use in all until then */
    int64_t total;
    uint32_t count;
    /* Of the bound. */
    int64_t budget;
    int64_t period;
    int64_t excess;
} use_log;

/* Adds `used` from a time on. False: a window saw more than a sporadic server's. A window that sees
 * the most for its length begins and ends with use. */
static inline bool log_use(use_log *log, int64_t begin, int64_t used)
{
    log->begin[log->count % LOG_STRETCHES] = begin;
    log->before[log->count % LOG_STRETCHES] = log->total;
    log->count++;
    log->total += used;
    uint32_t kept = log->count < LOG_STRETCHES ? log->count : LOG_STRETCHES;
    for (uint32_t i = 0; i < kept; i++) {
        int64_t window = begin + used - log->begin[i];
        int64_t rest = window % log->period;
        int64_t bound = window / log->period * log->budget +
                        (rest < log->budget ? rest : log->budget) + log->excess;
        if (log->total - log->before[i] > bound) {
            return false;
        }
    }
    return true;
}

#endif
