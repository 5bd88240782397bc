/* SPDX-License-Identifier: MIT */
/* The mapping primitives of mmap_os.h that are Linux' own. */
#define _GNU_SOURCE       /* mremap, memfd_create, fallocate, O_TMPFILE */
#define _FILE_OFFSET_BITS 64

#include "mmap_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio_ext.h>
#include <sys/mman.h>
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

int mmap_system_map_error(int code)
{
    if (code == ENOMEM && at_map_limit())
        return MMAP_MAP_LIMIT;
    return mmap_posix_map_error(code);
}

/* ---- names ----------------------------------------------------------------------------------- */

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
    mode_t wanted = mode == 0 ? 0600 : (mode_t)mode;

    if (!S_ISREG(status->st_mode))
        return MMAP_ACCESS_DENIED;
    if (status->st_nlink > 1)
        return MMAP_ACCESS_DENIED;
    if (flags & MMAP_ANY_OWNER)
        return 0;
    if (status->st_uid != geteuid() || (status->st_mode & 07777 & ~wanted) != 0)
        return MMAP_ACCESS_DENIED;
    return 0;
}

/* Look before opening, which has effects of its own on FIFOs, terminals and leased files. */
static int open_name(struct os_object *object, const char *tagname, unsigned access, unsigned flags,
                     unsigned mode)
{
    char path[NAME_PATH_SIZE];
    struct stat status;

    name_path(path, tagname);
    if (lstat(path, &status) != 0)
        return mmap_posix_error_of(errno);
    int err = check_name(&status, flags, mode);
    if (err != 0)
        return err;
    int fd = mmap_posix_open_path(path, access, O_NOFOLLOW, 0);
    if (fd < 0)
        return mmap_posix_error_of(errno);
    mmap_posix_own(object, fd);
    return 0;
}

int mmap_names_open(struct os_object *object, const char *tagname, unsigned access, unsigned flags,
                    unsigned mode)
{
    struct stat status;
    int err = open_name(object, tagname, access, flags, mode);

    if (err != 0)
        return err;
    if (fstat((int)object->handle, &status) != 0)
        err = mmap_posix_error_of(errno);
    else
        err = check_name(&status, flags, mode);
    if (err != 0)
        mmap_posix_close(object);
    return err;
}

/* A file without a name, which mmap_os_publish() gives it once it is complete. */
static int create_unnamed(unsigned mode)
{
    int fd = open(NAME_FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 && fchmod(fd, mode == 0 ? 0600 : (mode_t)mode) != 0) {
        int code = errno;
        close(fd);
        errno = code;
        return -1;
    }
    return fd;
}

int mmap_names_create(struct os_object *object, unsigned mode)
{
    int fd = create_unnamed(mode);

    /* No such folder: there is no shared memory; no such flag: it can't be made unseen. */
    if (fd < 0 && (errno == ENOENT || errno == EINVAL || errno == ENOSYS))
        return MMAP_UNSUPPORTED;
    if (fd < 0)
        return mmap_posix_error_of(errno);
    mmap_posix_own(object, fd);
    object->created = true;
    return 0;
}

int mmap_os_publish(struct os_object *object, const struct mmap_file *file)
{
    char unnamed[NAME_PATH_SIZE], path[NAME_PATH_SIZE];

    snprintf(unnamed, sizeof unnamed, OWN_FDS "/%d", (int)object->handle);
    name_path(path, file->tagname);
    if (linkat(AT_FDCWD, unnamed, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return 0;

    /* Not found: there is no /proc. */
    return errno == ENOENT ? MMAP_UNSUPPORTED : mmap_posix_error_of(errno);
}

int mmap_os_unlink(const char *tagname)
{
    char path[NAME_PATH_SIZE];

    name_path(path, tagname);
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;

    /* A folder squats the name. */
    return errno == EISDIR ? MMAP_ACCESS_DENIED : mmap_posix_error_of(errno);
}

void mmap_os_close(struct os_object *object)
{
    mmap_posix_close(object);
}

int mmap_os_size(const struct os_object *object, uint64_t *size)
{
    return mmap_posix_size(object, size);
}

int mmap_os_resize(struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    return mmap_posix_resize(object, old_size, new_size);
}

/* ---- objects --------------------------------------------------------------------------------- */

int mmap_system_size_only_flag(void)
{
    return O_PATH;
}

bool mmap_system_has_output(FILE *stream)
{
    return __fpending(stream) > 0;
}

/* A file of huge pages has a page size that the caller can't be expected to know. */
bool mmap_system_is_mappable(int fd)
{
    struct statfs system;

    return fstatfs(fd, &system) != 0 || (uint32_t)system.f_type != HUGETLBFS_MAGIC;
}

/* Kernels before 6.3 do not know MFD_NOEXEC_SEAL; later ones may insist on it. */
int mmap_system_create_anonymous(unsigned flags)
{
    unsigned kind = MFD_CLOEXEC | (flags & MMAP_HUGE_REQUIRE ? MFD_HUGETLB | MFD_HUGE_2MB : 0);
    int fd = memfd_create("mring", kind | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("mring", kind);
    return fd;
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
    int fd = (int)object->handle;
    uint64_t pos = old_size;
    int code = reserve_blocks(fd, &pos, new_size, reserve_hidden);

    *end = old_size;
    *hidden = !cannot_reserve(code);
    if (code == 0)
        code = reserve_blocks(fd, end, new_size, posix_fallocate);
    else if (!*hidden)
        code = reserve_by_writing(fd, end, new_size);
    if (cannot_reserve(code))
        return object->huge ? MMAP_UNSUPPORTED : mmap_posix_truncate(fd, new_size);
    return code == 0 ? 0 : mmap_posix_error_of(code);
}

int mmap_system_grow(const struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    int fd = (int)object->handle;
    struct stat before, after;
    uint64_t end;
    bool hidden;

    if (mmap_posix_over_limit(new_size))
        return MMAP_FILE_TOO_BIG;
    if (fstat(fd, &before) != 0)
        return mmap_posix_error_of(errno);
    int err = extend(object, old_size, new_size, &hidden, &end);
    if (err == 0 || fstat(fd, &after) != 0)
        return err;

    /* What was reserved goes back; what somebody else has added meanwhile does not. */
    uint64_t size = (uint64_t)after.st_size;
    if (hidden ? size == end && after.st_blocks > before.st_blocks
               : size > old_size && size <= new_size)
        mmap_posix_truncate(fd, old_size);
    return err;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* At an address: older kernels take MAP_FIXED_NOREPLACE for a hint, so compare. */
int mmap_system_reserve_at(void **base, void *addr, size_t length)
{
    void *start = mmap(addr, length, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (start == MAP_FAILED) {
        int err = mmap_system_map_error(errno);
        return err == MMAP_MAP_LIMIT ? err : MMAP_OUT_OF_MEM;
    }
    if (start != addr) {
        munmap(start, length);
        return MMAP_OUT_OF_MEM;
    }
    *base = start;
    return 0;
}

/*
 * Put a mapping that was made elsewhere over our own reservation. MAP_FIXED would do it in one
 * step, but the kernel unmaps the target before it finds that there is not the memory, or that the
 * limit on locked memory is reached, and leaves a hole that another thread may get (6.18 still
 * does). Moving takes no memory to speak of, and all that it checks it checks before.
 */
static int move(void *from, void *to, size_t length)
{
    if (mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)
        return 0;
    int err = errno == ENOSYS || errno == EPERM ? MMAP_UNSUPPORTED : mmap_system_map_error(errno);
    munmap(from, length);
    return err;
}

/* A 32-bit process tells the kernel a page of 4 KiB in a word of 32 bits. */
#define OFFSET_MAX (SIZE_MAX > UINT32_MAX ? (uint64_t)INT64_MAX : ((uint64_t)1 << 44) - 1)

int mmap_os_map(void **base, void *at, const struct os_object *object, uint64_t offset,
                uint64_t length, unsigned access)
{
    if (offset > OFFSET_MAX)
        return MMAP_OUT_OF_MEM;

    /* Older kernels don't move huge pages. They were reserved, so there is the memory. */
    bool fixed = at != NULL && object != NULL && object->huge;
    void *start =
        mmap_posix_map(fixed ? at : NULL, object, offset, length, access, fixed ? MAP_FIXED : 0);

    if (start == NULL)
        return mmap_system_map_error(errno);
    if (at != NULL && !fixed)
        return move(start, at, (size_t)length);
    if (base != NULL)
        *base = start;
    return 0;
}

bool mmap_os_can_alias(void)
{
    return true;
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
    void *start = mremap(from, 0, (size_t)length, MREMAP_MAYMOVE);

    if (start != MAP_FAILED)
        return move(start, to, (size_t)length);
    int err = mmap_system_map_error(errno);
    return err == MMAP_MAP_LIMIT ? err : MMAP_UNSUPPORTED;
}
#endif

static int prefault(void *addr, size_t length, unsigned access)
{
    bool writable = access & (MMAP_WRITE | MMAP_COPY);
    int result;

    do {
        result = madvise(addr, length, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    } while (result != 0 && (errno == EINTR || errno == EAGAIN));
    if (result == 0)
        return 0;
    if (errno == EINVAL) {
        mmap_posix_touch(addr, length);
        return 0;
    }

    /* EFAULT: touching the page would be a SIGBUS. */
    return errno == EFAULT ? MMAP_DISK_FULL : mmap_system_map_error(errno);
}

int mmap_system_advise(void *addr, size_t length, enum os_advice advice, unsigned access)
{
    static const int advices[] = {
        [OS_DONTFORK] = MADV_DONTFORK,
        [OS_NODUMP] = MADV_DONTDUMP,
        [OS_HUGE_TRY] = MADV_HUGEPAGE,
        [OS_HUGE_COLLAPSE] = MADV_COLLAPSE,
    };

    if (advice == OS_PREFAULT)
        return prefault(addr, length, access);
    return madvise(addr, length, advices[advice]) == 0 ? 0 : mmap_system_map_error(errno);
}
