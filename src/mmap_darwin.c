/* SPDX-License-Identifier: MIT */
/*
 * The mapping primitives of mmap_os.h that are macOS' own.
 *
 * Its mmap() with MAP_FIXED replaces what is there in one step, and only if the new mapping comes
 * about; mach_vm_remap() with VM_FLAGS_OVERWRITE does the same. So the addresses of a mirror are
 * ours all the time.
 */
#define _FILE_OFFSET_BITS 64

#include "mmap_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <mach/mach.h>
#include <sys/mman.h>
#include <unistd.h>

/* Not in every SDK. */
#if __has_include(<mach/mach_vm.h>)
#include <mach/mach_vm.h>
#else
kern_return_t mach_vm_map(vm_map_t target, mach_vm_address_t *address, mach_vm_size_t size,
                          mach_vm_offset_t mask, int flags, mem_entry_name_port_t object,
                          memory_object_offset_t offset, boolean_t copy, vm_prot_t protection,
                          vm_prot_t most, vm_inherit_t inheritance);
kern_return_t mach_vm_remap(vm_map_t target, mach_vm_address_t *address, mach_vm_size_t size,
                            mach_vm_offset_t mask, int flags, vm_map_t source_task,
                            mach_vm_address_t source, boolean_t copy, vm_prot_t *protection,
                            vm_prot_t *most, vm_inherit_t inheritance);
kern_return_t mach_vm_copy(vm_map_t target, mach_vm_address_t source, mach_vm_size_t size,
                           mach_vm_address_t to);
kern_return_t mach_vm_deallocate(vm_map_t target, mach_vm_address_t address, mach_vm_size_t size);
#endif

/* What is locked at a time to be prefaulted: limits on locked memory are hardly ever smaller. */
#define PREFAULT_STEP ((size_t)1 << 20)

/* ---- errors ---------------------------------------------------------------------------------- */

int mmap_system_map_error(int code)
{
    return mmap_posix_map_error(code);
}

/* Codes of Mach are numbers of their own, which would look like those of errno. */
static int mach_error_of(kern_return_t code)
{
    switch (code) {
    case KERN_SUCCESS:
        return 0;
    case KERN_PROTECTION_FAILURE:
    case KERN_NO_ACCESS:
        return MMAP_ACCESS_DENIED;
    case KERN_NOT_SUPPORTED:
    case KERN_INVALID_ARGUMENT:
        return MMAP_UNSUPPORTED;
    default:
        return MMAP_OUT_OF_MEM; /* no space, a shortage, in use, outside the address space */
    }
}

/* ---- objects --------------------------------------------------------------------------------- */

int mmap_system_size_only_flag(void)
{
    return 0;
}

/* What is being read sets another flag. */
bool mmap_system_has_output(FILE *stream)
{
    return (stream->_flags & __SWR) != 0;
}

bool mmap_system_is_mappable(int fd)
{
    (void)fd;
    return true;
}

/* Anonymous memory has other ways to be mapped twice, and no huge pages. */
int mmap_system_create_anonymous(unsigned flags)
{
    (void)flags;
    errno = ENOSYS;
    return -1;
}

/* What file systems that reserve no blocks say, and shared memory, which has none. */
static bool cannot_reserve(int code)
{
    return code == ENOTSUP || code == EOPNOTSUPP || code == EINVAL || code == ENOTTY ||
           code == ENODEV || code == EBADF;
}

/* Reserve blocks behind the end of a file. Returns a code of errno. */
static int reserve_blocks(int fd, uint64_t size)
{
    fstore_t blocks = { .fst_flags = F_ALLOCATEALL,
                        .fst_posmode = F_PEOFPOSMODE,
                        .fst_length = (off_t)size };
    int result;

    do {
        result = fcntl(fd, F_PREALLOCATE, &blocks);
    } while (result < 0 && errno == EINTR);
    return result < 0 && !cannot_reserve(errno) ? errno : 0;
}

int mmap_system_grow(const struct os_object *object, uint64_t old_size, uint64_t new_size)
{
    int fd = (int)object->handle;

    if (mmap_posix_over_limit(new_size))
        return MMAP_FILE_TOO_BIG;
    int code = reserve_blocks(fd, new_size - old_size);
    if (code != 0)
        return mmap_posix_error_of(code);
    int err = mmap_posix_truncate(fd, new_size);

    if (err != 0)
        mmap_posix_cut_back(fd, old_size, old_size);
    return err;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Without VM_FLAGS_OVERWRITE it fails where something is. */
int mmap_system_reserve_at(void **base, void *addr, size_t length)
{
    mach_vm_address_t start = (mach_vm_address_t)(uintptr_t)addr;
    kern_return_t code =
        mach_vm_map(mach_task_self(), &start, length, 0, VM_FLAGS_FIXED, MEMORY_OBJECT_NULL, 0,
                    FALSE, VM_PROT_NONE, VM_PROT_ALL, VM_INHERIT_DEFAULT);

    /* Whatever is wrong with a range of addresses, it is not to be had. */
    if (code != KERN_SUCCESS)
        return MMAP_OUT_OF_MEM;
    *base = addr;
    return 0;
}

/*
 * The system maps shared memory neither privately nor to be executed. A copy is made of it instead,
 * of which the system only makes the pages that are written to, on either side.
 */
static int map_copy(void **base, void *at, const struct os_object *object, uint64_t offset,
                    uint64_t length)
{
    void *source = mmap_posix_map(NULL, object, offset, length, MMAP_READ, 0);

    if (source == NULL)
        return mmap_system_map_error(errno);
    void *copy = mmap_posix_map(at, NULL, 0, length, MMAP_COPY, at != NULL ? MAP_FIXED : 0);
    int err =
        copy == NULL
            ? mmap_system_map_error(errno)
            : mach_error_of(mach_vm_copy(mach_task_self(), (mach_vm_address_t)(uintptr_t)source,
                                         length, (mach_vm_address_t)(uintptr_t)copy));
    munmap(source, (size_t)length);
    if (err == 0 && base != NULL)
        *base = copy;
    else if (err != 0 && copy != NULL && at == NULL)
        munmap(copy, (size_t)length);
    return err;
}

int mmap_os_map(void **base, void *at, const struct os_object *object, uint64_t offset,
                uint64_t length, unsigned access)
{
    bool is_name = object != NULL && object->name.key[0] != '\0';

    if (is_name && (access & MMAP_EXEC))
        return MMAP_UNSUPPORTED;
    if (is_name && (access & MMAP_COPY))
        return map_copy(base, at, object, offset, length);
    void *start = mmap_posix_map(at, object, offset, length, access, at != NULL ? MAP_FIXED : 0);
    if (start == NULL)
        return mmap_system_map_error(errno);
    if (base != NULL)
        *base = start;
    return 0;
}

bool mmap_os_can_alias(void)
{
    return true;
}

/* All copies are inherited alike: a forked child shares them. */
int mmap_os_alias(void *from, void *to, uint64_t length)
{
    mach_vm_address_t start = (mach_vm_address_t)(uintptr_t)to;
    vm_prot_t protection, most;
    kern_return_t code = mach_vm_remap(
        mach_task_self(), &start, length, 0, VM_FLAGS_FIXED | VM_FLAGS_OVERWRITE, mach_task_self(),
        (mach_vm_address_t)(uintptr_t)from, FALSE, &protection, &most, VM_INHERIT_SHARE);

    if (code != KERN_SUCCESS)
        return mach_error_of(code);
    if (start == (mach_vm_address_t)(uintptr_t)to)
        return 0;
    mach_vm_deallocate(mach_task_self(), start, length);
    return MMAP_UNSUPPORTED;
}

/*
 * Locking a page takes it, for writing too where that is allowed, and fails where touching it would
 * be a signal: a hole in a file for which there is no room, or the end of a file that somebody has
 * cut. Locks nest here, so that of MMAP_LOCK stays. Without the right to lock so much, pages are
 * touched.
 */
static int prefault(unsigned char *bytes, size_t length, unsigned access)
{
    for (size_t i = 0; i < length; i += PREFAULT_STEP) {
        size_t step = length - i < PREFAULT_STEP ? length - i : PREFAULT_STEP;

        if (mlock(bytes + i, step) == 0)
            munlock(bytes + i, step);
        else if (errno == EAGAIN || errno == EPERM)
            mmap_posix_take(bytes + i, step, access);
        else
            return errno == ENOMEM ? MMAP_DISK_FULL : mmap_system_map_error(errno);
    }
    return 0;
}

int mmap_system_advise(void *addr, size_t length, enum os_advice advice, unsigned access)
{
    switch (advice) {
    case OS_PREFAULT:
        return prefault(addr, length, access);
    case OS_DONTFORK:
        return minherit(addr, length, VM_INHERIT_NONE) == 0 ? 0 : mmap_system_map_error(errno);
    case OS_NODUMP: /* the system has nothing of the kind */
        return 0;
    default:
        return MMAP_UNSUPPORTED;
    }
}
