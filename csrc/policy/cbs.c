/* Constant bandwidth servers; cbs.h has the rules, foliot/budget.h the contract. */

#include "policy/cbs.h"

#include <assert.h>

#include "base/assert.h"
#include "foliot/status.h"

__extension__ typedef __int128 wide;

/* No deadline is later; a server throttled until then stays so. */
#define END_OF_TIME (INT64_C(1) << 62)

static_assert(FOL_BUDGET_MAX_TIME < END_OF_TIME, "no time that is asked about is the end");

static int64_t later_by(int64_t time, int64_t periods, int64_t period)
{
    wide later = (wide)time + (wide)periods * period;
    return later < END_OF_TIME ? (int64_t)later : END_OF_TIME;
}

int fol_cbs_init(fol_cbs *server, int64_t budget, int64_t period, int64_t relative_deadline,
                 bool is_hard)
{
    bool is_possible = budget >= 1 && budget <= relative_deadline && relative_deadline <= period &&
                       period <= FOL_BUDGET_MAX_PERIOD;
    if (!is_possible) {
        return FOL_E_VALUE;
    }
    *server = (fol_cbs){.full = budget,
                        .period = period,
                        .relative_deadline = relative_deadline,
                        .budget = budget,
                        .is_hard = is_hard};
    return 0;
}

/* When the period in which the deadline is ends. */
static int64_t next_period(const fol_cbs *server)
{
    return server->deadline - server->relative_deadline + server->period;
}

/* How many budgets make what is left more than nothing. */
static int64_t periods_owed(const fol_cbs *server)
{
    return server->budget > 0 ? 0 : -server->budget / server->full + 1;
}

static void refill(fol_cbs *server, int64_t periods, int64_t now)
{
    server->budget += periods * server->full;
    server->deadline = later_by(server->deadline, periods, server->period);
    if (server->deadline <= now) {
        server->deadline = now + server->relative_deadline;
    }
}

static void begin_anew(fol_cbs *server, int64_t now)
{
    server->budget = server->full;
    server->deadline = now + server->relative_deadline;
    server->has_begun = true;
}

/* What follows when there is nothing left. Of a hard server that is late, the period that has begun
 * pays; those that have gone by since do not. */
static void deplete(fol_cbs *server, int64_t now)
{
    if (!server->is_hard) {
        refill(server, periods_owed(server), now);
        return;
    }
    if (next_period(server) <= now) {
        refill(server, 1, now);
    }
    int64_t periods = periods_owed(server);
    server->is_throttled = periods > 0;
    if (periods > 0) {
        server->throttled_until = later_by(next_period(server), periods - 1, server->period);
        FOL_ASSERT(server->throttled_until > now);
    }
}

bool fol_cbs_unblock(fol_cbs *server, int64_t now)
{
    FOL_ASSERT(now >= 0 && now <= FOL_BUDGET_MAX_TIME);
    if (!server->has_begun) {
        begin_anew(server, now);
    } else if (server->is_throttled && server->throttled_until <= now) {
        server->is_throttled = false;
        refill(server, periods_owed(server), now);
    }
    FOL_CHECK_INVARIANTS(fol_cbs_invariants(server));
    return !server->is_throttled;
}

bool fol_cbs_wake(fol_cbs *server, int64_t now)
{
    if (!fol_cbs_unblock(server, now)) {
        return false;
    }
    int64_t ahead = server->deadline - now;
    bool is_over = ahead <= 0;
    bool is_constrained = server->relative_deadline < server->period;
    if (!is_over &&
        (wide)server->budget * server->relative_deadline <= (wide)ahead * server->full) {
        return true;
    }
    if (is_constrained && !is_over) {
        server->budget = (int64_t)((wide)ahead * server->full / server->relative_deadline);
        if (server->budget == 0) {
            deplete(server, now);
        }
    } else if (is_constrained && next_period(server) > now) {
        server->budget = 0;
        deplete(server, now);
    } else {
        begin_anew(server, now);
    }
    FOL_CHECK_INVARIANTS(fol_cbs_invariants(server));
    return !server->is_throttled;
}

bool fol_cbs_charge(fol_cbs *server, int64_t used, int64_t now)
{
    FOL_ASSERT(used >= 0 && used <= FOL_BUDGET_MAX_TIME);
    FOL_ASSERT(now >= 0 && now <= FOL_BUDGET_MAX_TIME);
    if (!server->has_begun) {
        begin_anew(server, now);
    }
    bool had_budget = server->budget > 0;
    /* A debt that reaches the end of time need not grow. */
    server->budget = server->budget - used > -END_OF_TIME ? server->budget - used : -END_OF_TIME;
    if (server->budget > 0) {
        return false;
    }
    deplete(server, now);
    FOL_CHECK_INVARIANTS(fol_cbs_invariants(server));
    return had_budget;
}

/* Nobody asks whether a server may run that has not been woken. */
bool fol_cbs_ready(const fol_cbs *server, int64_t now)
{
    return !server->is_throttled || server->throttled_until <= now;
}

int64_t fol_cbs_available(const fol_cbs *server, int64_t now)
{
    if (!fol_cbs_ready(server, now)) {
        return 0;
    }
    return server->budget + periods_owed(server) * server->full;
}

void fol_cbs_invariants(const fol_cbs *server)
{
    FOL_ASSERT(server->full >= 1 && server->full <= server->relative_deadline);
    FOL_ASSERT(server->relative_deadline <= server->period);
    FOL_ASSERT(server->budget <= server->full);
    FOL_ASSERT(server->budget > 0 || server->is_throttled);
    FOL_ASSERT(!server->is_throttled || server->is_hard);
    FOL_ASSERT(server->deadline <= END_OF_TIME);
}
