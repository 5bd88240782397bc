/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_setaffinity_np(), RUSAGE_THREAD */

#include "thread.h"

#include <mring/wait.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* What two processors have in common; the best pair for a ring is the greatest. */
enum pairing { PAIR_SAME_CORE, PAIR_UNKNOWN, PAIR_APART, PAIR_SHARED_CACHE };

#define PROCESSORS_MAX 1024

/* ---- processors ------------------------------------------------------------------------------ */

#if defined(__linux__)

/* Whether a list of the kernel such as "0-3,8" has the number. False when there is no such file. */
static bool list_has(const char *path, int number)
{
    FILE *file = fopen(path, "r");
    int first, last;
    bool found = false;

    if (file == NULL)
        return false;
    while (!found && fscanf(file, "%d", &first) == 1) {
        last = first;
        int mark = fgetc(file);
        if (mark == '-' && fscanf(file, "%d", &last) == 1)
            mark = fgetc(file);
        found = number >= first && number <= last;
        if (mark != ',')
            break;
    }
    fclose(file);
    return found;
}

static enum pairing compare(int a, int b)
{
    char path[128];

    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", a);
    if (a == b || list_has(path, b))
        return PAIR_SAME_CORE;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index3/shared_cpu_list", a);
    if (list_has(path, b))
        return PAIR_SHARED_CACHE;
    return list_has(path, a) ? PAIR_APART : PAIR_UNKNOWN;
}

/* The processors that this process may use. Returns their number, 0 if the system does not say. */
static unsigned list_processors(int numbers[PROCESSORS_MAX])
{
    cpu_set_t set;
    unsigned count = 0;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (int i = 0; i < CPU_SETSIZE && count < PROCESSORS_MAX; i++) {
        if (CPU_ISSET((size_t)i, &set))
            numbers[count++] = i;
    }
    return count;
}

static bool pin(int processor)
{
    cpu_set_t set;

    if (processor < 0 || processor >= CPU_SETSIZE)
        return false;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

/* How often this thread lost its processor without having asked to sleep. */
static long count_interruptions(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

#else

static enum pairing compare(int a, int b)
{
    return a == b ? PAIR_SAME_CORE : PAIR_UNKNOWN;
}

static unsigned list_processors(int numbers[PROCESSORS_MAX])
{
    (void)numbers;
    return 0;
}

static bool pin(int processor)
{
    (void)processor;
    return false;
}

static long count_interruptions(void)
{
    return 0;
}

#endif

/* ---- choice ---------------------------------------------------------------------------------- */

static void describe(struct bench_cores *cores)
{
    static const char *const texts[] = {
        [PAIR_SAME_CORE] = "same core",
        [PAIR_UNKNOWN] = "different cores, caches unknown",
        [PAIR_APART] = "different cores, different L3",
        [PAIR_SHARED_CACHE] = "different cores, same L3",
    };

    if (cores->producer < 0) {
        snprintf(cores->topology, sizeof cores->topology, "not pinned, of %u", cores->available);
        return;
    }
    snprintf(cores->topology, sizeof cores->topology, "%d and %d of %u: %s", cores->producer,
             cores->consumer, cores->available, texts[compare(cores->producer, cores->consumer)]);
}

/* The first processor, and the best partner that it has; itself if it is the only one. */
static void choose(struct bench_cores *cores, const int *numbers, unsigned count)
{
    unsigned best = 0;

    for (unsigned i = 1; i < count; i++) {
        if (best == 0 || compare(numbers[0], numbers[i]) > compare(numbers[0], numbers[best]))
            best = i;
    }
    cores->producer = numbers[0];
    cores->consumer = numbers[best];
}

/* Try both; the calling thread stays on the consumer's. */
static bool pin_to(const struct bench_cores *cores)
{
    return pin(cores->producer) && pin(cores->consumer);
}

static unsigned count_online(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count > 0 ? (unsigned)count : 1;
}

bool bench_choose_cores(struct bench_cores *cores, const char *wish)
{
    int numbers[PROCESSORS_MAX];
    unsigned count = list_processors(numbers);
    char rest;

    *cores = (struct bench_cores){ .available = count > 0 ? count : count_online() };
    if (wish != NULL) {
        if (sscanf(wish, "%d,%d%c", &cores->producer, &cores->consumer, &rest) != 2 ||
            !pin_to(cores))
            return false;
    } else {
        if (count > 0)
            choose(cores, numbers, count);
        if (count == 0 || !pin_to(cores)) {
            cores->producer = -1;
            cores->consumer = -1;
        }
    }
    describe(cores);
    return true;
}

/* Whether the two threads have one processor between them. */
static bool take_turns(const struct bench_cores *cores)
{
    return cores->available == 1 || (cores->producer >= 0 && cores->producer == cores->consumer);
}

unsigned bench_idle_limit(const struct bench_cores *cores)
{
    return take_turns(cores) ? 0 : 10000;
}

const char *bench_cores_remark(const struct bench_cores *cores)
{
    if (take_turns(cores))
        return "one CPU: the threads take turns";
    return cores->producer < 0 ? "not pinned" : NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

/* One thread's share of a run. */
struct side {
    void (*body)(void *context);
    void *context;
    int64_t start;
    int64_t end;
    bool interrupted;
};

static void run_side(struct side *side)
{
    long before = count_interruptions();

    side->start = mring_os_now();
    side->body(side->context);
    side->end = mring_os_now();
    side->interrupted = count_interruptions() != before;
}

struct pair {
    const struct bench_cores *cores;
    struct side producer; /* written by its thread, read after the join */
    struct side consumer;
    mring_atomic_u32 arrived; /* at the start gate */
};

/* Both arrive, both leave: whoever is second opens the gate. */
static void pass_gate(struct pair *pair)
{
    unsigned polls = 0;

    mring_add_release_u32(&pair->arrived, 1);
    while (mring_load_acquire_u32(&pair->arrived) < 2)
        bench_idle(&polls, bench_idle_limit(pair->cores));
}

static void *producer_thread(void *argument)
{
    struct pair *pair = argument;

    /* It was possible at the start of the program; if it no longer is, the row is still right. */
    if (pair->cores->producer >= 0)
        pin(pair->cores->producer);
    pass_gate(pair);
    run_side(&pair->producer);
    return NULL;
}

bool bench_run(struct bench_time *time, const struct bench_cores *cores,
               void (*produce)(void *context), void (*consume)(void *context), void *context)
{
    struct pair pair = { .cores = cores,
                         .producer = { .body = produce, .context = context },
                         .consumer = { .body = consume, .context = context } };
    const struct side *producer = &pair.producer;
    const struct side *consumer = &pair.consumer;
    pthread_t thread;

    if (produce == NULL) {
        run_side(&pair.consumer);
        producer = consumer;
    } else {
        if (pthread_create(&thread, NULL, producer_thread, &pair) != 0)
            return false;
        pass_gate(&pair);
        run_side(&pair.consumer);
        pthread_join(thread, NULL);
    }

    int64_t start = producer->start < consumer->start ? producer->start : consumer->start;
    int64_t end = producer->end > consumer->end ? producer->end : consumer->end;
    *time = (struct bench_time){ .elapsed_ns = end - start,
                                 .interrupted = producer->interrupted || consumer->interrupted };
    return true;
}
