/* SPDX-License-Identifier: MIT */
/*
 * Up to four producers and four consumers move records through a record ring: in all modes, with
 * all granules, several capacities, manners of waiting and of closing, and from positions near
 * where counts overflow. See mpmc_traffic.h for what is checked.
 *
 *      mpmc_stress [times]     run so many times the usual rounds, each with other chances
 */
#define _GNU_SOURCE

#include "mpmc_traffic.h"

#include <pthread.h>

/* The threads of a run. */
struct threads {
    pthread_t ids[PRODUCERS_MAX + CONSUMERS_MAX];
    unsigned count;
};

static void start_thread(struct threads *threads, void *(*body)(void *), struct member *member,
                         unsigned index, struct traffic *traffic, struct mring_mpmc *ring)
{
    *member = (struct member){ .traffic = traffic, .ring = ring, .index = index };
    if (pthread_create(&threads->ids[threads->count++], NULL, body, member) != 0)
        abort();
}

/* Ends the run. Returns the number of its records. */
static uint64_t check_end(const struct threads *threads, const struct traffic *traffic,
                          struct mring_mpmc *ring)
{
    for (unsigned i = 0; i < threads->count; i++)
        pthread_join(threads->ids[i], NULL);
    uint64_t records = check_tallies(traffic);
    check_remains(ring);
    int err = mring_mpmc_destroy(ring);
    if (err != 0)
        fail(mring_errname(err));
    return records;
}

static uint64_t run_traffic(struct run *run)
{
    static struct member producers[PRODUCERS_MAX], consumers[CONSUMERS_MAX];
    struct threads threads = { .count = 0 };
    struct traffic *traffic = &run->traffic;
    struct mring_mpmc ring;

    create_or_fail(&ring, run, NULL);
    for (unsigned i = 0; i < traffic->consumers; i++)
        start_thread(&threads, consume, &consumers[i], i, traffic, &ring);
    for (unsigned i = 0; i < traffic->producers; i++)
        start_thread(&threads, produce, &producers[i], i, traffic, &ring);
    return check_end(&threads, traffic, &ring);
}

/* ---- a producer that stops ------------------------------------------------------------------- */

/* Send as many records of a granule as the quota says. */
static void *pass_by(void *context)
{
    struct member *me = context;
    size_t size = (size_t)mring_mpmc_granule(&me->ring->layout);

    join_or_fail(me, MRING_WRITE_END);
    for (me->number = 1; me->number <= me->traffic->quota; me->number++) {
        struct record record = make_record(me, me->index);
        fill(me->buffer, size, &record);
        if (mring_mpmc_push_wait(&me->end, me->buffer, size, -1) != 0)
            fail("a record could not pass the stalled one");
        enter(&me->traffic->sent[me->index], &record, size);
    }
    mring_mpmc_leave(&me->end);
    free(me->buffer);
    return NULL;
}

static void await_taken(const struct member consumers[CONSUMERS_MAX], uint64_t wanted)
{
    uint64_t taken;

    do {
        taken = 0;
        sched_yield();
        for (unsigned i = 0; i < CONSUMERS_MAX; i++)
            taken += mring_load_relaxed_u64(&consumers[i].taken);
    } while (taken < wanted);
}

/*
 * With MRING_SKIP_STALLED, while one producer does not commit, as much as the capacity passes it,
 * and all of that comes out. Then it commits, and the ring is as good as new.
 */
static uint64_t run_stalled(struct run *run)
{
    static struct member passing[PRODUCERS_MAX - 1], consumers[CONSUMERS_MAX];
    struct threads threads = { .count = 0 };
    struct member me = { .traffic = &run->traffic, .index = PRODUCERS_MAX - 1, .number = 1 };
    struct mring_mpmc ring;
    size_t size = run->granule;

    /* All granules but those of the stalled record are shared out, if the number allows. */
    uint64_t granules = run->capacity / run->granule, quota = (granules - 1) / 3;
    size_t stalled_size = (size_t)(granules - 3 * quota) * run->granule;
    run->traffic = (struct traffic){
        .quota = quota, .producers = PRODUCERS_MAX, .timeout_ns = -1, .seed = run->round
    };
    snprintf(run_name, sizeof run_name, "stalled, granule %u, from %s", run->granule,
             start_names[run->start]);
    create_or_fail(&ring, run, NULL);
    me.ring = &ring;
    join_or_fail(&me, MRING_WRITE_END);
    unsigned char *room = mring_mpmc_reserve(&me.end, stalled_size);
    if (room == NULL)
        fail("there is no room in a new ring");
    for (unsigned i = 0; i < CONSUMERS_MAX; i++)
        start_thread(&threads, consume, &consumers[i], i, &run->traffic, &ring);
    for (unsigned i = 0; i < PRODUCERS_MAX - 1; i++)
        start_thread(&threads, pass_by, &passing[i], i, &run->traffic, &ring);
    await_taken(consumers, 3 * quota);

    struct mring_mpmc_end other;
    if (mring_mpmc_join(&ring, &other, MRING_WRITE_END) != 0 ||
        mring_mpmc_push(&other, me.buffer, size) != MRING_FULL)
        fail("there is room behind a stalled record for more than the capacity");
    struct record record = make_record(&me, me.index);
    fill(room, stalled_size, &record);
    enter(&run->traffic.sent[me.index], &record, stalled_size);
    mring_mpmc_commit(&me.end, stalled_size);
    me.number++;
    await_taken(consumers, 3 * quota + 1);

    while (me.number < 1000)
        if (send_copy(&me) != 0)
            sched_yield();
    mring_mpmc_close(&ring, MRING_WRITE_END, 0);
    free(me.buffer);
    return check_end(&threads, &run->traffic, &ring);
}

/* ---- short lives ----------------------------------------------------------------------------- */

/*
 * The race between the last records, the close and the end is run once in a ring's life. So these
 * are many rings, one after the other, with a few records each.
 */
#define LIVES 100

struct lives {
    struct run runs[LIVES];
    struct mring_mpmc rings[LIVES];
    struct member members[PRODUCERS_MAX + CONSUMERS_MAX][LIVES];
};

static void *produce_all(void *context)
{
    for (unsigned i = 0; i < LIVES; i++)
        produce((struct member *)context + i);
    return NULL;
}

static void *consume_all(void *context)
{
    for (unsigned i = 0; i < LIVES; i++)
        consume((struct member *)context + i);
    return NULL;
}

static uint64_t run_lives(struct run *like)
{
    static struct lives lives;
    struct threads threads = { .count = 0 };
    unsigned producers, consumers;
    uint64_t records = 0;

    choose(like, 0);
    producers = like->traffic.producers;
    consumers = like->traffic.consumers;
    for (unsigned i = 0; i < LIVES; i++) {
        lives.runs[i] = *like;
        lives.runs[i].traffic.quota = mix(like->traffic.seed + i) >> 62;
        lives.runs[i].traffic.seed += i * 100;
        create_or_fail(&lives.rings[i], &lives.runs[i], NULL);
    }
    for (unsigned j = 0; j < producers + consumers; j++) {
        for (unsigned i = 0; i < LIVES; i++)
            lives.members[j][i] = (struct member){ .traffic = &lives.runs[i].traffic,
                                                   .ring = &lives.rings[i],
                                                   .index = j < producers ? j : j - producers };
        if (pthread_create(&threads.ids[threads.count++], NULL,
                           j < producers ? produce_all : consume_all, lives.members[j]) != 0)
            abort();
    }
    for (unsigned i = 0; i < threads.count; i++)
        pthread_join(threads.ids[i], NULL);
    threads.count = 0;
    for (unsigned i = 0; i < LIVES; i++)
        records += check_end(&threads, &lives.runs[i].traffic, &lives.rings[i]);
    return records;
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = { 1, 16384, 262144 };
    const double times = argc > 1 ? strtod(argv[1], NULL) : 1;
    const uint64_t rounds = (uint64_t)(times * (UNDER_TSAN ? 1 : 4)),
                   cells = MODES * STARTS * 3 * 3;
    uint64_t records = 0;
    unsigned passed = 0;

    for (uint64_t i = 0; i < rounds * cells; i++) {
        struct run run = {
            .mode = i % MODES,
            .start = i / MODES % STARTS,
            .granule = 16u << i / (MODES * STARTS) % 3,
            .capacity = mring_capacity(sizes[i / (MODES * STARTS * 3) % 3], 0),
            .round = i / cells,
        };
        set_alarm();
        choose(&run, UNDER_TSAN ? 1000 : 6000);
        records += run_traffic(&run);
        passed++;
        /* Each claim looks through all that has passed: not in a large ring. */
        if (run.capacity <= 4096) {
            records += run_lives(&run);
            passed++;
        }
        if (modes[run.mode] & MRING_SKIP_STALLED && run.capacity <= 16384) {
            records += run_stalled(&run);
            passed++;
        }
    }
    printf("%llu records\n", (unsigned long long)records);
    printf("%u passed, 0 failed\n", passed);
    return 0;
}
