/* The table of commands and the parser that goes by it. */
#include "cli/command.h"
#include "base/text.h"
#include "money/money.h"
#include <math.h>
#include <stdlib.h>

#define COMMAND(name) extern const struct command command_##name;
#include "cli/commands.def"
#undef COMMAND
static const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "cli/commands.def"
#undef COMMAND
};
enum { COMMANDS = sizeof commands / sizeof *commands };

const struct option options_common[] = {
    {.name = "json", .help = "print one JSON document"},
    {.name = "set",
     .kind = OPTION_TEXT,
     .argument = "NAME=VALUE",
     .repeat = true,
     .help = "change a setting for this call"},
    {.name = "config", .kind = OPTION_TEXT, .argument = "FILE", .help = "read settings from this file"},
    {.name = "color", .kind = OPTION_CHOICE, .argument = "WHEN", .choices = "auto|always|never", .help = "use colours"},
    {.name = "help", .letter = 'h', .help = "show help"},
    {0},
};

const struct command *const *commands_all(size_t *ret_n)
{
    *ret_n = COMMANDS;
    return commands;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

const char *command_nearest(const char *name)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    return text_nearest(str_of(name), names, COMMANDS);
}

char *command_usage(mem *ctx, const struct command *command)
{
    char *usage = mem_printf(ctx, "nightmill %s", command->name);
    if (command->options && command->options->name)
        usage = mem_printf(ctx, "%s [OPTIONS]", usage);
    for (const struct argument *a = command->arguments; a && a->name; a++) {
        const char *name = a->choices ? a->choices : a->name;
        usage = mem_printf(ctx, "%s %s%s%s%s", usage, a->optional ? "[" : "", name, a->repeat ? "..." : "",
                           a->optional ? "]" : "");
    }
    return usage;
}

/* --- parser ------------------------------------------------------------------------------------------------------ */

struct parser {
    mem *ctx;
    struct call *call;
    int count, at;
    char **words;
    struct err *err;
};

static const struct option *option_among(const struct option *o, struct str name, char letter)
{
    for (; o && o->name; o++)
        if (letter ? o->letter == letter : str_eqz(name, o->name))
            return o;
    return NULL;
}

static const struct option *option_find(const struct command *command, struct str name, char letter)
{
    const struct option *o = option_among(command->options, name, letter);
    return o ? o : option_among(options_common, name, letter);
}

static enum rc usage_hint(struct parser *ps)
{
    err_hint(ps->err, "Usage: %s", command_usage(ps->ctx, ps->call->command));
    return RC_INVALID;
}

static enum rc option_unknown(struct parser *ps, struct str name)
{
    const char *names[64];
    size_t n = 0;
    const struct option *tables[] = {ps->call->command->options, options_common};
    for (size_t t = 0; t < 2; t++)
        for (const struct option *o = tables[t]; o && o->name && n < 64; o++)
            names[n++] = o->name;
    const char *near = text_nearest(name, names, n);
    err_set(ps->err, RC_INVALID, "%s has no option --%s", ps->call->command->name,
            text_terminal_line(ps->ctx, name, 60));
    if (near)
        err_hint(ps->err, "Did you mean --%s?", near);
    else
        err_hint(ps->err, "nightmill help %s lists them.", ps->call->command->name);
    return RC_INVALID;
}

static bool choice_has(const char *choices, struct str value)
{
    struct str rest = str_of(choices), choice;
    while (str_next(&rest, '|', &choice))
        if (str_eq(choice, value))
            return true;
    return false;
}

static char *choice_words(mem *ctx, const char *choices)
{
    char *words = mem_str(ctx, choices);
    size_t extra = 0;
    for (const char *p = choices; *p; p++)
        extra += *p == '|';
    char *spaced = mem_zalloc(ctx, strlen(words) + extra + 1), *to = spaced;
    for (; *words; words++) {
        *to++ = *words == '|' ? ',' : *words;
        if (*words == '|')
            *to++ = ' ';
    }
    return spaced;
}

static bool choices_have(const char *choices, struct str value)
{
    struct str rest = value, piece;
    bool any = false;
    while (str_next(&rest, ',', &piece)) {
        if (!choice_has(choices, str_trim(piece)))
            return false;
        any = true;
    }
    return any;
}

/* What the value must be, or NULL when it is. */
static const char *value_wrong(mem *ctx, const struct option *o, const char *value)
{
    int64_t number;
    struct str s = str_of(value);
    char *end;
    switch (o->kind) {
    case OPTION_COUNT:
        return str_int(s, o->min, o->max, &number)
                   ? NULL
                   : mem_printf(ctx, "a whole number from %lld to %lld", (long long)o->min, (long long)o->max);
    case OPTION_MONEY:
        return money_parse(s, &number, NULL) == RC_OK ? NULL : "an amount such as 2.00";
    case OPTION_DURATION:
        return text_duration_parse(s, &number) && number >= o->min && number <= o->max
                   ? NULL
                   : "a duration such as 90, 15m or 1h30m";
    case OPTION_CHOICE:
        return choice_has(o->choices, s) ? NULL : mem_printf(ctx, "one of %s", choice_words(ctx, o->choices));
    case OPTION_CHOICES:
        return choices_have(o->choices, s)
                   ? NULL
                   : mem_printf(ctx, "some of %s, separated by commas", choice_words(ctx, o->choices));
    case OPTION_FACTOR:
        return strspn(value, "0123456789.") == s.n && isfinite(strtod(value, &end)) && !*end && strtod(value, NULL) > 0
                   ? NULL
                   : "a number above 0, such as 10 or 0.5";
    default:
        return NULL;
    }
}

static enum rc option_add(struct parser *ps, const struct option *o, const char *value)
{
    struct call *call = ps->call;
    if (!o->repeat && call_has(call, o->name))
        return err_set(ps->err, RC_INVALID, "--%s is given twice", o->name);
    const char *wrong = value ? value_wrong(ps->ctx, o, value) : NULL;
    if (wrong)
        return err_set(ps->err, RC_INVALID, "--%s must be %s, not \"%s\"", o->name, wrong,
                       text_terminal_line(ps->ctx, str_of(value), 60));
    if (value && !str_utf8(str_of(value)))
        return err_set(ps->err, RC_INVALID, "The value of --%s is not UTF-8", o->name);
    call->options[call->option_count++] = (struct given){o, value};
    return RC_OK;
}

/* Takes the value that follows an option as a word of its own. */
static enum rc value_take(struct parser *ps, const struct option *o, const char **ret)
{
    if (ps->at < ps->count) {
        *ret = ps->words[ps->at++];
        return RC_OK;
    }
    err_set(ps->err, RC_INVALID, "--%s needs a value: --%s %s", o->name, o->name, o->argument);
    return usage_hint(ps);
}

static enum rc long_take(struct parser *ps, const char *word)
{
    const char *equals = strchr(word, '='), *value = NULL;
    struct str name = equals ? str_n(word, (size_t)(equals - word)) : str_of(word);
    const struct option *o = option_find(ps->call->command, name, 0);
    if (!o)
        return option_unknown(ps, name);
    if (o->kind == OPTION_SWITCH && equals)
        return err_set(ps->err, RC_INVALID, "--%s takes no value", o->name);
    if (o->kind != OPTION_SWITCH && equals)
        value = equals + 1;
    else if (o->kind != OPTION_SWITCH && value_take(ps, o, &value) != RC_OK)
        return RC_INVALID;
    return option_add(ps, o, value);
}

/* "-f", "-fn5", "-n 5": letters in one word, of which the last may have a value. */
static enum rc letters_take(struct parser *ps, const char *letters)
{
    enum rc rc = RC_OK;
    while (*letters && !rc) {
        const struct option *o = option_find(ps->call->command, STR(""), *letters);
        const char *value = NULL;
        if (!o) {
            size_t n = str_utf8_next(str_of(letters), NULL);
            err_set(ps->err, RC_INVALID, "%s has no option -%s", ps->call->command->name,
                    text_terminal_line(ps->ctx, str_n(letters, n ? n : 1), 10));
            return usage_hint(ps);
        }
        letters++;
        if (o->kind != OPTION_SWITCH && *letters) {
            value = letters;
            letters = "";
        } else if (o->kind != OPTION_SWITCH && value_take(ps, o, &value) != RC_OK) {
            return RC_INVALID;
        }
        rc = option_add(ps, o, value);
    }
    return rc;
}

/* Help asked for anywhere needs no arguments. */
static enum rc arguments_check(struct parser *ps)
{
    struct call *call = ps->call;
    size_t n = 0;
    bool repeat = false;
    if (call_has(call, "help"))
        return RC_OK;
    for (const struct argument *a = call->command->arguments; a && a->name; a++, n++) {
        const char *value = call_argument(call, n);
        repeat = a->repeat;
        if (!value && !a->optional) {
            err_set(ps->err, RC_INVALID, "%s needs %s: %s", call->command->name, a->name, a->help);
            return usage_hint(ps);
        }
        if (!value || !a->choices || choice_has(a->choices, str_of(value)))
            continue;
        return err_set(ps->err, RC_INVALID, "%s of %s must be one of %s, not \"%s\"", a->name, call->command->name,
                       choice_words(ps->ctx, a->choices), text_terminal_line(ps->ctx, str_of(value), 60));
    }
    if (call->argument_count > n && !repeat) {
        err_set(ps->err, RC_INVALID, "%s takes no \"%s\"", call->command->name,
                text_terminal_line(ps->ctx, str_of(call->arguments[n]), 60));
        err_detail(ps->err, "A text of several words needs quotes around it.");
        return usage_hint(ps);
    }
    return RC_OK;
}

enum rc call_parse(mem *ctx, const struct command *command, int count, char **words, struct call *ret, struct err *err)
{
    struct err unwanted;
    struct parser ps = {.ctx = ctx, .call = ret, .count = count, .words = words, .err = err ? err : &unwanted};
    size_t letters = 0; /* one word may hold many options */
    for (int i = 0; i < count; i++)
        letters += strlen(words[i]) + 1;
    *ret = (struct call){.command = command,
                         .options = mem_array(ctx, struct given, letters + 1),
                         .arguments = mem_array(ctx, const char *, count + 1)};
    enum rc rc = RC_OK;
    bool options = true;
    while (ps.at < count && !rc) {
        const char *word = words[ps.at++];
        if (options && !strcmp(word, "--"))
            options = false;
        else if (options && !strncmp(word, "--", 2))
            rc = long_take(&ps, word + 2);
        else if (options && word[0] == '-' && word[1])
            rc = letters_take(&ps, word + 1);
        else
            ret->arguments[ret->argument_count++] = word;
    }
    return rc ? rc : arguments_check(&ps);
}

const char *call_value(const struct call *call, const char *option)
{
    for (size_t i = 0; i < call->option_count; i++)
        if (!strcmp(call->options[i].option->name, option))
            return call->options[i].value ? call->options[i].value : "";
    return NULL;
}

bool call_has(const struct call *call, const char *option)
{
    return call_value(call, option) != NULL;
}

const char *const *call_values(mem *ctx, const struct call *call, const char *option)
{
    const char **list = mem_array(ctx, const char *, call->option_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < call->option_count; i++)
        if (!strcmp(call->options[i].option->name, option))
            list[n++] = call->options[i].value;
    return list;
}

int64_t call_number(const struct call *call, const char *option, int64_t otherwise)
{
    for (size_t i = 0; i < call->option_count; i++) {
        const struct given *g = &call->options[i];
        int64_t number = otherwise;
        if (strcmp(g->option->name, option))
            continue;
        if (g->option->kind == OPTION_DURATION)
            return text_duration_parse(str_of(g->value), &number) ? number : otherwise;
        return str_int(str_of(g->value), INT64_MIN, INT64_MAX, &number) ? number : otherwise;
    }
    return otherwise;
}

const char *call_argument(const struct call *call, size_t i)
{
    return i < call->argument_count ? call->arguments[i] : NULL;
}
