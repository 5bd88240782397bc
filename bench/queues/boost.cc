/* SPDX-License-Identifier: MIT */
/*
 * Boost.Lockfree and Boost.Interprocess, Debian's libboost-dev.
 *
 *   spsc_queue      items, and bytes; also in memory that processes share
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

template <size_t Size> using spsc = lined<boost::lockfree::spsc_queue<item<Size>>>;

template <size_t Size> SPECIALIZED bool spsc_put(void *end, const void *element, size_t)
{
    return static_cast<spsc<Size> *>(end)->push(*static_cast<const item<Size> *>(element));
}

template <size_t Size> SPECIALIZED bool spsc_get(void *end, void *element, size_t)
{
    return static_cast<spsc<Size> *>(end)->pop(*static_cast<item<Size> *>(element));
}

template <size_t Size>
SPECIALIZED size_t spsc_put_batch(void *end, const void *elements, size_t count, size_t)
{
    return static_cast<spsc<Size> *>(end)->push(static_cast<const item<Size> *>(elements), count);
}

template <size_t Size>
SPECIALIZED size_t spsc_get_batch(void *end, void *elements, size_t count, size_t)
{
    return static_cast<spsc<Size> *>(end)->pop(static_cast<item<Size> *>(elements), count);
}

DEFINE_LOOPS_OF_ITEMS(spsc)
DEFINE_BATCH_LOOPS(spsc8, 8, (spsc_put_batch<8>), (spsc_get_batch<8>))
DEFINE_BATCH_LOOPS(spsc16, 16, (spsc_put_batch<16>), (spsc_get_batch<16>))
DEFINE_BATCH_LOOPS(spsc64, 64, (spsc_put_batch<64>), (spsc_get_batch<64>))
DEFINE_BATCH_LOOPS(spsc256, 256, (spsc_put_batch<256>), (spsc_get_batch<256>))

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Push and pop move what they can, but a chunk goes as a whole: so they are asked before. */
template <class Queue> SPECIALIZED bool put_chunk(void *end, const void *chunk, size_t size)
{
    Queue *queue = static_cast<Queue *>(end);

    if (queue->write_available() < size)
        return false;
    queue->push(static_cast<const unsigned char *>(chunk), size);
    return true;
}

template <class Queue> SPECIALIZED bool get_chunk(void *end, void *chunk, size_t size)
{
    Queue *queue = static_cast<Queue *>(end);

    if (queue->read_available() < size)
        return false;
    queue->pop(static_cast<unsigned char *>(chunk), size);
    return true;
}

using bytes = lined<boost::lockfree::spsc_queue<unsigned char>>;

DEFINE_ITEM_LOOPS(bytes, 0, put_chunk<bytes>, get_chunk<bytes>)

static void *create_bytes(const struct shape *shape)
{
    return make<bytes>(shape->item_bytes * shape->capacity);
}

/* ---- bytes between processes ----------------------------------------------------------------- */

/*
 * The one array that a queue allocates, in memory which the processes of a run have at the same
 * address, since they are forked.
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
using shared_bytes =
    lined<boost::lockfree::spsc_queue<unsigned char, boost::lockfree::allocator<bytes_allocator>>>;

/* At the start of the memory; the array follows. There is nothing in it to destroy. */
struct shared {
    shared_bytes queue;
    struct mmap map;
};

DEFINE_ITEM_LOOPS(shared, 0, put_chunk<shared_bytes>, get_chunk<shared_bytes>)
DEFINE_ROUND_TRIP_LOOPS(shared, 0, put_chunk<shared_bytes>, get_chunk<shared_bytes>)

static void *create_shared(const struct shape *shape)
{
    struct mmap map = {};
    struct mmap_args args = {};
    size_t capacity = shape->item_bytes * shape->capacity;

    args.access = MMAP_WRITE;
    args.flags = shape->prefault ? MMAP_PREFAULT : 0;
    args.size = sizeof(shared) + capacity + 1;
    if (mmap_map(&map, &args) != 0)
        return NULL;
    bytes_allocator allocator(static_cast<unsigned char *>(map.addr) + sizeof(shared));
    return new (map.addr) shared{ { capacity, allocator }, map };
}

static void destroy_shared(void *queue)
{
    struct mmap map = static_cast<shared *>(queue)->map;

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

const struct queue queues_boost[] = {
    TABLE_OF_ITEMS("boost_spsc", spsc, 8, USE_BATCHES | USE_ROUND_TRIP, BATCH_LOOPS(spsc8),
                   ROUND_TRIP_LOOPS(spsc8)),
    TABLE_OF_ITEMS("boost_spsc", spsc, 16, USE_BATCHES, BATCH_LOOPS(spsc16)),
    TABLE_OF_ITEMS("boost_spsc", spsc, 64, USE_BATCHES, BATCH_LOOPS(spsc64)),
    TABLE_OF_ITEMS("boost_spsc", spsc, 256, USE_BATCHES, BATCH_LOOPS(spsc256)),
    {
        .name = "boost_spsc",
        .role = ROLE_COMPETITOR,
        .uses = USE_BYTES,
        .create = create_bytes,
        .destroy = destroy_queue<bytes>,
        .put = put_chunk<bytes>,
        .get = get_chunk<bytes>,
        ITEM_LOOPS(bytes),
    },
    {
        .name = "boost_spsc",
        .role = ROLE_COMPETITOR,
        .uses = USE_PROCESSES,
        .create = create_shared,
        .destroy = destroy_shared,
        .put = put_chunk<shared_bytes>,
        .get = get_chunk<shared_bytes>,
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
