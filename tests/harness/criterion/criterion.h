/* SPDX-License-Identifier: MIT */
/*
 * The part of Criterion that the tests of mring use, for systems that have no Criterion.
 *
 * The same test files compile against either: this header is found in its place, and
 * ../harness.c brings main(). It is not all of Criterion: no parameters, no expected signals or
 * exit codes, no reports but text. What a test may count on:
 *
 *   - Each test runs in a process of its own, in the order of its file. When that process dies of
 *     a signal, ends by itself or outlasts the test's timeout, the test has failed, and what it
 *     has started dies with it.
 *   - A suite's .init comes before that of the test; the two .fini follow in reverse, after a
 *     failed assertion, too.
 *   - cr_assert*() ends the test, cr_expect*() only marks it as failed. Both take a message in the
 *     form of printf(), whose arguments are evaluated only on failure.
 *   - Both work in every thread of the test's process. Another thread than the test's own cannot
 *     end it in the usual way: there, cr_assert*() ends the process at once, without .fini.
 *   - A skipped test prints its reason and counts as skipped.
 *
 *     #include <criterion/criterion.h>
 *
 *     TestSuite(ring, .init = make_folder, .fini = remove_folder);
 *
 *     Test(ring, is_empty_when_new, .timeout = 5)
 *     {
 *         cr_assert_eq(ring_count(&ring), 0, "capacity %zu", capacity);
 *     }
 *
 * How to run them: see ../harness.c.
 */
#ifndef MRING_HARNESS_CRITERION_H
#define MRING_HARNESS_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tests and suites ------------------------------------------------------------------------ */

/* Test(suite, name, .init =, .fini =, .timeout = seconds) { body } */
#define Test(...) CR_TEST_(__VA_ARGS__, .end_ = 0)

/* TestSuite(suite, the same): what its tests have in common. */
#define TestSuite(...) CR_SUITE_(__VA_ARGS__, .end_ = 0)

/* Count this test as skipped, print why, and end it. */
_Noreturn void cr_skip_test(const char *format, ...);

/* ---- assertions ------------------------------------------------------------------------------ */

/* Each takes the arguments that are named here, and then the message. */

/* (condition) */
#define cr_assert(...)          CR_IS_(stop, "assert", , #__VA_ARGS__, __VA_ARGS__)
#define cr_expect(...)          CR_IS_(go_on, "expect", , #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_not(...)      CR_IS_(stop, "assert_not", !, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_not(...)      CR_IS_(go_on, "expect_not", !, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_null(...)     CR_IS_(stop, "assert_null", NULL ==, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_null(...)     CR_IS_(go_on, "expect_null", NULL ==, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_not_null(...) CR_IS_(stop, "assert_not_null", NULL !=, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_not_null(...) CR_IS_(go_on, "expect_not_null", NULL !=, #__VA_ARGS__, __VA_ARGS__)

/* (left, right) */
#define cr_assert_eq(...)  CR_COMPARE_(stop, "assert_eq", ==, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_eq(...)  CR_COMPARE_(go_on, "expect_eq", ==, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_neq(...) CR_COMPARE_(stop, "assert_neq", !=, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_neq(...) CR_COMPARE_(go_on, "expect_neq", !=, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_lt(...)  CR_COMPARE_(stop, "assert_lt", <, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_lt(...)  CR_COMPARE_(go_on, "expect_lt", <, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_leq(...) CR_COMPARE_(stop, "assert_leq", <=, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_leq(...) CR_COMPARE_(go_on, "expect_leq", <=, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_gt(...)  CR_COMPARE_(stop, "assert_gt", >, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_gt(...)  CR_COMPARE_(go_on, "expect_gt", >, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_geq(...) CR_COMPARE_(stop, "assert_geq", >=, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_geq(...) CR_COMPARE_(go_on, "expect_geq", >=, #__VA_ARGS__, __VA_ARGS__)

/* (left, right): texts */
#define cr_assert_str_eq(...)  CR_TEXTS_(stop, "assert_str_eq", ==, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_str_eq(...)  CR_TEXTS_(go_on, "expect_str_eq", ==, #__VA_ARGS__, __VA_ARGS__)
#define cr_assert_str_neq(...) CR_TEXTS_(stop, "assert_str_neq", !=, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_str_neq(...) CR_TEXTS_(go_on, "expect_str_neq", !=, #__VA_ARGS__, __VA_ARGS__)

/* (left, right, bytes) */
#define cr_assert_arr_eq(...) CR_BYTES_(stop, "assert_arr_eq", ==, #__VA_ARGS__, __VA_ARGS__)
#define cr_expect_arr_eq(...) CR_BYTES_(go_on, "expect_arr_eq", ==, #__VA_ARGS__, __VA_ARGS__)

/* ---- how it is done -------------------------------------------------------------------------- */

struct cr_options_ {
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* seconds; 0: the suite's, or else that of the command line */
    int end_;
};

struct cr_test_ {
    const char *suite;
    const char *name; /* NULL: the suite itself */
    void (*body)(void);
    struct cr_options_ options;
    int line;
    struct cr_test_ *next;
};

/* What constructors call, before main(). */
void cr_add_test_(struct cr_test_ *test);
void cr_add_suite_(struct cr_test_ *suite);

#define CR_TEST_(suite_, name_, ...)                                                               \
    static void suite_##_##name_##_body_(void);                                                    \
    CR_ADD_(cr_add_test_, suite_##_##name_, #suite_, #name_, suite_##_##name_##_body_,             \
            __VA_ARGS__)                                                                           \
    static void suite_##_##name_##_body_(void)

#define CR_SUITE_(suite_, ...)                                                                     \
    CR_ADD_(cr_add_suite_, suite_##_suite, #suite_, NULL, NULL, __VA_ARGS__)                       \
    struct cr_test_ /* takes the semicolon */

#define CR_ADD_(add, id, suite_, name_, body_, ...)                                                \
    __attribute__((constructor)) static void id##_add_(void)                                       \
    {                                                                                              \
        static struct cr_test_ test = { .suite = suite_,                                           \
                                        .name = name_,                                             \
                                        .body = body_,                                             \
                                        .line = __LINE__,                                          \
                                        .options = { __VA_ARGS__ } };                              \
                                                                                                   \
        add(&test);                                                                                \
    }

/* Say where and what has failed; `format` is NULL when there is no message. */
void cr_fail_(const char *file, int line, const char *text, const char *format, ...);

/* What follows. */
_Noreturn void cr_stop_(void);
static inline void cr_go_on_(void)
{
}

/*
 * `text` is the assertion as it stands in its file. What follows its arguments ends in NULL, which
 * is the message where none is given.
 */
#define CR_IS_(then, name, relation, arguments, ...)                                               \
    CR_IS_SPLIT_(then, CR_TEXT_(name, arguments), relation, __VA_ARGS__, (const char *)NULL)
#define CR_COMPARE_(then, name, relation, arguments, ...)                                          \
    CR_COMPARE_SPLIT_(then, CR_TEXT_(name, arguments), relation, __VA_ARGS__, (const char *)NULL)
#define CR_TEXTS_(then, name, relation, arguments, ...)                                            \
    CR_TEXTS_SPLIT_(then, CR_TEXT_(name, arguments), relation, __VA_ARGS__, (const char *)NULL)
#define CR_BYTES_(then, name, relation, arguments, ...)                                            \
    CR_BYTES_SPLIT_(then, CR_TEXT_(name, arguments), relation, __VA_ARGS__, (const char *)NULL)
#define CR_TEXT_(name, arguments) "cr_" name "(" arguments ")"

#define CR_IS_SPLIT_(then, text, relation, value, ...)                                             \
    CR_CHECK_(then, relation(value), text, __VA_ARGS__)
#define CR_COMPARE_SPLIT_(then, text, relation, left, right, ...)                                  \
    CR_CHECK_(then, (left)relation(right), text, __VA_ARGS__)
#define CR_TEXTS_SPLIT_(then, text, relation, left, right, ...)                                    \
    CR_CHECK_(then, strcmp(left, right) relation 0, text, __VA_ARGS__)
#define CR_BYTES_SPLIT_(then, text, relation, left, right, bytes, ...)                             \
    CR_CHECK_(then, memcmp(left, right, bytes) relation 0, text, __VA_ARGS__)

#define CR_CHECK_(then, condition, text, ...)                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            cr_fail_(__FILE__, __LINE__, text, __VA_ARGS__);                                       \
            cr_##then##_();                                                                        \
        }                                                                                          \
    } while (0)

#endif
