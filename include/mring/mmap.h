/* SPDX-License-Identifier: MIT */
/*
 * Portable memory mapping: files, anonymous memory, named shared memory, and mirrors of any of
 * them.
 *
 * A mirror is the same memory several times back to back: byte i of the segment is seen at addr +
 * i, addr + size + i, and so on. A span that starts anywhere in the first copy and is no longer
 * than the segment is contiguous, so a ring buffer stored in a mirror never splits anything.
 *
 *      struct mmap map = { 0 };
 *      int err = mmap_mirror(&map, &(struct mmap_mirror_args){ .size = mmap_pagesize() });
 *      if (err != 0)
 *          return err;
 *      char *bytes = map.addr;
 *      memcpy(bytes + map.size - 3, "mirror", 6);      // runs over the end ...
 *      mring_alias_barrier();
 *      assert(memcmp(bytes, "ror", 3) == 0);           // ... and goes on at the start
 *      mmap_free(&map);
 *
 * What it promises:
 *
 *   - A call that fails returns a named error, leaves its out parameter as it was, and leaves
 *     nothing behind: no descriptor, no mapping, no name, no file, no changed file size.
 *   - Growing a file or a name reserves its blocks. A full disk, a small /dev/shm or a file size
 *     limit is an error of the call, not a signal at some later access.
 *   - No call ever unmaps or replaces a mapping that is not its own; the address range of a mirror
 *     is held from its reservation to its last copy. Windows before 10 1803 cannot hold it: there,
 *     a mirror whose range another thread got is made anew, up to 100 times.
 *   - Sizes and offsets have 64 bits, on 32-bit machines too, and keep the exact value asked for.
 *
 * What it does not do:
 *
 *   - An I/O error, or a file that somebody else shortens while it is mapped, still raises a signal
 *     at the access. So does writing into a hole of a sparse file when the disk is full: only
 *     what a call of this library adds to a file is reserved.
 *   - Access to shared memory is not synchronised, nor are two calls on one file of which one
 *     resizes it: a call that extends a file and then fails for another reason cuts it back, and
 *     who has mapped the new part meanwhile loses it.
 *
 * Where Windows differs:
 *
 *   - A name lives as long as something has it mapped, and mmap_unlink() has nothing to do. It is
 *     one of the login session (Local\), of its owner alone, whatever `mode` says. Paths and
 *     tagnames are UTF-8, or invalid_arg. A path longer than 259 characters needs the prefix \\?\,
 *     or a program and system that were told to do without; one over 4095 is name_too_long.
 *   - A mapping keeps handles open: of a name two, of a file that may be written one. The access
 *     rights of a new file are those that its folder gives; where they do not allow to delete it, a
 *     file that a failed call has made stays there.
 *   - mmap_pagesize() is 64 KiB, while mirrors may come in pages of 4 KiB; addresses are always
 *     multiples of mmap_pagesize().
 *   - Huge pages take the right "lock pages in memory"; MMAP_LOCK takes a working set that is large
 *     enough (SetProcessWorkingSetSize). MMAP_DONTFORK and MMAP_NODUMP have nothing to do.
 *   - A file that is mapped cannot be shortened: the system's code ERROR_USER_MAPPED_FILE.
 *   - An I/O error is an exception (EXCEPTION_IN_PAGE_ERROR) of whoever touches the memory; with
 *     MMAP_PREFAULT that may be the call itself.
 *   - In sparse and compressed files nothing is reserved.
 *
 * Where macOS and the BSDs differ:
 *
 *   - A name is an entry in a folder of the user's own, which says where the memory is: others
 *     can't find it, whatever `mode` and MMAP_ANY_OWNER say. A umask that denies the owner
 *     himself something applies to names, too. After a restart of the machine a name is gone.
 *   - That folder is the system's for the user on macOS, and /tmp/mring-UID on the BSDs. If another
 *     user has made that one first, every name is access_denied. Programs that clean up /tmp may
 *     remove what is in it: then the names are forgotten, as if by mmap_unlink(), but their memory
 *     stays until the machine restarts.
 *   - A name reserves nothing: shared memory has no blocks, and takes its pages when they are
 *     touched. MMAP_PREFAULT takes them now. A name of more than 2^47 bytes is out_of_mem.
 *   - On macOS, a name can't be mapped with MMAP_EXEC: unsupported. With MMAP_COPY it is copied
 *     when it is mapped: what others write later is not seen, even in pages not written to.
 *   - On the BSDs, a file grows while its blocks are reserved, and is cut back if there are not
 *     enough: others may see that. File systems that can't reserve, as ZFS, just set the size.
 *   - On macOS, mmap_flush() leaves the bytes in the cache of the drive, unless MMAP_FULLFSYNC asks
 *     for more; a mapping with that flag keeps a descriptor open.
 *   - There are no huge pages: MMAP_HUGE_REQUIRE is unsupported. MMAP_NODUMP has nothing to do,
 *     except on FreeBSD and DragonFly.
 *   - map_limit is not told from out_of_mem.
 *
 * The calls come from the Lua module "mmap" of luapower, of which this is the C form.
 *
 *   thread    any thread may make any call; two calls on one struct mmap must not overlap
 *   progress  blocking: system calls
 */
#ifndef MRING_MMAP_H
#define MRING_MMAP_H

#include <mring/base.h>
#include <stdio.h>

MRING_BEGIN_DECLS

/* ---- errors ---------------------------------------------------------------------------------- */

/*
 * The named errors. Any other failure of the operating system is returned as its own code, which is
 * greater than zero.
 */
#define MMAP_ERRORS(X)                                                                             \
    X(MMAP_NOT_FOUND, -1, "not_found", "no such file or name")                                     \
    X(MMAP_FILE_TOO_SHORT, -2, "file_too_short", "shorter than the range asked for")               \
    X(MMAP_FILE_TOO_BIG, -3, "file_too_big", "over the file size limit of process or file system") \
    X(MMAP_DISK_FULL, -4, "disk_full", "no space left for the bytes asked for")                    \
    X(MMAP_OUT_OF_MEM, -5, "out_of_mem", "out of memory, or the address range is in use")          \
    X(MMAP_MAP_LIMIT, -6, "map_limit", "the process has as many mappings as the system allows")    \
    X(MMAP_FD_LIMIT, -7, "fd_limit", "no more file descriptors")                                   \
    X(MMAP_INVALID_ARG, -8, "invalid_arg", "an argument is not valid")                             \
    X(MMAP_NAME_TOO_LONG, -9, "name_too_long", "the name is too long")                             \
    X(MMAP_EXISTS, -10, "exists", "the name exists already")                                       \
    X(MMAP_ACCESS_DENIED, -11, "access_denied", "access denied")                                   \
    X(MMAP_UNSUPPORTED, -12, "unsupported", "not supported for this kind of object")

enum mmap_error {
    MMAP_OK = 0,
#define MMAP_ERROR_ENUM(code, value, name, message) code = value,
    MMAP_ERRORS(MMAP_ERROR_ENUM)
#undef MMAP_ERROR_ENUM
};

/*
 * The name of an error: "ok", "not_found", ..., "os_error" for a code of the operating system, and
 * "unknown_error" for anything else.
 *
 *   owner     static text
 *   thread    any; wait-free
 */
MRING_API const char *mmap_errname(int err);

/*
 * The message of an error, for a person: ours for a named error, the operating system's for its
 * own.
 *
 *   buffer    at least one byte; 128 hold every message of this library. Truncated to fit.
 *   returns   `buffer`
 *   thread    any
 */
MRING_API const char *mmap_errmsg(int err, char *buffer, size_t size);

/* ---- types ----------------------------------------------------------------------------------- */

/*
 * What to map. At most one member is set; none means anonymous memory.
 *
 * A descriptor, stream or handle stays the caller's: it is not closed and its position does not
 * move; after the call the mapping does not need it any more. What waits to be written in a
 * stream's buffer is written first.
 */
struct mmap_file {
    const char *path;    /* file name, UTF-8 */
    const int *fd;       /* pointer to an open file descriptor */
    FILE *stream;        /* open stream */
    void *handle;        /* open HANDLE (Windows) */
    const char *tagname; /* name of shared memory, see MMAP_TAGNAME_MAX */
};

/*
 * A tagname has 1 to MMAP_TAGNAME_MAX bytes on every system, does not start with a dot, and has no
 * slash, backslash, colon or control character. Upper and lower case differ. The same name gives
 * the same memory in every process of the same user (and, on Linux, of the same mount of /dev/shm;
 * on Windows, of the same login session).
 */
#define MMAP_TAGNAME_MAX 240

/* Access modes. Reading is always allowed. MMAP_WRITE and MMAP_COPY exclude each other. */
enum mmap_access {
    MMAP_READ = 0,
    MMAP_WRITE = 1, /* changes go to the file; the file is created and extended as needed */
    MMAP_COPY = 2,  /* changes stay in this mapping (copy on write) */
    MMAP_EXEC = 4   /* with any of the above: the memory may be executed */
};

/* Options of a mapping. */
enum mmap_flags {
    MMAP_EXCLUSIVE = 1 << 0,    /* fail with exists instead of opening an existing file or name */
    MMAP_EXISTING = 1 << 1,     /* fail with not_found instead of creating one */
    MMAP_ANY_OWNER = 1 << 2,    /* attach to a name of another user, or with a wider mode, too */
    MMAP_PREFAULT = 1 << 3,     /* take all pages now, in every copy: no page fault later */
    MMAP_LOCK = 1 << 4,         /* keep the pages in memory; counts once, not once per copy */
    MMAP_HUGE_PREFER = 1 << 5,  /* huge pages if they can be had; see the field `huge` */
    MMAP_HUGE_REQUIRE = 1 << 6, /* huge pages or an error; anonymous memory only */
    MMAP_DONTFORK = 1 << 7,     /* a forked child does not get this mapping; there the range may
                                   become another one's, so the child must not free the map */
    MMAP_NODUMP = 1 << 8,       /* a core dump has the first copy of a mirror, not all */
    MMAP_FULLFSYNC = 1 << 9     /* mmap_flush() has the drive write what it caches, too: macOS does
                                   that only if asked, and takes long; elsewhere it always does */
};

/* Start with zeros; mmap_free() makes it zeros again. Read the first four members, write none. */
struct mmap {
    void *addr;    /* first byte */
    uint64_t size; /* bytes, exactly as asked for; of a mirror: of one copy */
    bool created;  /* this call created the object, else it existed */
    bool huge;     /* huge pages were obtained */

    /* private */
    bool flushable;  /* there is a disk behind it */
    void *base;      /* the range to release */
    uint64_t length; /* its bytes, whole pages */
    uint64_t extent; /* the bytes from base that the caller may use */
    void *kept[2];   /* what must stay open (Windows, macOS) */
};

struct mmap_args {
    struct mmap_file file; /* default: anonymous memory */
    unsigned access;       /* enum mmap_access; default: read only */
    unsigned flags;        /* enum mmap_flags */
    uint64_t size;         /* bytes; default: from offset to the end of the file or name */
    uint64_t offset;       /* in a file or name, a multiple of mmap_pagesize(); else ignored */
    void *addr;            /* exactly here, a multiple of mmap_pagesize(), of huge pages of
                              mmap_mirror_granularity(flags); default: anywhere */
    unsigned mode;         /* permissions of what is created: of a name exactly these, default 0600;
                              of a file less the umask, default 0666 */

    /*
     * Fill what this call creates, after it is mapped: a name before anybody can see it, a file
     * (which is visible from its creation), or anonymous memory. When somebody else's name
     * comes first, what was filled is discarded and the call attaches (`created` is false). Not 0:
     * the call fails with that code and the object is gone.
     */
    int (*init)(struct mmap *map, void *context);
    void *context;
};

struct mmap_mirror_args {
    struct mmap_file file; /* default: anonymous memory */
    unsigned flags;        /* enum mmap_flags */
    uint64_t size;         /* bytes of one copy, a multiple of mmap_mirror_granularity() */
    unsigned times;        /* number of copies; default: 2 */
    uint64_t offset;       /* as above; where the segment starts */
    uint64_t lead_size;    /* bytes before the segment, in memory as in the file: mapped once, in
                              front of the first copy; a multiple of the granularity, at most offset
                              (of anonymous memory: any). For a header. */
    void *addr;            /* of the lead or, without one, of the first copy, a multiple of the
                              granularity, on Windows of mmap_pagesize(); default: anywhere */
    unsigned mode;         /* as above */
    int (*init)(struct mmap *map, void *context); /* as above */
    void *context;
};

/* ---- mapping --------------------------------------------------------------------------------- */

/*
 * Map a file, anonymous memory or named shared memory.
 *
 *   map       written on success only; release with mmap_free()
 *   size      0 takes the file from `offset` to its end. Memory past `size` up to the page's end is
 *             accessible but not part of the map. Anonymous memory needs a size; a name without a
 *             size is only attached, never created.
 *   files     With MMAP_WRITE a missing file is created and a short one extended to offset + size;
 *             otherwise it has to exist and to be long enough.
 *   names     With MMAP_WRITE a missing name is created; it becomes visible complete or not at all.
 *             Attaching never changes the size of an object. The name stays, with the data, until
 *             mmap_unlink(); on Windows, until its last mapping ends.
 *   anonymous MMAP_WRITE memory is shared with forked children, other memory is copied.
 *
 *   errors    not_found       no such file or name, and this call does not create it; no such
 *                             folder
 *             file_too_short  the file is empty or ends before offset + size, and this call may not
 *                             extend it; a new file would be empty, since no size is given; a name
 *                             has fewer bytes than asked for
 *             file_too_big    over RLIMIT_FSIZE, or more than the file system can
 *             disk_full       the file system has not got the blocks; also when prefaulting
 *             out_of_mem      size or address too large, no memory, address range in use (a map
 *                             at an address takes twice its size while it is made),
 *                             over RLIMIT_MEMLOCK with MMAP_LOCK, no huge pages, or no
 *                             right to them, with MMAP_HUGE_REQUIRE
 *             map_limit       the process has too many mappings (Linux: vm.max_map_count)
 *             fd_limit        the process or the system has too many open files
 *             invalid_arg     more than one member of `file`; closed descriptor or stream; empty
 *                             path; a tagname against the rules above; unknown bits; both
 *                             MMAP_WRITE and MMAP_COPY, or both MMAP_HUGE flags; MMAP_EXCLUSIVE
 *                             with MMAP_EXISTING, without MMAP_WRITE or without a size; offset or
 *                             addr not aligned; no size for anonymous memory; offset + size over
 *                             2^63 - 1
 *             name_too_long   tagname or path too long
 *             exists          MMAP_EXCLUSIVE and the file or name exists; a file would be created
 *                             where there is a dangling symbolic link; on macOS and the BSDs, two
 *                             tagnames have one hash of 128 bits
 *             access_denied   permissions; a descriptor not opened for this access, which is
 *                             always for reading too; a name of another user, with a wider mode
 *                             than `mode`, with a second (hard) link, or that leads to anything
 *                             but a plain object; a file that another program does not
 *                             share (Windows)
 *             unsupported     a folder, pipe, socket or device; a file of huge pages, or
 *                             MMAP_HUGE_REQUIRE with a file or name; a HANDLE where there are none;
 *                             no shared memory on this system; an address, where the process may
 *                             not call mremap() (Linux)
 */
MRING_API int mmap_map(struct mmap *map, const struct mmap_args *args);

/*
 * Map a segment `times` times back to back, readable and writable.
 *
 * As mmap_map() with MMAP_WRITE, except that `size` is needed, and that a file grows to one copy.
 * Any of the copies may be used, within these rules: between two accesses of one thread to the same
 * byte through different copies goes mring_alias_barrier(); atomics are used at their first address
 * only (offset < size); memmove() and memcpy() do not work between overlapping copies.
 *
 *   map       map->addr is the first copy, map->addr - lead_size the lead, map->size one copy
 *   errors    those of mmap_map(), and
 *             out_of_mem   one copy more than asked for takes addresses while the mirror is made
 *             unsupported  as for an address
 *             invalid_arg  size is 0; size, offset or lead_size is not a multiple of
 *                          mmap_mirror_granularity(flags); lead_size > offset in a file or name;
 *                          times * size does not fit
 */
MRING_API int mmap_mirror(struct mmap *map, const struct mmap_mirror_args *args);

/*
 * Write changes of a file mapping to the disk.
 *
 *   addr      first byte, anywhere in the map (in any copy of a mirror, or its lead); rounded down
 *             to a page. NULL: the start of the map, which is that of the lead if there is one.
 *   size      bytes from there; 0: to the end of the map (of a mirror: of the last copy). NULL and
 *             0 together are all of it, once.
 *   async     start writing and return. On Linux the kernel writes by itself and this does nothing;
 *             on Windows, not async also waits for what the disk itself has buffered.
 *   errors    invalid_arg  the range is not inside the map
 *             > 0          the system's code, such as EIO; the memory keeps its contents
 *             Anonymous memory, names and copy-on-write maps have no disk: the call succeeds.
 */
MRING_API int mmap_flush(struct mmap *map, void *addr, uint64_t size, bool async);

/*
 * Release a mapping. What was written stays in the file or name; nothing is flushed.
 *
 *   map       becomes zeros, and releasing zeros does nothing: calling twice is harmless. On an
 *             error it stays as it was.
 *   errors    map_limit  the system had to split a neighbouring mapping and could not
 */
MRING_API int mmap_free(struct mmap *map);

/*
 * Remove a name of shared memory. Mappings of it go on unharmed and their memory goes with the last
 * of them. A missing name is not an error. Names stay until they are removed, even without
 * processes; those of Windows go by themselves with their last mapping, and not before.
 *
 *   errors    invalid_arg, name_too_long  against the rules for tagnames; access_denied
 */
MRING_API int mmap_unlink(const char *tagname);

/* ---- sizes ----------------------------------------------------------------------------------- */

/*
 * What offsets and addresses of a mapping are multiples of: the page (Linux, macOS) or the
 * allocation granularity (Windows), in bytes, a power of two.
 *
 *   thread    any
 */
MRING_API uint64_t mmap_pagesize(void);

/*
 * What size, offset and lead of a mirror are multiples of, in bytes, a power of two: the page, or
 * the distance at which the processor's caches allow aliases (SHMLBA), or with MMAP_HUGE_REQUIRE
 * the huge page. A multiple of 2 MiB suits MMAP_HUGE_PREFER. On Windows it is the page of 4 KiB
 * where the system can hold a range of addresses (10 1803 and later), else 64 KiB.
 *
 *   thread    any
 */
MRING_API uint64_t mmap_mirror_granularity(unsigned flags);

/* The direction of mmap_aligned_size() and mmap_aligned_addr(). */
enum mmap_direction { MMAP_UP = 0, MMAP_DOWN = 1 };

/*
 * The next larger or smaller multiple of mmap_pagesize(); a multiple itself stays. 0 (NULL) when
 * the next larger one does not fit its type.
 *
 *   thread    any
 */
MRING_API uint64_t mmap_aligned_size(uint64_t bytes, enum mmap_direction direction);
MRING_API void *mmap_aligned_addr(const void *addr, enum mmap_direction direction);

/*
 * The size of a file or a name, in bytes. Its position does not move, and it need not be readable.
 *
 *   size      written on success only
 *   errors    not_found      no such file or name
 *             invalid_arg    no member of `file`, or more than one, or a closed descriptor
 *             unsupported    not a plain file
 *             access_denied, name_too_long, fd_limit  as for mmap_map()
 */
MRING_API int mmap_filesize(const struct mmap_file *file, uint64_t *size);

/*
 * Set the size of a file. A missing file is created. What is added reads as zeros and its blocks
 * are reserved; what remains keeps its contents. Do not shorten a file that is mapped: touching the
 * lost part is a signal.
 *
 *   errors    not_found                no such folder
 *             exists                   a dangling symbolic link
 *             disk_full, file_too_big  the file keeps its size
 *             invalid_arg              as above; or over 2^63 - 1 bytes
 *             unsupported              a tagname (its size never changes), or not a plain file
 *             access_denied            also: a descriptor that is not open for writing
 *             name_too_long, fd_limit  as for mmap_map()
 */
MRING_API int mmap_set_filesize(const struct mmap_file *file, uint64_t size);

MRING_END_DECLS

#endif
