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
#include <utility>

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

#endif
#endif
