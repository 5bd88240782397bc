/* SPDX-License-Identifier: MIT */
/* What all rings share: errors, capacities, and the memory that they live in. */
#include "ring_header.h"

#include <string.h>

/* A name can be replaced as often as we have looked at it. */
#define OPEN_ATTEMPTS 64

/* Bytes of a record's word, and the longest record that it can tell of. */
#define RECORD_HEAD       ((uint64_t)8)
#define RECORD_LENGTH_MAX ((UINT64_C(1) << 30) - 1)

/*
 * The default of hold_ns. Measured in
 * one run, items of 8, 64, 256 and chunks of 200 bytes: 60 ns 183 86 26 M/s and 3.7 GB/s, 120 ns
 * 187 107 39 and 5.8, 240 ns 200 108 40 and 9.9, 480 ns 204 113 41 and 10.1, 960 ns 203 113 41 and
 * 10.1, 1,920 ns 204 107 40 and 9.8; without, 185 62 24 and 3.7. A round trip takes the same time
 * with all of them.
 */
#define HOLD_NS ((int64_t)400)

/* ---- errors ---------------------------------------------------------------------------------- */

const char *mring_errname(int err)
{
    switch (err) {
#define CASE(code, value, name, message)                                                           \
    case code:                                                                                     \
        return name;
        MRING_ERRORS(CASE)
#undef CASE
    default:
        return mmap_errname(err);
    }
}

const char *mring_errmsg(int err, char *buffer, size_t size)
{
    assert(buffer != NULL && size > 0);

    switch (err) {
#define CASE(code, value, name, message)                                                           \
    case code:                                                                                     \
        snprintf(buffer, size, "%s", message);                                                     \
        return buffer;
        MRING_ERRORS(CASE)
#undef CASE
    default:
        return mmap_errmsg(err, buffer, size);
    }
}

/* ---- geometry -------------------------------------------------------------------------------- */

uint64_t mring_capacity(uint64_t bytes, unsigned map_flags)
{
    uint64_t capacity = mmap_mirror_granularity(map_flags);

    while (capacity < bytes) {
        if (capacity > INT64_MAX / 4)
            return 0;
        capacity *= 2;
    }
    return capacity;
}

static uint64_t align_up(uint64_t value, uint64_t granularity)
{
    return (value + granularity - 1) & ~(granularity - 1);
}

/* What record rings have besides; returns the end of their parts. */
static uint64_t describe_records(struct ring_header *header, const struct mring_args *args,
                                 uint64_t offset)
{
    bool skips = args->flags & MRING_SKIP_STALLED;
    uint64_t most = header->capacity - (skips ? 0 : RECORD_HEAD);
    uint64_t limit = most < RECORD_LENGTH_MAX ? most : RECORD_LENGTH_MAX;

    header->kind += args->flags & RING_MODE_FLAGS;
    /* Measured in one run with records of 8 bytes, granules of 16, 32, 64 bytes: single ends 132,
       129, 119 M/s; several 66, 44, 30; these in batches of 16, 170, 82, 105. Skipping, the same:
       there it is the words' memory that counts. */
    header->record_granule = args->granule != 0 ? args->granule : skips ? 64 : 16;
    header->record_max = args->record_max != 0 ? args->record_max : limit;
    if (args->tagname != NULL) {
        header->member_count = RING_MEMBER_COUNT;
        header->members_offset = offset;
        offset += align_up(RING_MEMBER_COUNT * sizeof(struct ring_member), RING_GRANULE);
    }
    if (skips) {
        header->words_offset = offset;
        offset += header->capacity / header->record_granule * RECORD_HEAD;
    }
    return offset;
}

/* The header of a ring that is to be made, as far as its arguments say it. */
static struct ring_header describe(enum ring_kind kind, const struct mring_args *args)
{
    uint64_t spacing = args->tagname != NULL ? RING_GRANULE : 1024;
    struct ring_header header = {
        .magic = RING_MAGIC,
        .version_major = RING_VERSION_MAJOR,
        .version_minor = RING_VERSION_MINOR,
        .kind = (uint32_t)kind,
        .capacity = args->capacity,
        .write_side_offset = spacing,
        .read_side_offset = 2 * spacing,
        .granule = (uint32_t)RING_GRANULE,
        .flags = args->flags & (MRING_NOWAIT | MRING_FENCE),
    };
    uint64_t offset = 3 * spacing;

    if (kind == RING_KIND_MPMC)
        offset = describe_records(&header, args, offset);
    header.data_offset =
        align_up(align_up(offset, spacing), mmap_mirror_granularity(args->map_flags));
    header.total_size = header.data_offset + header.capacity;
    memcpy(header.type_tag, args->type_tag, sizeof header.type_tag);
    return header;
}

/* ---- parts ----------------------------------------------------------------------------------- */

void *mring_ring_part(const struct mmap *map, const struct ring_header *header, uint64_t offset)
{
    return (unsigned char *)map->addr - header->data_offset + offset;
}

/* ---- fences and pauses ----------------------------------------------------------------------- */

enum mring_fencing mring_ring_fencing(const struct ring_header *header)
{
    if (header->flags & MRING_NOWAIT)
        return MRING_FENCING_NONE;
    return header->flags & MRING_FENCE ? MRING_FENCING_BOTH_SIDES : MRING_FENCING_WAITER;
}

/* Whether this process can keep to what the header says. */
static bool can_fence(const struct ring_header *header)
{
    return mring_ring_fencing(header) != MRING_FENCING_WAITER || mring_os_join_barriers();
}

/* The shortest of some tries: whatever disturbs one makes it longer. */
static int64_t measure_pauses(uint32_t pauses)
{
    enum { TRIES = 3 };
    int64_t shortest = INT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        int64_t start = mring_os_now();
        for (uint32_t j = 0; j < pauses; j++)
            mring_pause();
        int64_t elapsed = mring_os_now() - start;
        if (elapsed < shortest)
            shortest = elapsed;
    }
    return shortest;
}

/* With so many that a clock of a few 100 ns is fine enough. */
static uint32_t measure_pauses_per_us(void)
{
    const int64_t enough_ns = 5000;
    const uint32_t most = 1 << 20;
    uint32_t pauses = 32;
    int64_t elapsed;

    do {
        pauses *= 2;
        elapsed = measure_pauses(pauses);
    } while (elapsed < enough_ns && pauses < most);
    return (uint32_t)((int64_t)pauses * 1000 / (elapsed > 0 ? elapsed : 1) + 1);
}

/* How often mring_pause() takes that time, about; measured once per process. */
static uint32_t count_pauses(int64_t ns)
{
    static mring_atomic_u32 per_us;

    /* Relaxed: a number by itself; whoever finds none measures, too. */
    if (mring_load_relaxed_u32(&per_us) == 0)
        mring_store_relaxed_u32(&per_us, measure_pauses_per_us());
    return (uint32_t)(ns * mring_load_relaxed_u32(&per_us) / 1000);
}

struct mring_hold mring_ring_hold(int64_t ns)
{
    return (struct mring_hold){ .needed = MRING_HOLD_NEEDED_MIN,
                                .pauses = ns < 0 ? 0 : count_pauses(ns == 0 ? HOLD_NS : ns) };
}

/* ---- creation -------------------------------------------------------------------------------- */

/* The arguments that only record rings take. */
static bool has_valid_records(enum ring_kind kind, const struct mring_args *args)
{
    unsigned mode = args->flags & RING_MODE_FLAGS;

    if (kind != RING_KIND_MPMC)
        return mode == 0 && args->granule == 0 && args->record_max == 0;
    if ((mode & MRING_SKIP_STALLED) && mode != MRING_SKIP_STALLED)
        return false;
    if (args->granule != 0 && args->granule != 16 && args->granule != 32 && args->granule != 64)
        return false;
    return args->record_max == 0 || args->capacity == 0 ||
           args->record_max <= describe(kind, &(struct mring_args){ .capacity = args->capacity,
                                                                    .flags = args->flags })
                                   .record_max;
}

/* Without a capacity, one can only attach. */
static int check_args(enum ring_kind kind, const struct mring_args *args, bool may_attach)
{
    if (args->flags & ~(MRING_NOWAIT | MRING_ANY_CAPACITY | MRING_FENCE | RING_MODE_FLAGS))
        return MMAP_INVALID_ARG;
    if (!has_valid_records(kind, args))
        return MMAP_INVALID_ARG;
    if (args->tagname != NULL && (args->map_flags & MMAP_HUGE_REQUIRE))
        return MMAP_UNSUPPORTED;
    if (may_attach && args->capacity == 0)
        return 0;
    return args->capacity == mring_capacity(args->capacity, args->map_flags) ? 0 : MMAP_INVALID_ARG;
}

/* What the memory of a new ring is filled with. */
struct contents {
    const struct ring_header *header;
    bool is_named; /* its sleepers are in any process */
};

/*
 * Runs before anybody else can see the memory; the rest of it is zeros. Zeros are positions of a
 * byte ring; a record ring begins with lap 1. Relaxed: nobody else is there.
 */
static int write_header(struct mmap *map, void *context)
{
    const struct contents *contents = context;
    const struct ring_header *header = contents->header;
    struct mring_side *write_side = mring_ring_part(map, header, header->write_side_offset);
    struct mring_side *read_side = mring_ring_part(map, header, header->read_side_offset);

    memcpy(mring_ring_part(map, header, 0), header, sizeof *header);
    if (header->kind != RING_KIND_SPSC) {
        mring_store_relaxed_u64(&write_side->pos, header->capacity);
        mring_store_relaxed_u64(&read_side->free_pos, header->capacity);
        mring_store_relaxed_u64(&read_side->pos, header->capacity);
    }
    if (contents->is_named) {
        write_side->event.id = mring_os_event_id();
        read_side->event.id = mring_os_event_id();
    }
    return 0;
}

int mring_ring_create(struct mmap *map, struct ring_header *header, enum ring_kind kind,
                      const struct mring_args *args)
{
    struct contents contents = { .header = header, .is_named = args->tagname != NULL };
    int err = check_args(kind, args, false);

    if (err != 0)
        return err;
    *header = describe(kind, args);
    if (!can_fence(header))
        header->flags |= MRING_FENCE;
    return mmap_mirror(map,
                       &(struct mmap_mirror_args){
                           .file.tagname = args->tagname,
                           .flags = args->map_flags | (args->tagname != NULL ? MMAP_EXCLUSIVE : 0u),
                           .size = header->capacity,
                           .offset = header->data_offset,
                           .lead_size = header->data_offset,
                           .mode = args->mode,
                           .init = write_header,
                           .context = &contents,
                       });
}

/* ---- attaching ------------------------------------------------------------------------------- */

/* Copy the header out of the shared memory, once: a peer could change it between two looks. */
static int read_header(struct ring_header *header, const struct mring_args *args)
{
    struct mmap map = { 0 };
    int err = mmap_map(&map, &(struct mmap_args){
                                 .file.tagname = args->tagname,
                                 .flags = args->map_flags & MMAP_ANY_OWNER,
                                 .size = sizeof *header,
                                 .mode = args->mode,
                             });

    if (err == MMAP_FILE_TOO_SHORT)
        return MRING_BAD_MAGIC;
    if (err != 0)
        return err;
    memcpy(header, map.addr, sizeof *header);
    return mmap_free(&map);
}

static bool is_zero(const unsigned char tag[16])
{
    static const unsigned char zeros[16];

    return memcmp(tag, zeros, sizeof zeros) == 0;
}

/* Numbers that are consistent keep every access inside the object, whoever wrote them. */
static bool is_consistent(const struct ring_header *header, enum ring_kind kind,
                          const struct mring_args *args)
{
    struct mring_args theirs = { .tagname = args->tagname,
                                 .capacity = header->capacity,
                                 .flags = args->flags & RING_MODE_FLAGS,
                                 .granule = header->record_granule,
                                 .record_max = header->record_max };

    if (header->capacity != mring_capacity(header->capacity, 0) || header->capacity == 0 ||
        !has_valid_records(kind, &theirs))
        return false;
    struct ring_header expected = describe(kind, &theirs);
    return header->members_offset == expected.members_offset &&
           header->member_count == expected.member_count &&
           header->words_offset == expected.words_offset &&
           header->record_granule == expected.record_granule &&
           header->record_max == expected.record_max && header->total_size == expected.total_size &&
           header->write_side_offset == expected.write_side_offset &&
           header->read_side_offset == expected.read_side_offset &&
           header->data_offset == expected.data_offset;
}

static int check_header(const struct ring_header *header, enum ring_kind kind,
                        const struct mring_args *args)
{
    if (header->magic != RING_MAGIC)
        return MRING_BAD_MAGIC;
    if (header->version_major != RING_VERSION_MAJOR || header->incompatible_features != 0 ||
        header->granule != RING_GRANULE)
        return MRING_BAD_VERSION;
    if (header->kind != (uint32_t)kind + (args->flags & RING_MODE_FLAGS))
        return MRING_BAD_KIND;
    if (!is_consistent(header, kind, args))
        return MRING_CORRUPT;
    if (args->capacity != 0 && args->capacity != header->capacity &&
        !(args->flags & MRING_ANY_CAPACITY))
        return MRING_BAD_CAPACITY;
    if (!is_zero(args->type_tag) && memcmp(args->type_tag, header->type_tag, 16) != 0)
        return MRING_BAD_TYPE;
    return 0;
}

/*
 * Attach to what is there. Between the look at the header and the mapping, the name may have been
 * given to another object: `again` is set, since what was mapped is not what was checked, or since
 * it is too short for it; corrupt is the answer if that never ends.
 */
static int attach(struct mmap *map, struct ring_header *header, enum ring_kind kind,
                  const struct mring_args *args, bool *again)
{
    int err = read_header(header, args);
    if (err == 0)
        err = check_header(header, kind, args);
    if (err == 0 && !can_fence(header))
        err = MMAP_UNSUPPORTED;
    if (err != 0)
        return err;

    struct mmap found = { 0 };
    err = mmap_mirror(&found, &(struct mmap_mirror_args){
                                  .file.tagname = args->tagname,
                                  .flags = args->map_flags | MMAP_EXISTING,
                                  .size = header->capacity,
                                  .offset = header->data_offset,
                                  .lead_size = header->data_offset,
                                  .mode = args->mode,
                              });
    *again = err == MMAP_FILE_TOO_SHORT;
    if (*again)
        return MRING_CORRUPT;
    if (err != 0)
        return err;
    *again = memcmp((unsigned char *)found.addr - header->data_offset, header, sizeof *header) != 0;
    if (*again) {
        err = mmap_free(&found);
        *again = err == 0;
        return err;
    }
    *map = found;
    return 0;
}

int mring_ring_open(struct mmap *map, struct ring_header *header, enum ring_kind kind,
                    const struct mring_args *args)
{
    bool may_create = args->capacity != 0 && !(args->map_flags & MMAP_EXISTING);

    if (args->tagname == NULL || (args->map_flags & MMAP_EXCLUSIVE))
        return MMAP_INVALID_ARG;
    int err = check_args(kind, args, true);
    if (err != 0)
        return err;

    for (int i = 0; i < OPEN_ATTEMPTS; i++) {
        bool again = false;

        err = attach(map, header, kind, args, &again);
        if (again)
            continue;
        if (err != MMAP_NOT_FOUND || !may_create)
            return err;
        err = mring_ring_create(map, header, kind, args);
        if (err != MMAP_EXISTS)
            return err;
    }
    return err != 0 ? err : MRING_CORRUPT;
}
