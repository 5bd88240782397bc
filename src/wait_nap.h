/* SPDX-License-Identifier: MIT */
/*
 * Sleeping where the system can't wake a sleeper of another process: short naps, and a look at the
 * epoch after each. For the files that implement mring_os_sleep().
 */
#ifndef MRING_WAIT_NAP_H
#define MRING_WAIT_NAP_H

#include <mring/wait.h>
#include <time.h>

/*
 * A nap is as long as this call has slept for already, within these bounds: so a wake is late by as
 * much as the wait was long, or by a millisecond. Every call begins with short naps again, and a
 * long wait is one call per slice (MRING_WAIT_SLICE_NS): 55 naps in 50 ms instead of 50.
 */
#define NAP_NS_MIN ((int64_t)50000)
#define NAP_NS_MAX ((int64_t)1000000)

/*
 * A notifier needs no call that wakes: it has changed the epoch (N3), and whoever announced himself
 * before that sees it after his nap. So nobody is left out, and 0 is the right number of those that
 * a call woke: N5 may acknowledge all of them.
 */
static inline void mring_nap(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    int64_t slept = 0, nap = NAP_NS_MIN;

    /* Relaxed: the caller looks again, and orders that. */
    while (slept < timeout_ns && mring_load_relaxed_u32(&event->epoch) == expected) {
        if (nap > timeout_ns - slept)
            nap = timeout_ns - slept;
        struct timespec time = { .tv_nsec = (long)nap };
        nanosleep(&time, NULL); /* a signal ends it: then it is time to look, too */
        slept += nap;
        nap = slept < NAP_NS_MAX ? slept : NAP_NS_MAX;
    }
}

#endif
