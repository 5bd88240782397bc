/* SPDX-License-Identifier: MIT */
/*
 * Cameron Desrochers' queues, Debian's libconcurrentqueue-dev and libreaderwriterqueue-dev.
 *
 * ConcurrentQueue is used as its README has it for speed: each thread has a token of its own. It
 * keeps a queue for each producer, and no order between them. The capacity is the one thing that
 * can't be had as asked: it is a constant, for each producer.
 *
 * ReaderWriterQueue holds the asked number of items at least; with try_enqueue it stays at that.
 */
#include "adaptor.h"

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <concurrentqueue/concurrentqueue.h>
#include <optional>
#include <readerwriterqueue/readerwriterqueue.h>

/* At -O3, g++ 12 does not see that a token has the producer which open_end() has asked for. */
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif

using moodycamel::ConsumerToken;
using moodycamel::ProducerToken;

/* ---- one producer, one consumer -------------------------------------------------------------- */

template <size_t Size> using rwq = lined<moodycamel::ReaderWriterQueue<item<Size>>>;

template <size_t Size> SPECIALIZED bool rwq_put(void *end, const void *element, size_t)
{
    return static_cast<rwq<Size> *>(end)->try_enqueue(*static_cast<const item<Size> *>(element));
}

template <size_t Size> SPECIALIZED bool rwq_get(void *end, void *element, size_t)
{
    return static_cast<rwq<Size> *>(end)->try_dequeue(*static_cast<item<Size> *>(element));
}

DEFINE_LOOPS_OF_ITEMS(rwq)

using blocking_rwq = lined<moodycamel::BlockingReaderWriterQueue<uint64_t>>;

SPECIALIZED bool blocking_rwq_put(void *end, const void *item, size_t)
{
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return static_cast<blocking_rwq *>(end)->try_enqueue(value);
}

SPECIALIZED bool blocking_rwq_get(void *end, void *item, size_t)
{
    uint64_t value = 0;

    static_cast<blocking_rwq *>(end)->wait_dequeue(value);
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_WAKE_LOOPS(blocking_rwq, blocking_rwq_put, blocking_rwq_get)

/* ---- many producers, many consumers ---------------------------------------------------------- */

/* A thread's, which is either the one or the other. */
template <class Queue> struct alignas(MRING_LINE) thread_end {
    Queue *queue;
    std::optional<ProducerToken> producer;
    std::optional<ConsumerToken> consumer;
};

template <class Queue> void *open_end(void *queue, bool producer)
{
    using end_type = thread_end<Queue>;
    end_type *end = new (std::nothrow) end_type{ static_cast<Queue *>(queue), {}, {} };

    if (end == NULL)
        return NULL;
    if (!producer) {
        end->consumer.emplace(*end->queue);
    } else if (!end->producer.emplace(*end->queue).valid()) {
        delete end;
        return NULL;
    }
    return end;
}

template <class Queue> void close_end(void *end)
{
    delete static_cast<thread_end<Queue> *>(end);
}

/*
 * With try_enqueue nothing is allocated after the constructor, so that the queue stays bounded. But
 * a producer keeps the blocks that it had once: without a limit for each, one that comes late finds
 * none, for ever.
 */
struct limited : moodycamel::ConcurrentQueueDefaultTraits {
    static const size_t MAX_SUBQUEUE_SIZE = 1024;
};

template <class Queue> void *create_limited(const struct shape *shape)
{
    size_t producers = shape->many_producers ? PRODUCERS_MAX : 1;

    return make<Queue>(size_t{ limited::MAX_SUBQUEUE_SIZE }, producers, size_t{ 0 });
}

using numbers = lined<moodycamel::ConcurrentQueue<uint64_t, limited>>;

SPECIALIZED bool many_put(void *context, const void *item, size_t)
{
    thread_end<numbers> *end = static_cast<thread_end<numbers> *>(context);
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return end->queue->try_enqueue(*end->producer, value);
}

SPECIALIZED bool many_get(void *context, void *item, size_t)
{
    thread_end<numbers> *end = static_cast<thread_end<numbers> *>(context);
    uint64_t value;

    if (!end->queue->try_dequeue(*end->consumer, value))
        return false;
    memcpy(item, &value, sizeof value);
    return true;
}

/* All or nothing. */
SPECIALIZED size_t many_put_batch(void *context, const void *items, size_t count, size_t)
{
    thread_end<numbers> *end = static_cast<thread_end<numbers> *>(context);
    const uint64_t *values = static_cast<const uint64_t *>(items);

    return end->queue->try_enqueue_bulk(*end->producer, values, count) ? count : 0;
}

SPECIALIZED size_t many_get_batch(void *context, void *items, size_t count, size_t)
{
    thread_end<numbers> *end = static_cast<thread_end<numbers> *>(context);

    return end->queue->try_dequeue_bulk(*end->consumer, static_cast<uint64_t *>(items), count);
}

DEFINE_MANY_LOOPS(many, many_put, many_get)
DEFINE_MANY_BATCH_LOOPS(many, many_put_batch, many_get_batch)

using blocking = lined<moodycamel::BlockingConcurrentQueue<uint64_t>>;

SPECIALIZED bool blocking_put(void *context, const void *item, size_t)
{
    thread_end<blocking> *end = static_cast<thread_end<blocking> *>(context);
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return end->queue->try_enqueue(*end->producer, value);
}

SPECIALIZED bool blocking_get(void *context, void *item, size_t)
{
    thread_end<blocking> *end = static_cast<thread_end<blocking> *>(context);
    uint64_t value = 0;

    end->queue->wait_dequeue(*end->consumer, value);
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_WAKE_LOOPS(blocking, blocking_put, blocking_get)

/* ---- records --------------------------------------------------------------------------------- */

using records = lined<moodycamel::ConcurrentQueue<slot, limited>>;

/* What a slot is dequeued into: the record goes to where it is wanted, as the README suggests. */
struct sink {
    void *record;

    void operator=(const slot &slot)
    {
        memcpy(record, slot.bytes, slot.length);
    }
};

SPECIALIZED bool put_record(void *context, const void *record, size_t size)
{
    thread_end<records> *end = static_cast<thread_end<records> *>(context);

    return end->queue->try_enqueue(*end->producer, slot(record, size));
}

SPECIALIZED bool get_record(void *context, void *record, size_t)
{
    thread_end<records> *end = static_cast<thread_end<records> *>(context);
    sink sink = { record };

    return end->queue->try_dequeue(*end->consumer, sink);
}

DEFINE_RECORD_LOOPS(records, put_record, get_record)

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_moodycamel[] = {
    TABLES_OF_ITEMS("readerwriterqueue", rwq),
    {
        .name = "readerwriterqueue",
        .role = ROLE_COMPETITOR,
        .uses = USE_WAKE,
        .create = create_for_capacity<blocking_rwq>,
        .destroy = destroy_queue<blocking_rwq>,
        WAKE_LOOPS(blocking_rwq),
    },
    {
        .name = "concurrentqueue",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY | USE_MANY_BATCHES,
        .create = create_limited<numbers>,
        .destroy = destroy_queue<numbers>,
        .open = open_end<numbers>,
        .close = close_end<numbers>,
        .put = many_put,
        .get = many_get,
        MANY_LOOPS(many),
        MANY_BATCH_LOOPS(many),
    },
    {
        .name = "concurrentqueue",
        .role = ROLE_COMPETITOR,
        .uses = USE_RECORDS,
        .create = create_limited<records>,
        .destroy = destroy_queue<records>,
        .open = open_end<records>,
        .close = close_end<records>,
        .put = put_record,
        .get = get_record,
        RECORD_LOOPS(records),
    },
    {
        .name = "concurrentqueue",
        .role = ROLE_COMPETITOR,
        .uses = USE_WAKE,
        .create = create_for_capacity<blocking>,
        .destroy = destroy_queue<blocking>,
        .open = open_end<blocking>,
        .close = close_end<blocking>,
        WAKE_LOOPS(blocking),
    },
    { .name = NULL },
};
