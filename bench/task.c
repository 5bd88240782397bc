/* SPDX-License-Identifier: MIT */
/*
 * How it is measured: all threads are pinned and start together; time runs from the first start to
 * the last end. The queue is made anew for each repetition, since a lucky choice of pages would
 * bias a whole run, and gone around once before the start, so that all pages are there. The rows of
 * a class move the same items over rings of the same capacity; in all repetitions of a row together
 * over 1,000 times the capacity, so that rings really wrap. (A queue in the kernel, or under a
 * mutex, is given a 32nd of the items; what sleeps is not about wrapping.) Source and destination
 * are kept away from each other modulo 4 KiB.
 */
#include "task.h"

#include "loops.h"
#include "source.h"

#include <mring.h>

/* ---- what the members of a run share --------------------------------------------------------- */

/* Both fit the second-level cache of any core; the greater one is for large chunks and batches. */
#define RING_BYTES       ((size_t)65536)
#define LARGE_RING_BYTES ((size_t)131072)
#define MANY_CAPACITY    ((size_t)1024) /* records */
#define TRIPS_MAX        ((size_t)64)   /* capacity, for one item on its way */

/* One thread or process of a run. In memory that processes share. */
struct actor {
    struct share share;
    const struct queue *queue;
    loop *body;
    void *out;     /* the queue; of a round trip, that of the way out */
    void *home;    /* that of the way home; NULL: none */
    bool producer; /* of `out` */
};

/* In memory that processes share. */
struct scene {
    struct actor actors[MEMBERS_MAX];
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 sleeping;
    struct latency latency;
};

/* All that a run has, to be given back by leave(). */
struct stage {
    const struct task_row *row;
    struct mmap scene_map;
    struct mmap source_map;
    struct mmap destination_map;
    void *out;
    void *home;
    struct scene *scene;
    unsigned count; /* of actors; the first one is timed, and is a consumer or has the return */
    unsigned char *source;
    unsigned char *destination;
};

bool task_is_many(enum task task)
{
    return task == TASK_MANY || task == TASK_MANY_BATCHES || task == TASK_RECORDS;
}

static bool uses_processes(const struct task_class *of)
{
    return (of->uses & (USE_PROCESSES | USE_BLOCKING)) != 0;
}

size_t task_capacity(const struct task_class *of)
{
    if (of->task == TASK_ROUND_TRIP || of->task == TASK_WAKE)
        return TRIPS_MAX;
    if (task_is_many(of->task))
        return MANY_CAPACITY;
    bool large = 4 * or_one(of->batch) * of->item_bytes > RING_BYTES;
    return (large ? LARGE_RING_BYTES : RING_BYTES) / of->item_bytes;
}

static void choose_loops(const struct queue *queue, enum task task, loop **producer,
                         loop **consumer)
{
    switch (task) {
    case TASK_BATCHES:
    case TASK_MANY_BATCHES:
        *producer = queue->produce_batches;
        *consumer = queue->consume_batches;
        break;
    case TASK_SPANS:
        *producer = queue->produce_spans;
        *consumer = queue->consume_spans;
        break;
    case TASK_ROUND_TRIP:
        *producer = queue->pong;
        *consumer = queue->ping;
        break;
    case TASK_WAKE:
        *producer = queue->wake;
        *consumer = queue->sleep;
        break;
    default:
        *producer = queue->produce;
        *consumer = queue->consume;
        break;
    }
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void *open_end(const struct queue *queue, void *object, bool producer)
{
    return queue->open != NULL ? queue->open(object, producer) : object;
}

static void close_end(const struct queue *queue, void *end)
{
    if (queue->close != NULL && end != NULL)
        queue->close(end);
}

/* The item's bytes are its own, and not zeros, which some queues keep for themselves. */
static void fill_item(unsigned char *item, size_t size, size_t number)
{
    for (size_t at = 0; at < size; at++)
        item[at] = (unsigned char)((number + 1) * STAMP_STEP >> 8 * (at % 8)) | 1;
}

/*
 * Fill it and empty it, from this thread, and compare every byte. The last bytes that it holds then
 * are none of the run's. False if that is not possible, or something else came out.
 */
static bool go_around(const struct stage *stage, void *object)
{
    const struct queue *queue = stage->row->queue;
    size_t size = stage->row->of->item_bytes;
    size_t capacity = task_capacity(stage->row->of);
    size_t put = 0;
    size_t got = 0;
    bool same = true;

    if (queue->put == NULL)
        return true;
    void *end = open_end(queue, object, true);
    for (; end != NULL && put < capacity; put++) {
        fill_item(stage->source, size, put);
        if (!queue->put(end, stage->source, size))
            break;
    }
    close_end(queue, end);
    end = open_end(queue, object, false);
    for (; end != NULL && got <= put && queue->get(end, stage->destination, size); got++) {
        fill_item(stage->source, size, got);
        same = same && memcmp(stage->source, stage->destination, size) == 0;
    }
    close_end(queue, end);
    return put > 0 && got == put && same;
}

/* Put and get what makes the first chunk start late; see START_BYTES. */
static bool skip_start(const struct stage *stage)
{
    const struct queue *queue = stage->row->queue;

    if (stage->row->of->shown.bytes <= START_BYTES || queue->put == NULL)
        return true;
    void *end = open_end(queue, stage->out, true);
    bool done = end != NULL && queue->put(end, stage->destination, START_BYTES);
    close_end(queue, end);
    end = open_end(queue, stage->out, false);
    done = done && end != NULL && queue->get(end, stage->destination, START_BYTES);
    close_end(queue, end);
    return done;
}

/* ---- actors ---------------------------------------------------------------------------------- */

static bool prepare(void *context, const struct bench_pace *pace)
{
    struct actor *actor = context;

    actor->share.pace = *pace;
    actor->share.end = open_end(actor->queue, actor->out, actor->producer);
    if (actor->share.end == NULL)
        return false;
    if (actor->home == NULL)
        return true;
    actor->share.back = open_end(actor->queue, actor->home, !actor->producer);
    if (actor->share.back != NULL)
        return true;
    close_end(actor->queue, actor->share.end);
    return false;
}

static void act(void *context)
{
    struct actor *actor = context;

    actor->body(&actor->share);
}

static void finish(void *context)
{
    const struct actor *actor = context;

    close_end(actor->queue, actor->share.end);
    if (actor->home != NULL)
        close_end(actor->queue, actor->share.back);
}

/* Consumers first, so that the calling thread is one. */
static void cast_actors(struct stage *stage, uint64_t iterations)
{
    const struct task_class *of = stage->row->of;
    unsigned consumers = (unsigned)or_one(of->consumers);
    unsigned producers = (unsigned)or_one(of->producers);
    loop *produce, *consume;

    choose_loops(stage->row->queue, of->task, &produce, &consume);
    stage->count = consumers + producers;
    for (unsigned i = 0; i < stage->count; i++) {
        bool consumer = i < consumers;
        stage->scene->actors[i] = (struct actor){
            .share = { .count = iterations / (consumer ? consumers : producers),
                       .item_bytes = of->item_bytes,
                       .batch = or_one(of->batch),
                       .source = stage->source,
                       .source_count = source_count_items(of->item_bytes, or_one(of->batch)),
                       .destination = stage->destination,
                       .producer = consumer ? 0 : i - consumers,
                       .sleeping = &stage->scene->sleeping },
            .queue = stage->row->queue,
            .body = consumer ? consume : produce,
            .out = stage->out,
            .home = stage->home,
            /* Of a round trip, the first one is at the way out's beginning. */
            .producer = of->task == TASK_ROUND_TRIP ? consumer : !consumer,
        };
    }
}

/* Producers on the first core, the third and so on, consumers on those between. */
static void seat_members(struct bench_member *members, const struct stage *stage)
{
    unsigned consumers = (unsigned)or_one(stage->row->of->consumers);
    unsigned producers = stage->count - consumers;
    unsigned pairs = consumers < producers ? consumers : producers;

    for (unsigned i = 0; i < stage->count; i++) {
        bool consumer = i < consumers;
        unsigned number = consumer ? i : i - consumers;
        unsigned core = number < pairs ? 2 * number + consumer : pairs + number;
        members[i] = (struct bench_member){ .prepare = prepare,
                                            .body = act,
                                            .finish = finish,
                                            .context = &stage->scene->actors[i],
                                            .core = core };
    }
}

const char task_cant_make[] = "the queue can't be made here";

/* ---- stage ----------------------------------------------------------------------------------- */

static void leave(struct stage *stage)
{
    const struct queue *queue = stage->row->queue;

    if (stage->home != NULL)
        queue->destroy(stage->home);
    if (stage->out != NULL)
        queue->destroy(stage->out);
    mmap_free(&stage->destination_map);
    mmap_free(&stage->source_map);
    mmap_free(&stage->scene_map);
}

void *task_make_queue(const struct task_row *row)
{
    const struct task_class *of = row->of;
    struct shape shape = { .item_bytes = of->item_bytes,
                           .capacity = task_capacity(of),
                           .many_producers = of->for_many || or_one(of->producers) > 1,
                           .many_consumers = of->for_many || or_one(of->consumers) > 1,
                           .processes = uses_processes(of),
                           .prefault = of->task != TASK_LIFE };

    return row->queue->create(&shape);
}

/* Returns what went wrong, or NULL. To be left in any case. */
static const char *enter(struct stage *stage, const struct task_row *row)
{
    size_t size = row->of->item_bytes;
    size_t batch = or_one(row->of->batch);
    uint64_t items = source_count_items(size, batch) + batch;

    *stage = (struct stage){ .row = row };
    if (source_map(&stage->scene_map, sizeof(struct scene)) != 0 ||
        source_map(&stage->source_map, SOURCE_OFFSET + items * size) != 0 ||
        source_map(&stage->destination_map, DESTINATION_OFFSET + batch * size) != 0)
        return "no memory";
    stage->scene = stage->scene_map.addr;
    stage->source = (unsigned char *)stage->source_map.addr + SOURCE_OFFSET;
    stage->destination = (unsigned char *)stage->destination_map.addr + DESTINATION_OFFSET;

    stage->out = task_make_queue(row);
    if (row->of->task == TASK_ROUND_TRIP)
        stage->home = task_make_queue(row);
    if (stage->out == NULL || (row->of->task == TASK_ROUND_TRIP && stage->home == NULL))
        return task_cant_make;
    if (!go_around(stage, stage->out) || (stage->home != NULL && !go_around(stage, stage->home)) ||
        !skip_start(stage))
        return "what was put into it alone did not come out again";
    source_fill(stage->source, size, batch);
    return NULL;
}

/* ---- what came of it ------------------------------------------------------------------------- */

/* Many to many: what was put and has not come out, or the other way round. */
struct balance {
    uint64_t count;
    uint64_t sum; /* of the numbers */
};

static struct balance strike_balance(const struct stage *stage)
{
    struct balance balance = { 0 };

    for (unsigned i = 0; i < stage->count; i++) {
        const struct share *share = &stage->scene->actors[i].share;
        if (stage->scene->actors[i].producer) {
            balance.count += share->moved;
            balance.sum += share->moved * ((uint64_t)share->producer << PRODUCER_SHIFT) +
                           share->moved * (share->moved + 1) / 2;
        } else {
            balance.count -= share->moved;
            balance.sum -= share->sum;
        }
    }
    return balance;
}

/* Take out what a run left in the queue: something if it was cut short, else nothing. */
static struct balance drain(const struct stage *stage, uint64_t at_most)
{
    const struct queue *queue = stage->row->queue;
    struct balance drained = { 0 };
    uint64_t number;

    void *end = open_end(queue, stage->out, false);
    while (end != NULL && drained.count <= at_most &&
           queue->get(end, stage->destination, stage->row->of->item_bytes)) {
        memcpy(&number, stage->destination, sizeof number);
        drained.count++;
        drained.sum += number;
    }
    close_end(queue, end);
    return drained;
}

/* What is wrong with what arrived, or NULL. */
static const char *find_fault_of_many(const struct stage *stage, bool cut)
{
    struct balance balance = strike_balance(stage);
    struct balance drained = { 0 };

    if (stage->row->queue->get != NULL)
        drained = drain(stage, cut ? balance.count : 0);
    else if (cut)
        return NULL; /* what is left in it can't be looked at */
    if (balance.count > INT64_MAX || drained.count > balance.count)
        return "more came out than was put in";
    if (drained.count < balance.count)
        return "items were lost";
    return drained.sum == balance.sum ? NULL : "the sum of what arrived is wrong";
}

static const char *find_fault_of_one(const struct stage *stage, uint64_t iterations)
{
    const struct task_class *of = stage->row->of;
    const struct share *consumer = &stage->scene->actors[0].share;
    const unsigned char *last =
        stage->source + (iterations - 1) % consumer->source_count * of->item_bytes;

    if (of->task == TASK_ITEMS && memcmp(stage->destination, last, of->item_bytes) != 0)
        return "the last item differs from what was sent";
    /* Of a round trip, it is the other member that knows where the consumer is; it has checked. */
    if (stage->home == NULL && stage->row->queue->get != NULL && drain(stage, 0).count > 0)
        return "more came out than was put in";
    return NULL;
}

static const char *find_fault(const struct stage *stage, uint64_t iterations, bool cut)
{
    uint64_t mismatch = 0;

    for (unsigned i = 0; i < stage->count; i++)
        mismatch |= stage->scene->actors[i].share.mismatch;
    if (mismatch != 0 && !stage->row->queue->unordered)
        return "an item was lost, repeated, damaged or out of order";
    return task_is_many(stage->row->of->task) ? find_fault_of_many(stage, cut)
                                              : find_fault_of_one(stage, iterations);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void sum_up(struct task_outcome *outcome, const struct stage *stage)
{
    outcome->failed_polls = 0;
    outcome->moved = 0;
    for (unsigned i = 0; i < stage->count; i++) {
        outcome->failed_polls += stage->scene->actors[i].share.failed_polls;
        if (!stage->scene->actors[i].producer)
            outcome->moved += stage->scene->actors[i].share.moved;
    }
    outcome->latency = stage->scene->latency;
}

/*
 * A queue that lets nobody pass one who was preempted in the middle of a call moves an item or so
 * per time slice when there are more threads than cores: seconds for one repetition. It is cut
 * short.
 */
#define LIMIT_NS INT64_C(80000000)

const char *task_perform(struct task_outcome *outcome, const struct task_row *row,
                         uint64_t iterations, bool latency)
{
    struct bench_member members[MEMBERS_MAX];
    struct bench_cores cores = *row->cores;
    struct bench_manner manner = { .name = row->queue->name };
    struct stage stage;

    if (row->of->cores > 0) {
        cores.count = row->of->cores;
        cores.available = row->of->cores;
    }
    outcome->cores = cores.available;
    const char *fault = enter(&stage, row);
    if (fault == NULL) {
        cast_actors(&stage, iterations);
        if (latency)
            stage.scene->actors[0].share.latency = &stage.scene->latency;
        seat_members(members, &stage);
        manner.processes = uses_processes(row->of);
        manner.limit_ns = task_is_many(row->of->task) && !row->queue->blocks ? LIMIT_NS : 0;
        fault = bench_run(&outcome->time, &cores, members, stage.count, &manner);
    }
    if (fault == NULL)
        fault = find_fault(&stage, iterations, outcome->time.cut);
    if (fault == NULL)
        sum_up(outcome, &stage);
    if (fault == NULL && outcome->time.cut && outcome->moved == 0)
        fault = "nothing at all was moved";
    leave(&stage);
    return fault;
}
