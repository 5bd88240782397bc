/* SPDX-License-Identifier: MIT */
/*
 * oneTBB's concurrent_bounded_queue, Debian's libtbb-dev. Its capacity is a limit for its size, and
 * its memory comes and goes in pages of its own.
 */
#include "adaptor.h"

#include <oneapi/tbb/concurrent_queue.h>

template <class Element> using bounded = lined<tbb::concurrent_bounded_queue<Element>>;

using numbers = bounded<uint64_t>;
using records = bounded<slot>;

template <class Queue> void *create(const struct shape *shape)
{
    void *queue = make<Queue>();

    if (queue != NULL)
        static_cast<Queue *>(queue)->set_capacity(static_cast<ptrdiff_t>(shape->capacity));
    return queue;
}

/* ---- numbers --------------------------------------------------------------------------------- */

SPECIALIZED bool put(void *end, const void *item, size_t)
{
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return static_cast<numbers *>(end)->try_push(value);
}

SPECIALIZED bool get(void *end, void *item, size_t)
{
    uint64_t value = 0;

    if (!static_cast<numbers *>(end)->try_pop(value))
        return false;
    memcpy(item, &value, sizeof value);
    return true;
}

SPECIALIZED bool get_sleeping(void *end, void *item, size_t)
{
    uint64_t value = 0;

    static_cast<numbers *>(end)->pop(value);
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_MANY_LOOPS(numbers, put, get)
DEFINE_WAKE_LOOPS(numbers, put, get_sleeping)

/* ---- records --------------------------------------------------------------------------------- */

SPECIALIZED bool put_record(void *end, const void *record, size_t size)
{
    return static_cast<records *>(end)->try_emplace(record, size);
}

SPECIALIZED bool get_record(void *end, void *record, size_t)
{
    slot slot;

    if (!static_cast<records *>(end)->try_pop(slot))
        return false;
    memcpy(record, slot.bytes, slot.length);
    return true;
}

DEFINE_RECORD_LOOPS(records, put_record, get_record)

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_tbb[] = {
    {
        .name = "tbb",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY | USE_WAKE,
        .create = create<numbers>,
        .destroy = destroy_queue<numbers>,
        .put = put,
        .get = get,
        MANY_LOOPS(numbers),
        WAKE_LOOPS(numbers),
    },
    {
        .name = "tbb",
        .role = ROLE_COMPETITOR,
        .uses = USE_RECORDS,
        .create = create<records>,
        .destroy = destroy_queue<records>,
        .put = put_record,
        .get = get_record,
        RECORD_LOOPS(records),
    },
    { .name = NULL },
};
