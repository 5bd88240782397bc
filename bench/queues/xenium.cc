/* SPDX-License-Identifier: MIT */
/*
 * Manuel Pöter's xenium, Debian's libxenium-dev: its bounded queues of many to many. The 0.0.2 of
 * Debian 12 has no nikolaev_bounded_queue yet; a later one is taken where it is there.
 */
#include "adaptor.h"

#include <xenium/vyukov_bounded_queue.hpp>
#if __has_include(<xenium/nikolaev_bounded_queue.hpp>)
#include <xenium/nikolaev_bounded_queue.hpp>
#endif

/* Both want a power of two, the first one of 2 at least. */
template <class Queue> void *create_power_of_two(const struct shape *shape)
{
    return make<Queue>(next_power_of_two(shape->capacity < 2 ? 2 : shape->capacity));
}

/* ---- Vyukov's -------------------------------------------------------------------------------- */

using vyukov = lined<xenium::vyukov_bounded_queue<uint64_t>>;

/*
 * The weak calls may fail where the strong ones wait for another thread in the middle of a call.
 * The loops try again anyway, and the weak ones are lock-free.
 */
SPECIALIZED bool vyukov_put(void *end, const void *item, size_t)
{
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return static_cast<vyukov *>(end)->try_push_weak(value);
}

SPECIALIZED bool vyukov_get(void *end, void *item, size_t)
{
    uint64_t value;

    if (!static_cast<vyukov *>(end)->try_pop_weak(value))
        return false;
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_MANY_LOOPS(vyukov, vyukov_put, vyukov_get)

/* ---- Nikolaev's ------------------------------------------------------------------------------ */

#if __has_include(<xenium/nikolaev_bounded_queue.hpp>)

using nikolaev = lined<xenium::nikolaev_bounded_queue<uint64_t>>;

SPECIALIZED bool nikolaev_put(void *end, const void *item, size_t)
{
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return static_cast<nikolaev *>(end)->try_push(value);
}

SPECIALIZED bool nikolaev_get(void *end, void *item, size_t)
{
    uint64_t value;

    if (!static_cast<nikolaev *>(end)->try_pop(value))
        return false;
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_MANY_LOOPS(nikolaev, nikolaev_put, nikolaev_get)

#endif

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_xenium[] = {
    {
        .name = "xenium_vyukov",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY,
        .create = create_power_of_two<vyukov>,
        .destroy = destroy_queue<vyukov>,
        .put = vyukov_put,
        .get = vyukov_get,
        MANY_LOOPS(vyukov),
    },
#if __has_include(<xenium/nikolaev_bounded_queue.hpp>)
    {
        .name = "xenium_nikolaev",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY,
        .create = create_power_of_two<nikolaev>,
        .destroy = destroy_queue<nikolaev>,
        .put = nikolaev_put,
        .get = nikolaev_get,
        MANY_LOOPS(nikolaev),
    },
#endif
    { .name = NULL },
};
