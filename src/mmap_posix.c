/* SPDX-License-Identifier: MIT */
/* The mapping primitives of mmap_os.h on Linux. */
#define _GNU_SOURCE       /* mremap, memfd_create, fallocate, O_TMPFILE */
#define _FILE_OFFSET_BITS 64

#include "mmap_os.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
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

/* Where names live: the folder that shm_open() uses, so that ours and its are the same names. */
#define NAME_FOLDER "/dev/shm"

/* Room for a path in NAME_FOLDER, or one in /proc/self/fd. */
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
        { EISDIR, MMAP_UNSUPPORTED },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].code == code)
            return rows[i].err;
    }
    return code;
}

/* The contents of a file of /proc are passed to `visit` block by block. */
static bool read_proc(const char *path, void (*visit)(const char *, size_t, void *), void *context)
{
    char block[4096];
    ssize_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    while ((size = read(fd, block, sizeof block)) > 0)
        visit(block, (size_t)size, context);
    close(fd);
    return size == 0;
}

static void count_lines(const char *block, size_t size, void *context)
{
    uint64_t *count = context;

    for (size_t i = 0; i < size; i++)
        *count += block[i] == '\n';
}

static void parse_number(const char *block, size_t size, void *context)
{
    uint64_t *number = context;

    for (size_t i = 0; i < size && block[i] >= '0' && block[i] <= '9'; i++)
        *number = *number * 10 + (uint64_t)(block[i] - '0');
}

/* Lines of /proc/self/maps start with "start-end rwxp ", in hexadecimal digits. */
struct map_search {
    uint64_t start, end;
    bool found; /* one mapping without any access has all of start .. end */
    char line[48];
    size_t length;
};

static void search_maps(const char *block, size_t size, void *context)
{
    struct map_search *search = context;

    for (size_t i = 0; i < size; i++) {
        uint64_t start, end;
        char access[5];

        if (block[i] != '\n') {
            if (search->length < sizeof search->line - 1)
                search->line[search->length++] = block[i];
            continue;
        }
        search->line[search->length] = '\0';
        search->length = 0;
        if (sscanf(search->line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, access) == 3 &&
            start <= search->start && search->end <= end && strcmp(access, "---p") == 0)
            search->found = true;
    }
}

/*
 * ENOMEM has two causes that a user can do very different things about. Near the limit means: as
 * many mappings as one call of this file can need are not to be had.
 */
static bool at_map_limit(void)
{
    uint64_t limit = 0, maps = 0;

    return read_proc("/proc/sys/vm/max_map_count", parse_number, &limit) &&
           read_proc("/proc/self/maps", count_lines, &maps) && maps + 4 > limit;
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

/*
 * O_NONBLOCK: do not wait for the other end of a FIFO. It does not wait either for somebody to give
 * up his lease on a plain file, which ends, so that is waited for.
 */
static int open_path(const char *path, unsigned access, int extra_flags, mode_t mode)
{
    int flags = (access & MMAP_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | extra_flags;
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

static int open_name(const char *tagname, unsigned access)
{
    char path[NAME_PATH_SIZE];

    name_path(path, tagname);
    return open_path(path, access, O_NOFOLLOW, 0);
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

static int open_source(struct os_object *object, const struct mmap_file *file, unsigned access)
{
    if (file->handle != NULL)
        return MMAP_UNSUPPORTED;
    if (file->fd != NULL)
        return borrow_fd(object, *file->fd, access);
    if (file->stream != NULL)
        return borrow_stream(object, file->stream, access);

    int fd =
        file->path != NULL ? open_path(file->path, access, 0, 0) : open_name(file->tagname, access);

    /* A folder or a socket squats the name. A link is ELOOP, and access_denied too. */
    if (fd < 0 && file->tagname != NULL && (errno == EISDIR || errno == ENXIO))
        return MMAP_ACCESS_DENIED;
    if (fd < 0)
        return error_of(errno);
    object->handle = fd;
    object->owned = true;
    return 0;
}

/* Its pages have a size of their own, which the caller can't be expected to know. */
static bool is_hugetlb(int fd)
{
    struct statfs system;

    return fstatfs(fd, &system) == 0 && system.f_type == HUGETLBFS_MAGIC;
}

int mmap_os_open(struct os_object *object, const struct mmap_file *file, unsigned access,
                 unsigned flags, unsigned mode)
{
    struct stat status;
    int err = open_source(object, file, access);

    if (err != 0)
        return err;
    object->created = false;
    if (fstat(fd_of(object), &status) != 0)
        err = error_of(errno);
    else if (!S_ISREG(status.st_mode))
        err = file->tagname != NULL ? MMAP_ACCESS_DENIED : MMAP_UNSUPPORTED;
    else if (file->tagname != NULL)
        err = check_name(&status, flags, mode);
    else if (!(access & OS_SIZE_ONLY) && is_hugetlb(fd_of(object)))
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

    assert(length < sizeof folder - 1); /* or it could not have been looked up */

    memcpy(folder, path, length);
    strcpy(folder + length, ".");
    return access(folder, F_OK) == 0;
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
    return 0;
}

int mmap_os_publish(const struct os_object *object, const struct mmap_file *file)
{
    char unnamed[NAME_PATH_SIZE], path[NAME_PATH_SIZE];

    snprintf(unnamed, sizeof unnamed, "/proc/self/fd/%d", fd_of(object));
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

/* Reserve blocks from old_size to new_size. Returns a code of errno. */
static int reserve_blocks(int fd, uint64_t old_size, uint64_t new_size,
                          int (*reserve)(int fd, off_t pos, off_t size))
{
    uint64_t step = new_size - old_size;

    for (uint64_t pos = old_size; pos < new_size;) {
        uint64_t size = new_size - pos < step ? new_size - pos : step;
        int code = reserve(fd, (off_t)pos, (off_t)size);

        if (code == 0)
            pos += size;
        else if (code != EINTR)
            return code;
        else if (step / 2 >= RESERVE_STEP_MIN)
            step /= 2;
    }
    return 0;
}

static bool is_unsupported(int code)
{
    return code == EOPNOTSUPP || code == EINVAL || code == ENODEV || code == ENOSYS;
}

/*
 * A file system that can't reserve behind the end may do so in front of it, or glibc does it by
 * writing zeros; one that can't reserve at all just gets the new size.
 */
static int grow(int fd, uint64_t old_size, uint64_t new_size)
{
    struct rlimit limit;

    /* Beyond this limit the kernel does not return an error, it kills. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        new_size > limit.rlim_cur)
        return MMAP_FILE_TOO_BIG;

    int code = reserve_blocks(fd, old_size, new_size, reserve_hidden);
    if (is_unsupported(code))
        code = reserve_blocks(fd, old_size, new_size, posix_fallocate);
    int err = code == 0 || is_unsupported(code) ? truncate_to(fd, new_size) : error_of(code);

    /* What was reserved goes back; what somebody else has added meanwhile does not. */
    struct stat status;
    if (err != 0 && fstat(fd, &status) == 0 && (uint64_t)status.st_size >= old_size &&
        (uint64_t)status.st_size <= new_size)
        truncate_to(fd, old_size);
    return err;
}

int mmap_os_resize(const struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    return new_size > old_size ? grow(fd_of(object), old_size, new_size)
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

void mmap_os_clear(void *base, uint64_t length)
{
    mmap(base, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/*
 * A fixed mapping has failed. Kernels before 6.12 may have unmapped what was at the address before
 * they found out: then take the hole back. If it isn't to be had, the reservation is there, as it
 * ought to be, or another thread was faster, whose mapping is not ours to touch. Without /proc the
 * first is believed.
 */
static int keep_reservation(void *at, uint64_t length, int err)
{
    void *base;

    if (reserve_at(&base, at, length) == 0)
        return err;
    struct map_search search = { .start = (uintptr_t)at, .end = (uintptr_t)at + length };
    bool known = read_proc("/proc/self/maps", search_maps, &search);
    return known && !search.found ? OS_RANGE_LOST : err;
}

int mmap_os_map(void **base, void *at, const struct os_object *object, uint64_t offset,
                uint64_t length, unsigned access)
{
    bool is_private = (access & MMAP_COPY) || (object == NULL && !(access & MMAP_WRITE));
    int flags = (is_private ? MAP_PRIVATE : MAP_SHARED) | (object == NULL ? MAP_ANONYMOUS : 0) |
                (at != NULL ? MAP_FIXED : 0);
    void *start =
        mmap(at, length, protection_of(access), flags, object ? fd_of(object) : -1, (off_t)offset);

    if (start == MAP_FAILED) {
        int err = map_error_of(errno);
        return at == NULL ? err : keep_reservation(at, length, err);
    }
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
 * the new address as well: a mirror without a descriptor. MREMAP_FIXED replaces our reservation
 * there.
 */
int mmap_os_alias(void *from, void *to, uint64_t length)
{
    if (mremap(from, 0, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)
        return 0;
    int err = map_error_of(errno);
    return keep_reservation(to, length, err == MMAP_MAP_LIMIT ? err : MMAP_UNSUPPORTED);
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
