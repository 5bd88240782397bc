/* SPDX-License-Identifier: MIT */
/* The mapping primitives of mmap_os.h on Linux. */
#define _GNU_SOURCE       /* mremap, memfd_create, fallocate, O_TMPFILE */
#define _FILE_OFFSET_BITS 64

#include "mmap_os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Names newer than the oldest headers that we compile with. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* clang's way of saying it. */
#if defined(__has_feature) && !defined(__SANITIZE_THREAD__)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

/* Where names live: the folder that shm_open() uses, so that ours and its are the same names. */
#define NAME_FOLDER "/dev/shm"

/* Of the calling thread: the first one, which "self" means, may have ended, or share no files. */
#define OWN_MAPS "/proc/thread-self/maps"
#define OWN_FDS  "/proc/thread-self/fd"

/* Room for a path in NAME_FOLDER, or one in OWN_FDS. */
#define NAME_PATH_SIZE (sizeof NAME_FOLDER + 1 + MMAP_TAGNAME_MAX)

/* Reserving blocks starts anew after a signal, so under a rain of signals take smaller steps. */
#define RESERVE_STEP_MIN ((uint64_t)1 << 20)

/* ---- errors ---------------------------------------------------------------------------------- */

static int error_of(int code)
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

/* The contents of a file of /proc are passed to `visit` block by block. */
static bool read_proc(const char *path, void (*visit)(const char *, size_t, uint64_t *),
                      uint64_t *result)
{
    char block[4096];
    ssize_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    while ((size = read(fd, block, sizeof block)) > 0)
        visit(block, (size_t)size, result);
    close(fd);
    return size == 0;
}

static void count_lines(const char *block, size_t size, uint64_t *count)
{
    for (size_t i = 0; i < size; i++)
        *count += block[i] == '\n';
}

static void parse_number(const char *block, size_t size, uint64_t *number)
{
    for (size_t i = 0; i < size && block[i] >= '0' && block[i] <= '9'; i++)
        *number = *number * 10 + (uint64_t)(block[i] - '0');
}

/* With fewer mappings than this left, a call of this file may fail: mremap() wants so many. */
#define MAPS_NEEDED 6

/* ENOMEM has two causes that a user can do very different things about. */
static bool at_map_limit(void)
{
    uint64_t limit = 0, maps = 0;

    return read_proc("/proc/sys/vm/max_map_count", parse_number, &limit) &&
           read_proc(OWN_MAPS, count_lines, &maps) && maps + MAPS_NEEDED > limit;
}

static int map_error_of(int code)
{
    if (code == ENOMEM && at_map_limit())
        return MMAP_MAP_LIMIT;
    if (code == EAGAIN)
        return MMAP_OUT_OF_MEM;
    return error_of(code);
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

static int open_patiently(const char *path, int flags, mode_t mode)
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
        return access & MMAP_WRITE ? O_WRONLY : O_PATH;
    return access & MMAP_WRITE ? O_RDWR : O_RDONLY;
}

/*
 * What is at the path was a plain file a moment ago. In case it is not any more: do not wait for
 * the other end of a FIFO, take no terminal. A lease on a plain file ends, so that is waited for.
 */
static int open_path(const char *path, unsigned access, int extra_flags, mode_t mode)
{
    int flags = open_flags(access) | O_CLOEXEC | O_NOCTTY | extra_flags;
    int fd = open_patiently(path, flags | O_NONBLOCK, mode);

    return fd < 0 && errno == EAGAIN ? open_patiently(path, flags, mode) : fd;
}

static void name_path(char path[NAME_PATH_SIZE], const char *tagname)
{
    snprintf(path, NAME_PATH_SIZE, NAME_FOLDER "/%s", tagname);
}

/*
 * A name could have been put there by anybody: take it only if it is ours and no wider open. A hard
 * link may make another object of ours look like the one that the name stands for.
 */
static int check_name(const struct stat *status, unsigned flags, unsigned mode)
{
    mode_t wanted = mode == 0 ? 0600 : mode;

    if (status->st_nlink > 1)
        return MMAP_ACCESS_DENIED;
    if (flags & MMAP_ANY_OWNER)
        return 0;
    if (status->st_uid != geteuid() || (status->st_mode & 07777 & ~wanted) != 0)
        return MMAP_ACCESS_DENIED;
    return 0;
}

/* The caller's own descriptor: is it open, and for this access? */
static int borrow_fd(struct os_object *object, int fd, unsigned access)
{
    int status = fcntl(fd, F_GETFL);

    if (status < 0)
        return error_of(errno);
    if ((access & MMAP_WRITE) && (status & O_ACCMODE) == O_RDONLY)
        return MMAP_ACCESS_DENIED;
    if (!(access & OS_SIZE_ONLY) && ((status & O_ACCMODE) == O_WRONLY || (status & O_PATH)))
        return MMAP_ACCESS_DENIED;
    object->handle = fd;
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
    if (err == 0 && __fpending(stream) > 0 && fflush(stream) != 0)
        err = error_of(errno);
    return err;
}

/* A file of huge pages has a page size that the caller can't be expected to know. */
static bool is_hugetlb(int fd)
{
    struct statfs system;

    return fstatfs(fd, &system) == 0 && (uint32_t)system.f_type == HUGETLBFS_MAGIC;
}

/* Only plain files are mapped. Anything else under a name was put there by somebody else. */
static int check_kind(const struct stat *status, const struct mmap_file *file, unsigned flags,
                      unsigned mode)
{
    if (!S_ISREG(status->st_mode))
        return file->tagname != NULL ? MMAP_ACCESS_DENIED : MMAP_UNSUPPORTED;
    return file->tagname != NULL ? check_name(status, flags, mode) : 0;
}

/* Look before opening, which has effects of its own on FIFOs, terminals and leased files. */
static int open_file(struct os_object *object, const struct mmap_file *file, unsigned access,
                     unsigned flags, unsigned mode)
{
    char name[NAME_PATH_SIZE];
    const char *path = file->path;
    struct stat status;

    if (file->tagname != NULL) {
        name_path(name, file->tagname);
        path = name;
    }
    if ((file->tagname != NULL ? lstat(path, &status) : stat(path, &status)) != 0)
        return error_of(errno);
    int err = check_kind(&status, file, flags, mode);
    if (err != 0)
        return err;

    int fd = open_path(path, access, file->tagname != NULL ? O_NOFOLLOW : 0, 0);
    if (fd < 0)
        return error_of(errno);
    object->handle = fd;
    object->owned = true;
    return 0;
}

int mmap_os_open(struct os_object *object, const struct mmap_file *file, unsigned access,
                 unsigned flags, unsigned mode)
{
    struct stat status;
    int err;

    if (file->handle != NULL)
        return MMAP_UNSUPPORTED;
    if (file->fd != NULL)
        err = borrow_fd(object, *file->fd, access);
    else if (file->stream != NULL)
        err = borrow_stream(object, file->stream, access);
    else
        err = open_file(object, file, access, flags, mode);
    if (err != 0)
        return err;

    object->created = object->huge = false;
    if (fstat(fd_of(object), &status) != 0)
        err = error_of(errno);
    else
        err = check_kind(&status, file, flags, mode);
    if (err == 0 && !(access & OS_SIZE_ONLY) && is_hugetlb(fd_of(object)))
        err = MMAP_UNSUPPORTED;
    if (err != 0)
        mmap_os_close(object);
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

/* Kernels before 6.3 do not know MFD_NOEXEC_SEAL; later ones may insist on it. */
static int create_anonymous(unsigned flags)
{
    unsigned kind = MFD_CLOEXEC | (flags & MMAP_HUGE_REQUIRE ? MFD_HUGETLB | MFD_HUGE_2MB : 0);
    int fd = memfd_create("mring", kind | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("mring", kind);
    return fd;
}

/* A file without a name, which mmap_os_publish() gives it once it is complete. */
static int create_unnamed(unsigned mode)
{
    int fd = open(NAME_FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 && fchmod(fd, mode == 0 ? 0600 : mode) != 0) {
        int code = errno;
        close(fd);
        errno = code;
        return -1;
    }
    return fd;
}

int mmap_os_create(struct os_object *object, const struct mmap_file *file, unsigned flags,
                   unsigned mode)
{
    int fd;

    if (file->path != NULL)
        fd = open_path(file->path, MMAP_WRITE, O_CREAT | O_EXCL, mode == 0 ? 0666 : mode);
    else if (file->tagname != NULL)
        fd = create_unnamed(mode);
    else
        fd = create_anonymous(flags);

    /* No such folder: there is no shared memory; no such flags: there are no huge pages. */
    if (fd < 0 && file->tagname != NULL && errno == ENOENT)
        return MMAP_UNSUPPORTED;
    if (fd < 0 && file->path == NULL && (errno == EINVAL || errno == ENOSYS))
        return MMAP_UNSUPPORTED;
    if (fd < 0)
        return error_of(errno);
    object->handle = fd;
    object->owned = true;
    object->created = true;
    object->huge = flags & MMAP_HUGE_REQUIRE;
    return 0;
}

int mmap_os_publish(const struct os_object *object, const struct mmap_file *file)
{
    char unnamed[NAME_PATH_SIZE], path[NAME_PATH_SIZE];

    snprintf(unnamed, sizeof unnamed, OWN_FDS "/%d", fd_of(object));
    name_path(path, file->tagname);
    if (linkat(AT_FDCWD, unnamed, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return 0;

    /* Not found: there is no /proc. */
    return errno == ENOENT ? MMAP_UNSUPPORTED : error_of(errno);
}

void mmap_os_close(struct os_object *object)
{
    /* On Linux the descriptor is gone whatever close() returns. */
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

int mmap_os_size(const struct os_object *object, uint64_t *size)
{
    struct stat status;

    if (fstat(fd_of(object), &status) != 0)
        return error_of(errno);
    *size = (uint64_t)status.st_size;
    return 0;
}

static int truncate_to(int fd, uint64_t size)
{
    int result;

    do {
        result = ftruncate(fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : error_of(errno);
}

/* Returns a code of errno. Blocks behind the end of a file are there before its size says so. */
static int reserve_hidden(int fd, off_t pos, off_t size)
{
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, pos, size) == 0 ? 0 : errno;
}

/* Reserve blocks from *pos, which follows, to new_size. Returns a code of errno. */
static int reserve_blocks(int fd, uint64_t *pos, uint64_t new_size,
                          int (*reserve)(int fd, off_t pos, off_t size))
{
    uint64_t step = new_size - *pos;

    while (*pos < new_size) {
        uint64_t size = new_size - *pos < step ? new_size - *pos : step;
        int code = reserve(fd, (off_t)*pos, (off_t)size);

        if (code == 0)
            *pos += size;
        else if (code != EINTR)
            return code;
        else if (step / 2 >= RESERVE_STEP_MIN)
            step /= 2;
    }
    return 0;
}

/* The last two: what glibc's emulation says of descriptors that it cannot write to at will. */
static bool cannot_reserve(int code)
{
    return code == EOPNOTSUPP || code == EINVAL || code == ENODEV || code == ENOSYS ||
           code == EBADF || code == ESPIPE;
}

/*
 * glibc reserves by writing zeros where the file system has no other way, and that without end:
 * before the disk is full, ask. Some have no disk behind them, and nothing to reserve.
 */
static int reserve_by_writing(int fd, uint64_t *pos, uint64_t new_size)
{
    struct statvfs system;

    if (fstatvfs(fd, &system) != 0 || system.f_blocks == 0)
        return EOPNOTSUPP;
    if ((new_size - *pos) / system.f_frsize > system.f_bavail)
        return ENOSPC;
    return reserve_blocks(fd, pos, new_size, posix_fallocate);
}

/*
 * Nobody sees a new size before all blocks are there: they are reserved behind the end first, and
 * then once more, which moves the end. That never cuts what somebody else has added meanwhile, as
 * ftruncate() might. A file system that can't reserve behind the end may do so the second time, or
 * by writing; one that can't reserve at all just gets the new size, but for huge pages, which
 * mmap_os_map() expects to be there.
 *   hidden  the first time did it
 *   end     where the second time has moved the end of the file to
 */
static int extend(const struct os_object *object, uint64_t old_size, uint64_t new_size,
                  bool *hidden, uint64_t *end)
{
    int fd = fd_of(object);
    uint64_t pos = old_size;
    int code = reserve_blocks(fd, &pos, new_size, reserve_hidden);

    *end = old_size;
    *hidden = !cannot_reserve(code);
    if (code == 0)
        code = reserve_blocks(fd, end, new_size, posix_fallocate);
    else if (!*hidden)
        code = reserve_by_writing(fd, end, new_size);
    if (cannot_reserve(code))
        return object->huge ? MMAP_UNSUPPORTED : truncate_to(fd, new_size);
    return code == 0 ? 0 : error_of(code);
}

static int grow(const struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    int fd = fd_of(object);
    struct rlimit limit;
    struct stat before, after;
    uint64_t end;
    bool hidden;

    /* Beyond this limit the kernel does not return an error, it kills. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        new_size > limit.rlim_cur)
        return MMAP_FILE_TOO_BIG;
    if (fstat(fd, &before) != 0)
        return error_of(errno);
    int err = extend(object, old_size, new_size, &hidden, &end);
    if (err == 0 || fstat(fd, &after) != 0)
        return err;

    /* What was reserved goes back; what somebody else has added meanwhile does not. */
    uint64_t size = (uint64_t)after.st_size;
    if (hidden ? size == end && after.st_blocks > before.st_blocks
               : size > old_size && size <= new_size)
        truncate_to(fd, old_size);
    return err;
}

int mmap_os_resize(const struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    return new_size > old_size ? grow(object, old_size, new_size)
                               : truncate_to(fd_of(object), new_size);
}

int mmap_os_unlink(const char *tagname)
{
    char path[NAME_PATH_SIZE];

    name_path(path, tagname);
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;

    /* A folder squats the name. */
    return errno == EISDIR ? MMAP_ACCESS_DENIED : error_of(errno);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int protection_of(unsigned access)
{
    return PROT_READ | (access & (MMAP_WRITE | MMAP_COPY) ? PROT_WRITE : 0) |
           (access & MMAP_EXEC ? PROT_EXEC : 0);
}

/*
 * Of a reservation of *held bytes, keep `length` behind the padding. On failure *held bytes at
 * `start` are still ours.
 */
static bool trim(unsigned char *start, uint64_t *held, uint64_t padding, uint64_t length)
{
    uint64_t end = padding + length;

    if (*held > end && munmap(start + end, *held - end) != 0)
        return false;
    *held = end;
    return padding == 0 || munmap(start, padding) == 0;
}

/* Anywhere: reserve more than needed and keep the aligned part. */
static int reserve_aligned(void **base, uint64_t length, uint64_t alignment)
{
    uint64_t slack = alignment > mmap_os_page_size() ? alignment : 0;

    if (length > SIZE_MAX - slack)
        return MMAP_OUT_OF_MEM;
    unsigned char *start =
        mmap(NULL, length + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return map_error_of(errno);

    uint64_t padding = slack == 0 ? 0 : (alignment - (uintptr_t)start % alignment) % alignment;
    uint64_t held = length + slack;
    if (!trim(start, &held, padding, length)) {
        int err = map_error_of(errno);
        munmap(start, held);
        return err;
    }
    *base = start + padding;
    return 0;
}

/* At an address: older kernels take MAP_FIXED_NOREPLACE for a hint, so compare. */
static int reserve_at(void **base, void *addr, uint64_t length)
{
    void *start = mmap(addr, length, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (start == MAP_FAILED) {
        int err = map_error_of(errno);
        return err == MMAP_MAP_LIMIT ? err : MMAP_OUT_OF_MEM;
    }
    if (start != addr) {
        munmap(start, length);
        return MMAP_OUT_OF_MEM;
    }
    *base = start;
    return 0;
}

int mmap_os_reserve(void **base, void *addr, uint64_t length, uint64_t alignment)
{
    return addr != NULL ? reserve_at(base, addr, length) : reserve_aligned(base, length, alignment);
}

/*
 * Put a mapping that was made elsewhere over our own reservation. MAP_FIXED would do it in one
 * step, but the kernel unmaps the target before it finds that there is not the memory, or that the
 * limit on locked memory is reached, and leaves a hole that another thread may get (6.18 still
 * does). Moving takes no memory to speak of, and all that it checks it checks before.
 */
static int move(void *from, void *to, uint64_t length)
{
    if (mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)
        return 0;
    int err = errno == ENOSYS || errno == EPERM ? MMAP_UNSUPPORTED : map_error_of(errno);
    munmap(from, length);
    return err;
}

int mmap_os_map(void **base, void *at, const struct os_object *object, uint64_t offset,
                uint64_t length, unsigned access)
{
    bool is_private = (access & MMAP_COPY) || (object == NULL && !(access & MMAP_WRITE));
    int flags = (is_private ? MAP_PRIVATE : MAP_SHARED) | (object == NULL ? MAP_ANONYMOUS : 0);
    int fd = object == NULL ? -1 : fd_of(object);

    /* Older kernels don't move huge pages. They were reserved, so there is the memory. */
    bool fixed = at != NULL && object != NULL && object->huge;
    void *start = mmap(fixed ? at : NULL, length, protection_of(access),
                       flags | (fixed ? MAP_FIXED : 0), fd, (off_t)offset);

    if (start == MAP_FAILED)
        return map_error_of(errno);
    if (at != NULL && !fixed)
        return move(start, at, length);
    if (base != NULL)
        *base = start;
    return 0;
}

#if defined(__SANITIZE_THREAD__)
/* ThreadSanitizer does not follow mremap() and would report the past of the addresses. */
int mmap_os_alias(void *from, void *to, uint64_t length)
{
    (void)from, (void)to, (void)length;
    return MMAP_UNSUPPORTED;
}
#else
/*
 * With an old size of 0, mremap() leaves a shared mapping where it is and maps the same pages at
 * another address as well: a mirror without a descriptor.
 */
int mmap_os_alias(void *from, void *to, uint64_t length)
{
    void *start = mremap(from, 0, length, MREMAP_MAYMOVE);

    if (start != MAP_FAILED)
        return move(start, to, length);
    int err = map_error_of(errno);
    return err == MMAP_MAP_LIMIT ? err : MMAP_UNSUPPORTED;
}
#endif

int mmap_os_release(void *base, uint64_t length)
{
    return munmap(base, length) == 0 ? 0 : map_error_of(errno);
}

/* Kernels before 5.14: a read of each page fills the page tables, which is most of the work. */
static void touch(const volatile unsigned char *bytes, uint64_t length)
{
    for (uint64_t i = 0; i < length; i += mmap_os_page_size())
        (void)bytes[i];
}

static int prefault(void *addr, uint64_t length, unsigned access)
{
    bool writable = access & (MMAP_WRITE | MMAP_COPY);
    int result;

    do {
        result = madvise(addr, length, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    } while (result != 0 && (errno == EINTR || errno == EAGAIN));
    if (result == 0)
        return 0;
    if (errno == EINVAL) {
        touch(addr, length);
        return 0;
    }

    /* EFAULT: touching the page would be a SIGBUS. */
    return errno == EFAULT ? MMAP_DISK_FULL : map_error_of(errno);
}

/* Every way in which the limit on locked memory shows is the same to the caller. */
static int lock(void *addr, uint64_t length)
{
    if (mlock(addr, length) == 0)
        return 0;
    return errno == EPERM ? MMAP_OUT_OF_MEM : map_error_of(errno);
}

int mmap_os_advise(void *addr, uint64_t length, enum os_advice advice, unsigned access)
{
    static const int advices[] = {
        [OS_DONTFORK] = MADV_DONTFORK,
        [OS_NODUMP] = MADV_DONTDUMP,
        [OS_HUGE_TRY] = MADV_HUGEPAGE,
        [OS_HUGE_COLLAPSE] = MADV_COLLAPSE,
    };

    if (advice == OS_PREFAULT)
        return prefault(addr, length, access);
    if (advice == OS_LOCK)
        return lock(addr, length);
    return madvise(addr, length, advices[advice]) == 0 ? 0 : map_error_of(errno);
}

int mmap_os_flush(void *addr, uint64_t length, bool async)
{
    return msync(addr, length, async ? MS_ASYNC : MS_SYNC) == 0 ? 0 : error_of(errno);
}
