/* SPDX-License-Identifier: MIT */
/*
 * Two threads on two cores that start together: the calling thread is one of them.
 */
#ifndef BENCH_THREAD_H
#define BENCH_THREAD_H

#include <mring/atomic.h>

#include <sched.h>

/* Where the two threads run. */
struct bench_cores {
    int producer; /* numbers of processors; -1: wherever the system likes */
    int consumer;
    unsigned available; /* processors that this process may use; at least 1 */
    char topology[64];  /* what the two share, for the report */
};

/*
 * Choose two processors, the pair that shares the most without being one core: same last-level
 * cache before different ones, both before two threads of one core. Pin the calling thread to the
 * consumer's.
 *
 *   wish      "A,B": producer on A, consumer on B; NULL: choose
 *   returns   false if the wish cannot be granted. Without a wish it always succeeds: where pinning
 *             is refused or there is one processor only, `cores` says so.
 */
bool bench_choose_cores(struct bench_cores *cores, const char *wish);

/* A remark on the cores that a reader of the numbers has to know, or NULL. */
const char *bench_cores_remark(const struct bench_cores *cores);

/* What bench_run() found out. */
struct bench_time {
    int64_t elapsed_ns; /* from the first start to the last end */
    bool interrupted;   /* the system gave a processor to somebody else meanwhile */
};

/*
 * Run `produce` in a new thread and `consume` in this one. Both wait for each other before they
 * start. Without `produce`, run `consume` alone.
 *
 *   returns   false if there is no second thread
 */
bool bench_run(struct bench_time *time, const struct bench_cores *cores,
               void (*produce)(void *context), void (*consume)(void *context), void *context);

/*
 * Between two looks at the other side. A thread that gets nothing for long gives up its processor,
 * in case the other side waits for that very one; the limit is far over what a running one takes.
 */
static inline void bench_idle(unsigned *polls, unsigned limit)
{
    if (++*polls > limit)
        sched_yield();
    else
        mring_pause();
}

/* The limit for these cores: 0 where the two threads take turns on one. */
unsigned bench_idle_limit(const struct bench_cores *cores);

#endif
