/* SPDX-License-Identifier: MIT */
/*
 * Maxim Egorushkin's atomic_queue, Debian's libatomic-queue-dev. Items of 8 bytes are atomic
 * elements, of which 0 is an empty one; longer ones have a byte of state beside them. All is set as
 * its README has it for throughput.
 *
 * The rows of "atomic_queue_optimist" are what that README calls faster: push and pop, which claim
 * a place first and then wait for it without end. So they never count a failed poll, they don't
 * yield, and they don't come back if the other side is gone.
 *
 * From one to one the capacity is a constant of the type, and items that follow each other are
 * neighbours: with a capacity that is known later, a queue of structs has 4096 places at least, and
 * items of 16 bytes take about twice as long.
 */
#include "adaptor.h"

#include <atomic_queue/atomic_queue.h>
#include <memory>
#include <type_traits>

constexpr bool MINIMIZE_CONTENTION = true;
constexpr bool MAXIMIZE_THROUGHPUT = true;
constexpr bool TOTAL_ORDER = false;
constexpr bool SINGLE = true;

/* ---- calls ----------------------------------------------------------------------------------- */

/* The capacity, where it is in the type: this base class of it is then the handle. */
struct sized {
    size_t capacity;
};

template <class Queue> SPECIALIZED Queue *queue_of(void *end)
{
    if constexpr (std::is_base_of_v<sized, Queue>)
        return static_cast<Queue *>(static_cast<sized *>(end));
    else
        return static_cast<Queue *>(end);
}

template <class Queue> using element_of = typename Queue::value_type;

template <class Queue> SPECIALIZED bool polled_put(void *end, const void *element, size_t)
{
    Queue *queue = queue_of<Queue>(end);

    if constexpr (std::is_integral_v<element_of<Queue>>) {
        element_of<Queue> word;
        memcpy(&word, element, sizeof word);
        return queue->try_push(word);
    } else {
        return queue->try_push(*static_cast<const element_of<Queue> *>(element));
    }
}

template <class Queue> SPECIALIZED bool polled_get(void *end, void *element, size_t)
{
    Queue *queue = queue_of<Queue>(end);

    if constexpr (std::is_integral_v<element_of<Queue>>) {
        element_of<Queue> word;
        if (!queue->try_pop(word))
            return false;
        memcpy(element, &word, sizeof word);
        return true;
    } else {
        return queue->try_pop(*static_cast<element_of<Queue> *>(element));
    }
}

template <class Queue> SPECIALIZED bool optimist_put(void *end, const void *element, size_t)
{
    Queue *queue = queue_of<Queue>(end);

    if constexpr (std::is_integral_v<element_of<Queue>>) {
        element_of<Queue> word;
        memcpy(&word, element, sizeof word);
        queue->push(word);
    } else {
        queue->push(*static_cast<const element_of<Queue> *>(element));
    }
    return true;
}

template <class Queue> SPECIALIZED bool optimist_get(void *end, void *element, size_t)
{
    Queue *queue = queue_of<Queue>(end);

    if constexpr (std::is_integral_v<element_of<Queue>>) {
        element_of<Queue> word = queue->pop();
        memcpy(element, &word, sizeof word);
    } else {
        *static_cast<element_of<Queue> *>(element) = queue->pop();
    }
    return true;
}

/* ---- one producer, one consumer -------------------------------------------------------------- */

template <unsigned Capacity>
using words = atomic_queue::AtomicQueue<uint64_t, Capacity, 0, !MINIMIZE_CONTENTION,
                                        MAXIMIZE_THROUGHPUT, TOTAL_ORDER, SINGLE>;

template <size_t Size, unsigned Capacity>
using structs = atomic_queue::AtomicQueue2<item<Size>, Capacity, !MINIMIZE_CONTENTION,
                                           MAXIMIZE_THROUGHPUT, TOTAL_ORDER, SINGLE>;

template <size_t Size, unsigned Capacity>
struct fixed
    : sized,
      std::conditional_t<Size == sizeof(uint64_t), words<Capacity>, structs<Size, Capacity>> {
    fixed() : sized{ Capacity }
    {
    }
};

/* Call with the capacity as a constant; nothing happens if there is no queue of this one. */
template <unsigned Capacity = 16, class Call> void with_capacity(size_t capacity, Call call)
{
    if (capacity == Capacity)
        call.template operator()<Capacity>();
    else if constexpr (Capacity < 131072)
        with_capacity<2 * Capacity>(capacity, call);
}

template <class Call> void with_capacity_of(void *end, Call call)
{
    with_capacity(static_cast<sized *>(end)->capacity, call);
}

template <size_t Size> void *create_fixed(const struct shape *shape)
{
    sized *queue = NULL;

    with_capacity(next_power_of_two(shape->capacity < 16 ? 16 : shape->capacity),
                  [&]<unsigned Capacity>() { queue = new (std::nothrow) fixed<Size, Capacity>; });
    return queue;
}

template <size_t Size> void destroy_fixed(void *queue)
{
    with_capacity_of(queue,
                     [=]<unsigned Capacity>() { delete queue_of<fixed<Size, Capacity>>(queue); });
}

template <size_t Size> bool put_fixed(void *end, const void *element, size_t size)
{
    bool done = false;

    with_capacity_of(end, [&]<unsigned Capacity>() {
        done = polled_put<fixed<Size, Capacity>>(end, element, size);
    });
    return done;
}

template <size_t Size> bool get_fixed(void *end, void *element, size_t size)
{
    bool done = false;

    with_capacity_of(end, [&]<unsigned Capacity>() {
        done = polled_get<fixed<Size, Capacity>>(end, element, size);
    });
    return done;
}

/* `call` is that of a loop, with the put or get of a Queue. */
#define DEFINE_FIXED_LOOP(name, call)                                                              \
    template <size_t Size> void name(struct share *share)                                          \
    {                                                                                              \
        with_capacity_of(share->end, [=]<unsigned Capacity>() {                                    \
            using Queue = fixed<Size, Capacity>;                                                   \
            call;                                                                                  \
        });                                                                                        \
    }

DEFINE_FIXED_LOOP(polled_produce, produce_loop(share, Size, polled_put<Queue>))
DEFINE_FIXED_LOOP(polled_consume, consume_loop(share, Size, polled_get<Queue>))
DEFINE_FIXED_LOOP(polled_ping, ping_loop(share, Size, polled_put<Queue>, polled_get<Queue>))
DEFINE_FIXED_LOOP(polled_pong, pong_loop(share, Size, polled_put<Queue>, polled_get<Queue>))
DEFINE_FIXED_LOOP(optimist_produce, produce_loop(share, Size, optimist_put<Queue>))
DEFINE_FIXED_LOOP(optimist_consume, consume_loop(share, Size, optimist_get<Queue>))
DEFINE_FIXED_LOOP(optimist_ping, ping_loop(share, Size, optimist_put<Queue>, optimist_get<Queue>))
DEFINE_FIXED_LOOP(optimist_pong, pong_loop(share, Size, optimist_put<Queue>, optimist_get<Queue>))

/* ---- many producers, many consumers ---------------------------------------------------------- */

/*
 * Here items that follow each other are on different lines. Where a thread is preempted between its
 * claim and its access for a whole lap, another one that claims the same place comes first: then
 * the items of a producer overtake each other.
 */
using many = lined<atomic_queue::AtomicQueueB<uint64_t, std::allocator<uint64_t>, 0,
                                              MAXIMIZE_THROUGHPUT, TOTAL_ORDER, !SINGLE>>;

DEFINE_MANY_LOOPS(polled, polled_put<many>, polled_get<many>)
DEFINE_MANY_LOOPS(optimist, optimist_put<many>, optimist_get<many>)

/* ---- tables ---------------------------------------------------------------------------------- */

#define FIXED_TABLE(label, kind, waits, size, more_uses, ...)                                      \
    {                                                                                              \
        .name = label, .role = ROLE_COMPETITOR, .uses = USE_ITEMS | (more_uses),                   \
        .item_bytes = size, .blocks = waits, .create = create_fixed<size>,                         \
        .destroy = destroy_fixed<size>, .put = put_fixed<size>, .get = get_fixed<size>,            \
        .produce = kind##_produce<size>, .consume = kind##_consume<size>, __VA_ARGS__              \
    }

#define FIXED_TABLES(label, kind, waits)                                                           \
    FIXED_TABLE(label, kind, waits, 8, USE_ROUND_TRIP, .ping = kind##_ping<8>,                     \
                .pong = kind##_pong<8>),                                                           \
        FIXED_TABLE(label, kind, waits, 16, 0, ), FIXED_TABLE(label, kind, waits, 64, 0, ),        \
        FIXED_TABLE(label, kind, waits, 256, 0, )

#define MANY_TABLE(label, kind, waits)                                                             \
    {                                                                                              \
        .name = label, .role = ROLE_COMPETITOR, .uses = USE_MANY, .unordered = true,               \
        .blocks = waits, .create = create_for_capacity<many>, .destroy = destroy_queue<many>,      \
        .put = polled_put<many>, .get = polled_get<many>, MANY_LOOPS(kind),                        \
    }

const struct queue queues_atomic_queue[] = {
    FIXED_TABLES("atomic_queue", polled, false),
    FIXED_TABLES("atomic_queue_optimist", optimist, true),
    MANY_TABLE("atomic_queue", polled, false),
    MANY_TABLE("atomic_queue_optimist", optimist, true),
    { .name = NULL },
};
