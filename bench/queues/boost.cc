/* SPDX-License-Identifier: MIT */
/*
 * Boost.Lockfree and Boost.Interprocess, Debian's libboost-dev.
 *
 *   spsc_queue      items, and bytes; also in memory that processes share. The capacity is a
 *                   constant of the type where it is a power of two
 *   queue           numbers, from many to many; of nodes that are allocated before (fixed_sized),
 *                   of which it takes 65535 at most
 *   message_queue   messages in shared memory, under a mutex and with conditions of processes
 */
#include "adaptor.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <mring/mmap.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- items ----------------------------------------------------------------------------------- */

template <size_t Size, size_t Capacity>
using spsc = lined<boost::lockfree::spsc_queue<item<Size>, boost::lockfree::capacity<Capacity>>>;

template <class Queue> using element_of = typename Queue::value_type;

template <class Queue> SPECIALIZED bool put_item(void *end, const void *element, size_t)
{
    return queue_of<Queue>(end)->push(*static_cast<const element_of<Queue> *>(element));
}

template <class Queue> SPECIALIZED bool get_item(void *end, void *element, size_t)
{
    return queue_of<Queue>(end)->pop(*static_cast<element_of<Queue> *>(element));
}

template <class Queue>
SPECIALIZED size_t put_items(void *end, const void *elements, size_t count, size_t)
{
    return queue_of<Queue>(end)->push(static_cast<const element_of<Queue> *>(elements), count);
}

template <class Queue> SPECIALIZED size_t get_items(void *end, void *elements, size_t count, size_t)
{
    return queue_of<Queue>(end)->pop(static_cast<element_of<Queue> *>(elements), count);
}

DEFINE_FIXED(spsc, put_item, get_item)
DEFINE_FIXED_LOOPS(spsc, items, put_item, get_item)
DEFINE_FIXED_LOOP(spsc, items_produce_batches, produce_batches_loop(share, Size, put_items<Queue>))
DEFINE_FIXED_LOOP(spsc, items_consume_batches, consume_batches_loop(share, Size, get_items<Queue>))

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Push and pop move what they can, but a chunk goes as a whole: so they are asked before. */
template <class Queue> SPECIALIZED bool put_chunk(void *end, const void *chunk, size_t size)
{
    Queue *queue = queue_of<Queue>(end);

    if (queue->write_available() < size)
        return false;
    queue->push(static_cast<const unsigned char *>(chunk), size);
    return true;
}

template <class Queue> SPECIALIZED bool get_chunk(void *end, void *chunk, size_t size)
{
    Queue *queue = queue_of<Queue>(end);

    if (queue->read_available() < size)
        return false;
    queue->pop(static_cast<unsigned char *>(chunk), size);
    return true;
}

/*
 * Call with the capacity as a constant where it is a power of two; or else, since chunks of any
 * size don't fill a ring of one, with 0 for a type that has it at run time.
 */
template <class Call> void with_bytes(size_t capacity, Call call)
{
    if (capacity == 4096)
        call.template operator()<4096>();
    else if (capacity == 65536)
        call.template operator()<65536>();
    else if (capacity == 131072)
        call.template operator()<131072>();
    else
        call.template operator()<0>();
}

template <class Call> void with_bytes_of(void *end, Call call)
{
    with_bytes(static_cast<sized *>(end)->capacity, call);
}

/* Functions and loops of a class template `queue` that takes the capacity. */
#define DEFINE_BYTES(queue)                                                                        \
    static bool queue##_put(void *end, const void *chunk, size_t size)                             \
    {                                                                                              \
        bool done = false;                                                                         \
                                                                                                   \
        with_bytes_of(                                                                             \
            end, [&]<size_t Capacity>() { done = put_chunk<queue<Capacity>>(end, chunk, size); }); \
        return done;                                                                               \
    }                                                                                              \
                                                                                                   \
    static bool queue##_get(void *end, void *chunk, size_t size)                                   \
    {                                                                                              \
        bool done = false;                                                                         \
                                                                                                   \
        with_bytes_of(                                                                             \
            end, [&]<size_t Capacity>() { done = get_chunk<queue<Capacity>>(end, chunk, size); }); \
        return done;                                                                               \
    }

/* `call` is that of a loop, with the put or get of a Queue. */
#define DEFINE_BYTES_LOOP(queue, name, call)                                                       \
    static void name(struct share *share)                                                          \
    {                                                                                              \
        with_bytes_of(share->end, [=]<size_t Capacity>() {                                         \
            using Queue = queue<Capacity>;                                                         \
            BY_SIZE(share, 0, call);                                                               \
        });                                                                                        \
    }

#define DEFINE_BYTES_LOOPS(queue)                                                                  \
    DEFINE_BYTES_LOOP(queue, queue##_produce, produce_loop(share, size, put_chunk<Queue>))         \
    DEFINE_BYTES_LOOP(queue, queue##_consume, consume_loop(share, size, get_chunk<Queue>))

template <size_t Capacity>
using spsc_bytes = std::conditional_t<
    Capacity != 0, boost::lockfree::spsc_queue<unsigned char, boost::lockfree::capacity<Capacity>>,
    boost::lockfree::spsc_queue<unsigned char>>;
template <size_t Capacity> using bytes = fixed<lined<spsc_bytes<Capacity>>, Capacity>;

DEFINE_BYTES(bytes)
DEFINE_BYTES_LOOPS(bytes)

static void *create_bytes(const struct shape *shape)
{
    size_t capacity = shape->item_bytes * shape->capacity;
    sized *queue = NULL;

    with_bytes(capacity, [&]<size_t Capacity>() {
        try {
            if constexpr (Capacity != 0)
                queue = new bytes<Capacity>();
            else
                queue = new bytes<0>(capacity);
        } catch (...) {
        }
    });
    return queue;
}

static void destroy_bytes(void *end)
{
    with_bytes_of(end, [=]<size_t Capacity>() { delete queue_of<bytes<Capacity>>(end); });
}

/* ---- bytes between processes ----------------------------------------------------------------- */

/*
 * The one array that a queue allocates whose capacity is not in its type, in memory which the
 * processes of a run have at the same address, since they are forked.
 */
template <class Type> struct at_address {
    using value_type = Type;

    Type *address;

    explicit at_address(Type *memory) : address(memory)
    {
    }

    template <class Other>
    at_address(const at_address<Other> &other) : address(reinterpret_cast<Type *>(other.address))
    {
    }

    Type *allocate(size_t)
    {
        return address;
    }

    void deallocate(Type *, size_t)
    {
    }

    bool operator==(const at_address &other) const = default;
};

using bytes_allocator = at_address<unsigned char>;

template <size_t Capacity>
using spsc_shared = std::conditional_t<
    Capacity != 0, boost::lockfree::spsc_queue<unsigned char, boost::lockfree::capacity<Capacity>>,
    boost::lockfree::spsc_queue<unsigned char, boost::lockfree::allocator<bytes_allocator>>>;
template <size_t Capacity> using shared = fixed<lined<spsc_shared<Capacity>>, Capacity>;

/* At the start of the memory; the queue follows, and its array. There is nothing to destroy. */
struct alignas(MRING_LINE) header {
    struct mmap map;
};

DEFINE_BYTES(shared)
DEFINE_BYTES_LOOPS(shared)
DEFINE_BYTES_LOOP(shared, shared_ping, ping_loop(share, size, put_chunk<Queue>, get_chunk<Queue>))
DEFINE_BYTES_LOOP(shared, shared_pong, pong_loop(share, size, put_chunk<Queue>, get_chunk<Queue>))

static void *create_shared(const struct shape *shape)
{
    size_t capacity = shape->item_bytes * shape->capacity;
    sized *queue = NULL;

    with_bytes(capacity, [&]<size_t Capacity>() {
        struct mmap map = {};
        struct mmap_args args = {};
        args.access = MMAP_WRITE;
        args.flags = shape->prefault ? MMAP_PREFAULT : 0;
        args.size = sizeof(header) + sizeof(shared<Capacity>);
        if constexpr (Capacity == 0)
            args.size += capacity + 1;
        if (mmap_map(&map, &args) != 0)
            return;
        void *memory = new (map.addr) header{ map } + 1;
        if constexpr (Capacity == 0) {
            unsigned char *array = static_cast<unsigned char *>(memory) + sizeof(shared<0>);
            queue = new (memory) shared<0>(capacity, bytes_allocator(array));
        } else {
            queue = new (memory) shared<Capacity>();
        }
    });
    return queue;
}

static void destroy_shared(void *end)
{
    struct mmap map = (static_cast<header *>(end) - 1)->map;

    mmap_free(&map);
}

/* ---- numbers --------------------------------------------------------------------------------- */

using numbers = lined<boost::lockfree::queue<uint64_t, boost::lockfree::fixed_sized<true>>>;

SPECIALIZED bool numbers_put(void *end, const void *item, size_t)
{
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return static_cast<numbers *>(end)->push(value);
}

SPECIALIZED bool numbers_get(void *end, void *item, size_t)
{
    uint64_t value;

    if (!static_cast<numbers *>(end)->pop(value))
        return false;
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_MANY_LOOPS(numbers, numbers_put, numbers_get)

/* ---- messages -------------------------------------------------------------------------------- */

using boost::interprocess::message_queue;

/*
 * Boost extends the object without reserving its memory: if /dev/shm has not enough of it, the
 * first access raises a signal. What a message takes over its bytes is less than a line.
 */
static bool there_is_memory_for(size_t messages, size_t message_bytes)
{
    struct statvfs state;

    return statvfs("/dev/shm", &state) != 0 ||
           state.f_bavail * state.f_frsize / (message_bytes + MRING_LINE) > messages;
}

static void *create_messages(const struct shape *shape, size_t message_bytes)
{
    static unsigned number;
    message_queue *queue = NULL;
    char name[64];

    if (!there_is_memory_for(shape->capacity, message_bytes))
        return NULL;
    snprintf(name, sizeof name, "ringbench.boost.%ld.%u", static_cast<long>(getpid()), number++);
    try {
        queue = new message_queue(boost::interprocess::create_only, name, shape->capacity,
                                  message_bytes);
    } catch (...) {
    }
    /* The processes of a run inherit the mapping: nobody needs the name, if it is there at all. */
    message_queue::remove(name);
    return queue;
}

static void *create_for_chunks(const struct shape *shape)
{
    return create_messages(shape, shape->item_bytes);
}

static void *create_for_records(const struct shape *shape)
{
    return create_messages(shape, RECORD_MAX);
}

SPECIALIZED bool try_send(void *end, const void *message, size_t size)
{
    return static_cast<message_queue *>(end)->try_send(message, size, 0);
}

SPECIALIZED bool send_message(void *end, const void *message, size_t size)
{
    static_cast<message_queue *>(end)->send(message, size, 0);
    return true;
}

/*
 * It wants room for the largest message that the queue is for. All that it writes is the message
 * that it receives, for which there is room.
 */
SPECIALIZED bool try_receive(void *end, void *message, size_t)
{
    message_queue *queue = static_cast<message_queue *>(end);
    message_queue::size_type received;
    unsigned priority;

    return queue->try_receive(message, queue->get_max_msg_size(), received, priority);
}

SPECIALIZED bool receive_message(void *end, void *message, size_t)
{
    message_queue *queue = static_cast<message_queue *>(end);
    message_queue::size_type received;
    unsigned priority;

    queue->receive(message, queue->get_max_msg_size(), received, priority);
    return true;
}

DEFINE_RECORD_LOOPS(messages, try_send, try_receive)
DEFINE_ITEM_LOOPS(messages, 0, send_message, receive_message)
DEFINE_ROUND_TRIP_LOOPS(messages, 0, send_message, receive_message)
DEFINE_WAKE_LOOPS(messages, try_send, receive_message)

/* ---- tables ---------------------------------------------------------------------------------- */

#define ITEMS_BATCH_LOOPS(size)                                                                    \
    .produce_batches = items_produce_batches<size>, .consume_batches = items_consume_batches<size>

const struct queue queues_boost[] = {
    FIXED_TABLE("boost_spsc", spsc, items, false, 8, USE_BATCHES | USE_ROUND_TRIP,
                ITEMS_BATCH_LOOPS(8), .ping = items_ping<8>, .pong = items_pong<8>),
    FIXED_TABLE("boost_spsc", spsc, items, false, 16, USE_BATCHES, ITEMS_BATCH_LOOPS(16)),
    FIXED_TABLE("boost_spsc", spsc, items, false, 64, USE_BATCHES, ITEMS_BATCH_LOOPS(64)),
    FIXED_TABLE("boost_spsc", spsc, items, false, 256, USE_BATCHES, ITEMS_BATCH_LOOPS(256)),
    {
        .name = "boost_spsc",
        .role = ROLE_COMPETITOR,
        .uses = USE_BYTES,
        .create = create_bytes,
        .destroy = destroy_bytes,
        .put = bytes_put,
        .get = bytes_get,
        ITEM_LOOPS(bytes),
    },
    {
        .name = "boost_spsc",
        .role = ROLE_COMPETITOR,
        .uses = USE_PROCESSES,
        .create = create_shared,
        .destroy = destroy_shared,
        .put = shared_put,
        .get = shared_get,
        ITEM_LOOPS(shared),
        ROUND_TRIP_LOOPS(shared),
    },
    {
        .name = "boost_queue",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY,
        .create = create_for_capacity<numbers>,
        .destroy = destroy_queue<numbers>,
        .put = numbers_put,
        .get = numbers_get,
        MANY_LOOPS(numbers),
    },
    {
        .name = "boost_mq",
        .role = ROLE_COMPETITOR,
        .uses = USE_RECORDS,
        .slow = true,
        .create = create_for_records,
        .destroy = destroy_queue<message_queue>,
        .put = try_send,
        .get = try_receive,
        RECORD_LOOPS(messages),
    },
    {
        .name = "boost_mq",
        .role = ROLE_COMPETITOR,
        .uses = USE_BLOCKING | USE_WAKE,
        .slow = true,
        .create = create_for_chunks,
        .destroy = destroy_queue<message_queue>,
        .put = try_send,
        .get = try_receive,
        ITEM_LOOPS(messages),
        ROUND_TRIP_LOOPS(messages),
        WAKE_LOOPS(messages),
    },
    { .name = NULL },
};
