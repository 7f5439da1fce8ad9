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
#include "foliot/budget.h"
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

/* A point in time. */
static void add_moment(text *text, int64_t moment)
{
    add_time(text, moment - text->words->origin);
}

static void add_cpu(text *text, uint32_t cpu)
{
    const char *word = text->words->cpu;
    add(text, "%s %" PRIu32, word == NULL ? "CPU" : word, cpu);
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
    add_moment(text, decision->now);
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
    add_moment(text, refill);
}

static const char *const servers[] = {
    [FOL_CONTEXT_SPORADIC] = "sporadic server",
    [FOL_CONTEXT_CBS_HARD] = "hard constant bandwidth server",
    [FOL_CONTEXT_CBS_SOFT] = "soft constant bandwidth server",
};

static const char *server_of(const fol_decision *decision)
{
    FOL_ASSERT(decision->detail < FOL_CONTEXT_KINDS);
    return servers[decision->detail];
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
    add_moment(text, deadline);
}

static void tell_pick(text *text, const fol_decision *decision)
{
    open(text, decision, "was picked");
    add(text, " for ");
    add_cpu(text, decision->cpu);
    add(text, " after ");
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

/* A rank that is the greatest there is means none. */
static void add_rank(text *text, const fol_decision *decision, int64_t rank)
{
    bool is_time = decision->policy == FOL_POLICY_EDF || decision->policy == FOL_POLICY_CBS ||
                   decision->policy == FOL_POLICY_FIFO;
    bool is_number = decision->detail == FOL_PREEMPT_RANK || decision->policy == FOL_POLICY_FP;
    if (rank == INT64_MAX) {
        add(text, "none");
    } else if (decision->detail == FOL_PREEMPT_SLACK || (is_time && !is_number)) {
        add_moment(text, rank);
    } else if (is_number) {
        add(text, "%" PRId64, rank);
    } else {
        add_time(text, rank);
    }
}

/* ": its rank is 7, that of the other is 5". */
static void add_ranks(text *text, const fol_decision *decision, const char *rule)
{
    add(text, ": its rank is ");
    add_rank(text, decision, decision->numbers[1]);
    add(text, ", that of the other is ");
    add_rank(text, decision, decision->numbers[2]);
    add(text, " (%s)", rule);
}

/* What a lag or a virtual deadline says: how long, and of the sign only which side. */
static void add_distance(text *text, int64_t time, const char *after, const char *before)
{
    add_time(text, time >= 0 ? time : time > -INT64_MAX ? -time : INT64_MAX);
    add(text, " %s", time < 0 ? before : after);
}

static void add_lags(text *text, const fol_decision *decision)
{
    add(text, ": it is ");
    add_distance(text, decision->numbers[1], "behind its share", "ahead of its share");
    add(text, ", the other is ");
    add_distance(text, decision->numbers[2], "behind", "ahead");
    add(text, " (only who is not ahead of its share is eligible)");
}

static void add_virtual_deadlines(text *text, const fol_decision *decision)
{
    add(text, ": its virtual deadline is ");
    add_distance(text, decision->numbers[1], "from now", "ago");
    add(text, ", that of the other is ");
    add_distance(text, decision->numbers[2], "from now", "ago");
    add(text, " (%s)", rules[FOL_POLICY_EEVDF]);
}

/* Who runs before whom, whatever their ranks, by the places of bands. */
static const char *class_of(int64_t place)
{
    static const char *const classes[] = {"what the policy ranks", "what has its place in line",
                                          "what shares fairly", "what runs on slack"};
    return place >= 0 && place < 4 ? classes[place] : "another class";
}

static void add_reason(text *text, const fol_decision *decision)
{
    switch ((fol_preempt_reason)decision->detail) {
    case FOL_PREEMPT_RANK:
        add_ranks(text, decision, "the policy's enqueue");
        break;
    case FOL_PREEMPT_CHOICE:
        add(text, ": the policy chose the other (the policy's pick)");
        break;
    case FOL_PREEMPT_CLASS:
        add(text, ": it is of %s, and the other of %s (%s first)", class_of(decision->numbers[1]),
            class_of(decision->numbers[2]), class_of(decision->numbers[2]));
        break;
    case FOL_PREEMPT_LAG:
        add_lags(text, decision);
        break;
    case FOL_PREEMPT_DEADLINE:
        add_virtual_deadlines(text, decision);
        break;
    case FOL_PREEMPT_SLACK:
        add_ranks(text, decision, "on slack, first in, first out");
        break;
    case FOL_PREEMPT_HOLDER:
        add(text, ": it has budget again, on which the other draws now (one at a time)");
        break;
    default:
        add_ranks(text, decision, rules[decision->policy]);
        break;
    }
}

static void tell_preempt(text *text, const fol_decision *decision)
{
    FOL_ASSERT(decision->detail < FOL_PREEMPT_REASONS);
    open(text, decision, "gave way");
    add(text, " on ");
    add_cpu(text, decision->cpu);
    add(text, " to ");
    add_name(text, decision->other);
    add(text, " after ");
    add_time(text, decision->numbers[0]);
    add(text, " of its job");
    add_reason(text, decision);
}

static void tell_migrate(text *text, const fol_decision *decision)
{
    open(text, decision, "moved");
    add(text, " from ");
    add_cpu(text, decision->other);
    add(text, " to ");
    add_cpu(text, decision->cpu);
    add(text, ", where it was the first that may run there (%s)", rules[decision->policy]);
}

static void tell_deny(text *text, const fol_decision *decision)
{
    open(text, decision, "was denied");
    add(text, ": its job %" PRIu64 ", released at ", decision->job);
    add_moment(text, decision->numbers[0]);
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
        add_moment(text, decision->numbers[2]);
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
    add_moment(text, decision->numbers[0]);
    add(text, " and ended at ");
    add_moment(text, decision->numbers[1]);
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
    add_moment(text, decision->now);
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
    add_moment(text, decision->now);
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
    add_moment(text, decision->now);
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
