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

template <size_t Size, size_t Capacity>
using single =
    std::conditional_t<Size == sizeof(uint64_t), words<Capacity>, structs<Size, Capacity>>;

DEFINE_FIXED(single, polled_put, polled_get)
DEFINE_FIXED_LOOPS(single, polled, polled_put, polled_get)
DEFINE_FIXED_LOOPS(single, optimist, optimist_put, optimist_get)

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

#define SINGLE_TABLES(label, kind, waits)                                                          \
    FIXED_TABLE(label, single, kind, waits, 8, USE_ROUND_TRIP, .ping = kind##_ping<8>,             \
                .pong = kind##_pong<8>),                                                           \
        FIXED_TABLE(label, single, kind, waits, 16, 0, ),                                          \
        FIXED_TABLE(label, single, kind, waits, 64, 0, ),                                          \
        FIXED_TABLE(label, single, kind, waits, 256, 0, )

#define MANY_TABLE(label, kind, waits)                                                             \
    {                                                                                              \
        .name = label, .role = ROLE_COMPETITOR, .uses = USE_MANY, .unordered = true,               \
        .blocks = waits, .create = create_for_capacity<many>, .destroy = destroy_queue<many>,      \
        .put = polled_put<many>, .get = polled_get<many>, MANY_LOOPS(kind),                        \
    }

const struct queue queues_atomic_queue[] = {
    SINGLE_TABLES("atomic_queue", polled, false),
    SINGLE_TABLES("atomic_queue_optimist", optimist, true),
    MANY_TABLE("atomic_queue", polled, false),
    MANY_TABLE("atomic_queue_optimist", optimist, true),
    { .name = NULL },
};
