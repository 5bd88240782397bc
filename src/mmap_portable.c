/* SPDX-License-Identifier: MIT */
/*
 * The mapping primitives of mmap_os.h with no more than what POSIX systems have in common: for the
 * BSDs, and for Linux in a build that tries this file (MRING_PORTABLE).
 */
#define _GNU_SOURCE       /* MAP_ANONYMOUS; systems without this macro show it anyway */
#define _FILE_OFFSET_BITS 64

#include "mmap_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* Take the address or fail. Where there is no such flag, an address is a hint, and compared. */
#if defined(MAP_EXCL)
#define EXACTLY (MAP_FIXED | MAP_EXCL)
#elif defined(MAP_FIXED_NOREPLACE)
#define EXACTLY MAP_FIXED_NOREPLACE
#elif defined(__MAP_NOREPLACE)
#define EXACTLY (MAP_FIXED | __MAP_NOREPLACE)
#else
#define EXACTLY 0
#endif

/* Not to be in a core dump. Where there is no such advice, nothing is to be done. */
#if defined(MADV_NOCORE)
#define ADVICE_NODUMP MADV_NOCORE
#elif defined(MADV_DONTDUMP)
#define ADVICE_NODUMP MADV_DONTDUMP
#else
#define ADVICE_NODUMP MADV_NORMAL
#endif

int mmap_system_map_error(int code)
{
    return mmap_posix_map_error(code);
}

/* ---- objects --------------------------------------------------------------------------------- */

int mmap_system_size_only_flag(void)
{
    return 0;
}

/* Of what is being read, the BSDs flush nothing. On Linux it has to be asked. */
#if defined(__linux__)
#include <stdio_ext.h>

bool mmap_system_has_output(FILE *stream)
{
    return __fpending(stream) > 0;
}
#else
bool mmap_system_has_output(FILE *stream)
{
    int flags = fcntl(fileno(stream), F_GETFL);

    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}
#endif

bool mmap_system_is_mappable(int fd)
{
    (void)fd;
    return true;
}

/*
 * An object without a name; or with one that nobody knows and that is gone at once. Who is killed
 * between these two calls leaves an empty object until the machine restarts.
 */
#if defined(SHM_ANON)
static int create_unnamed(void)
{
    return shm_open(SHM_ANON, O_RDWR, 0600);
}
#else
static int create_unnamed(void)
{
    char name[sizeof "/mr" + OS_NAME_KEY_SIZE] = "/mr", key[OS_NAME_KEY_SIZE];

    if (!mmap_names_draw_key(key))
        return -1;
    int fd = shm_open(strcat(name, key), O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0)
        shm_unlink(name);
    return fd;
}
#endif

int mmap_system_create_anonymous(unsigned flags)
{
    if (flags & MMAP_HUGE_REQUIRE) {
        errno = ENOSYS;
        return -1;
    }
    return create_unnamed();
}

/* Returns a code of errno. */
#if defined(__OpenBSD__)
static int reserve_blocks(int fd, off_t pos, off_t size)
{
    (void)fd, (void)pos, (void)size;
    return EOPNOTSUPP;
}
#else
static int reserve_blocks(int fd, off_t pos, off_t size)
{
    int code;

    do {
        code = posix_fallocate(fd, pos, size);
    } while (code == EINTR);
    return code;
}
#endif

/* What file systems that reserve no blocks say, and shared memory on FreeBSD. */
static bool cannot_reserve(int code)
{
    return code == EOPNOTSUPP || code == EINVAL || code == ENODEV || code == ENOSYS;
}

int mmap_system_grow(const struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    int fd = (int)object->handle;

    if (mmap_posix_over_limit(new_size))
        return MMAP_FILE_TOO_BIG;
    int code = reserve_blocks(fd, (off_t)old_size, (off_t)(new_size - old_size));
    if (code == 0)
        return 0;
    if (cannot_reserve(code))
        return mmap_posix_truncate(fd, new_size);
    mmap_posix_cut_back(fd, old_size, new_size);
    return mmap_posix_error_of(code);
}

/* ---- memory ---------------------------------------------------------------------------------- */

int mmap_system_reserve_at(void **base, void *addr, size_t length)
{
    void *start =
        mmap(addr, length, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE | EXACTLY, -1, 0);

    if (start == MAP_FAILED)
        return MMAP_OUT_OF_MEM;
    if (start != addr) {
        munmap(start, length);
        return MMAP_OUT_OF_MEM;
    }
    *base = start;
    return 0;
}

/* Whether the system would map this at all. */
static int rehearse(const struct os_object *object, uint64_t offset, uint64_t length,
                    unsigned access)
{
    void *start = mmap_posix_map(NULL, object, offset, length, access, 0);

    if (start == NULL)
        return mmap_system_map_error(errno);
    munmap(start, (size_t)length);
    return 0;
}

/*
 * MAP_FIXED replaces our own reservation in one step. But when it fails it may leave a hole, which
 * another thread may get, and nothing tells that from a reservation that was left alone. So first
 * see that it won't fail. If it does all the same, the hole is reserved again; where that fails,
 * too, the piece is not ours any more as far as we know.
 */
int mmap_os_map(void **base, void *at, const struct os_object *object, uint64_t offset,
                uint64_t length, unsigned access)
{
    void *hole;
    int err = at == NULL ? 0 : rehearse(object, offset, length, access);

    if (err != 0)
        return err;
    void *start = mmap_posix_map(at, object, offset, length, access, at != NULL ? MAP_FIXED : 0);
    if (start == NULL) {
        err = mmap_system_map_error(errno);
        return at == NULL || mmap_system_reserve_at(&hole, at, (size_t)length) == 0 ? err
                                                                                    : OS_RANGE_LOST;
    }
    if (base != NULL)
        *base = start;
    return 0;
}

/* There is no way without an object. */
bool mmap_os_can_alias(void)
{
    return false;
}

int mmap_os_alias(void *from, void *to, uint64_t length)
{
    (void)from, (void)to, (void)length;
    return MMAP_UNSUPPORTED;
}

#if defined(MADV_DONTFORK)
static int dont_fork(void *addr, size_t length)
{
    return madvise(addr, length, MADV_DONTFORK);
}
#elif defined(MAP_INHERIT_NONE)
static int dont_fork(void *addr, size_t length)
{
    return minherit(addr, length, MAP_INHERIT_NONE);
}
#else
static int dont_fork(void *addr, size_t length)
{
    return minherit(addr, length, INHERIT_NONE);
}
#endif

int mmap_system_advise(void *addr, size_t length, enum os_advice advice, unsigned access)
{
    int result;

    switch (advice) {
    case OS_PREFAULT:
        mmap_posix_take(addr, length, access);
        return 0;
    case OS_DONTFORK:
        result = dont_fork(addr, length);
        break;
    case OS_NODUMP:
        result = madvise(addr, length, ADVICE_NODUMP);
        break;
    default:
        return MMAP_UNSUPPORTED;
    }
    return result == 0 ? 0 : mmap_system_map_error(errno);
}
