/* What Python's help says of fo.policy.FairQueue; only its file includes this. */
#ifndef FOL_BINDINGS_FAIR_QUEUE_DOC_H
#define FOL_BINDINGS_FAIR_QUEUE_DOC_H

#include "bindings/bindings.h"

PyDoc_STRVAR(
    fair_doc,
    "FairQueue(slice, *, tick=0, mode='linux', quantum=None)\n--\n\n"
    "Shares one processor by weight: earliest eligible virtual deadline first (EEVDF).\n\n"
    "Each runnable i has a weight w and a virtual runtime v, which grows by ran * 1024 / w.\n"
    "Virtual time V is the average of all v by weight. Eligible is who has had no more than its\n"
    "share (v <= V); of those the one with the earliest virtual deadline is picked, which is the\n"
    "start of its request plus request * 1024 / w. Ties go to the lower id.\n\n"
    "Time is an argument, an integer in any unit, and never goes back. Ids are any integers from\n"
    "0. Arithmetic is exact to 2**-20 of a unit at weight 1 and does not drift.\n\n"
    "Args:\n"
    "    slice: Request of whoever joins without one, at least 1.\n"
    "    tick: How late a preemption may come; lag is kept up to the largest request and a tick.\n"
    "    mode: 'linux': lag is kept over sleep, who sleeps while in debt stays until it is paid,\n"
    "        newcomers start with half a request, and who is switched in keeps the processor "
    "until\n"
    "        its request is served, or as long as the shortest one that waits. 'textbook': as in\n"
    "        the paper, without these; weights count from 1 rather than 1024, and of equal\n"
    "        deadlines the request that starts later, the shorter one, goes first.\n"
    "    quantum: Textbook: the most that is charged at once. Then the service that anybody is\n"
    "        owed, weight * lag, stays above -r and below max(r, quantum), where r is the largest\n"
    "        request, as long as those who leave are owed nothing.\n\n"
    "Raises:\n"
    "    ValueError: A number outside its bounds (times: 2**38, weights: 2**20), or an id twice.\n"
    "    KeyError: An id that has not joined.\n"
    "    OverflowError: Virtual times would spread too far; then nothing has changed.\n\n"
    "Source: Stoica and Abdel-Wahab, 'Earliest Eligible Virtual Deadline First', 1995; Linux 6.12\n"
    "for the rules of sleep and preemption.\n\n"
    "Example:\n"
    "    >>> queue = FairQueue(slice=2, mode='textbook', quantum=1)\n"
    "    >>> order = []\n"
    "    >>> for now in range(9):\n"
    "    ...     if now < 2:\n"
    "    ...         queue.join(now + 1, weight=2, request=2 - now, now=now)\n"
    "    ...     order.append(queue.pick(now=now))\n"
    "    ...     queue.account(order[-1], 1, now=now + 1)\n"
    "    >>> order\n"
    "    [1, 2, 1, 2, 1, 2, 1, 2, 1]\n");

PyDoc_STRVAR(fair_join_doc,
             "join($self, id, weight, now, request=None)\n--\n\n"
             "Come in, for the first time or back from having left.\n\n"
             "Args:\n"
             "    id: Any integer from 0 that is not in.\n"
             "    weight: 1 to 2**20. Who comes back with another one keeps its owed service.\n"
             "    now: The time.\n"
             "    request: How long it asks to run at a time; None: the slice.\n\n"
             "Example:\n"
             "    >>> queue = FairQueue(slice=4)\n"
             "    >>> queue.join(7, weight=1024, now=0)\n"
             "    >>> queue.pick(now=0)\n"
             "    7\n");
PyDoc_STRVAR(
    fair_leave_doc,
    "leave($self, id, now)\n--\n\n"
    "Sleep: not picked until it joins again. Its lag is kept, except in the textbook mode.\n\n"
    "Example:\n"
    "    >>> queue = FairQueue(slice=4)\n"
    "    >>> queue.join(7, weight=1024, now=0)\n"
    "    >>> queue.leave(7, now=1)\n"
    "    >>> queue.pick(now=1) is None\n"
    "    True\n");
PyDoc_STRVAR(fair_forget_doc, "forget($self, id, now)\n--\n\n"
                              "Leave for good, whether in or away; the id may join anew.\n\n"
                              "Example:\n"
                              "    >>> queue = FairQueue(slice=4)\n"
                              "    >>> queue.join(7, weight=1024, now=0)\n"
                              "    >>> queue.forget(7, now=1)\n"
                              "    >>> len(queue)\n"
                              "    0\n");
PyDoc_STRVAR(fair_reweight_doc,
             "reweight($self, id, weight, now)\n--\n\n"
             "Give another weight: lag and the time to the deadline scale by old / new.\n\n"
             "Example:\n"
             "    >>> queue = FairQueue(slice=4)\n"
             "    >>> queue.join(7, weight=1024, now=0)\n"
             "    >>> queue.reweight(7, weight=2048, now=0)\n");
PyDoc_STRVAR(fair_pick_doc,
             "pick($self, now)\n--\n\n"
             "Who should run from now on, or None when nobody is in.\n\n"
             "It may be who runs already: then its protection does not start anew.\n\n"
             "Example:\n"
             "    >>> queue = FairQueue(slice=4)\n"
             "    >>> queue.pick(now=0) is None\n"
             "    True\n");
PyDoc_STRVAR(fair_account_doc, "account($self, id, ran, now)\n--\n\n"
                               "Charge time to one that is in.\n\n"
                               "Example:\n"
                               "    >>> queue = FairQueue(slice=4)\n"
                               "    >>> queue.join(7, weight=512, now=0)\n"
                               "    >>> queue.account(queue.pick(now=0), 3, now=3)\n"
                               "    >>> queue.virtual_time\n"
                               "    6.0\n");
PyDoc_STRVAR(fair_lag_doc,
             "lag($self, id, /)\n--\n\n"
             "V - v of one that is in, or what is kept for one that is away, in virtual time.\n\n"
             "Times weight / 1024 (textbook: times weight) it is the service that it is owed.\n\n"
             "Example:\n"
             "    >>> queue = FairQueue(slice=4)\n"
             "    >>> for id in (1, 2):\n"
             "    ...     queue.join(id, weight=1024, now=0)\n"
             "    >>> queue.account(queue.pick(now=0), 3, now=3)\n"
             "    >>> queue.lag(1), queue.lag(2)\n"
             "    (-1.5, 1.5)\n");
PyDoc_STRVAR(fair_virtual_time_doc,
             "V: the time that a runnable of weight 1024 (textbook: 1) would have had by now.");

#endif
