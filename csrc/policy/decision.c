/* Decisions told as sentences: the event, the rule, the numbers.
 *
 * Each kind has one line of the table, whose words are taken in order; fol_decision in
 * foliot/policy.h says what the numbers of each kind are.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "foliot/policy.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"

const char *const fol_policy_names[] = {"fifo", "fp", "rm", "edf", "eevdf", "cbs", NULL};

const char *const fol_slot_names[] = {"enqueue",    "pick",       "slice",   "admit", "victims",
                                      "spin_limit", "chunk_rows", "backend", NULL};

const char *const fol_decision_names[] = {
    "pick",   "preempt", "migrate", "deny", "delay",  "throttle", "refill", "skip",       "kill",
    "demote", "promote", "notify",  "miss", "revoke", "switch",   "fault",  "policy_off", NULL};

/* What orders runnables under each policy. */
static const char *const rules[] = {
    [FOL_POLICY_FIFO] = "first in, first out",
    [FOL_POLICY_FP] = "fixed priority",
    [FOL_POLICY_RM] = "the shortest period first",
    [FOL_POLICY_EDF] = "the earliest deadline first",
    [FOL_POLICY_EEVDF] = "the earliest eligible virtual deadline first",
    [FOL_POLICY_CBS] = "the earliest deadline of a server first",
};

typedef struct text {
    char *out;
    size_t room;
    size_t length;
    const fol_decision_words *words;
} text;

__attribute__((format(printf, 2, 3))) static void add(text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t left = text->length < text->room ? text->room - text->length : 0;
    int added = vsnprintf(left > 0 ? text->out + text->length : NULL, left, format, arguments);
    va_end(arguments);
    text->length += added > 0 ? (size_t)added : 0;
}

static void add_time(text *text, int64_t time)
{
    static const struct {
        double size;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    if (!text->words->is_ns) {
        add(text, "%" PRId64, time);
        return;
    }
    double size = time < 0 ? -(double)time : (double)time;
    for (uint32_t i = 0; i < 3; i++) {
        if (size >= units[i].size) {
            add(text, "%.3f %s", (double)time / units[i].size, units[i].unit);
            return;
        }
    }
    add(text, "%" PRId64 " ns", time);
}

static void add_name(text *text, uint32_t runnable)
{
    const fol_decision_words *words = text->words;
    const char *name = runnable == FOL_NO_RUNNABLE || words->name == NULL
                           ? NULL
                           : words->name(words->state, runnable);
    if (name != NULL) {
        add(text, "%s", name);
    } else if (runnable == FOL_NO_RUNNABLE) {
        add(text, "nobody");
    } else {
        add(text, "runnable %" PRIu32, runnable);
    }
}

/* "name was verb at time": how most sentences begin. */
static void open(text *text, const fol_decision *decision, const char *verb)
{
    add_name(text, decision->runnable);
    add(text, " %s at ", verb);
    add_time(text, decision->now);
}

static void add_use(text *text, const fol_decision *decision)
{
    add(text, ": it used ");
    add_time(text, decision->numbers[0]);
    add(text, " of its ");
    add_time(text, decision->numbers[1]);
    add(text, " budget");
}

static void add_refill(text *text, int64_t refill)
{
    if (refill == FOL_TIME_NEVER) {
        add(text, ", and no refill comes before the end of time");
        return;
    }
    add(text, ", the next refill is at ");
    add_time(text, refill);
}

static const char *server_of(const fol_decision *decision)
{
    return decision->policy == FOL_POLICY_CBS ? "constant bandwidth server" : "sporadic server";
}

/* What a refill gives, and by which server. */
static void add_refilled(text *text, const fol_decision *decision)
{
    add(text, "it may use ");
    add_time(text, decision->numbers[0]);
    add(text, " from here on (%s)", server_of(decision));
}

static void add_deadline(text *text, int64_t deadline)
{
    if (deadline == FOL_TIME_NEVER) {
        add(text, "no deadline");
        return;
    }
    add(text, "its deadline at ");
    add_time(text, deadline);
}

static void tell_pick(text *text, const fol_decision *decision)
{
    open(text, decision, "was picked");
    add(text, " for CPU %" PRIu32 " after ", decision->cpu);
    add_name(text, decision->other);
    add(text, ", and may run ");
    if (decision->numbers[0] == FOL_TIME_NEVER) {
        add(text, "to its end");
    } else {
        add(text, "for ");
        add_time(text, decision->numbers[0]);
    }
    add(text, ": it is the first of %" PRId64 " ready (%s)", decision->numbers[1] + 1,
        rules[decision->policy]);
}

/* Under shares the order is by lag; a rank that is the greatest there is means none. */
static void add_rank(text *text, const fol_decision *decision, int64_t rank)
{
    if (rank == INT64_MAX) {
        add(text, "none");
    } else if (decision->policy == FOL_POLICY_EEVDF) {
        add_time(text, rank);
    } else {
        add(text, "%" PRId64, rank);
    }
}

static void tell_preempt(text *text, const fol_decision *decision)
{
    open(text, decision, "gave way");
    add(text, " on CPU %" PRIu32 " to ", decision->cpu);
    add_name(text, decision->other);
    add(text, " after ");
    add_time(text, decision->numbers[0]);
    add(text, " of its job: its %s is ", decision->policy == FOL_POLICY_EEVDF ? "lag" : "rank");
    add_rank(text, decision, decision->numbers[1]);
    add(text, ", that of the other is ");
    add_rank(text, decision, decision->numbers[2]);
    add(text, " (%s)", rules[decision->policy]);
}

static void tell_migrate(text *text, const fol_decision *decision)
{
    open(text, decision, "moved");
    add(text,
        " from CPU %" PRIu32 " to CPU %" PRIu32 ", where it was the first that may run there (%s)",
        decision->other, decision->cpu, rules[decision->policy]);
}

static void tell_deny(text *text, const fol_decision *decision)
{
    open(text, decision, "was denied");
    add(text, ": its job %" PRIu64 ", released at ", decision->job);
    add_time(text, decision->numbers[0]);
    add(text, " with ");
    add_deadline(text, decision->numbers[1]);
    add(text, ", was not taken (admission)");
}

static void tell_delay(text *text, const fol_decision *decision)
{
    open(text, decision, "was delayed");
    add(text, ": it left ");
    add_time(text, -decision->numbers[0]);
    add(text, " ahead of its share, and is counted until the others have caught up "
              "(delayed dequeue)");
}

static void tell_throttle(text *text, const fol_decision *decision)
{
    open(text, decision, "was throttled");
    add_use(text, decision);
    add_refill(text, decision->numbers[2]);
    add(text, " (%s)", server_of(decision));
}

static void tell_refill(text *text, const fol_decision *decision)
{
    open(text, decision, "was refilled");
    add(text, ": ");
    add_refilled(text, decision);
}

static void tell_skip(text *text, const fol_decision *decision)
{
    open(text, decision, "was skipped");
    add_use(text, decision);
    add(text, ", so job %" PRIu64 " is dropped", decision->job);
    if (decision->numbers[2] > 0) {
        add(text, ", and the next release is at ");
        add_time(text, decision->numbers[2]);
    }
    add(text, " (overrun policy: skip)");
}

static void tell_kill(text *text, const fol_decision *decision)
{
    open(text, decision, "was killed");
    add_use(text, decision);
    add(text, ", so job %" PRIu64 " is over and its context is released (overrun policy: kill)",
        decision->job);
}

/* An overrun after which its job goes on, only worse off than before. */
static void tell_going_on(text *text, const fol_decision *decision, const char *verb,
                          const char *how, const char *overrun)
{
    open(text, decision, verb);
    add_use(text, decision);
    add(text, ", and goes on %s", how);
    add_refill(text, decision->numbers[2]);
    add(text, " (overrun policy: %s)", overrun);
}

static void tell_demote(text *text, const fol_decision *decision)
{
    tell_going_on(text, decision, "was demoted", "in the fair class", "demote");
}

static void tell_promote(text *text, const fol_decision *decision)
{
    open(text, decision, "was promoted");
    add(text, ": its context was refilled, and ");
    add_refilled(text, decision);
}

static void tell_notify(text *text, const fol_decision *decision)
{
    tell_going_on(text, decision, "left a notice", "only while nobody else wants to run", "notify");
}

static void tell_miss(text *text, const fol_decision *decision)
{
    open(text, decision, "missed its deadline");
    add(text, ": job %" PRIu64 " was due at ", decision->job);
    add_time(text, decision->numbers[0]);
    add(text, " and ended at ");
    add_time(text, decision->numbers[1]);
    add(text, ", ");
    add_time(text, decision->numbers[2]);
    add(text, " late (%s)", rules[decision->policy]);
}

static void tell_revoke(text *text, const fol_decision *decision)
{
    open(text, decision, "was revoked");
    add(text, ": its context is gone, and whoever uses it fails from here on (no budget, no run)");
}

/* A backend by its place among the names, which end with NULL. */
static void add_backend(text *text, int64_t place)
{
    int64_t known = 0;
    while (known < place && fol_backend_names[known] != NULL) {
        known += 1;
    }
    if (place >= 0 && known == place && fol_backend_names[place] != NULL) {
        add(text, "%s", fol_backend_names[place]);
    } else {
        add(text, "number %" PRId64, place);
    }
}

static void tell_switch(text *text, const fol_decision *decision)
{
    add(text, "the backend was switched at ");
    add_time(text, decision->now);
    add(text, " from ");
    add_backend(text, decision->numbers[0]);
    add(text, " to ");
    add_backend(text, decision->numbers[1]);
    add(text, " (adaptive)");
}

static const char *slot_of(const fol_decision *decision)
{
    return decision->other < FOL_SLOT_COUNT ? fol_slot_names[decision->other] : "unknown";
}

static void tell_fault(text *text, const fol_decision *decision)
{
    add(text, "the policy's %s failed at ", slot_of(decision));
    add_time(text, decision->now);
    if (decision->runnable != FOL_NO_RUNNABLE) {
        add(text, " for ");
        add_name(text, decision->runnable);
    }
    add(text, ": %s; the built-in policy decided, %" PRId64 " fault%s so far (%s)",
        fol_status_text((int)decision->numbers[0]), decision->numbers[1],
        decision->numbers[1] == 1 ? "" : "s", rules[decision->policy]);
}

static void tell_policy_off(text *text, const fol_decision *decision)
{
    add(text, "the policy was switched off at ");
    add_time(text, decision->now);
    add(text, ": %" PRId64 " fault%s, the last in its %s; the built-in policy decides (%s)",
        decision->numbers[0], decision->numbers[0] == 1 ? "" : "s", slot_of(decision),
        rules[decision->policy]);
}

typedef void (*teller)(text *text, const fol_decision *decision);

static const teller tellers[FOL_DECISION_KINDS] = {
    [FOL_DECISION_PICK] = tell_pick,
    [FOL_DECISION_PREEMPT] = tell_preempt,
    [FOL_DECISION_MIGRATE] = tell_migrate,
    [FOL_DECISION_DENY] = tell_deny,
    [FOL_DECISION_DELAY] = tell_delay,
    [FOL_DECISION_THROTTLE] = tell_throttle,
    [FOL_DECISION_REFILL] = tell_refill,
    [FOL_DECISION_SKIP] = tell_skip,
    [FOL_DECISION_KILL] = tell_kill,
    [FOL_DECISION_DEMOTE] = tell_demote,
    [FOL_DECISION_PROMOTE] = tell_promote,
    [FOL_DECISION_NOTIFY] = tell_notify,
    [FOL_DECISION_MISS] = tell_miss,
    [FOL_DECISION_REVOKE] = tell_revoke,
    [FOL_DECISION_SWITCH] = tell_switch,
    [FOL_DECISION_FAULT] = tell_fault,
    [FOL_DECISION_POLICY_OFF] = tell_policy_off,
};

size_t fol_decision_explain(const fol_decision *decision, const fol_decision_words *words,
                            char *out, size_t room)
{
    FOL_ASSERT(decision->kind < FOL_DECISION_KINDS);
    FOL_ASSERT(decision->policy < FOL_POLICY_KINDS);
    text text = {.out = out, .room = room, .words = words};
    if (room > 0) {
        out[0] = '\0';
    }
    tellers[decision->kind](&text, decision);
    return text.length;
}
