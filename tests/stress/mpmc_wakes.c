/* SPDX-License-Identifier: MIT */
/*
 * Wakes of a record ring that only one event can bring: sleepers whom nobody else would ever wake,
 * were that one forgotten.
 *
 *      mpmc_wakes [times]      run so many times the usual rounds
 */
#define _GNU_SOURCE

#include "mpmc_unsliced.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define SLEEPERS 2

/* Threads that each make one call, and sleep in it. */
struct sleep {
    struct mring_mpmc *ring;
    enum mring_end end;
    size_t size;
    int expected; /* what the call is to answer */
    pthread_t thread;
};

static void *sleep_in_call(void *context)
{
    const struct sleep *sleep = context;
    struct mring_mpmc_end me;
    size_t room = mring_mpmc_capacity(sleep->ring), size;
    unsigned char *bytes = calloc(1, room);

    if (bytes == NULL || mring_mpmc_join(sleep->ring, &me, sleep->end) != 0)
        fail("a sleeper cannot join");
    mring_mpmc_tune(&me, &(struct mring_tuning){ .spin_ns = -1 });
    int err = sleep->end == MRING_WRITE_END ? mring_mpmc_push_wait(&me, bytes, sleep->size, -1)
                                            : mring_mpmc_pop_wait(&me, bytes, room, &size, -1);
    if (err != sleep->expected)
        fail("a sleeper woke to a wrong answer");
    mring_mpmc_leave(&me);
    free(bytes);
    return NULL;
}

/* Returns when all of them, probably, are asleep. */
static void put_to_sleep(struct sleep *sleeps, unsigned count, const struct sleep *like)
{
    struct mring_event *event = &side_of(&like->ring->layout, like->end)->event;
    uint32_t arms = mring_load_relaxed_u32(&event->arm) + count;

    for (unsigned i = 0; i < count; i++) {
        sleeps[i] = *like;
        if (pthread_create(&sleeps[i].thread, NULL, sleep_in_call, &sleeps[i]) != 0)
            abort();
    }
    while ((int32_t)(arms - mring_load_relaxed_u32(&event->arm)) > 0)
        sched_yield();
    nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
}

static void await(struct sleep *sleeps, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pthread_join(sleeps[i].thread, NULL);
}

static void join(struct mring_mpmc *ring, struct mring_mpmc_end *member, enum mring_end end)
{
    if (mring_mpmc_join(ring, member, end) != 0)
        fail("a member cannot join");
}

/* ---- the cases ------------------------------------------------------------------------------- */

/* The second record wakes a consumer in vain, and the first one wakes one: that passes it on. */
static void behind_a_stalled_record(struct mring_mpmc *ring)
{
    struct sleep sleeps[SLEEPERS], like = { .ring = ring, .end = MRING_READ_END };
    struct mring_mpmc_end first, second;

    join(ring, &first, MRING_WRITE_END);
    join(ring, &second, MRING_WRITE_END);
    put_to_sleep(sleeps, SLEEPERS, &like);
    if (mring_mpmc_reserve(&first, 8) == NULL || mring_mpmc_push(&second, "12345678", 8) != 0)
        fail("there is no room");
    nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
    mring_mpmc_commit(&first, 0);
    await(sleeps, SLEEPERS);
}

/* All records of a batch are somebody's. */
static void of_a_batch(struct mring_mpmc *ring)
{
    struct sleep sleeps[SLEEPERS], like = { .ring = ring, .end = MRING_READ_END };
    struct mring_mpmc_end producer;

    join(ring, &producer, MRING_WRITE_END);
    put_to_sleep(sleeps, SLEEPERS, &like);
    if (mring_mpmc_push_n(&producer, "12345678", 8 / SLEEPERS, SLEEPERS) != SLEEPERS)
        fail("there is no room");
    await(sleeps, SLEEPERS);
}

/* One release makes room for all. */
static void for_the_room_of_one_record(struct mring_mpmc *ring)
{
    struct sleep sleeps[SLEEPERS], like = { .ring = ring, .end = MRING_WRITE_END };
    struct mring_mpmc_end producer, consumer;
    struct mring_claim claim;

    join(ring, &producer, MRING_WRITE_END);
    join(ring, &consumer, MRING_READ_END);
    if (mring_mpmc_reserve(&producer, mring_mpmc_record_max(ring)) == NULL)
        fail("there is no room");
    mring_mpmc_commit(&producer, mring_mpmc_record_max(ring));
    like.size = mring_mpmc_record_max(ring) / 4;
    put_to_sleep(sleeps, SLEEPERS, &like);
    if (mring_mpmc_claim(&consumer, &claim, 1) != 1)
        fail("there is no record");
    mring_mpmc_release(&consumer, &claim);
    await(sleeps, SLEEPERS);
}

/* What is given up is room, at once or when the consumer who is woken by it has passed it. */
static void for_the_room_of_an_abort(struct mring_mpmc *ring)
{
    struct sleep consumers[1], producers[SLEEPERS];
    struct sleep eats = { .ring = ring, .end = MRING_READ_END };
    struct sleep feeds = { .ring = ring, .end = MRING_WRITE_END };
    struct mring_mpmc_end aborter;
    bool skips = ring->layout.mode & MRING_SKIP_STALLED;

    join(ring, &aborter, MRING_WRITE_END);
    feeds.size = mring_mpmc_record_max(ring) / 4;
    if (mring_mpmc_reserve(&aborter, mring_mpmc_record_max(ring)) == NULL)
        fail("there is no room");
    if (!skips)
        put_to_sleep(consumers, 1, &eats);
    put_to_sleep(producers, SLEEPERS, &feeds);
    mring_mpmc_abort(&aborter);
    await(producers, SLEEPERS);
    if (!skips)
        await(consumers, 1);
}

static void of_consumers_by_close(struct mring_mpmc *ring)
{
    struct sleep sleeps[SLEEPERS];
    struct sleep like = { .ring = ring, .end = MRING_READ_END, .expected = MRING_EOF };

    put_to_sleep(sleeps, SLEEPERS, &like);
    mring_mpmc_close(ring, MRING_WRITE_END, 0);
    await(sleeps, SLEEPERS);
}

static void of_producers_by_close(struct mring_mpmc *ring)
{
    struct sleep sleeps[SLEEPERS];
    struct sleep like = { .ring = ring, .end = MRING_WRITE_END, .expected = MRING_CLOSED };
    struct mring_mpmc_end producer;

    join(ring, &producer, MRING_WRITE_END);
    if (mring_mpmc_reserve(&producer, mring_mpmc_record_max(ring)) == NULL)
        fail("there is no room");
    put_to_sleep(sleeps, SLEEPERS, &like);
    mring_mpmc_close(ring, MRING_READ_END, 0);
    await(sleeps, SLEEPERS);
    mring_mpmc_commit(&producer, 0);
}

/* The end comes with the last commit, or abort, and nobody else tells of it. */
static void of_all_by_the_end(struct mring_mpmc *ring)
{
    struct sleep sleeps[SLEEPERS];
    struct sleep like = { .ring = ring, .end = MRING_READ_END, .expected = MRING_EOF };
    struct mring_mpmc_end producer;

    join(ring, &producer, MRING_WRITE_END);
    if (mring_mpmc_reserve(&producer, 8) == NULL)
        fail("there is no room");
    mring_mpmc_close(ring, MRING_WRITE_END, 0);
    put_to_sleep(sleeps, SLEEPERS, &like);
    mring_mpmc_abort(&producer);
    await(sleeps, SLEEPERS);
}

static const struct {
    const char *name;
    void (*run)(struct mring_mpmc *ring);
} cases[] = {
    { "behind a stalled record", behind_a_stalled_record },
    { "of a batch", of_a_batch },
    { "for the room of one record", for_the_room_of_one_record },
    { "for the room of an abort", for_the_room_of_an_abort },
    { "of consumers, by close", of_consumers_by_close },
    { "of producers, by close", of_producers_by_close },
    { "of all, by the end", of_all_by_the_end },
};

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned flags;
    } kinds[] = { { "mpmc", 0 },
                  { "mpmc, fences", MRING_FENCE },
                  { "skipping", MRING_SKIP_STALLED },
                  { "skipping, fences", MRING_SKIP_STALLED | MRING_FENCE } };
    const uint64_t rounds = argc > 1 ? (uint64_t)(20 * strtod(argv[1], NULL)) : 20;
    unsigned passed = 0;

    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
                struct mring_args args = { .capacity = mring_capacity(1, 0),
                                           .flags = kinds[i].flags };
                struct mring_mpmc ring;
                snprintf(run_name, sizeof run_name, "%s, %s", kinds[i].name, cases[j].name);
                set_alarm();
                if (mring_mpmc_create(&ring, &args) != 0)
                    fail("the ring cannot be made");
                cases[j].run(&ring);
                mring_mpmc_destroy(&ring);
                passed++;
            }
        }
    }
    printf("%u passed, 0 failed\n", passed);
    return 0;
}
