/* SPDX-License-Identifier: MIT */
/* The parser that ringbench measures with: what it takes for a command has to be one. */
#include "resp.h"
#include "capture.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Whether the argument has these bytes. */
static bool is_argument(const struct resp_command *command, size_t index, const char *text)
{
    return command->arglen[index] == strlen(text) &&
           memcmp(command->argv[index], text, strlen(text)) == 0;
}

/* Parse a copy that ends where its memory does, so that a sanitizer sees a look behind it. */
static enum resp_status parse_exactly(const char *bytes, size_t size)
{
    struct resp_command command;
    char *copy = malloc(size > 0 ? size : 1);

    cr_assert_not_null(copy);
    memcpy(copy, bytes, size);
    enum resp_status status = resp_parse(&command, size > 0 ? copy : copy + 1, size);
    free(copy);
    return status;
}

static void expect_more_for_every_prefix(const char *bytes, size_t size)
{
    for (size_t part = 0; part < size; part++)
        cr_expect_eq(parse_exactly(bytes, part), RESP_MORE, "%zu bytes of %.60s", part, bytes);
    cr_expect_eq(parse_exactly(bytes, size), RESP_COMPLETE, "%.60s", bytes);
}

Test(resp_parse, hands_out_the_arguments_in_place, .timeout = 5)
{
    static const char bytes[] = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n*1\r\n";
    struct resp_command command;

    cr_assert_eq(resp_parse(&command, bytes, sizeof bytes - 1), RESP_COMPLETE);

    cr_expect_eq(command.size, sizeof bytes - 1 - strlen("*1\r\n"));
    cr_assert_eq(command.argc, 3);
    cr_expect_eq(command.argv[0], bytes + 8);
    cr_expect(is_argument(&command, 0, "SET"));
    cr_expect(is_argument(&command, 1, ""));
    cr_expect(is_argument(&command, 2, "a\r\nb"));
}

Test(resp_parse, needs_more_for_every_prefix_of_a_command, .timeout = 5)
{
    static const char *const rows[] = {
        "*1\r\n$4\r\nPING\r\n",
        "*1\r\n$0\r\n\r\n",
        "*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\n\r\r\n$2\r\n\r\n\r\n",
        ("*10\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n"
         "$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n"),
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_more_for_every_prefix(rows[i], strlen(rows[i]));
}

Test(resp_parse, takes_numbers_up_to_the_bounds, .timeout = 5)
{
    static const struct {
        const char *bytes;
        enum resp_status status;
    } rows[] = {
        { "*64\r\n", RESP_MORE },
        { "*65\r\n", RESP_MALFORMED },
        { "*65", RESP_MALFORMED },
        { "*1\r\n$1048576\r\n", RESP_MORE },
        { "*1\r\n$1048577\r\n", RESP_MALFORMED },
        { "*1\r\n$18446744073709551616\r\n", RESP_MALFORMED },
        { "*18446744073709551617\r\n$4\r\nPING\r\n", RESP_MALFORMED },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(parse_exactly(rows[i].bytes, strlen(rows[i].bytes)), rows[i].status, "%s",
                     rows[i].bytes);
}

Test(resp_parse, finds_what_is_malformed_at_once, .timeout = 5)
{
    static const char *const rows[] = {
        "P",                       /* inline command */
        "$",                       /* no array */
        "*\r",                     /* no number */
        "*-",                      /* null array */
        "*0\r\n",                  /* no command */
        "*00",                     /* needless zeros */
        "*01",                     /* needless zero */
        "*+",                      /* a sign */
        "* ",                      /* a space */
        "*1x",                     /* the line goes on */
        "*1\n",                    /* no CR */
        "*1\rx",                   /* no LF */
        "*1\r\n*",                 /* an array in an array */
        "*1\r\n:",                 /* an integer */
        "*1\r\n$-",                /* null bulk */
        "*1\r\n$\r",               /* no number */
        "*1\r\n$04",               /* needless zero */
        "*1\r\n$4\n",              /* no CR */
        "*1\r\n$4\r\r",            /* no LF */
        "*1\r\n$4\r\nPINGx",       /* longer than said */
        "*1\r\n$4\r\nPING\n",      /* no CR */
        "*1\r\n$4\r\nPING\r\r",    /* no LF */
        "*1\r\n$4\r\nPIN\r\n*",    /* shorter than said */
        "*2\r\n$4\r\nPING\r\n*1",  /* fewer arguments than said */
        "*2\r\n$4\r\nPING\r\n\r\n" /* an empty line */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = strlen(rows[i]);
        cr_expect_eq(parse_exactly(rows[i], size), RESP_MALFORMED, "%s", rows[i]);
        cr_expect_neq(parse_exactly(rows[i], size - 1), RESP_COMPLETE, "%s", rows[i]);
    }
}

Test(resp_parse, reads_the_capture_as_its_table_says, .timeout = 5)
{
    for (size_t i = 0; i < CAPTURE_COUNT; i++) {
        const struct capture_command *row = &capture[i];
        struct resp_command command;
        uint32_t lengths = 0;

        cr_assert_eq(strlen(row->bytes), row->size, "%zu", i);
        cr_assert_eq(resp_parse(&command, row->bytes, row->size), RESP_COMPLETE, "%zu", i);

        cr_expect_eq(command.size, row->size, "%zu", i);
        cr_assert_eq(command.argc, row->argc, "%zu", i);
        cr_expect(is_argument(&command, 0, row->name), "%zu", i);
        cr_expect_eq(command.argv[1] + command.arglen[1], row->bytes + row->key_end, "%zu", i);
        for (size_t j = 0; j < command.argc; j++)
            lengths = lengths * 31 + (uint32_t)command.arglen[j];
        cr_expect_eq(lengths, row->lengths, "%zu", i);
        expect_more_for_every_prefix(row->bytes, row->size);
    }
}
