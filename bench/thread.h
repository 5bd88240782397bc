/* SPDX-License-Identifier: MIT */
/*
 * Threads, or processes, on chosen processors that start together and are timed together; the
 * calling thread is one of them.
 */
#ifndef BENCH_THREAD_H
#define BENCH_THREAD_H

#include <mring/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- processors ------------------------------------------------------------------------------ */

#define CORES_MAX 64

/* Where the members of a run are placed. */
struct bench_cores {
    /* Numbers of processors: the pair of producer and consumer first, then the others, the nearest
       to the producer first. */
    int numbers[CORES_MAX];
    unsigned count;     /* of those; 0: threads run wherever the system likes */
    unsigned available; /* processors that this process may use; at least 1 */
    char topology[64];  /* what the pair shares, for the report */
};

/*
 * Choose the processors: the first one, and its partner that shares the most with it without being
 * the same core: same last-level cache before different ones, both before two threads of one core.
 * Pin the calling thread to the consumer's.
 *
 *   wish      "A,B" or more: producer on A, consumer on B, further ones on the rest in turn; NULL:
 *             choose
 *   returns   false if the wish cannot be granted. Without a wish it always succeeds: where pinning
 *             is refused or there is one processor only, `cores` says so.
 */
bool bench_choose_cores(struct bench_cores *cores, const char *wish);

/* A remark on the cores that a reader of the numbers has to know, or NULL. */
const char *bench_cores_remark(const struct bench_cores *cores);

/* ---- time ------------------------------------------------------------------------------------ */

/* The processor's time stamp where it has one that runs at a constant rate. */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)mring_os_now();
#endif
}

/* What a tick is in nanoseconds; measured by the first call, which takes 10 ms. */
double bench_tick_ns(void);

/* ---- pace ------------------------------------------------------------------------------------ */

/* How a member of a run waits for the others. */
struct bench_pace {
    /* A member that polled so often in vain gives up its processor, in case somebody waits for
       that very one; where each has its own, that is far over what a running one takes. */
    uint64_t polls_max;
    mring_atomic_u32 *stop; /* not 0: the run has failed, or is to end */
    int64_t stalled_ns;     /* how long the present row of yields lasts, as seen at `looked_at` */
    int64_t looked_at;
};

/* Values of `stop`. */
enum { BENCH_FAILED = 1, BENCH_CUT = 2 };

/* For a member that can't go on: the run has failed. */
static inline void bench_fail(const struct bench_pace *pace)
{
    /* Pairs with the load in take_part(), of one that had not begun. */
    mring_store_release_u32(pace->stop, BENCH_FAILED);
}

/* Whether the run is to end at once. */
static inline bool bench_is_over(const struct bench_pace *pace)
{
    /* Relaxed: nothing is read on the strength of it; the results come by the join. */
    return mring_load_relaxed_u32(pace->stop) != 0;
}

/* bench_idle() from `polls_max` polls on. */
bool bench_yield(struct bench_pace *pace, uint64_t polls);

/*
 * Between two tries of one operation, of which `polls` were in vain. False: give up, since the run
 * has failed or is over. One fails in which a member gets nothing for 5 seconds: an item was lost.
 */
static inline bool bench_idle(struct bench_pace *pace, uint64_t polls)
{
    if (polls > pace->polls_max)
        return bench_yield(pace, polls);
    mring_pause();
    return true;
}

/*
 * Wait until *sleeping is at least `number`, and then for a millisecond: so whoever looks around
 * for a while before he sleeps is as fast asleep, and his processor as idle, as whoever does not.
 * False as above.
 */
bool bench_let_sleep(struct bench_pace *pace, const mring_atomic_u64 *sleeping, uint64_t number);

/* ---- running --------------------------------------------------------------------------------- */

/*
 * One member of a run, which calls all three itself: `prepare` before the start, with the pace that
 * `body` is to keep, and `finish` after the end, if `prepare` succeeded. Where it returns false,
 * nobody's body runs.
 */
struct bench_member {
    bool (*prepare)(void *context, const struct bench_pace *pace);
    void (*body)(void *context);
    void (*finish)(void *context);
    void *context;
    unsigned core; /* index into the processors, taken modulo their count */
};

/* What bench_run() found out. */
struct bench_time {
    int64_t elapsed_ns; /* from the first start to the last end */
    bool interrupted;   /* the system gave a processor to somebody else meanwhile */
    bool cut;           /* it was ended by the limit, before all was done */
    uint64_t slept;     /* how often the first member went to sleep */
};

#define MEMBERS_MAX 32

/* How to run them. Zeros: threads, for as long as it takes. */
struct bench_manner {
    const char *name; /* to say which one it was that hangs */
    bool processes;   /* each member but the first is one; their contexts are in shared memory */
    int64_t limit_ns; /* ask all members to end after this time. Not with processes */
};

/*
 * Run all members, the first in this thread, the others in threads or processes of their own. All
 * wait for each other before they start.
 *
 *   members   1 .. MEMBERS_MAX
 *   returns   what went wrong, or NULL
 */
const char *bench_run(struct bench_time *time, const struct bench_cores *cores,
                      const struct bench_member *members, unsigned count,
                      const struct bench_manner *manner);

/*
 * Whether a repetition, the `attempts`-th, is to be done again, whatever time came out: the system
 * took a processor away from somebody. Not for ever, and not if it is so long that the next one
 * would fare no better; nor where the members have to share processors or to move between them.
 */
bool bench_was_disturbed(const struct bench_time *time, const struct bench_cores *cores,
                         unsigned members, unsigned attempts);

#ifdef __cplusplus
}
#endif

#endif
