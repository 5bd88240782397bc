/* SPDX-License-Identifier: MIT */
/*
 * Queues of one header each that Debian does not have. Each is here if its header is on the include
 * path: of rigtorp/SPSCQueue, rigtorp/MPMCQueue, drogalis/SPSC-Queue, and an installed folly.
 */
#include "adaptor.h"

#if __has_include(<rigtorp/SPSCQueue.h>)
#include <rigtorp/SPSCQueue.h>
#define HAVE_RIGTORP_SPSC
#elif __has_include(<SPSCQueue.h>)
#include <SPSCQueue.h>
#define HAVE_RIGTORP_SPSC
#endif

#if __has_include(<rigtorp/MPMCQueue.h>)
#include <rigtorp/MPMCQueue.h>
#define HAVE_RIGTORP_MPMC
#elif __has_include(<MPMCQueue.h>)
#include <MPMCQueue.h>
#define HAVE_RIGTORP_MPMC
#endif

#if __has_include(<dro/spsc-queue.hpp>)
#include <dro/spsc-queue.hpp>
#define HAVE_DROGALIS
#elif __has_include(<spsc-queue.hpp>)
#include <spsc-queue.hpp>
#define HAVE_DROGALIS
#endif

/* What folly's headers include first is made when folly is built. */
#if __has_include(<folly/ProducerConsumerQueue.h>) && __has_include(<folly/folly-config.h>)
#include <folly/ProducerConsumerQueue.h>
#define HAVE_FOLLY
#endif

/* ---- rigtorp::SPSCQueue ---------------------------------------------------------------------- */

#if defined(HAVE_RIGTORP_SPSC)

template <size_t Size> using rigtorp_spsc = lined<rigtorp::SPSCQueue<item<Size>>>;

template <size_t Size> SPECIALIZED bool rigtorp_spsc_put(void *end, const void *element, size_t)
{
    return static_cast<rigtorp_spsc<Size> *>(end)->try_push(
        *static_cast<const item<Size> *>(element));
}

template <size_t Size> SPECIALIZED bool rigtorp_spsc_get(void *end, void *element, size_t)
{
    rigtorp_spsc<Size> *queue = static_cast<rigtorp_spsc<Size> *>(end);
    const item<Size> *front = queue->front();

    if (front == NULL)
        return false;
    *static_cast<item<Size> *>(element) = *front;
    queue->pop();
    return true;
}

DEFINE_LOOPS_OF_ITEMS(rigtorp_spsc)

#endif

/* ---- rigtorp::MPMCQueue ---------------------------------------------------------------------- */

#if defined(HAVE_RIGTORP_MPMC)

using rigtorp_mpmc = rigtorp::MPMCQueue<uint64_t>;

SPECIALIZED bool rigtorp_mpmc_put(void *end, const void *item, size_t)
{
    uint64_t value;

    memcpy(&value, item, sizeof value);
    return static_cast<rigtorp_mpmc *>(end)->try_push(value);
}

SPECIALIZED bool rigtorp_mpmc_get(void *end, void *item, size_t)
{
    uint64_t value;

    if (!static_cast<rigtorp_mpmc *>(end)->try_pop(value))
        return false;
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_MANY_LOOPS(rigtorp_mpmc, rigtorp_mpmc_put, rigtorp_mpmc_get)

#endif

/* ---- dro::SPSCQueue -------------------------------------------------------------------------- */

#if defined(HAVE_DROGALIS)

template <size_t Size> using drogalis = lined<dro::SPSCQueue<item<Size>>>;

template <size_t Size> SPECIALIZED bool drogalis_put(void *end, const void *element, size_t)
{
    return static_cast<drogalis<Size> *>(end)->try_push(*static_cast<const item<Size> *>(element));
}

template <size_t Size> SPECIALIZED bool drogalis_get(void *end, void *element, size_t)
{
    return static_cast<drogalis<Size> *>(end)->try_pop(*static_cast<item<Size> *>(element));
}

DEFINE_LOOPS_OF_ITEMS(drogalis)

#endif

/* ---- folly::ProducerConsumerQueue ------------------------------------------------------------ */

#if defined(HAVE_FOLLY)

/* It holds one item less than its size. */
template <class Queue> struct one_more : Queue {
    explicit one_more(size_t capacity) : Queue(static_cast<uint32_t>(capacity + 1))
    {
    }
};

template <size_t Size> using folly_pcq = lined<one_more<folly::ProducerConsumerQueue<item<Size>>>>;

template <size_t Size> SPECIALIZED bool folly_pcq_put(void *end, const void *element, size_t)
{
    return static_cast<folly_pcq<Size> *>(end)->write(*static_cast<const item<Size> *>(element));
}

template <size_t Size> SPECIALIZED bool folly_pcq_get(void *end, void *element, size_t)
{
    return static_cast<folly_pcq<Size> *>(end)->read(*static_cast<item<Size> *>(element));
}

DEFINE_LOOPS_OF_ITEMS(folly_pcq)

#endif

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_extra[] = {
#if defined(HAVE_RIGTORP_SPSC)
    TABLES_OF_ITEMS("rigtorp", rigtorp_spsc),
#endif
#if defined(HAVE_RIGTORP_MPMC)
    {
        .name = "rigtorp",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY,
        .create = create_for_capacity<rigtorp_mpmc>,
        .destroy = destroy_queue<rigtorp_mpmc>,
        .put = rigtorp_mpmc_put,
        .get = rigtorp_mpmc_get,
        MANY_LOOPS(rigtorp_mpmc),
    },
#endif
#if defined(HAVE_DROGALIS)
    TABLES_OF_ITEMS("drogalis", drogalis),
#endif
#if defined(HAVE_FOLLY)
    TABLES_OF_ITEMS("folly", folly_pcq),
#endif
    { .name = NULL },
};
