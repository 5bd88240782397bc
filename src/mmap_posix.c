/* SPDX-License-Identifier: MIT */
/* The mapping primitives of mmap_os.h that POSIX systems have in common. */
#define _GNU_SOURCE       /* MAP_ANONYMOUS; systems without this macro show it anyway */
#define _FILE_OFFSET_BITS 64

#include "mmap_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where there is no such flag, memory without access is not counted. */
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* ---- errors ---------------------------------------------------------------------------------- */

int mmap_posix_error_of(int code)
{
    static const struct {
        int code, err;
    } rows[] = {
        { ENOENT, MMAP_NOT_FOUND },       { ENOTDIR, MMAP_NOT_FOUND },
        { ENOSPC, MMAP_DISK_FULL },       { EDQUOT, MMAP_DISK_FULL },
        { EFBIG, MMAP_FILE_TOO_BIG },     { ENOMEM, MMAP_OUT_OF_MEM },
        { EMFILE, MMAP_FD_LIMIT },        { ENFILE, MMAP_FD_LIMIT },
        { EBADF, MMAP_INVALID_ARG },      { ENAMETOOLONG, MMAP_NAME_TOO_LONG },
        { EEXIST, MMAP_EXISTS },          { EACCES, MMAP_ACCESS_DENIED },
        { EPERM, MMAP_ACCESS_DENIED },    { ELOOP, MMAP_ACCESS_DENIED },
        { EROFS, MMAP_ACCESS_DENIED },    { ENODEV, MMAP_UNSUPPORTED },
        { EOPNOTSUPP, MMAP_UNSUPPORTED }, { ENXIO, MMAP_UNSUPPORTED },
        { EISDIR, MMAP_UNSUPPORTED },     { EOVERFLOW, MMAP_OUT_OF_MEM },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].code == code)
            return rows[i].err;
    }
    return code;
}

void mmap_os_message(int code, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s", strerror(code));
}

/* ---- sizes ----------------------------------------------------------------------------------- */

uint64_t mmap_os_page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t mmap_os_alias_granularity(void)
{
    uint64_t shmlba = (uint64_t)SHMLBA, page = mmap_os_page_size();

    return shmlba > page ? shmlba : page;
}

/* ---- objects --------------------------------------------------------------------------------- */

static int fd_of(const struct os_object *object)
{
    return (int)object->handle;
}

int mmap_posix_open(const char *path, int flags, mode_t mode)
{
    int fd;

    do {
        fd = open(path, flags, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* How a file is opened for an access. For its size alone, reading it need not be allowed. */
static int open_flags(unsigned access)
{
    if (access & OS_SIZE_ONLY)
        return access & MMAP_WRITE ? O_WRONLY : mmap_system_size_only_flag();
    return access & MMAP_WRITE ? O_RDWR : O_RDONLY;
}

int mmap_posix_open_path(const char *path, unsigned access, int extra_flags, mode_t mode)
{
    int flags = open_flags(access) | O_CLOEXEC | O_NOCTTY | extra_flags;
    int fd = mmap_posix_open(path, flags | O_NONBLOCK, mode);

    return fd < 0 && errno == EAGAIN ? mmap_posix_open(path, flags, mode) : fd;
}

void mmap_posix_own(struct os_object *object, int fd)
{
    *object = (struct os_object){ .handle = fd, .owned = true };
}

/* The caller's own descriptor: is it open, and for this access? */
static int borrow_fd(struct os_object *object, int fd, unsigned access)
{
    int status = fcntl(fd, F_GETFL);

    if (status < 0)
        return mmap_posix_error_of(errno);
    if ((access & MMAP_WRITE) && (status & O_ACCMODE) == O_RDONLY)
        return MMAP_ACCESS_DENIED;
    if (!(access & OS_SIZE_ONLY) &&
        ((status & O_ACCMODE) == O_WRONLY || (status & mmap_system_size_only_flag())))
        return MMAP_ACCESS_DENIED;
    mmap_posix_own(object, fd);
    object->owned = false;
    return 0;
}

static int borrow_stream(struct os_object *object, FILE *stream, unsigned access)
{
    int fd = fileno(stream);

    if (fd < 0)
        return MMAP_INVALID_ARG;
    int err = borrow_fd(object, fd, access);

    /* Flushing what was read would move the position and drop what was pushed back. */
    if (err == 0 && mmap_system_has_output(stream) && fflush(stream) != 0)
        err = mmap_posix_error_of(errno);
    return err;
}

/* Look before opening, which has effects of its own on FIFOs, terminals and leased files. */
static int open_file(struct os_object *object, const char *path, unsigned access)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return mmap_posix_error_of(errno);
    if (!S_ISREG(status.st_mode))
        return MMAP_UNSUPPORTED;
    if (access == OS_SIZE_ONLY && mmap_system_size_only_flag() == 0) {
        *object = (struct os_object){ .handle = -1, .size = (uint64_t)status.st_size };
        return 0;
    }
    int fd = mmap_posix_open_path(path, access, 0, 0);
    if (fd < 0)
        return mmap_posix_error_of(errno);
    mmap_posix_own(object, fd);
    return 0;
}

/* Only plain files are mapped. */
static int check_file(const struct os_object *object, unsigned access)
{
    struct stat status;

    if (fstat(fd_of(object), &status) != 0)
        return mmap_posix_error_of(errno);
    if (!S_ISREG(status.st_mode))
        return MMAP_UNSUPPORTED;
    return access & OS_SIZE_ONLY || mmap_system_is_mappable(fd_of(object)) ? 0 : MMAP_UNSUPPORTED;
}

int mmap_os_open(struct os_object *object, const struct mmap_file *file, unsigned access,
                 unsigned flags, unsigned mode)
{
    int err;

    if (file->handle != NULL)
        return MMAP_UNSUPPORTED;
    if (file->tagname != NULL)
        return mmap_names_open(object, file->tagname, access, flags, mode);
    if (file->fd != NULL)
        err = borrow_fd(object, *file->fd, access);
    else if (file->stream != NULL)
        err = borrow_stream(object, file->stream, access);
    else
        err = open_file(object, file->path, access);
    if (err != 0 || fd_of(object) < 0)
        return err;

    err = check_file(object, access);
    if (err != 0)
        mmap_posix_close(object);
    return err;
}

bool mmap_os_has_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;

    if (length + sizeof "." > sizeof folder)
        return false;
    memcpy(folder, path, length);
    strcpy(folder + length, ".");
    struct stat status;
    return stat(folder, &status) == 0;
}

int mmap_os_create(struct os_object *object, const struct mmap_file *file, unsigned access,
                   unsigned flags, unsigned mode)
{
    int fd;

    (void)access;
    if (file->tagname != NULL)
        return mmap_names_create(object, mode);
    if (file->path != NULL)
        fd = mmap_posix_open_path(file->path, MMAP_WRITE, O_CREAT | O_EXCL,
                                  mode == 0 ? 0666 : (mode_t)mode);
    else
        fd = mmap_system_create_anonymous(flags);

    /* No such flags: there are no huge pages. */
    if (fd < 0 && file->path == NULL && (errno == EINVAL || errno == ENOSYS))
        return MMAP_UNSUPPORTED;
    if (fd < 0)
        return mmap_posix_error_of(errno);
    mmap_posix_own(object, fd);
    object->created = true;
    object->huge = flags & MMAP_HUGE_REQUIRE;
    return 0;
}

void mmap_posix_close(struct os_object *object)
{
    /* The descriptor is gone whatever close() returns. */
    if (object->owned)
        close(fd_of(object));
    object->owned = false;
}

void mmap_os_discard(const struct os_object *object, const char *path)
{
    struct stat ours, there;

    if (fstat(fd_of(object), &ours) == 0 && lstat(path, &there) == 0 &&
        ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
        unlink(path);
}

int mmap_posix_size(const struct os_object *object, uint64_t *size)
{
    struct stat status;

    if (fd_of(object) < 0) {
        *size = object->size;
        return 0;
    }
    if (fstat(fd_of(object), &status) != 0)
        return mmap_posix_error_of(errno);
    *size = (uint64_t)status.st_size;
    return 0;
}

int mmap_posix_truncate(int fd, uint64_t size)
{
    int result;

    do {
        result = ftruncate(fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : mmap_posix_error_of(errno);
}

void mmap_posix_cut_back(int fd, uint64_t old_size, uint64_t new_size)
{
    struct stat status;

    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size >= old_size &&
        (uint64_t)status.st_size <= new_size)
        mmap_posix_truncate(fd, old_size);
}

bool mmap_posix_over_limit(uint64_t size)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           size > (uint64_t)limit.rlim_cur;
}

int mmap_posix_resize(const struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    return new_size > old_size ? mmap_system_grow(object, old_size, new_size)
                               : mmap_posix_truncate(fd_of(object), new_size);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/*
 * Lengths of memory come as 64 bits and fit a size_t: mmap.c refuses what has more than the
 * addresses of a 32-bit process, with out_of_mem. Offsets in objects may have more.
 */

int mmap_posix_protection(unsigned access)
{
    return PROT_READ | (access & (MMAP_WRITE | MMAP_COPY) ? PROT_WRITE : 0) |
           (access & MMAP_EXEC ? PROT_EXEC : 0);
}

void *mmap_posix_map(void *at, const struct os_object *object, uint64_t offset, uint64_t length,
                     unsigned access, int more_flags)
{
    bool is_private = (access & MMAP_COPY) || (object == NULL && !(access & MMAP_WRITE));
    int flags = (is_private ? MAP_PRIVATE : MAP_SHARED) | (object == NULL ? MAP_ANONYMOUS : 0);
    void *start = mmap(at, (size_t)length, mmap_posix_protection(access), flags | more_flags,
                       object == NULL ? -1 : fd_of(object), (off_t)offset);

    return start == MAP_FAILED ? NULL : start;
}

int mmap_posix_map_error(int code)
{
    return code == EAGAIN ? MMAP_OUT_OF_MEM : mmap_posix_error_of(code);
}

/*
 * Of a reservation of *held bytes, keep `length` behind the padding. On failure *held bytes at
 * `start` are still ours.
 */
static bool trim(unsigned char *start, size_t *held, size_t padding, size_t length)
{
    size_t end = padding + length;

    if (*held > end && munmap(start + end, *held - end) != 0)
        return false;
    *held = end;
    return padding == 0 || munmap(start, padding) == 0;
}

/* Anywhere: reserve more than needed and keep the aligned part. */
static int reserve_aligned(void **base, size_t length, size_t alignment)
{
    size_t slack = alignment > mmap_os_page_size() ? alignment : 0;

    if (length > SIZE_MAX - slack)
        return MMAP_OUT_OF_MEM;
    unsigned char *start =
        mmap(NULL, length + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return mmap_system_map_error(errno);

    size_t padding = slack == 0 ? 0 : (alignment - (uintptr_t)start % alignment) % alignment;
    size_t held = length + slack;
    if (!trim(start, &held, padding, length)) {
        int err = mmap_system_map_error(errno);
        munmap(start, held);
        return err;
    }
    *base = start + padding;
    return 0;
}

int mmap_os_reserve(void **base, void *addr, uint64_t length, uint64_t alignment)
{
    return addr != NULL ? mmap_system_reserve_at(base, addr, (size_t)length)
                        : reserve_aligned(base, (size_t)length, (size_t)alignment);
}

int mmap_os_release(void *base, uint64_t length)
{
    return munmap(base, (size_t)length) == 0 ? 0 : mmap_system_map_error(errno);
}

void mmap_os_abandon(void *base, uint64_t length)
{
    munmap(base, (size_t)length);
}

void mmap_posix_touch(const volatile unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += (size_t)mmap_os_page_size())
        (void)bytes[i];
}

/* Adding nothing is a write that loses nobody else's. That it is nothing is kept from the compiler,
   which might leave a write out that changes nothing. */
void mmap_posix_take(void *bytes, size_t length, unsigned access)
{
    volatile uint32_t nothing = 0;

    if (!(access & (MMAP_WRITE | MMAP_COPY))) {
        mmap_posix_touch(bytes, length);
        return;
    }
    for (size_t i = 0; i < length; i += (size_t)mmap_os_page_size())
        *(volatile _Atomic uint32_t *)((unsigned char *)bytes + i) += nothing;
}

/* Every way in which the limit on locked memory shows is the same to the caller. */
static int lock(void *addr, size_t length)
{
    if (mlock(addr, length) == 0)
        return 0;
    return errno == EPERM ? MMAP_OUT_OF_MEM : mmap_system_map_error(errno);
}

int mmap_os_advise(void *addr, uint64_t length, enum os_advice advice, unsigned access)
{
    return advice == OS_LOCK ? lock(addr, (size_t)length)
                             : mmap_system_advise(addr, (size_t)length, advice, access);
}

/* What is mapped over a range replaces what was there. */
int mmap_os_clear(void *base, uint64_t length)
{
    (void)base, (void)length;
    return 0;
}

/* ---- the disk -------------------------------------------------------------------------------- */

static int synchronize(void *addr, uint64_t length, bool async)
{
    return msync(addr, (size_t)length, async ? MS_ASYNC : MS_SYNC) == 0
               ? 0
               : mmap_posix_error_of(errno);
}

#if defined(F_FULLFSYNC)
#define FULL_SYNC F_FULLFSYNC
#else
#define FULL_SYNC (-1) /* a mapping keeps its object by itself, and synchronizing it is all */
#endif

/* To have the drive write what it caches takes a descriptor. 0 is none, so that of one more. */
int mmap_os_keep(struct os_object *object, unsigned access, unsigned flags, void *kept[2])
{
    if (FULL_SYNC < 0 || !(flags & MMAP_FULLFSYNC) || !(access & MMAP_WRITE) ||
        object->name.key[0] != '\0')
        return 0;
    int fd = fcntl(fd_of(object), F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return mmap_posix_error_of(errno);
    kept[0] = (void *)((intptr_t)fd + 1);
    return 0;
}

void mmap_os_drop(void *kept[2])
{
    if (kept[0] != NULL)
        close((int)((intptr_t)kept[0] - 1));
    kept[0] = NULL;
}

/* What is said by file systems that know no such call, such as those of other machines. */
static bool lacks_full_sync(int code)
{
    return code == ENOTSUP || code == EOPNOTSUPP || code == ENOTTY || code == EINVAL ||
           code == ENODEV;
}

/* Without it there may be fsync(), which is as good there. Returns a code of errno. */
static int synchronize_drive(int fd)
{
    int result;

    do {
        result = fcntl(fd, FULL_SYNC);
    } while (result == -1 && errno == EINTR);
    if (result != -1)
        return 0;
    if (!lacks_full_sync(errno))
        return errno;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

int mmap_os_flush(void *const kept[2], void *addr, uint64_t length, bool async)
{
    int err = synchronize(addr, length, async);

    if (err != 0 || async || kept[0] == NULL)
        return err;
    return mmap_posix_error_of(synchronize_drive((int)((intptr_t)kept[0] - 1)));
}
