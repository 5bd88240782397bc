/* SPDX-License-Identifier: MIT */
/*
 * What the adaptors of other libraries have in common, in C and in C++.
 */
#ifndef BENCH_ADAPTOR_H
#define BENCH_ADAPTOR_H

#include "../loops.h"

/*
 * The smallest power of two that is not less than `value`; where a queue has to be of such a size,
 * it holds what was asked for or more.
 */
static inline size_t next_power_of_two(size_t value)
{
    size_t power = 1;

    while (power < value)
        power *= 2;
    return power;
}

/*
 * A record in a queue of fixed slots, which is how these libraries carry records. In C++ a copy is
 * of the record and not of the slot.
 */
struct slot {
    uint32_t length;
    unsigned char bytes[RECORD_MAX];

#ifdef __cplusplus
    slot()
    {
    }

    slot(const void *record, size_t size) : length(static_cast<uint32_t>(size))
    {
        memcpy(bytes, record, size);
    }

    slot(const slot &other) : slot(other.bytes, other.length)
    {
    }

    slot &operator=(const slot &other)
    {
        length = other.length;
        memcpy(bytes, other.bytes, other.length);
        return *this;
    }
#endif
};

#ifdef __cplusplus

#include <new>
#include <type_traits>

/* A table names the fields that it has; g++, unlike gcc, warns of the others. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/*
 * An item as a program would declare it. It is made of characters, so that a thread may see any
 * memory as one.
 */
template <size_t Size> struct item {
    alignas(uint64_t) unsigned char bytes[Size];
};

/* Some queues keep their positions apart from each other, but not from their neighbours. */
template <class Queue> struct alignas(MRING_LINE) lined : Queue {
    using Queue::Queue;
};

/* NULL if the constructor fails. */
template <class Queue, class... Arguments> void *make(Arguments... arguments)
{
    try {
        return new Queue(arguments...);
    } catch (...) {
        return NULL;
    }
}

template <class Queue> void *create_for_capacity(const struct shape *shape)
{
    return make<Queue>(shape->capacity);
}

template <class Queue> void destroy_queue(void *queue)
{
    delete static_cast<Queue *>(queue);
}

/*
 * Loops and tables for the four sizes of items, of a class template `queue` that takes the size,
 * and of function templates queue_put and queue_get that take it too.
 */
#define DEFINE_LOOPS_OF_ITEMS(queue)                                                               \
    DEFINE_ITEM_LOOPS(queue##8, 8, (queue##_put<8>), (queue##_get<8>))                             \
    DEFINE_ITEM_LOOPS(queue##16, 16, (queue##_put<16>), (queue##_get<16>))                         \
    DEFINE_ITEM_LOOPS(queue##64, 64, (queue##_put<64>), (queue##_get<64>))                         \
    DEFINE_ITEM_LOOPS(queue##256, 256, (queue##_put<256>), (queue##_get<256>))                     \
    DEFINE_ROUND_TRIP_LOOPS(queue##8, 8, (queue##_put<8>), (queue##_get<8>))

#define TABLE_OF_ITEMS(label, queue, size, more_uses, ...)                                         \
    {                                                                                              \
        .name = label, .role = ROLE_COMPETITOR, .uses = USE_ITEMS | (more_uses),                   \
        .item_bytes = size, .create = create_for_capacity<queue<size>>,                            \
        .destroy = destroy_queue<queue<size>>, .put = queue##_put<size>, .get = queue##_get<size>, \
        ITEM_LOOPS(queue##size), __VA_ARGS__                                                       \
    }

#define TABLES_OF_ITEMS(label, queue)                                                              \
    TABLE_OF_ITEMS(label, queue, 8, USE_ROUND_TRIP, ROUND_TRIP_LOOPS(queue##8)),                   \
        TABLE_OF_ITEMS(label, queue, 16, 0, ), TABLE_OF_ITEMS(label, queue, 64, 0, ),              \
        TABLE_OF_ITEMS(label, queue, 256, 0, )

/* ---- capacities that are constants of the type ----------------------------------------------- */

/* The base class of a queue whose capacity is in its type. A pointer to it is the handle. */
struct sized {
    size_t capacity;
};

template <class Queue, size_t Capacity> struct fixed : sized, Queue {
    /* Not Queue(), which may fill its memory with zeros. */
    fixed() : sized{ Capacity }
    {
    }

    template <class... Arguments>
    explicit fixed(Arguments... arguments) : sized{ Capacity }, Queue(arguments...)
    {
    }
};

template <class Queue> SPECIALIZED Queue *queue_of(void *end)
{
    if constexpr (std::is_base_of_v<sized, Queue>)
        return static_cast<Queue *>(static_cast<sized *>(end));
    else
        return static_cast<Queue *>(end);
}

/* For items of Size bytes there are types for all capacities from a round trip's to the largest. */
constexpr size_t FIXED_CAPACITY_MIN = 64;
template <size_t Size> constexpr size_t FIXED_CAPACITY_MAX = 131072 / Size;

/* Call with the capacity as a constant; nothing happens if there is no type for this one. */
template <size_t Size, size_t Capacity = FIXED_CAPACITY_MIN, class Call>
void with_capacity(size_t capacity, Call call)
{
    if (capacity == Capacity)
        call.template operator()<Capacity>();
    else if constexpr (Capacity < FIXED_CAPACITY_MAX<Size>)
        with_capacity<Size, 2 * Capacity>(capacity, call);
}

template <size_t Size, class Call> void with_capacity_of(void *end, Call call)
{
    with_capacity<Size>(static_cast<sized *>(end)->capacity, call);
}

/*
 * Functions of tables and loops, of a class template `queue` that takes an item's size and the
 * capacity. `put` and `get` are function templates that take the class.
 */
#define DEFINE_FIXED(queue, put, get)                                                              \
    template <size_t Size> static void *queue##_create(const struct shape *shape)                  \
    {                                                                                              \
        size_t least = FIXED_CAPACITY_MIN;                                                         \
        size_t capacity = next_power_of_two(shape->capacity < least ? least : shape->capacity);    \
        sized *made = NULL;                                                                        \
                                                                                                   \
        with_capacity<Size>(capacity, [&]<size_t Capacity>() {                                     \
            made = new (std::nothrow) fixed<queue<Size, Capacity>, Capacity>();                    \
        });                                                                                        \
        return made;                                                                               \
    }                                                                                              \
                                                                                                   \
    template <size_t Size> static void queue##_destroy(void *end)                                  \
    {                                                                                              \
        with_capacity_of<Size>(end, [=]<size_t Capacity>() {                                       \
            delete queue_of<fixed<queue<Size, Capacity>, Capacity>>(end);                          \
        });                                                                                        \
    }                                                                                              \
                                                                                                   \
    template <size_t Size> static bool queue##_put(void *end, const void *item, size_t size)       \
    {                                                                                              \
        bool done = false;                                                                         \
                                                                                                   \
        with_capacity_of<Size>(end, [&]<size_t Capacity>() {                                       \
            done = put<fixed<queue<Size, Capacity>, Capacity>>(end, item, size);                   \
        });                                                                                        \
        return done;                                                                               \
    }                                                                                              \
                                                                                                   \
    template <size_t Size> static bool queue##_get(void *end, void *item, size_t size)             \
    {                                                                                              \
        bool done = false;                                                                         \
                                                                                                   \
        with_capacity_of<Size>(end, [&]<size_t Capacity>() {                                       \
            done = get<fixed<queue<Size, Capacity>, Capacity>>(end, item, size);                   \
        });                                                                                        \
        return done;                                                                               \
    }

/* `call` is that of a loop, with the put or get of a Queue. */
#define DEFINE_FIXED_LOOP(queue, name, call)                                                       \
    template <size_t Size> static void name(struct share *share)                                   \
    {                                                                                              \
        with_capacity_of<Size>(share->end, [=]<size_t Capacity>() {                                \
            using Queue = fixed<queue<Size, Capacity>, Capacity>;                                  \
            call;                                                                                  \
        });                                                                                        \
    }

#define DEFINE_FIXED_LOOPS(queue, kind, put, get)                                                  \
    DEFINE_FIXED_LOOP(queue, kind##_produce, produce_loop(share, Size, put<Queue>))                \
    DEFINE_FIXED_LOOP(queue, kind##_consume, consume_loop(share, Size, get<Queue>))                \
    DEFINE_FIXED_LOOP(queue, kind##_ping, ping_loop(share, Size, put<Queue>, get<Queue>))          \
    DEFINE_FIXED_LOOP(queue, kind##_pong, pong_loop(share, Size, put<Queue>, get<Queue>))

#define FIXED_TABLE(label, queue, kind, waits, size, more_uses, ...)                               \
    {                                                                                              \
        .name = label, .role = ROLE_COMPETITOR, .uses = USE_ITEMS | (more_uses),                   \
        .item_bytes = size, .blocks = waits, .create = queue##_create<size>,                       \
        .destroy = queue##_destroy<size>, .put = queue##_put<size>, .get = queue##_get<size>,      \
        .produce = kind##_produce<size>, .consume = kind##_consume<size>, __VA_ARGS__              \
    }

#endif
#endif
