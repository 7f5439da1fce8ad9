/* The last decision of the adaptive policy as a sentence with its numbers. */

#include <stdarg.h>
#include <stdio.h>

#include "policy/adaptive.h"

/* A text that grows in the room it has, and knows how long it would be. */
typedef struct text {
    char *out;
    size_t room;
    size_t length;
} text;

static void __attribute__((format(printf, 2, 3))) add(text *text, const char *format, ...)
{
    va_list arguments;
    size_t left = text->length < text->room ? text->room - text->length : 0;
    va_start(arguments, format);
    int length = vsnprintf(left == 0 ? NULL : text->out + text->length, left, format, arguments);
    va_end(arguments);
    text->length += length < 0 ? 0 : (size_t)length;
}

const char *fol_mode_name(fol_mode mode)
{
    static const char *const names[FOL_MODE_COUNT] = {"blocking", "stealing", "uring"};
    return names[mode];
}

static const char *feature_text(fol_feature feature)
{
    static const char *const texts[FOL_FEATURE_COUNT + 1] = {
        "the time of a frame",  "the work of its systems", "its I/O operations",
        "the systems that ran", "the plan's parallelism",  "nothing"};
    return texts[feature];
}

static void add_switch(text *text, const fol_adaptive *adaptive, double us)
{
    const fol_adaptive_decision *decision = &adaptive->decision;
    const char *from = fol_mode_name(decision->from);
    switch (decision->reason) {
    case FOL_ADAPTIVE_NOTHING_GAINED:
        add(text, "no phase of the last %u frames was better off on %u workers than on the caller",
            adaptive->enough, adaptive->workers);
        break;
    case FOL_ADAPTIVE_PARALLELISM:
        add(text,
            "with a parallelism of %.2f in the plan, %u workers can save %.2f of %.2f us a frame, "
            "at least %.2f us are asked for",
            decision->plan, adaptive->workers, decision->other_cycles * us, decision->cycles * us,
            decision->cycles * adaptive->config.least_gain * us);
        break;
    case FOL_ADAPTIVE_OPERATIONS:
        add(text, "%.1f I/O operations a frame are worth a try of the ring, from %.1f on",
            decision->operations, adaptive->config.least_operations);
        break;
    case FOL_ADAPTIVE_NO_OPERATIONS:
        add(text, "%.1f I/O operations a frame are not worth the ring, below %.1f",
            decision->operations, adaptive->config.least_operations / 2.0);
        break;
    case FOL_ADAPTIVE_SLOWER:
        add(text, "%s took %.2f us a frame, before it were %.2f us", from, decision->cycles * us,
            decision->other_cycles * us);
        break;
    default:
        add(text, "the load is as once before, when this took %.2f us a frame",
            decision->other_cycles * us);
        break;
    }
}

static void add_decision(text *text, const fol_adaptive *adaptive, double us)
{
    const fol_adaptive_decision *decision = &adaptive->decision;
    switch (decision->reason) {
    case FOL_ADAPTIVE_STARTED:
        add(text, "since the start: a decision needs %u frames", adaptive->enough);
        break;
    case FOL_ADAPTIVE_KEPT:
        add(text,
            "since frame %llu, and stays: its trial took %.2f us a frame, before it were "
            "%.2f us",
            (unsigned long long)decision->frame, decision->cycles * us,
            decision->other_cycles * us);
        break;
    case FOL_ADAPTIVE_SETTLED:
        add(text,
            "and stays since frame %llu: %.2f us a frame, of which no other is expected to "
            "save %.0f %%, with %.1f I/O operations and a parallelism of %.2f in the plan",
            (unsigned long long)decision->frame, decision->cycles * us,
            adaptive->config.least_gain * 100.0, decision->operations, decision->plan);
        break;
    case FOL_ADAPTIVE_RECOGNISED:
        add(text,
            "and stays since frame %llu: the load is as once before, when this took %.2f us a "
            "frame",
            (unsigned long long)decision->frame, decision->other_cycles * us);
        break;
    case FOL_ADAPTIVE_CHOSEN:
        add(text, "since frame %llu, as the scheduler's policy says",
            (unsigned long long)decision->frame);
        break;
    case FOL_ADAPTIVE_CHANGED:
        add(text,
            "and stays for now: at frame %llu %s changed, and a load that is new is watched "
            "for %u frames",
            (unsigned long long)decision->frame, feature_text(decision->feature), adaptive->enough);
        break;
    default:
        add(text, "since frame %llu instead of %s: ", (unsigned long long)decision->frame,
            fol_mode_name(decision->from));
        add_switch(text, adaptive, us);
        break;
    }
}

static void add_figures(text *text, const fol_adaptive *adaptive, double us)
{
    const fol_adaptive_window *window = &adaptive->window;
    if (window->count == 0) {
        add(text, "; no frame has ended since");
        return;
    }
    double cycles = fol_adaptive_window_mean(window, FOL_FIGURE_CYCLES);
    double waits = fol_adaptive_window_ratio(window, FOL_FIGURE_IO, FOL_FIGURE_CYCLES);
    add(text, "; the last %u frames: %.2f us each, %.2f of %u workers busy, the plan allows %.2f",
        window->count, cycles * us, fol_adaptive_parallelism(adaptive), adaptive->workers,
        fol_adaptive_plan_parallelism(adaptive));
    if (window->sum[FOL_FIGURE_STEAL_ATTEMPTS] > 0) {
        double success =
            fol_adaptive_window_ratio(window, FOL_FIGURE_STEALS, FOL_FIGURE_STEAL_ATTEMPTS);
        add(text, ", %.0f %% of steals found work", success * 100.0);
    }
    add(text,
        ", %.1f I/O operations each, %.1f in flight at the end, %.0f %% of the time waiting "
        "for I/O",
        fol_adaptive_window_mean(window, FOL_FIGURE_OPERATIONS),
        fol_adaptive_window_mean(window, FOL_FIGURE_IN_FLIGHT), waits * 100.0);
}

size_t fol_adaptive_explain(const fol_adaptive *adaptive, double ns_per_cycle, char *out,
                            size_t room)
{
    text text = {.out = out, .room = room};
    double us = ns_per_cycle * 1e-3;
    add(&text, "%s ", fol_mode_name(adaptive->mode));
    add_decision(&text, adaptive, us);
    add_figures(&text, adaptive, us);
    add(&text, "; %llu switch%s in %llu frame%s, ", (unsigned long long)adaptive->switches,
        adaptive->switches == 1 ? "" : "es", (unsigned long long)adaptive->frames,
        adaptive->frames == 1 ? "" : "s");
    if (adaptive->cooldown_left > 0) {
        add(&text, "the next one in %u frame%s at the earliest (cool-down %u)",
            adaptive->cooldown_left, adaptive->cooldown_left == 1 ? "" : "s",
            adaptive->config.cooldown);
    } else {
        add(&text, "no cool-down runs (it is %u frames)", adaptive->config.cooldown);
    }
    return text.length;
}
