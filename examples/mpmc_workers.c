/* SPDX-License-Identifier: MIT */
/*
 * A pool of workers: one thread hands out jobs, several do them, and the results come back.
 *
 *      mpmc_workers [WORKERS]      default: 4
 *
 *      main --- jobs, for whoever is free --> worker ... worker --- results ---> collector
 *
 * Both queues are record rings. A job is the text to be worked on, of any length, and is read where
 * main has written it: a worker claims one, works, and gives its room back. What only one thread
 * does at an end is said at creation, and is faster: there is one producer of jobs, and one
 * consumer of results.
 *
 * The end is told from front to back. Main closes the jobs; each worker gets MRING_EOF when none is
 * left, and goes. When all have gone, main closes the results, and the collector's loop ends, too.
 */
#include <mring.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define JOBS        ((uint64_t)100000)
#define TEXT_BYTES  400 /* of the longest job */
#define WORKERS_MAX 64
#define FOREVER     (-1)

struct job {
    uint64_t number;
    char text[];
};

struct result {
    uint64_t number;
    uint64_t hash;
};

struct pool {
    struct mring_mpmc jobs, results;
};

/* FNV-1a, in place of real work. */
static uint64_t hash_of(const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Write the text of a job; returns its length. */
static size_t write_text(char *text, uint64_t number)
{
    size_t size = (size_t)(number * 7919 % (TEXT_BYTES + 1));

    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + (number + i) % 26);
    return size;
}

static void *work(void *argument)
{
    struct pool *pool = argument;
    struct mring_mpmc_end jobs, results;
    struct mring_claim claim;

    /* An end belongs to its thread, and may live on its stack. */
    if (mring_mpmc_join(&pool->jobs, &jobs, MRING_READ_END) != 0 ||
        mring_mpmc_join(&pool->results, &results, MRING_WRITE_END) != 0)
        abort();
    while (mring_mpmc_claim_wait(&jobs, &claim, 1, NULL, FOREVER) == 0) {
        size_t size;
        const struct job *job = mring_mpmc_next(&jobs, &claim, &size);
        struct result result = { job->number, hash_of(job->text, size - sizeof *job) };

        mring_mpmc_release(&jobs, &claim);
        if (mring_mpmc_push_wait(&results, &result, sizeof result, FOREVER) != 0)
            break; /* nobody collects them any more */
    }
    mring_mpmc_leave(&jobs);
    mring_mpmc_leave(&results);
    return NULL;
}

/* Write each job where a worker will read it; when the workers are busy, wait for room. */
static void hand_out(struct pool *pool)
{
    struct mring_mpmc_end jobs;
    void *room;

    if (mring_mpmc_join(&pool->jobs, &jobs, MRING_WRITE_END) != 0)
        abort();
    for (uint64_t number = 0; number < JOBS; number++) {
        /* How long it gets is known when it is written: reserve for the longest. */
        if (mring_mpmc_reserve_wait(&jobs, sizeof(struct job) + TEXT_BYTES, &room, FOREVER) != 0)
            break;
        struct job *job = room;
        job->number = number;
        mring_mpmc_commit(&jobs, sizeof *job + write_text(job->text, number));
    }
    mring_mpmc_close(&pool->jobs, MRING_WRITE_END, 0);
    mring_mpmc_leave(&jobs);
}

/* Returns the number of results and the sum of their hashes: they come in any order. */
static void *collect(void *argument)
{
    static struct result total;
    struct mring_mpmc_end results;
    struct result result;
    size_t size;

    if (mring_mpmc_join(argument, &results, MRING_READ_END) != 0)
        abort();
    while (mring_mpmc_pop_wait(&results, &result, sizeof result, &size, FOREVER) == 0) {
        total.number++;
        total.hash += result.hash;
    }
    mring_mpmc_leave(&results);
    return &total;
}

static int create_rings(struct pool *pool)
{
    const struct mring_args jobs = { .capacity = mring_capacity(65536, 0),
                                     .flags = MRING_SINGLE_PRODUCER };
    const struct mring_args results = { .capacity = mring_capacity(16384, 0),
                                        .flags = MRING_SINGLE_CONSUMER };
    int err = mring_mpmc_create(&pool->jobs, &jobs);

    if (err != 0)
        return err;
    err = mring_mpmc_create(&pool->results, &results);
    if (err != 0)
        mring_mpmc_destroy(&pool->jobs);
    return err;
}

int main(int argc, char **argv)
{
    const unsigned asked_for = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 4;
    const unsigned workers = asked_for < 1 ? 1 : asked_for < WORKERS_MAX ? asked_for : WORKERS_MAX;
    static struct pool pool;
    pthread_t threads[WORKERS_MAX], collector;
    char text[TEXT_BYTES];
    uint64_t expected = 0;
    void *collected;

    int err = create_rings(&pool);
    if (err != 0) {
        fprintf(stderr, "mpmc_workers: %s\n", mring_errname(err));
        return 1;
    }
    for (unsigned i = 0; i < workers; i++)
        if (pthread_create(&threads[i], NULL, work, &pool) != 0)
            abort();
    if (pthread_create(&collector, NULL, collect, &pool.results) != 0)
        abort();
    hand_out(&pool);
    for (unsigned i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    mring_mpmc_close(&pool.results, MRING_WRITE_END, 0);
    pthread_join(collector, &collected);

    const struct result *total = collected;
    for (uint64_t i = 0; i < JOBS; i++)
        expected += hash_of(text, write_text(text, i));
    bool good = total->number == JOBS && total->hash == expected;
    printf("%llu jobs done by %u workers: %s\n", (unsigned long long)total->number, workers,
           good ? "all results are right" : "WRONG RESULTS");
    mring_mpmc_destroy(&pool.jobs);
    mring_mpmc_destroy(&pool.results);
    return good ? 0 : 1;
}
