/* SPDX-License-Identifier: MIT */
/*
 * The portable half of the mapping layer: argument checks, the order of steps, the mirror, and the
 * way back when a step fails. What a step is on this system: mmap_os.h.
 *
 * Every mapping is made the same way: open or create the object, settle its size, take the
 * addresses, map the pieces, apply the options, fill and publish what was created. A mirror differs
 * from a plain mapping in the number of pieces alone:
 *
 *      object     |   lead   | segment |
 *      memory     |   lead   | copy 1  | copy 2  | ... | copy `times` |
 *                 ^ base     ^ addr
 *
 * The whole range is reserved first, and the pieces are mapped over the reservation, so that there
 * is no moment at which another thread could get a part of it.
 */
#include "mmap_os.h"

#include <string.h>

/* What both mmap_map() and mmap_mirror() come down to. */
struct request {
    const struct mmap_file *file;
    unsigned access, flags, mode;
    uint64_t size, offset, lead_size, times;
    uint64_t granularity; /* of the pieces' lengths */
    void *addr;
    int (*init)(struct mmap *map, void *context);
    void *context;
};

/* Somebody may remove a name as often as we find it and create it as often as we miss it. */
#define OPEN_ATTEMPTS 64

/* Where a range can get lost while it is filled, others have to be very busy to get it each time.
 */
#define RANGE_ATTEMPTS 100

#define ACCESS_BITS (MMAP_WRITE | MMAP_COPY | MMAP_EXEC)
#define FLAG_BITS                                                                                  \
    (MMAP_EXCLUSIVE | MMAP_EXISTING | MMAP_ANY_OWNER | MMAP_PREFAULT | MMAP_LOCK |                 \
     MMAP_HUGE_PREFER | MMAP_HUGE_REQUIRE | MMAP_DONTFORK | MMAP_NODUMP | MMAP_FULLFSYNC)

/* ---- errors ---------------------------------------------------------------------------------- */

const char *mmap_errname(int err)
{
    switch (err) {
    case MMAP_OK:
        return "ok";
#define CASE(code, value, name, message)                                                           \
    case code:                                                                                     \
        return name;
        MMAP_ERRORS(CASE)
#undef CASE
    default:
        return err > 0 ? "os_error" : "unknown_error";
    }
}

static const char *message_of(int err)
{
    switch (err) {
    case MMAP_OK:
        return "success";
#define CASE(code, value, name, message)                                                           \
    case code:                                                                                     \
        return message;
        MMAP_ERRORS(CASE)
#undef CASE
    default:
        return "unknown error";
    }
}

const char *mmap_errmsg(int err, char *buffer, size_t size)
{
    assert(buffer != NULL && size > 0);

    if (err > 0)
        mmap_os_message(err, buffer, size);
    else
        snprintf(buffer, size, "%s", message_of(err));
    return buffer;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* The next multiple of a power of two; 0 when it does not fit. */
static uint64_t align_up(uint64_t value, uint64_t granularity)
{
    return (value + granularity - 1) & ~(granularity - 1);
}

static bool is_aligned(uint64_t value, uint64_t granularity)
{
    return (value & (granularity - 1)) == 0;
}

uint64_t mmap_pagesize(void)
{
    return mmap_os_page_size();
}

uint64_t mmap_mirror_granularity(unsigned flags)
{
    return flags & MMAP_HUGE_REQUIRE ? OS_HUGE_PAGE : mmap_os_alias_granularity();
}

uint64_t mmap_aligned_size(uint64_t bytes, enum mmap_direction direction)
{
    uint64_t page = mmap_os_page_size();

    return direction == MMAP_DOWN ? bytes & ~(page - 1) : align_up(bytes, page);
}

void *mmap_aligned_addr(const void *addr, enum mmap_direction direction)
{
    return (void *)(uintptr_t)mmap_aligned_size((uintptr_t)addr, direction);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static int check_tagname(const char *tagname)
{
    size_t len = strlen(tagname);

    if (len > MMAP_TAGNAME_MAX)
        return MMAP_NAME_TOO_LONG;
    if (len == 0 || tagname[0] == '.' || strpbrk(tagname, "/\\:") != NULL)
        return MMAP_INVALID_ARG;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)tagname[i] < 0x20 || tagname[i] == 0x7f)
            return MMAP_INVALID_ARG;
    }
    return 0;
}

static int source_count(const struct mmap_file *file)
{
    return (file->path != NULL) + (file->fd != NULL) + (file->stream != NULL) +
           (file->handle != NULL) + (file->tagname != NULL);
}

static int check_file(const struct mmap_file *file)
{
    if (source_count(file) > 1)
        return MMAP_INVALID_ARG;
    if (file->path != NULL && file->path[0] == '\0')
        return MMAP_INVALID_ARG;
    if (file->tagname != NULL)
        return check_tagname(file->tagname);
    return 0;
}

static bool is_anonymous(const struct request *request)
{
    return source_count(request->file) == 0;
}

static int check_options(const struct request *request)
{
    unsigned access = request->access, flags = request->flags;

    if ((access & ~(unsigned)ACCESS_BITS) != 0 || (flags & ~(unsigned)FLAG_BITS) != 0)
        return MMAP_INVALID_ARG;
    if ((access & MMAP_WRITE) && (access & MMAP_COPY))
        return MMAP_INVALID_ARG;
    if ((flags & MMAP_HUGE_PREFER) && (flags & MMAP_HUGE_REQUIRE))
        return MMAP_INVALID_ARG;
    if ((flags & MMAP_EXCLUSIVE) &&
        ((flags & MMAP_EXISTING) || !(access & MMAP_WRITE) || request->size == 0))
        return MMAP_INVALID_ARG;
    if (request->mode & ~0777u)
        return MMAP_INVALID_ARG;
    return 0;
}

/*
 * Everything that is wrong whatever the system's state is. `granularity` is that of the offset and
 * of the addresses.
 */
static int check_request(const struct request *request, uint64_t granularity)
{
    int err = check_file(request->file);

    if (err != 0)
        return err;
    err = check_options(request);
    if (err != 0)
        return err;
    if (is_anonymous(request) && request->size == 0)
        return MMAP_INVALID_ARG;
    if ((request->flags & MMAP_HUGE_REQUIRE) && !is_anonymous(request))
        return MMAP_UNSUPPORTED;
    if (!is_aligned(request->offset, granularity) || !is_aligned(request->lead_size, granularity) ||
        !is_aligned((uintptr_t)request->addr, granularity))
        return MMAP_INVALID_ARG;
    if (request->size > INT64_MAX || request->offset > INT64_MAX - request->size)
        return MMAP_INVALID_ARG;
    return 0;
}

/* ---- objects --------------------------------------------------------------------------------- */

/*
 * Create what must not exist. A new name is only known to be free when it is published; looking
 * before spares the room that would be reserved in vain.
 */
static int create_exclusively(struct os_object *object, const struct mmap_file *file,
                              unsigned access, unsigned flags, unsigned mode)
{
    if (file->path != NULL)
        return mmap_os_create(object, file, access, flags, mode);

    int err = mmap_os_open(object, file, OS_SIZE_ONLY, MMAP_ANY_OWNER, mode);
    if (err == 0) {
        mmap_os_close(object);
        return MMAP_EXISTS;
    }

    /* Denied: if something is there all the same, publishing finds it. */
    bool is_name = file->tagname != NULL;
    if (is_name && (err == MMAP_NOT_FOUND || err == MMAP_ACCESS_DENIED))
        return mmap_os_create(object, file, access, flags, mode);
    return err;
}

/*
 * Open what exists or create what does not. A name can come and go between the two steps, hence the
 * attempts. `exists` is also the answer when something is in the way that cannot be opened, such as
 * a dangling symbolic link.
 */
static int open_or_create(struct os_object *object, const struct mmap_file *file, unsigned access,
                          unsigned flags, unsigned mode, bool may_create)
{
    bool creatable = may_create && (file->path != NULL || file->tagname != NULL);
    int err = MMAP_EXISTS;

    if (flags & MMAP_EXCLUSIVE)
        return create_exclusively(object, file, access, flags, mode);
    for (int i = 0; i < OPEN_ATTEMPTS && err == MMAP_EXISTS; i++) {
        err = mmap_os_open(object, file, access, flags, mode);
        if (err == MMAP_NOT_FOUND && creatable)
            err = mmap_os_create(object, file, access, flags, mode);
    }
    return err;
}

/* The same for a mapping: without a size there is nothing to create. */
static int open_for_map(struct os_object *object, const struct request *request)
{
    bool may_create = (request->access & MMAP_WRITE) && !(request->flags & MMAP_EXISTING);
    int err = open_or_create(object, request->file, request->access, request->flags, request->mode,
                             may_create && request->size != 0);

    if (err == MMAP_NOT_FOUND && may_create && request->size == 0 && request->file->path != NULL &&
        mmap_os_has_folder(request->file->path))
        return MMAP_FILE_TOO_SHORT;
    return err;
}

/* Whether there are numbers for the addresses of the lead and all copies, each `length` bytes. */
static bool is_addressable(const struct request *request, uint64_t length)
{
    return request->lead_size <= SIZE_MAX && length <= SIZE_MAX - request->lead_size &&
           request->times <= (SIZE_MAX - request->lead_size) / length;
}

/*
 * Find the size of the mapping and make the object long enough for it.
 *   old_size  the object's size before
 *   new_size  after; different from old_size when it was extended
 */
static int settle_size(struct os_object *object, const struct request *request, uint64_t *size,
                       uint64_t *old_size, uint64_t *new_size)
{
    int err = mmap_os_size(object, old_size);
    if (err != 0)
        return err;

    *new_size = *old_size;
    *size = request->size;
    if (request->size == 0) {
        if (*old_size <= request->offset)
            return MMAP_FILE_TOO_SHORT;
        *size = *old_size - request->offset;
        return 0;
    }
    if (request->offset + request->size <= *old_size)
        return 0;

    bool extendable = request->file->tagname == NULL || object->created;
    if (!(request->access & MMAP_WRITE) || !extendable)
        return MMAP_FILE_TOO_SHORT;
    if (!is_addressable(request, align_up(request->size, request->granularity)))
        return MMAP_OUT_OF_MEM;
    *new_size = request->offset + request->size;
    return mmap_os_resize(object, *old_size, *new_size);
}

/*
 * Take back what open_for_map() and settle_size() did to an object. If somebody else changed the
 * size since, it is his.
 */
static void undo_object(struct os_object *object, const struct request *request, uint64_t old_size,
                        uint64_t new_size)
{
    uint64_t size;

    if (object->created && request->file->path != NULL)
        mmap_os_discard(object, request->file->path);
    else if (new_size != old_size && mmap_os_size(object, &size) == 0 && size == new_size)
        mmap_os_resize(object, new_size, old_size);
    mmap_os_close(object);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static unsigned char *piece_at(const struct mmap *map, uint64_t index, uint64_t length)
{
    return (unsigned char *)map->addr + index * length;
}

/*
 * Take the addresses for the lead and all copies, each `length` bytes, in map->base and ->length.
 */
static int reserve_range(struct mmap *map, const struct request *request, uint64_t length,
                         uint64_t alignment)
{
    if (!is_addressable(request, length))
        return MMAP_OUT_OF_MEM;
    map->length = request->lead_size + request->times * length;

    int err = mmap_os_reserve(&map->base, request->addr, map->length, alignment);
    if (err == 0)
        map->addr = (unsigned char *)map->base + request->lead_size;
    return err;
}

/* A piece is not ours any more: what is before it is all that is left of the range. */
static void lose_range(struct mmap *map, unsigned char *piece, uint64_t length)
{
    uint64_t start = (uint64_t)(piece - (unsigned char *)map->base), end = start + length;

    if (end < map->length)
        mmap_os_abandon(piece + length, map->length - end);
    map->length = start;
}

/*
 * Fill the range with pieces of an object, or of anonymous memory when `object` is NULL. The lead
 * and the first copy are neighbours in the object too. On failure the range is still held, and may
 * be filled in another way; but after OS_RANGE_LOST it ends where the loss begins.
 */
static int map_pieces(struct mmap *map, const struct request *request,
                      const struct os_object *object, uint64_t length)
{
    uint64_t start = is_anonymous(request) ? 0 : request->offset - request->lead_size;
    unsigned char *piece = map->base;
    int err = mmap_os_map(NULL, piece, object, start, request->lead_size + length, request->access);

    for (uint64_t i = 1; err == 0 && i < request->times; i++) {
        piece = piece_at(map, i, length);
        if (object == NULL)
            err = mmap_os_alias(map->addr, piece, length);
        else
            err = mmap_os_map(NULL, piece, object, start + request->lead_size, length,
                              request->access);
    }
    if (err == OS_RANGE_LOST)
        lose_range(map, piece, piece == map->base ? request->lead_size + length : length);
    return err;
}

/* One piece at any address needs no reservation. */
static bool is_simple(const struct request *request)
{
    return request->times == 1 && request->lead_size == 0 && request->addr == NULL &&
           !(request->flags & (MMAP_HUGE_PREFER | MMAP_HUGE_REQUIRE));
}

static int map_anywhere(struct mmap *map, const struct request *request,
                        const struct os_object *object, uint64_t length)
{
    int err = mmap_os_map(&map->base, NULL, object, request->offset, length, request->access);

    map->addr = map->base;
    map->length = length;
    return err;
}

/* Map an anonymous object into the range, which is ours already. */
static int map_anonymous_object(struct mmap *map, const struct request *request, uint64_t length,
                                unsigned flags)
{
    struct os_object object;
    int err = mmap_os_create(&object, request->file, request->access, flags, 0600);

    if (err == 0) {
        err = mmap_os_resize(&object, 0, request->lead_size + length);
        if (err == 0)
            err = map_pieces(map, request, &object, length);
        mmap_os_close(&object);
    }

    /* There is no disk. */
    return err == MMAP_DISK_FULL ? MMAP_OUT_OF_MEM : err;
}

/* Fill the range: without an object, and if this system cannot alias such memory, with one. */
static int fill_with_pages(struct mmap *map, const struct request *request, uint64_t length)
{
    int err = MMAP_UNSUPPORTED;

    if (request->times == 1 || mmap_os_can_alias())
        err = map_pieces(map, request, NULL, length);
    return err == MMAP_UNSUPPORTED ? map_anonymous_object(map, request, length, 0) : err;
}

/* Fill the range: with huge pages if they are wanted and to be had, else with others. */
static int fill_anonymous(struct mmap *map, const struct request *request, uint64_t length)
{
    bool require = request->flags & MMAP_HUGE_REQUIRE;
    bool prefer = request->flags & MMAP_HUGE_PREFER;
    bool fits = is_aligned(length | request->lead_size, OS_HUGE_PAGE);

    if (!require && !(prefer && fits))
        return fill_with_pages(map, request, length);
    int err = map_anonymous_object(map, request, length, MMAP_HUGE_REQUIRE);
    map->huge = err == 0;
    if (err == 0 || require || err == OS_RANGE_LOST)
        return err;
    err = mmap_os_clear(map->base, map->length);
    if (err == OS_RANGE_LOST)
        map->length = 0;
    return err != 0 ? err : fill_with_pages(map, request, length);
}

/* Take a range and fill it, with an object or with anonymous memory; on failure nothing is mapped.
 */
static int map_range(struct mmap *map, const struct request *request,
                     const struct os_object *object, uint64_t length, uint64_t alignment)
{
    int err = OS_RANGE_LOST;

    for (int i = 0; i < RANGE_ATTEMPTS && err == OS_RANGE_LOST; i++) {
        err = reserve_range(map, request, length, alignment);
        if (err != 0)
            return err;
        err = object == NULL ? fill_anonymous(map, request, length)
                             : map_pieces(map, request, object, length);
        if (err != 0 && map->length != 0)
            mmap_os_release(map->base, map->length);
    }
    return err == OS_RANGE_LOST ? MMAP_OUT_OF_MEM : err;
}

/* Map the object of a file or a name; on failure nothing is mapped. */
static int map_object(struct mmap *map, const struct request *request,
                      const struct os_object *object, uint64_t size)
{
    uint64_t length = align_up(size, request->granularity);
    uint64_t alignment =
        request->flags & MMAP_HUGE_PREFER ? OS_HUGE_PAGE : mmap_os_alias_granularity();

    if (!is_addressable(request, length))
        return MMAP_OUT_OF_MEM;
    if (is_simple(request))
        return map_anywhere(map, request, object, length);
    return map_range(map, request, object, length, alignment);
}

static int map_anonymous(struct mmap *map, const struct request *request)
{
    bool huge = request->flags & (MMAP_HUGE_PREFER | MMAP_HUGE_REQUIRE);

    /* The copies of a mirror have no gaps, so its length is its size. */
    uint64_t page = huge && request->times == 1 ? OS_HUGE_PAGE : request->granularity;
    uint64_t length = align_up(request->size, page);

    if (!is_addressable(request, length))
        return MMAP_OUT_OF_MEM;
    if (is_simple(request))
        return map_anywhere(map, request, NULL, length);
    return map_range(map, request, NULL, length, huge ? OS_HUGE_PAGE : mmap_os_alias_granularity());
}

/* Apply the options to a mapping that is complete. Huge pages come first: they must be asked for
 * before the pages are touched. */
static int apply_options(struct mmap *map, const struct request *request)
{
    unsigned flags = request->flags;
    uint64_t once = request->lead_size + (map->length - request->lead_size) / request->times;
    int err = 0;

    if ((flags & MMAP_HUGE_PREFER) && !map->huge)
        mmap_os_advise(map->base, map->length, OS_HUGE_TRY, request->access);
    if (flags & MMAP_DONTFORK)
        err = mmap_os_advise(map->base, map->length, OS_DONTFORK, request->access);
    if (err == 0 && (flags & MMAP_NODUMP) && request->times > 1)
        err = mmap_os_advise((unsigned char *)map->base + once, map->length - once, OS_NODUMP,
                             request->access);
    if (err == 0 && (flags & MMAP_LOCK))
        err = mmap_os_advise(map->base, once, OS_LOCK, request->access);
    if (err == 0 && (flags & MMAP_PREFAULT))
        err = mmap_os_advise(map->base, map->length, OS_PREFAULT, request->access);
    if (err == 0 && (flags & MMAP_HUGE_PREFER) && (flags & MMAP_PREFAULT) && !map->huge)
        map->huge = mmap_os_advise(map->base, map->length, OS_HUGE_COLLAPSE, request->access) == 0;
    return err;
}

/* ---- mapping --------------------------------------------------------------------------------- */

/* What the caller sees of a finished mapping. */
static void describe(struct mmap *map, const struct request *request, uint64_t size)
{
    map->size = size;
    map->extent = request->times > 1 ? map->length : request->lead_size + size;
}

static int build_anonymous(struct mmap *map, const struct request *request)
{
    struct mmap result = { 0 };
    int err = map_anonymous(&result, request);

    if (err != 0)
        return err;
    err = apply_options(&result, request);
    if (err == 0) {
        describe(&result, request, request->size);
        result.created = true;
        if (request->init != NULL)
            err = request->init(&result, request->context);
    }
    if (err != 0) {
        mmap_os_release(result.base, result.length);
        return err;
    }
    *map = result;
    return 0;
}

/*
 * Fill what was created, and only then let others see it.
 *   lost_race  somebody else's name was there first
 */
static int fill_and_publish(struct mmap *map, const struct request *request,
                            struct os_object *object, bool *lost_race)
{
    int err = 0;

    if (!object->created)
        return 0;
    if (request->init != NULL)
        err = request->init(map, request->context);
    if (err != 0 || request->file->tagname == NULL)
        return err;
    err = mmap_os_publish(object, request->file);
    *lost_race = err == MMAP_EXISTS;
    return err;
}

static int build_from_object(struct mmap *map, const struct request *request, bool *lost_race)
{
    struct os_object object;
    struct mmap result = { 0 };
    uint64_t size, old_size = 0, new_size = 0;

    int err = open_for_map(&object, request);
    if (err != 0)
        return err;
    err = settle_size(&object, request, &size, &old_size, &new_size);
    if (err != 0) {
        new_size = old_size;
        goto fail_object;
    }
    err = map_object(&result, request, &object, size);
    if (err != 0)
        goto fail_object;
    err = mmap_os_keep(&object, request->access, request->flags, result.kept);
    if (err != 0)
        goto fail_map;
    err = apply_options(&result, request);
    if (err != 0)
        goto fail_map;
    describe(&result, request, size);
    result.created = object.created;
    result.flushable = request->file->tagname == NULL && !(request->access & MMAP_COPY);
    err = fill_and_publish(&result, request, &object, lost_race);
    if (err != 0)
        goto fail_map;

    mmap_os_close(&object);
    *map = result;
    return 0;

fail_map:
    mmap_os_release(result.base, result.length);
fail_object:
    undo_object(&object, request, old_size, new_size);
    mmap_os_drop(result.kept);
    return err;
}

static int build(struct mmap *map, const struct request *request)
{
    if (is_anonymous(request))
        return build_anonymous(map, request);

    /* Two processes may create one name at once; the one that comes second attaches. */
    int err = MMAP_EXISTS;
    bool lost_race = true;
    for (int i = 0; i < OPEN_ATTEMPTS && lost_race; i++) {
        lost_race = false;
        err = build_from_object(map, request, &lost_race);
        if (request->flags & MMAP_EXCLUSIVE)
            break;
    }
    return err;
}

int mmap_map(struct mmap *map, const struct mmap_args *args)
{
    struct request request = {
        .file = &args->file,
        .access = args->access,
        .flags = args->flags,
        .mode = args->mode,
        .size = args->size,
        .offset = args->offset,
        .times = 1,
        .granularity = mmap_os_page_size(),
        .addr = args->addr,
        .init = args->init,
        .context = args->context,
    };

    if (source_count(request.file) == 0)
        request.offset = 0;
    int err = check_request(&request,
                            request.flags & MMAP_HUGE_REQUIRE ? OS_HUGE_PAGE : mmap_os_page_size());
    return err != 0 ? err : build(map, &request);
}

int mmap_mirror(struct mmap *map, const struct mmap_mirror_args *args)
{
    struct request request = {
        .file = &args->file,
        .access = MMAP_WRITE,
        .flags = args->flags,
        .mode = args->mode,
        .size = args->size,
        .offset = args->offset,
        .lead_size = args->lead_size,
        .times = args->times == 0 ? 2 : args->times,
        .granularity = mmap_mirror_granularity(args->flags),
        .addr = args->addr,
        .init = args->init,
        .context = args->context,
    };

    if (source_count(request.file) == 0)
        request.offset = request.lead_size;
    if (args->size == 0 || !is_aligned(args->size, request.granularity) ||
        request.lead_size > request.offset)
        return MMAP_INVALID_ARG;
    if (request.times > (UINT64_MAX - request.lead_size) / request.size)
        return MMAP_INVALID_ARG;
    int err = check_request(&request, request.granularity);
    return err != 0 ? err : build(map, &request);
}

int mmap_flush(struct mmap *map, void *addr, uint64_t size, bool async)
{
    unsigned char *base = map->base, *start = addr;
    uint64_t lead_size = (uint64_t)((unsigned char *)map->addr - base);

    /* One copy of a mirror is all of it. */
    if (start == NULL && size == 0)
        size = lead_size + map->size;
    if (start == NULL)
        start = base;
    if ((uintptr_t)start < (uintptr_t)base || (uintptr_t)start - (uintptr_t)base > map->extent)
        return MMAP_INVALID_ARG;

    uint64_t rest = map->extent - (uint64_t)(start - base);
    if (size > rest)
        return MMAP_INVALID_ARG;
    if (!map->flushable)
        return 0;
    if (size == 0)
        size = rest;
    unsigned char *first = mmap_aligned_addr(start, MMAP_DOWN);
    return mmap_os_flush(map->kept, first, size + (uint64_t)(start - first), async);
}

int mmap_free(struct mmap *map)
{
    if (map->base == NULL)
        return 0;

    int err = mmap_os_release(map->base, map->length);
    if (err != 0)
        return err;
    mmap_os_drop(map->kept);
    memset(map, 0, sizeof *map);
    return 0;
}

int mmap_unlink(const char *tagname)
{
    int err = check_tagname(tagname);

    return err != 0 ? err : mmap_os_unlink(tagname);
}

/* ---- file sizes ------------------------------------------------------------------------------ */

int mmap_filesize(const struct mmap_file *file, uint64_t *size)
{
    struct os_object object;
    int err = check_file(file);

    if (err == 0 && source_count(file) == 0)
        err = MMAP_INVALID_ARG;
    if (err == 0)
        err = mmap_os_open(&object, file, OS_SIZE_ONLY, MMAP_ANY_OWNER, 0);
    if (err != 0)
        return err;

    uint64_t found;
    err = mmap_os_size(&object, &found);
    mmap_os_close(&object);
    if (err == 0)
        *size = found;
    return err;
}

int mmap_set_filesize(const struct mmap_file *file, uint64_t size)
{
    struct os_object object;
    int err = check_file(file);

    if (err == 0 && (source_count(file) == 0 || size > INT64_MAX))
        err = MMAP_INVALID_ARG;
    if (err == 0 && file->tagname != NULL)
        err = MMAP_UNSUPPORTED;
    if (err == 0)
        err = open_or_create(&object, file, MMAP_WRITE | OS_SIZE_ONLY, 0, 0, true);
    if (err != 0)
        return err;

    uint64_t old_size;
    err = mmap_os_size(&object, &old_size);
    if (err == 0 && size != old_size)
        err = mmap_os_resize(&object, old_size, size);
    if (err != 0 && object.created)
        mmap_os_discard(&object, file->path);
    mmap_os_close(&object);
    return err;
}
