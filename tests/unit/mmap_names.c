/* SPDX-License-Identifier: MIT */
/* mmap_map() of named shared memory. */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <mring/mmap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(mmap_map, .init = support_begin, .fini = support_end, .timeout = 20);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

static struct mmap_args writer_of(const char *tagname, uint64_t size)
{
    return (struct mmap_args){ .file = { .tagname = tagname }, .access = MMAP_WRITE, .size = size };
}

/* The call has to fail with `expected`, leave nothing, and not touch its out parameter. */
static void assert_fails(const struct mmap_args *args, int expected, const char *what)
{
    struct mmap map, before;
    memset(&map, 0x5a, sizeof map);
    memcpy(&before, &map, sizeof map);
    support_remember();

    int err = mmap_map(&map, args);

    cr_assert_eq(err, expected, "%s: %s (%d), not %s", what, mmap_errname(err), err,
                 mmap_errname(expected));
    cr_assert_eq(memcmp(&map, &before, sizeof map), 0, "%s: out parameter written", what);
    ASSERT_NOTHING_LEFT(" (%s)", what);
}

/* ---- creating and attaching ------------------------------------------------------------------ */

static const char *attach_in_another_process(void *tagname)
{
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 5000);

    EXPECT(mmap_map(&map, &args) == 0);
    EXPECT(!map.created);
    EXPECT(map.size == 5000);
    EXPECT(memcmp(map.addr, "from the creator", 17) == 0);
    memcpy((char *)map.addr + 4096, "from the other", 15);
    EXPECT(mmap_free(&map) == 0);
    return NULL;
}

/* S13: the result tells who created. */
Test(mmap_map, shares_a_name_between_processes, .timeout = 20)
{
    char *tagname = (char *)support_tagname("tag");
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 5000);
    cr_assert_eq(mmap_map(&map, &args), 0);
    cr_assert(map.created);
    cr_assert_eq(map.size, 5000);
    cr_assert(support_is_zero(map.addr, 5000));
    strcpy(map.addr, "from the creator");

    ASSERT_CHILD(support_child(attach_in_another_process, tagname));

    cr_assert_str_eq((char *)map.addr + 4096, "from the other");
    mmap_free(&map);
}

Test(mmap_map, keeps_a_name_and_its_data_until_it_is_unlinked, .timeout = 20)
{
    support_needs_posix("a name that nobody has mapped");
    const char *tagname = support_tagname("tag");
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);
    cr_assert_eq(mmap_map(&map, &args), 0);
    strcpy(map.addr, "stays");
    mmap_free(&map);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname } }), 0);

    cr_assert_eq(map.size, 10, "a size of 0 takes all");
    cr_assert_not(map.created);
    cr_assert_str_eq(map.addr, "stays");
    mmap_free(&map);
}

/* S13: reading never creates, and no call creates an object of no size. */
Test(mmap_map, does_not_create_a_name_without_write_access_and_a_size, .timeout = 20)
{
    struct mmap_args args = { .file = { .tagname = support_tagname("tag") }, .size = 10 };

    assert_fails(&args, MMAP_NOT_FOUND, "read");
    args.access = MMAP_COPY;
    assert_fails(&args, MMAP_NOT_FOUND, "copy");
    args.access = MMAP_WRITE;
    args.size = 0;
    assert_fails(&args, MMAP_NOT_FOUND, "no size");
    args.size = 10;
    args.flags = MMAP_EXISTING;
    assert_fails(&args, MMAP_NOT_FOUND, "existing");
}

Test(mmap_map, fails_with_exists_when_an_exclusive_name_is_there, .timeout = 20)
{
    const char *tagname = support_tagname("tag");
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);
    args.flags = MMAP_EXCLUSIVE;

    cr_assert_eq(mmap_map(&map, &args), 0);
    assert_fails(&args, MMAP_EXISTS, "exclusive");

    strcpy(map.addr, "alive");
    cr_assert(support_name_exists(tagname));
    mmap_free(&map);
}

/* S11, S12: an attach never resizes, and never maps what is not there. */
Test(mmap_map, never_changes_the_size_of_a_name_by_attaching, .timeout = 20)
{
    const char *tagname = support_tagname("tag");
    struct mmap first = { 0 }, second = { 0 };
    struct mmap_args args = writer_of(tagname, 65536);
    cr_assert_eq(mmap_map(&first, &args), 0);
    memset(first.addr, 1, 65536);

    args.size = 4096;
    cr_assert_eq(mmap_map(&second, &args), 0);
    cr_assert_eq(second.size, 4096);
    mmap_free(&second);
    cr_assert_eq(mmap_map(&second, &(struct mmap_args){ .file = { .tagname = tagname } }), 0);
    cr_assert_eq(second.size, 65536);
    mmap_free(&second);
    args.size = 65537;
    assert_fails(&args, MMAP_FILE_TOO_SHORT, "write a byte more");
    args.access = MMAP_READ;
    assert_fails(&args, MMAP_FILE_TOO_SHORT, "read a byte more");
    args.size = 65536;
    args.offset = mmap_pagesize();
    assert_fails(&args, MMAP_FILE_TOO_SHORT, "past the end by an offset");

    for (int i = 0; i < 65536; i++)
        cr_assert_eq(((unsigned char *)first.addr)[i], 1, "the object was cut");
    mmap_free(&first);
}

Test(mmap_map, keeps_copies_of_a_name_private_and_knows_offsets, .timeout = 20)
{
    uint64_t page = mmap_pagesize();
    const char *tagname = support_tagname("tag");
    struct mmap shared = { 0 }, copied = { 0 }, tail = { 0 };
    struct mmap_args args = writer_of(tagname, 2 * page);
    cr_assert_eq(mmap_map(&shared, &args), 0);
    memset((char *)shared.addr + page, 9, page);

    args.access = MMAP_COPY;
    cr_assert_eq(mmap_map(&copied, &args), 0);
    memset(copied.addr, 1, 2 * page);
    cr_assert_eq(
        mmap_map(&tail, &(struct mmap_args){ .file = { .tagname = tagname }, .offset = page }), 0);

    cr_assert_eq(((unsigned char *)shared.addr)[0], 0);
    cr_assert_eq(tail.size, page);
    cr_assert_eq(((unsigned char *)tail.addr)[0], 9);
    mmap_free(&shared);
    mmap_free(&copied);
    mmap_free(&tail);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* S15 */
Test(mmap_map, refuses_tagnames_against_the_rules, .timeout = 20)
{
    static const char *const names[] = { "",   ".",    "..",  ".hidden", "a/b",  "/a",
                                         "a/", "a\\b", "a:b", "a\nb",    "\x01", "a\x7f" };
    char longest[MMAP_TAGNAME_MAX + 2] = "";
    struct mmap map = { 0 };
    size_t prefix_len = strlen(strcpy(longest, support_tagname("")));
    memset(longest + prefix_len, 'n', MMAP_TAGNAME_MAX + 1 - prefix_len);

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct mmap_args args = writer_of(names[i], 10);
        assert_fails(&args, MMAP_INVALID_ARG, names[i]);
    }
    struct mmap_args args = writer_of(longest, 10);
    assert_fails(&args, MMAP_NAME_TOO_LONG, "241 bytes");
    longest[MMAP_TAGNAME_MAX] = '\0';
    cr_assert_eq(mmap_map(&map, &args), 0, "240 bytes");

    cr_assert(map.created);
    mmap_free(&map);
    mmap_unlink(longest);
}

Test(mmap_map, takes_spaces_and_utf8_in_tagnames, .timeout = 20)
{
    const char *tagname = support_tagname("a b-\xc3\xbc");
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);

    cr_assert_eq(mmap_map(&map, &args), 0);

    cr_assert(support_name_exists(tagname));
    mmap_free(&map);
}

/* ---- permissions ----------------------------------------------------------------------------- */

/* S14: nobody else may look by default, whatever the umask is. */
Test(mmap_map, creates_names_for_the_owner_alone_unless_told_otherwise, .timeout = 20)
{
    static const struct {
        mode_t mask;
        unsigned mode, expected;
    } rows[] = {
        { 022, 0, 0600 }, { 0, 0, 0600 }, { 077, 0640, 0640 }, { 0, 0666, 0666 }, { 0, 0400, 0400 }
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *tagname = support_tagname("tag");
        struct mmap map = { 0 };
        struct mmap_args args = writer_of(tagname, 10);

        umask(rows[i].mask);
        args.mode = rows[i].mode;
        args.flags = MMAP_EXCLUSIVE;
        cr_assert_eq(mmap_map(&map, &args), 0, "row %zu", i);
        cr_assert_eq(support_file_mode(support_shm_path(tagname)), rows[i].expected, "row %zu", i);
        mmap_free(&map);
        mmap_unlink(tagname);
    }
}

/* S14: a name that others may write to is not trusted. */
Test(mmap_map, is_denied_a_name_with_a_wider_mode, .timeout = 20)
{
    const char *tagname = support_tagname("tag");
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);
    support_write_file(support_shm_path(tagname), 10);

    chmod(support_shm_path(tagname), 0620);
    assert_fails(&args, MMAP_ACCESS_DENIED, "0620 for 0600");
    args.mode = 0640;
    assert_fails(&args, MMAP_ACCESS_DENIED, "0620 for 0640");
    args.mode = 0660;
    cr_assert_eq(mmap_map(&map, &args), 0, "0620 is within 0660");
    mmap_free(&map);
    chmod(support_shm_path(tagname), 0604);
    args.access = MMAP_READ;
    assert_fails(&args, MMAP_ACCESS_DENIED, "0604 for 0660");
    args.flags = MMAP_ANY_OWNER;
    cr_assert_eq(mmap_map(&map, &args), 0);
    mmap_free(&map);
}

static const char *create_as_nobody(void *tagname)
{
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);

    EXPECT(support_become_nobody());
    EXPECT(mmap_map(&map, &args) == 0);
    EXPECT(map.created);
    return NULL;
}

static const char *attach_as_nobody(void *tagname)
{
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);

    EXPECT(support_become_nobody());
    args.flags = MMAP_ANY_OWNER;
    EXPECT(mmap_map(&map, &args) == MMAP_ACCESS_DENIED);
    return NULL;
}

/* S14: squatting. Root could open the object of any user, which is what makes it dangerous. */
Test(mmap_map, is_denied_a_name_of_another_user, .timeout = 20)
{
    char *tagname = (char *)support_tagname("tag");
    char *ours = (char *)support_tagname("ours");
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);
    struct mmap_args our_args = writer_of(ours, 10);

    if (geteuid() != 0)
        cr_skip_test("needs root, to become another user");
    ASSERT_CHILD(support_child(create_as_nobody, tagname));

    assert_fails(&args, MMAP_ACCESS_DENIED, "write");
    args.access = MMAP_READ;
    assert_fails(&args, MMAP_ACCESS_DENIED, "read");
    args.flags = MMAP_ANY_OWNER;
    cr_assert_eq(mmap_map(&map, &args), 0);
    mmap_free(&map);

    cr_assert_eq(mmap_map(&map, &our_args), 0);
    ASSERT_CHILD(support_child(attach_as_nobody, ours));
    mmap_free(&map);
}

/* S14 */
Test(mmap_map, is_denied_what_is_no_plain_object, .timeout = 20)
{
    const char *target = support_path("target");
    support_write_file(target, 100);
    chmod(target, 0600);
    const char *soft = support_tagname("soft"), *dangling = support_tagname("dangling");
    const char *second = support_tagname("second"), *hard = support_tagname("hard");
    const char *folder = support_tagname("folder"), *fifo = support_tagname("fifo");
    symlink(target, support_shm_path(soft));
    symlink(support_path("missing"), support_shm_path(dangling));
    support_write_file(support_shm_path(second), 10);
    chmod(support_shm_path(second), 0600);
    cr_assert_eq(link(support_shm_path(second), support_shm_path(hard)), 0);
    mkdir(support_shm_path(folder), 0700);
    mkfifo(support_shm_path(fifo), 0600);
    const char *const names[] = { soft, dangling, hard, second, folder, fifo };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct mmap_args args = { .file = { .tagname = names[i] }, .size = 10 };

        assert_fails(&args, MMAP_ACCESS_DENIED, names[i]);
        args.flags = MMAP_ANY_OWNER;
        assert_fails(&args, MMAP_ACCESS_DENIED, names[i]);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct mmap map = { 0 };
        struct mmap_args args = writer_of(names[i], 10);
        int err = mmap_map(&map, &args);

        cr_assert_eq(err, MMAP_ACCESS_DENIED, "%s: %s", names[i], mmap_errname(err));
        args.flags = MMAP_EXCLUSIVE;
        assert_fails(&args, MMAP_EXISTS, names[i]);
    }
    cr_assert_not(support_exists(support_path("missing")), "created through a link");
    cr_assert_eq(support_file_size(target), 100);
}

/* ---- filling --------------------------------------------------------------------------------- */

struct filling {
    const char *tagname;
    unsigned calls;
    int result;
    int err_of_attach;
    bool was_visible;
    struct mmap other; /* what another process has mapped meanwhile */
};

/* While it runs the name must not be there for anybody. */
static int fill(struct mmap *map, void *context)
{
    struct filling *filling = context;
    struct mmap other = { 0 };

    filling->calls++;
    filling->was_visible = support_name_exists(filling->tagname);
    filling->err_of_attach =
        mmap_map(&other, &(struct mmap_args){ .file = { .tagname = filling->tagname } });
    memset(map->addr, 0x77, map->size);
    return filling->result;
}

/* S13: a name is never seen half-made. */
Test(mmap_map, runs_init_before_the_name_is_visible, .timeout = 20)
{
    const char *tagname = support_tagname("tag");
    struct filling filling = { .tagname = tagname };
    struct mmap_args args = writer_of(tagname, 5000);
    struct mmap map = { 0 }, reader = { 0 };
    args.init = fill;
    args.context = &filling;

    cr_assert_eq(mmap_map(&map, &args), 0);

    cr_assert_eq(filling.calls, 1);
    cr_assert_not(filling.was_visible);
    cr_assert_eq(filling.err_of_attach, MMAP_NOT_FOUND);
    cr_assert_eq(mmap_map(&reader, &args), 0);
    cr_assert_eq(filling.calls, 1, "called for a name that was there");
    cr_assert_eq(((unsigned char *)reader.addr)[4999], 0x77);
    mmap_free(&reader);
    mmap_free(&map);
}

Test(mmap_map, fails_with_the_code_of_init_and_no_name_appears, .timeout = 20)
{
    static const int codes[] = { 12345, MMAP_DISK_FULL, -100 };

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        const char *tagname = support_tagname("tag");
        struct filling filling = { .tagname = tagname, .result = codes[i] };
        struct mmap_args args = writer_of(tagname, 5000);
        args.init = fill;
        args.context = &filling;

        assert_fails(&args, codes[i], "init fails");
        cr_assert_eq(filling.calls, 1);
    }
}

/* Another process creates the name while our init runs. */
static int fill_too_late(struct mmap *map, void *context)
{
    struct filling *filling = context;
    struct mmap_args args = writer_of(filling->tagname, 5000);
    struct mmap other = { 0 };

    (void)map;
    if (filling->calls++ > 0)
        return 0;
    cr_assert_eq(mmap_map(&other, &args), 0);
    cr_assert(other.created);
    strcpy(other.addr, "the first");
    filling->other = other;
    return 0;
}

Test(mmap_map, attaches_when_another_creator_was_faster, .timeout = 20)
{
    const char *tagname = support_tagname("tag");
    struct filling filling = { .tagname = tagname };
    struct mmap_args args = writer_of(tagname, 5000);
    struct mmap map = { 0 };
    args.init = fill_too_late;
    args.context = &filling;
    support_remember();

    cr_assert_eq(mmap_map(&map, &args), 0);

    cr_assert_not(map.created);
    cr_assert_str_eq(map.addr, "the first");
    mmap_free(&map);
    mmap_free(&filling.other);
    mmap_unlink(tagname);
    ASSERT_NOTHING_LEFT();
    filling.calls = 0;
    args.flags = MMAP_EXCLUSIVE;
    cr_assert_eq(mmap_map(&map, &args), MMAP_EXISTS, "exclusive, and another was faster");
    mmap_free(&filling.other);
}

#define RACE_ROUNDS  300
#define RACE_WORKERS 4

/* In memory shared by the processes of a race. */
struct race {
    const char *tagname;
    atomic_uint ready[RACE_ROUNDS];
    atomic_uint created[RACE_ROUNDS];
};

static int stamp(struct mmap *map, void *context)
{
    (void)context;
    memset(map->addr, 0x3c, map->size);
    return 0;
}

static const char *take_part(struct race *race)
{
    for (unsigned round = 0; round < RACE_ROUNDS; round++) {
        char tagname[MMAP_TAGNAME_MAX];
        struct mmap map = { 0 };

        snprintf(tagname, sizeof tagname, "%s%u", race->tagname, round);
        struct mmap_args args = writer_of(tagname, 3000);
        args.init = stamp;
        atomic_fetch_add(&race->ready[round], 1);
        while (atomic_load(&race->ready[round]) < RACE_WORKERS)
            continue;
        EXPECT(mmap_map(&map, &args) == 0);
        for (unsigned i = 0; i < 3000; i++)
            EXPECT(((unsigned char *)map.addr)[i] == 0x3c);
        atomic_fetch_add(&race->created[round], map.created);
        EXPECT(mmap_free(&map) == 0);
    }
    return NULL;
}

static const char *run_race(void *context)
{
    pid_t workers[RACE_WORKERS];

    for (int i = 0; i < RACE_WORKERS; i++) {
        workers[i] = fork();
        if (workers[i] == 0)
            _exit(take_part(context) != NULL);
    }
    for (int i = 0; i < RACE_WORKERS; i++) {
        int status;

        EXPECT(waitpid(workers[i], &status, 0) == workers[i]);
        EXPECT(status == 0);
    }
    return NULL;
}

/* S13: of several processes that come at once one creates, and all see what it has filled in. */
Test(mmap_map, lets_exactly_one_of_several_creators_create, .timeout = 60)
{
    struct race *race =
        mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    race->tagname = support_tagname("race");

    ASSERT_CHILD(support_child(run_race, race));

    for (unsigned round = 0; round < RACE_ROUNDS; round++) {
        char tagname[MMAP_TAGNAME_MAX];

        cr_assert_eq(atomic_load(&race->created[round]), 1, "round %u", round);
        snprintf(tagname, sizeof tagname, "%s%u", race->tagname, round);
        mmap_unlink(tagname);
    }
    munmap(race, sizeof *race);
}

static void *create_after_main(void *tagname)
{
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);

    usleep(20000);
    _exit(mmap_map(&map, &args) == 0 && map.created ? 0 : 1);
}

/* /proc/self is that of the first thread, and empty without it. */
Test(mmap_map, creates_names_when_the_first_thread_has_ended, .timeout = 20)
{
#if defined(__SANITIZE_THREAD__)
    cr_skip_test("ThreadSanitizer starts no threads in a child");
#endif
    char *tagname = (char *)support_tagname("tag");
    int status = 1;

    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, create_after_main, tagname) != 0)
            _exit(2);
        pthread_exit(NULL);
    }

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert(support_name_exists(tagname));
}

/* ---- limits ---------------------------------------------------------------------------------- */

static const char *fill_small_shm(void *tagname)
{
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 2 << 20);

    support_remember();
    EXPECT(mmap_map(&map, &args) == MMAP_DISK_FULL);
    EXPECT(support_difference() == NULL);
    EXPECT(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .tagname = tagname },
                                                         .size = 2 << 20 }) == MMAP_DISK_FULL);
    EXPECT(support_difference() == NULL);
    args.size = 900 << 10;
    EXPECT(mmap_map(&map, &args) == 0);
    memset(map.addr, 1, map.size);
    args.flags = MMAP_EXCLUSIVE; /* a taken name is one, whether there is room or not */
    EXPECT(mmap_map(&map, &args) == MMAP_EXISTS);
    return NULL;
}

/* S25: a small /dev/shm, as in containers, is an error of the call and not a SIGBUS. */
Test(mmap_map, fails_with_disk_full_in_a_small_dev_shm, .timeout = 30)
{
    char *tagname = (char *)support_tagname("tag");

    ASSERT_CHILD(support_child_in_small_tmpfs("/dev/shm", fill_small_shm, tagname));
}

static const char *exceed_file_size(void *tagname)
{
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 20001);

    support_remember();
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 20000, 20000 });
    EXPECT(mmap_map(&map, &args) == MMAP_FILE_TOO_BIG);
    EXPECT(support_difference() == NULL);
    args.size = 20000;
    EXPECT(mmap_map(&map, &args) == 0);
    return NULL;
}

Test(mmap_map, fails_with_file_too_big_for_a_name_over_the_limit, .timeout = 20)
{
    char *tagname = (char *)support_tagname("tag");

    ASSERT_CHILD(support_child(exceed_file_size, tagname));
}

/* S31: without /dev/shm there are no names. */
static const char *use_names_without_dev_shm(void *tagname)
{
    struct mmap map = { 0 };
    struct mmap_args args = writer_of(tagname, 10);

    if (rmdir("/dev/shm") != 0)
        return SUPPORT_SKIP "this process may not remove a folder of a tmpfs at /dev";
    EXPECT(mmap_map(&map, &args) == MMAP_UNSUPPORTED);
    return NULL;
}

static const char *hide_dev_shm(void *tagname)
{
    mkdir("/dev/shm", 0777);
    return use_names_without_dev_shm(tagname);
}

Test(mmap_map, has_no_names_without_dev_shm, .timeout = 20)
{
    char *tagname = (char *)support_tagname("tag");

    ASSERT_CHILD(support_child_in_small_tmpfs("/dev", hide_dev_shm, tagname));
}

Test(mmap_map, refuses_a_socket_that_squats_a_name, .timeout = 10)
{
    const char *tagname = support_tagname("socket");
    char path[300];
    snprintf(path, sizeof path, "/dev/shm/%s", tagname);
    cr_assert_eq(mknod(path, S_IFSOCK | 0600, 0), 0);
    struct mmap map = { 0 };

    int err = mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname });

    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(err, MMAP_ACCESS_DENIED, "%s", mmap_errname(err));
}
