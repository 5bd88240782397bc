/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_setaffinity_np(), RUSAGE_THREAD */

#include "thread.h"

#include <mring/mmap.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

/* What two processors have in common; the best pair for a ring is the greatest. */
enum pairing { PAIR_SAME_CORE, PAIR_UNKNOWN, PAIR_APART, PAIR_SHARED_CACHE };

struct switches {
    uint64_t lost;
    uint64_t slept;
};

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

/* Let this thread run on all of these again. */
static void unpin(const int *numbers, unsigned count)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (unsigned i = 0; i < count; i++)
        CPU_SET((size_t)numbers[i], &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/* How often this thread lost its processor without having asked for it, and how often it slept. */
static struct switches count_switches(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) != 0)
        return (struct switches){ 0 };
    return (struct switches){ .lost = (uint64_t)usage.ru_nivcsw,
                              .slept = (uint64_t)usage.ru_nvcsw };
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

static void unpin(const int *numbers, unsigned count)
{
    (void)numbers;
    (void)count;
}

static struct switches count_switches(void)
{
    return (struct switches){ .slept = UINT64_MAX }; /* not known */
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
    int producer = cores->numbers[0];
    int consumer = cores->count > 1 ? cores->numbers[1] : producer;

    if (cores->count == 0) {
        snprintf(cores->topology, sizeof cores->topology, "not pinned, of %u", cores->available);
        return;
    }
    snprintf(cores->topology, sizeof cores->topology, "%d and %d of %u: %s", producer, consumer,
             cores->available, texts[compare(producer, consumer)]);
}

/* The nearest to the first one comes second, and so on; of equals the lower number first. */
static void choose(struct bench_cores *cores, const int *numbers, unsigned count)
{
    for (int nearness = PAIR_SHARED_CACHE; nearness >= PAIR_SAME_CORE; nearness--) {
        for (unsigned i = 0; i < count && cores->count < CORES_MAX; i++) {
            bool first = i == 0 && cores->count == 0;
            if (first || (i > 0 && (int)compare(numbers[0], numbers[i]) == nearness))
                cores->numbers[cores->count++] = numbers[i];
        }
    }
}

static bool read_wish(struct bench_cores *cores, const char *wish)
{
    char *rest;

    do {
        long number = strtol(wish, &rest, 10);
        if (rest == wish || number < 0 || number > 65535 || cores->count == CORES_MAX)
            return false;
        cores->numbers[cores->count++] = (int)number;
        wish = rest + 1;
    } while (*rest == ',');
    return *rest == '\0' && cores->count >= 2;
}

/* The calling thread, like any other: to the index-th processor, taken modulo their count. */
static bool pin_to(const struct bench_cores *cores, unsigned index)
{
    return cores->count > 0 && pin(cores->numbers[index % cores->count]);
}

/* Try all; the calling thread stays on the consumer's. */
static bool pin_all(const struct bench_cores *cores)
{
    for (unsigned i = 0; i < cores->count; i++) {
        if (!pin_to(cores, i))
            return false;
    }
    return pin_to(cores, 1);
}

static unsigned count_distinct(const struct bench_cores *cores)
{
    unsigned distinct = 0;

    for (unsigned i = 0; i < cores->count; i++) {
        unsigned j = 0;
        while (j < i && cores->numbers[j] != cores->numbers[i])
            j++;
        distinct += j == i;
    }
    return distinct;
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

    *cores = (struct bench_cores){ .available = count > 0 ? count : count_online() };
    if (wish != NULL) {
        if (!read_wish(cores, wish) || !pin_all(cores))
            return false;
        cores->available = count_distinct(cores);
    } else {
        if (count > 0)
            choose(cores, numbers, count);
        if (!pin_all(cores)) {
            cores->count = 0;
            unpin(numbers, count);
        }
    }
    describe(cores);
    return true;
}

/* Whether producer and consumer have one processor between them. */
static bool take_turns(const struct bench_cores *cores)
{
    return cores->available == 1 || cores->count == 1 ||
           (cores->count > 1 && cores->numbers[0] == cores->numbers[1]);
}

const char *bench_cores_remark(const struct bench_cores *cores)
{
    if (take_turns(cores))
        return "one CPU: the threads take turns";
    return cores->count == 0 ? "not pinned" : NULL;
}

/* ---- time ------------------------------------------------------------------------------------ */

double bench_tick_ns(void)
{
    static double tick_ns;

    if (tick_ns > 0)
        return tick_ns;
    int64_t start = mring_os_now();
    uint64_t first = bench_ticks();
    int64_t now;
    do
        now = mring_os_now();
    while (now - start < 10000000);
    tick_ns = (double)(now - start) / (double)(bench_ticks() - first);
    return tick_ns;
}

/* ---- pace ------------------------------------------------------------------------------------ */

#define POLLS_MAX             10000
#define POLLS_MAX_WHEN_SHARED 32
#define STALL_NS              INT64_C(5000000000)
#define STALL_STEP_NS         INT64_C(100000000) /* a machine that stood still counts for no more */
#define SETTLE_NS             1000000

/* What member `polls` for so long is not there. */
bool bench_yield(struct bench_pace *pace, uint64_t polls)
{
    sched_yield();
    if (polls == pace->polls_max + 1) {
        pace->stalled_ns = 0;
        pace->looked_at = mring_os_now();
    }
    if (polls % 64 != 0)
        return true;
    int64_t now = mring_os_now();
    int64_t step = now - pace->looked_at;
    pace->stalled_ns += step < STALL_STEP_NS ? step : STALL_STEP_NS;
    pace->looked_at = now;
    if (pace->stalled_ns > STALL_NS)
        bench_fail(pace);
    return !bench_is_over(pace);
}

bool bench_let_sleep(struct bench_pace *pace, const mring_atomic_u64 *sleeping, uint64_t number)
{
    uint64_t polls = 0;

    /* Pairs with the store in sleep_loop(). */
    while (mring_load_acquire_u64(sleeping) < number) {
        if (!bench_idle(pace, ++polls))
            return false;
    }
    for (int64_t start = mring_os_now(); mring_os_now() - start < SETTLE_NS;) {
        if (pace->polls_max == 0)
            sched_yield();
        else
            mring_pause();
    }
    return true;
}

/* ---- limits ---------------------------------------------------------------------------------- */

/*
 * A run is asked to end after its limit, if it has one. If it still goes on a minute later,
 * somebody is stuck in a call that does not come back, and the program gives up: nothing else is
 * possible while another thread, or a process that died, is being waited for.
 */
#define HANG_SECONDS 60

static mring_atomic_u32
    *volatile limited_stop;          /* of the run whose time is limited; NULL: it no longer is */
static const char *volatile running; /* its name */

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written; /* there is nobody to tell */
}

/* SIGALRM. */
static void run_out_of_time(int signal)
{
    (void)signal;
    if (limited_stop == NULL) {
        say("ringbench: it hangs: ");
        say(running);
        say("\n");
        _exit(EXIT_FAILURE);
    }
    mring_store_release_u32(limited_stop, BENCH_CUT);
    limited_stop = NULL;
}

static void set_limit(mring_atomic_u32 *stop, const struct bench_manner *manner)
{
    struct sigaction action = { .sa_handler = run_out_of_time, .sa_flags = SA_RESTART };
    struct itimerval timer = { .it_interval = { .tv_sec = HANG_SECONDS },
                               .it_value = { .tv_sec = manner->limit_ns / 1000000000,
                                             .tv_usec = manner->limit_ns % 1000000000 / 1000 } };

    running = manner->name;
    limited_stop = manner->limit_ns > 0 ? stop : NULL;
    if (manner->limit_ns == 0)
        timer.it_value = timer.it_interval;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void lift_limit(void)
{
    setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
    limited_stop = NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

/* What a member found out; on lines of its own. */
struct record {
    MRING_ALIGNAS(MRING_LINE) int64_t start;
    int64_t end;
    struct switches switches;
};

/* In memory that processes share. */
struct run {
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u32 arrived; /* at the start gate */
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u32 stop;
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u32 unprepared;
    const struct bench_cores *cores;
    unsigned count;
    uint64_t polls_max;
    struct record records[MEMBERS_MAX];
};

struct seat {
    struct run *run;
    const struct bench_member *member;
    struct record *record;
    const struct bench_manner *manner; /* for the first member to set its limits; NULL: another */
    pthread_t thread;
    pid_t process; /* 0: a thread */
};

/*
 * All arrive, all leave: whoever is last opens the gate. The additions release what each one has
 * prepared, a stop too; the load acquires that of all.
 */
static void pass_gate(struct run *run, struct bench_pace *pace)
{
    mring_add_release_u32(&run->arrived, 1);
    for (uint64_t polls = 0; mring_load_acquire_u32(&run->arrived) < run->count;) {
        if (!bench_idle(pace, ++polls))
            return;
    }
}

static void take_part(const struct seat *seat)
{
    struct run *run = seat->run;
    const struct bench_member *member = seat->member;
    struct record *record = seat->record;
    struct bench_pace pace = { .polls_max = run->polls_max, .stop = &run->stop };

    /* It was possible at the start of the program; if it no longer is, the row is still right. */
    pin_to(run->cores, member->core);
    bool prepared = member->prepare(member->context, &pace);
    if (!prepared) {
        mring_add_release_u32(&run->unprepared, 1);
        mring_store_release_u32(&run->stop, BENCH_FAILED);
    }
    pass_gate(run, &pace);
    if (seat->manner != NULL)
        set_limit(&run->stop, seat->manner);

    struct switches before = count_switches();
    record->start = mring_os_now();
    if (mring_load_acquire_u32(&run->stop) == 0)
        member->body(member->context);
    record->end = mring_os_now();
    struct switches after = count_switches();
    record->switches =
        (struct switches){ .lost = after.lost - before.lost, .slept = after.slept - before.slept };
    if (prepared)
        member->finish(member->context);
}

static void *thread_main(void *argument)
{
    take_part(argument);
    return NULL;
}

/* Nobody waits for a process whose parent gave up. */
static void die_with_parent(void)
{
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

static bool start_member(struct seat *seat, bool process)
{
    if (!process)
        return pthread_create(&seat->thread, NULL, thread_main, seat) == 0;
    seat->process = fork();
    if (seat->process == 0) {
        die_with_parent();
        take_part(seat);
        _exit(EXIT_SUCCESS);
    }
    return seat->process > 0;
}

static bool end_member(const struct seat *seat, bool process)
{
    int status;

    if (!process)
        return pthread_join(seat->thread, NULL) == 0;
    return waitpid(seat->process, &status, 0) == seat->process && status == 0;
}

static void sum_up(struct bench_time *time, const struct run *run)
{
    int64_t start = run->records[0].start;
    int64_t end = run->records[0].end;
    uint64_t lost = 0;

    for (unsigned i = 0; i < run->count; i++) {
        const struct record *record = &run->records[i];
        start = record->start < start ? record->start : start;
        end = record->end > end ? record->end : end;
        lost += record->switches.lost;
    }
    *time = (struct bench_time){ .elapsed_ns = end - start,
                                 .interrupted = lost > 0,
                                 .cut = mring_load_acquire_u32(&run->stop) == BENCH_CUT,
                                 .slept = run->records[0].switches.slept };
}

/* ---- a run ----------------------------------------------------------------------------------- */

static uint64_t choose_polls_max(const struct bench_cores *cores, unsigned count)
{
    if (take_turns(cores))
        return 0;
    return count > cores->available || (cores->count > 0 && count > cores->count)
               ? POLLS_MAX_WHEN_SHARED
               : POLLS_MAX;
}

static void init_run(struct run *run, struct seat *seats, const struct bench_cores *cores,
                     const struct bench_member *members, unsigned count)
{
    run->cores = cores;
    run->count = count;
    run->polls_max = choose_polls_max(cores, count);
    for (unsigned i = 0; i < count; i++)
        seats[i] = (struct seat){ .run = run, .member = &members[i], .record = &run->records[i] };
}

/* What went wrong with a run whose members have all ended, or NULL. */
static const char *judge(const struct run *run, unsigned started, unsigned died)
{
    if (started < run->count)
        return "no thread or process for each member";
    if (mring_load_acquire_u32(&run->unprepared) > 0)
        return "a member of the run could not open its end";
    if (died > 0)
        return "a member of the run died";
    if (mring_load_acquire_u32(&run->stop) == BENCH_FAILED)
        return "it stood still: items were lost";
    return NULL;
}

const char *bench_run(struct bench_time *time, const struct bench_cores *cores,
                      const struct bench_member *members, unsigned count,
                      const struct bench_manner *manner)
{
    struct seat seats[MEMBERS_MAX];
    struct mmap memory = { 0 };
    unsigned started = 1;
    unsigned died = 0;

    if (mmap_map(&memory, &(struct mmap_args){ .access = MMAP_WRITE, .size = sizeof(struct run) }))
        return "no memory for the run";
    struct run *run = memory.addr;
    init_run(run, seats, cores, members, count);
    seats[0].manner = manner;

    while (started < count && start_member(&seats[started], manner->processes))
        started++;
    if (started < count)
        mring_store_release_u32(&run->stop, BENCH_FAILED);
    take_part(&seats[0]);
    for (unsigned i = 1; i < started; i++)
        died += !end_member(&seats[i], manner->processes);
    lift_limit();

    const char *fault = judge(run, started, died);
    if (fault == NULL)
        sum_up(time, run);
    mmap_free(&memory);
    return fault;
}

#define ATTEMPTS_MAX 5
#define RETRY_NS_MAX 20000000

bool bench_was_disturbed(const struct bench_time *time, const struct bench_cores *cores,
                         unsigned members, unsigned attempts)
{
    return time->interrupted && attempts < ATTEMPTS_MAX && time->elapsed_ns < RETRY_NS_MAX &&
           members <= cores->available && bench_cores_remark(cores) == NULL;
}
