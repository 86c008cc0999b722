/* Contract: one table of commands; the parser refuses everything that the table does not know, with the nearest name;
 * help, man page, completion, JSON and Markdown name every command and option. */
#include "cli/command.h"
#include <check.h>
#include <stdlib.h>

/* Lines of the list. */
enum {
    COMMANDS = 0
#define COMMAND(name) +1
#include "cli/commands.def"
#undef COMMAND
};

static mem *ctx;
static struct err err;
static struct call call;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

/* Parses "run a b"; words are separated by '|'. */
static enum rc parse(const char *line)
{
    struct str rest = str_of(line), word;
    char *words[32];
    int n = 0;
    while (n < 32 && str_next(&rest, '|', &word))
        words[n++] = str_dup(ctx, word);
    return call_parse(ctx, command_find(words[0]), n - 1, words + 1, &call, &err);
}

START_TEST(table_is_whole)
{
    size_t n;
    const struct command *const *all = commands_all(&n);
    ck_assert_uint_eq(n, COMMANDS);
    for (size_t i = 0; i < n; i++) {
        const struct command *c = all[i];
        ck_assert_ptr_eq(command_find(c->name), c);
        ck_assert(c->run != NULL);
        ck_assert_msg(c->summary[0] >= 'a' && c->summary[0] <= 'z' && c->summary[strlen(c->summary) - 1] != '.', "%s",
                      c->name);
        bool optional = false;
        for (const struct argument *a = c->arguments; a && a->name; a++) {
            ck_assert_msg(!optional || a->optional, "%s: a needed argument behind an optional one", c->name);
            optional |= a->optional;
            ck_assert_ptr_nonnull(a->help);
        }
        for (const struct option *o = c->options; o && o->name; o++) {
            ck_assert_msg((o->kind == OPTION_SWITCH) == !o->argument, "%s --%s", c->name, o->name);
            ck_assert_msg((o->kind == OPTION_CHOICE || o->kind == OPTION_CHOICES) == (o->choices != NULL), "%s --%s",
                          c->name, o->name);
            ck_assert_ptr_nonnull(o->help);
            for (const struct option *common = options_common; common->name; common++)
                ck_assert_msg(strcmp(common->name, o->name) != 0, "%s --%s is one of all commands", c->name, o->name);
        }
    }
}
END_TEST

START_TEST(options_and_arguments)
{
    ck_assert_int_eq(parse("run|--check|make test|Do it|--check=make lint|--budget|2.00|-d|--time|1h30m"), RC_OK);
    ck_assert_str_eq(call_argument(&call, 0), "Do it");
    ck_assert_ptr_null(call_argument(&call, 1));
    const char *const *checks = call_values(ctx, &call, "check");
    ck_assert_str_eq(checks[0], "make test");
    ck_assert_str_eq(checks[1], "make lint");
    ck_assert_ptr_null(checks[2]);
    ck_assert_str_eq(call_value(&call, "budget"), "2.00");
    ck_assert_int_eq(call_number(&call, "time", 0), 5400);
    ck_assert_int_eq(call_number(&call, "iterations", 7), 7);
    ck_assert(call_has(&call, "detach") && !call_has(&call, "apply"));
    ck_assert_int_eq(parse("hint|id|--|--not an option"), RC_OK);
    ck_assert_str_eq(call_argument(&call, 1), "--not an option");
    ck_assert_int_eq(parse("run|-"), RC_OK);
    ck_assert_str_eq(call_argument(&call, 0), "-");
    ck_assert_int_eq(parse("ls|-n5"), RC_OK);
    ck_assert_int_eq(call_number(&call, "limit", 0), 5);
    ck_assert_int_eq(parse("ls|-n|5"), RC_OK);
    ck_assert_int_eq(parse("log|id|-f|--jsonl"), RC_OK);
    ck_assert_int_eq(parse("run|--approve|plan,commit|x"), RC_OK);
    ck_assert_int_eq(parse("run|--help"), RC_OK); /* help needs no arguments */
    ck_assert_int_eq(parse("replay|id|--speed|0.5"), RC_OK);
}
END_TEST

static const struct {
    const char *line, *sentence, *hint;
} refused[] = {
    {"run", "run needs TEXT: the change, in words; - reads it from standard input",
     "Usage: nightmill run [OPTIONS] TEXT"},
    {"run|a|b", "run takes no \"b\"", "Usage: nightmill run [OPTIONS] TEXT"},
    {"run|x|--chek|y", "run has no option --chek", "Did you mean --check?"},
    {"run|x|--zzzzzzzz", "run has no option --zzzzzzzz", "nightmill help run lists them."},
    {"run|x|--che=y", "run has no option --che", NULL}, /* no abbreviations: scripts must not depend on them */
    {"run|x|--check", "--check needs a value: --check COMMAND", NULL},
    {"run|x|--apply=yes", "--apply takes no value", NULL},
    {"run|x|--apply|--apply", "--apply is given twice", NULL},
    {"run|x|--budget|two", "--budget must be an amount such as 2.00, not \"two\"", NULL},
    {"run|x|--budget|-1", "--budget must be an amount such as 2.00, not \"-1\"", NULL},
    {"run|x|--iterations|0", "--iterations must be a whole number from 1 to 1000, not \"0\"", NULL},
    {"run|x|--iterations|99999999999999999999",
     "--iterations must be a whole number from 1 to 1000, not \"99999999999999999999\"", NULL},
    {"run|x|--time|-5", "--time must be a duration such as 90, 15m or 1h30m, not \"-5\"", NULL},
    {"run|x|--approve|lunch", "--approve must be some of plan, commit, separated by commas, not \"lunch\"", NULL},
    {"run|x|--approve|", "--approve must be some of plan, commit, separated by commas, not \"\"", NULL},
    {"run|x|-q", "run has no option -q", NULL},
    {"run|x|-d|-\xc3\xa4", "run has no option -\xc3\xa4", NULL},
    {"run|x|--\x1b[31m", "run has no option --\\x1b[31m", NULL},
    {"run|x|--model|\xff", "The value of --model is not UTF-8", NULL},
    {"ls|--state|sleeping",
     "--state must be one of active, queued, working, checking, needs_you, paused, done, unproven, stopped, failed, not \"sleeping\"",
     NULL},
    {"config",
     "config needs VERB: show settings, set or unset one, its history, revert a change; check all, the file's path, a table of all",
     NULL},
    {"config|shwo", "VERB of config must be one of show, set, unset, history, revert, check, path, docs, not \"shwo\"",
     NULL},
    {"replay|x|--speed|0", "--speed must be a number above 0, such as 10 or 0.5, not \"0\"", NULL},
    {"replay|x|--speed|inf", "--speed must be a number above 0, such as 10 or 0.5, not \"inf\"", NULL},
    {"replay|x|--speed|1.2.3", "--speed must be a number above 0, such as 10 or 0.5, not \"1.2.3\"", NULL},
};

START_TEST(refuses)
{
    ck_assert_int_eq(parse(refused[_i].line), RC_INVALID);
    ck_assert_str_eq(err.sentence, refused[_i].sentence);
    if (refused[_i].hint)
        ck_assert_str_eq(err.hint, refused[_i].hint);
}
END_TEST

START_TEST(nearest_command)
{
    ck_assert_str_eq(command_nearest("atach"), "attach");
    ck_assert_str_eq(command_nearest("rum"), "run");
    ck_assert_ptr_null(command_nearest("teleport"));
    ck_assert_ptr_null(command_find("teleport"));
}
END_TEST

static struct buf text;

static bool says(const char *words)
{
    return strstr(text.p, words) != NULL;
}

/* What every face must name. */
static void each_named(bool options, const char *prefix)
{
    size_t n;
    const struct command *const *all = commands_all(&n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(says(all[i]->name), "%s", all[i]->name);
        for (const struct option *o = all[i]->options; options && o && o->name; o++)
            ck_assert_msg(says(mem_printf(ctx, "%s%s", prefix, o->name)), "%s --%s", all[i]->name, o->name);
    }
}

START_TEST(help_is_derived)
{
    buf_init(&text, ctx, 1 << 22);
    help_overview(&text);
    each_named(false, "");
    buf_clear(&text);
    help_command(&text, command_find("run"));
    ck_assert(says("--allow-check-changes GLOB") && says("Examples:") && says("-d, --detach") && says("--json"));
    buf_clear(&text);
    help_markdown(&text);
    each_named(true, "--");
    buf_clear(&text);
    help_settings(&text);
    ck_assert(says("`limits.turns`") && says("`checks.NAME.command`"));
}
END_TEST

START_TEST(json_is_json)
{
    struct json root;
    buf_init(&text, ctx, 1 << 22);
    help_json(&text);
    ck_assert_msg(json_parse(ctx, buf_view(&text), &root, &err) == RC_OK, "%s", err.sentence);
    ck_assert_uint_eq(json_len(json_get(root, "commands")), COMMANDS);
    ck_assert(json_eqz(json_path(root, "commands.3.name"), "run"));
    ck_assert(json_eqz(json_path(root, "commands.3.options.0.name"), "check"));
}
END_TEST

/* Every line that begins with a dot is a request that man(7) knows; no control line comes from a text. */
START_TEST(man_page_is_well_formed)
{
    static const char *const requests[] = {".TH", ".SH", ".SS", ".TP", ".PP", ".EX", ".EE", ".B", ".I"};
    buf_init(&text, ctx, 1 << 22);
    help_man(&text);
    struct str rest = buf_view(&text), line;
    while (str_line(&rest, &line)) {
        ck_assert_msg(!str_starts(line, STR("'")), "%.*s", STR_FMT(line));
        if (!str_starts(line, STR(".")))
            continue;
        bool known = false;
        struct str words = line, request;
        str_next(&words, ' ', &request);
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
            known |= str_eqz(request, requests[i]);
        ck_assert_msg(known, "%.*s", STR_FMT(line));
    }
    ck_assert(says(".SS nightmill run [OPTIONS] TEXT\n") && says("\\fB\\-\\-budget AMOUNT\\fR") && says("EXIT STATUS"));
}
END_TEST

/* The shell itself judges the script, where it is there. */
static void shell_takes(const char *shell, const char *program)
{
    buf_init(&text, ctx, 1 << 22);
    ck_assert_int_eq(help_completion(&text, shell, &err), RC_OK);
    each_named(true, strcmp(shell, "fish") ? "--" : "-l ");
    if (system(mem_printf(ctx, "command -v %s >/dev/null 2>&1", program)) != 0)
        return;
    FILE *pipe = popen(mem_printf(ctx, "%s -n", program), "w");
    ck_assert_ptr_nonnull(pipe);
    fwrite(text.p, 1, text.n, pipe);
    ck_assert_int_eq(pclose(pipe), 0);
}

START_TEST(completion_is_shell)
{
    shell_takes("bash", "bash");
    shell_takes("zsh", "zsh");
    shell_takes("fish", "fish");
    ck_assert_int_eq(help_completion(&text, "tcsh", &err), RC_INVALID);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("command");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, table_is_whole);
    tcase_add_test(t, options_and_arguments);
    tcase_add_loop_test(t, refuses, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(t, nearest_command);
    tcase_add_test(t, help_is_derived);
    tcase_add_test(t, json_is_json);
    tcase_add_test(t, man_page_is_well_formed);
    tcase_add_test(t, completion_is_shell);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
