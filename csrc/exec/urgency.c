/* Sorting by urgency: a heap sort, in place and no worse on any input. */

#include "exec/urgency.h"

#include <stdbool.h>

/* Whether node a comes after node b. */
static bool is_less_urgent(const double *urgency, uint32_t a, uint32_t b)
{
    return urgency[a] < urgency[b] || (urgency[a] == urgency[b] && a > b);
}

/* Moves an item down a heap whose first item is the least urgent. */
static void sift_down(uint32_t *items, uint32_t count, uint32_t at, const double *urgency)
{
    uint32_t item = items[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_less_urgent(urgency, items[child + 1], items[child])) {
            child++;
        }
        if (!is_less_urgent(urgency, items[child], item)) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = item;
}

void fol_sort_by_urgency(uint32_t *items, uint32_t count, const double *urgency)
{
    for (uint32_t i = count / 2; i > 0; i--) {
        sift_down(items, count, i - 1, urgency);
    }
    for (uint32_t end = count; end > 1; end--) {
        uint32_t least = items[0];
        items[0] = items[end - 1];
        items[end - 1] = least;
        sift_down(items, end - 1, 0, urgency);
    }
}
