/* SPDX-License-Identifier: MIT */
/* mmap_unlink(). */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <mring/mmap.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(mmap_unlink, .init = support_begin, .fini = support_end, .timeout = 10);

static int attach(struct mmap *map, const char *tagname, uint64_t size)
{
    return mmap_map(map, &(struct mmap_args){
                             .file = { .tagname = tagname }, .access = MMAP_WRITE, .size = size });
}

Test(mmap_unlink, removes_a_name_and_leaves_its_mappings_unharmed, .timeout = 10)
{
    support_needs_posix("taking a name from who has it mapped");
    const char *tagname = support_tagname("tag");
    struct mmap old = { 0 }, same = { 0 }, new = { 0 };
    cr_assert_eq(attach(&old, tagname, 100), 0);
    cr_assert_eq(attach(&same, tagname, 100), 0);
    memcpy(old.addr, "alive", 6);

    cr_assert_eq(mmap_unlink(tagname), 0);

    cr_assert_not(support_name_exists(tagname));
    cr_assert_str_eq(same.addr, "alive");
    cr_assert_eq(attach(&new, tagname, 100), 0);
    cr_assert(new.created);
    cr_assert(support_is_zero(new.addr, 100), "the new name has memory of its own");
    mmap_free(&old);
    mmap_free(&same);
    mmap_free(&new);
}

Test(mmap_unlink, of_a_missing_name_is_no_error, .timeout = 10)
{
    cr_assert_eq(mmap_unlink(support_tagname("missing")), 0);
}

/* S15 */
Test(mmap_unlink, refuses_names_against_the_rules, .timeout = 10)
{
    static const char *const names[] = { "",   ".",    "..",  ".hidden", "a/b",
                                         "/a", "a\\b", "a:b", "a\tb",    "a\x7f" };
    char long_name[MMAP_TAGNAME_MAX + 2];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_assert_eq(mmap_unlink(names[i]), MMAP_INVALID_ARG, "row %zu", i);
    cr_assert_eq(mmap_unlink(long_name), MMAP_NAME_TOO_LONG);
    cr_assert_eq(mmap_unlink(long_name + 1), 0);
}

Test(mmap_unlink, is_denied_for_a_folder_that_squats_the_name, .timeout = 10)
{
    const char *tagname = support_tagname("folder");
    const char *path = support_shm_path(tagname);
    cr_assert_eq(mkdir(path, 0700), 0);

    int err = mmap_unlink(tagname);

    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(err, MMAP_ACCESS_DENIED, "%s", mmap_errname(err));
}

/* S31: errors are reported. /dev/shm is sticky, so only the owner of a name removes it. */
static const char *unlink_as_nobody(void *tagname)
{
    EXPECT(support_become_nobody());
    EXPECT(mmap_unlink(tagname) == MMAP_ACCESS_DENIED);
    return NULL;
}

Test(mmap_unlink, is_denied_for_the_name_of_another_user, .timeout = 10)
{
    char *tagname = (char *)support_tagname("tag");
    struct mmap map = { 0 };

    if (geteuid() != 0)
        cr_skip_test("needs root, to become another user");
    cr_assert_eq(attach(&map, tagname, 100), 0);

    ASSERT_CHILD(support_child(unlink_as_nobody, tagname));

    cr_assert(support_name_exists(tagname));
    mmap_free(&map);
}
