/* What is wrong with a Standard Task Graph file, as a sentence: what was expected, what was found.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "foliot/sim_graph.h"

#define TOKEN_SHOWN 24u

static const char *const field_names[] = {
    [FOL_STG_TASKS] = "the number of tasks",
    [FOL_STG_ID] = "the id of a task",
    [FOL_STG_COST] = "the cost of a task",
    [FOL_STG_PREDECESSORS] = "the number of predecessors of a task",
    [FOL_STG_PREDECESSOR] = "the id of a predecessor",
};

typedef struct writer {
    char *out;
    size_t room;
    size_t length;
} writer;

__attribute__((format(printf, 2, 3))) static void say(writer *w, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    size_t left = w->length < w->room ? w->room - w->length : 0;
    int length = vsnprintf(left > 0 ? w->out + w->length : NULL, left, format, values);
    va_end(values);
    w->length += length < 0 ? 0 : (size_t)length;
}

/* The token with everything that is not plain ASCII as '?'. */
static void say_token(writer *w, const fol_stg_fault *fault, const char *text)
{
    char shown[TOKEN_SHOWN + 1];
    size_t length = fault->length < TOKEN_SHOWN ? fault->length : TOKEN_SHOWN;
    for (size_t i = 0; i < length; i++) {
        char letter = text[fault->offset + i];
        shown[i] = letter > ' ' && letter <= '~' ? letter : '?';
    }
    shown[length] = '\0';
    say(w, "'%s%s'", shown, fault->length > TOKEN_SHOWN ? "..." : "");
}

static void say_cycle(writer *w, const fol_stg_fault *fault)
{
    const fol_sim_graph_fault *graph = &fault->graph;
    say(w, "the tasks wait for each other in a cycle: ");
    for (uint32_t i = 0; i < graph->cycle_length && i < FOL_GRAPH_CYCLE_SHOWN; i++) {
        say(w, "%" PRIu64 " -> ", fault->cycle_ids[i]);
    }
    if (graph->cycle_length > FOL_GRAPH_CYCLE_SHOWN) {
        say(w, "(%" PRIu32 " more) -> ", graph->cycle_length - FOL_GRAPH_CYCLE_SHOWN);
    }
    say(w, "%" PRIu64, fault->cycle_ids[0]);
}

static void say_graph(writer *w, const fol_stg_fault *fault)
{
    switch (fault->graph.kind) {
    case FOL_GRAPH_FAULT_TWICE:
        say(w, "predecessor %" PRIu64 " is named twice in this row", fault->found);
        break;
    case FOL_GRAPH_FAULT_SUM:
        say(w, "with the cost of this row the sum of all costs exceeds %" PRId64, INT64_MAX - 1);
        break;
    case FOL_GRAPH_FAULT_CYCLE:
        say_cycle(w, fault);
        break;
    default:
        /* The reader lets nothing else through. */
        say(w, "the rows make no graph");
        break;
    }
}

static void say_fault(writer *w, const fol_stg_fault *fault, const char *text)
{
    const char *field = field_names[fault->field];
    switch (fault->kind) {
    case FOL_STG_FAULT_NONE:
        break;
    case FOL_STG_FAULT_TOKEN:
        say(w, "expected %s, a whole number of at least 0, got ", field);
        say_token(w, fault, text);
        break;
    case FOL_STG_FAULT_RANGE:
        say(w, "%s is at most %" PRIu64 ", got ", field, fault->limit);
        say_token(w, fault, text);
        break;
    case FOL_STG_FAULT_END:
        say(w, "expected %s, but the text ends", field);
        break;
    case FOL_STG_FAULT_COUNT:
        say(w,
            "the first number says %" PRIu64 " tasks, but there are %" PRIu64 " rows; there may "
            "be that many, or two more, the dummies: id 0 of cost 0 without predecessors and id "
            "%" PRIu64 " of cost 0",
            fault->limit, fault->found, fault->limit + 1);
        break;
    case FOL_STG_FAULT_ID_TWICE:
        say(w, "the id %" PRIu64 " is that of an earlier row", fault->found);
        break;
    case FOL_STG_FAULT_UNKNOWN:
        say(w, "predecessor %" PRIu64 " is the id of no row", fault->found);
        break;
    case FOL_STG_FAULT_GRAPH:
        say_graph(w, fault);
        break;
    }
}

size_t fol_stg_explain(const fol_stg_fault *fault, const char *text, char *out, size_t room)
{
    FOL_ASSERT(fault != NULL);
    FOL_ASSERT(text != NULL || fault->length == 0);
    writer w = {.out = out, .room = room};
    if (room > 0) {
        out[0] = '\0';
    }
    say_fault(&w, fault, text);
    bool is_of_counts = fault->kind != FOL_STG_FAULT_NONE && fault->kind != FOL_STG_FAULT_GRAPH;
    if (is_of_counts && fault->hint_line > 0 && fault->hint_line < fault->line) {
        say(&w, " (line %" PRIu64 " is the first that does not hold just one row)",
            fault->hint_line);
    }
    return w.length;
}
