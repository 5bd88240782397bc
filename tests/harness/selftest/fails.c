/* SPDX-License-Identifier: MIT */
/*
 * Tests that fail, each in another way, for selftest.sh; and what they must not do to the others.
 */
#include <criterion/criterion.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void say_begin(void)
{
    puts("begin");
}

static void say_end(void)
{
    puts("end");
}

TestSuite(fails, .init = say_begin, .fini = say_end, .timeout = 1);

Test(passes, alone, .timeout = 5)
{
    cr_assert_eq(1, 1);
}

Test(passes, when_the_message_would_do_harm, .timeout = 5)
{
    cr_expect(true, "%s", (const char *)(raise(SIGSEGV) == 0 ? "" : NULL));
}

Test(fails, at_an_assertion)
{
    cr_assert_eq(1, 2, "row %d", 7);
    puts("not reached");
}

Test(fails, at_two_expectations)
{
    cr_expect_str_eq("a", "b");
    cr_expect_null("c");
    puts("reached");
}

static void *assert_elsewhere(void *unused)
{
    (void)unused;
    cr_assert(false, "in a thread");
    return NULL;
}

Test(fails, in_another_thread)
{
    pthread_t thread;

    pthread_create(&thread, NULL, assert_elsewhere, NULL);
    pthread_join(thread, NULL);
    puts("not reached");
}

Test(fails, by_a_crash)
{
    volatile char *volatile nowhere = NULL;

    *nowhere = 1;
}

Test(fails, by_an_exit_code_of_0)
{
    exit(0);
}

Test(fails, by_a_hang)
{
    for (;;)
        sleep(1);
}

Test(skips, with_its_reason, .fini = say_end, .timeout = 5)
{
    cr_skip_test("for %d reasons", 3);
}

Test(skips, but_has_failed_before, .timeout = 5)
{
    cr_expect(false);
    cr_skip_test("too late");
}
