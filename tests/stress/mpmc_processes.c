/* SPDX-License-Identifier: MIT */
/*
 * As mpmc_stress, but that the members live in several processes, each of which has opened the
 * named ring and mapped it at an address of its own. Where the mode allows one producer and one
 * consumer, they are in different ones.
 *
 *      mpmc_processes [times]      run so many times the usual rounds, each with other chances
 */
#define _GNU_SOURCE

#include "mpmc_traffic.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

/*
 * ThreadSanitizer knows nothing of what a third process orders between two threads of one process:
 * there each member is in a process of its own.
 */
#define PROCESSES     (UNDER_TSAN ? PRODUCERS_MAX + CONSUMERS_MAX : 3)
#define PROCESSES_MAX 8

static char tagname[64];

/* A process: opens the ring by its name and runs its share of the members. */
static void work(struct run *run, unsigned process)
{
    static struct member members[PRODUCERS_MAX + CONSUMERS_MAX];
    pthread_t threads[PRODUCERS_MAX + CONSUMERS_MAX];
    struct traffic *traffic = &run->traffic;
    struct mring_args args = { .tagname = tagname, .flags = modes[run->mode] };
    struct mring_mpmc ring;
    unsigned count = 0;

    set_alarm();
    if (mring_mpmc_open(&ring, &args) != 0)
        fail("the ring cannot be opened");
    for (unsigned i = 0; i < traffic->producers + traffic->consumers; i++) {
        bool produces = i < traffic->producers;
        unsigned index = produces ? i : i - traffic->producers;
        if ((produces ? index : PRODUCERS_MAX + index) % PROCESSES != process)
            continue;
        members[count] = (struct member){ .traffic = traffic, .ring = &ring, .index = index };
        if (pthread_create(&threads[count], NULL, produces ? produce : consume, &members[count]))
            abort();
        count++;
    }
    while (count > 0)
        pthread_join(threads[--count], NULL);
    if (mring_mpmc_destroy(&ring) != 0)
        fail("the ring cannot be released");
    _exit(0);
}

/* Whoever fails has said why, or has crashed: then the others need not go on. */
static void await(const pid_t pids[PROCESSES_MAX])
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        if (wait(&status) < 0)
            abort();
        if (status == 0)
            continue;
        for (unsigned j = 0; j < PROCESSES; j++)
            kill(pids[j], SIGKILL);
        mmap_unlink(tagname);
        fail("a process failed");
    }
}

static void check_name_is_gone(void)
{
    struct mring_mpmc ring;

    mmap_unlink(tagname);
    if (mring_mpmc_open(&ring, &(struct mring_args){ .tagname = tagname }) != MMAP_NOT_FOUND)
        fail("the name was left behind");
}

static uint64_t run_processes(struct run *run)
{
    struct mring_mpmc ring;
    pid_t pids[PROCESSES_MAX];

    create_or_fail(&ring, run, tagname);
    fflush(stdout);
    for (unsigned i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            abort();
        if (pids[i] == 0)
            work(run, i);
    }
    await(pids);
    check_remains(&ring);
    if (mring_mpmc_destroy(&ring) != 0)
        fail("the ring cannot be released");
    check_name_is_gone();
    return check_tallies(&run->traffic);
}

int main(int argc, char **argv)
{
    const double times = argc > 1 ? strtod(argv[1], NULL) : 1;
    const uint64_t rounds = (uint64_t)(times * (UNDER_TSAN ? 1 : 8)), cells = MODES * STARTS * 3;
    uint64_t records = 0;
    unsigned passed = 0;
    struct run *run =
        mmap(NULL, sizeof *run, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (run == MAP_FAILED)
        abort();
    snprintf(tagname, sizeof tagname, "mring-stress-%ld", (long)getpid());
    for (uint64_t i = 0; i < rounds * cells; i++) {
        *run = (struct run){
            .mode = i % MODES,
            .start = i / MODES % STARTS,
            .granule = 16u << i / (MODES * STARTS) % 3,
            .capacity = mring_capacity(i % 4 == 0 ? 16384 : 1, 0),
            .round = i / cells,
        };
        choose(run, UNDER_TSAN ? 1000 : 4000);
        records += run_processes(run);
        passed++;
    }
    printf("%llu records\n", (unsigned long long)records);
    printf("%u passed, 0 failed\n", passed);
    return 0;
}
