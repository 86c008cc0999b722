/* The iteration limit of a task. */
#include "conf/limits.h"

static bool word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Whether a word of the text begins with `stem`: "tests" and "testing", but not "latest". */
static bool speaks_of(struct str text, struct str stem)
{
    for (size_t i = 0; i + stem.n <= text.n; i++)
        if ((!i || !word_char(text.p[i - 1])) && str_ieq(str_sub(text, i, stem.n), stem))
            return true;
    return false;
}

static size_t characters(struct str text)
{
    size_t n = 0;
    for (size_t len; text.n; n++) {
        len = str_utf8_next(text, NULL);
        text = str_sub(text, len ? len : 1, text.n);
    }
    return n;
}

static const struct {
    const char *name, *setting;
} classes[] = {
    [TASK_SIMPLE] = {"simple", "limits.iterations_simple"},
    [TASK_MEDIUM] = {"medium", "limits.iterations_medium"},
    [TASK_COMPLEX] = {"complex", "limits.iterations_complex"},
};

const char *task_class_name(enum task_class class)
{
    return classes[class].name;
}

struct traits {
    bool makes, tests, longer;
    int score;
};

static struct traits traits_of(struct str text)
{
    struct traits t = {.makes = speaks_of(text, STR("implement")) || speaks_of(text, STR("create")),
                       .tests = speaks_of(text, STR("test")),
                       .longer = characters(text) > 200};
    t.score = (t.makes ? 2 : 0) + t.longer + t.tests;
    return t;
}

static enum task_class class_of(int score)
{
    return score < 2 ? TASK_SIMPLE : score < 4 ? TASK_MEDIUM : TASK_COMPLEX;
}

enum task_class task_class_of(struct str text)
{
    return class_of(traits_of(str_trim(text)).score);
}

void iteration_limit_choose(mem *ctx, const struct settings *set, struct str text, struct iteration_limit *ret)
{
    static const char *const factors[] = {"1", "1.5", "2", "2.5", "3"};
    text = str_trim(text);
    if (!setting_bool(set, "limits.adaptive")) {
        int64_t limit = setting_int(set, classes[TASK_MEDIUM].setting);
        *ret = (struct iteration_limit){
            .iterations = limit,
            .task_class = TASK_MEDIUM,
            .words = mem_printf(ctx, "%lld iterations: limits.iterations_medium, because limits.adaptive is off",
                                (long long)limit)};
        return;
    }
    struct traits traits = traits_of(text);
    bool makes = traits.makes, tests = traits.tests, longer = traits.longer;
    int score = traits.score;
    enum task_class class = class_of(score);
    int64_t base = setting_int(set, classes[class].setting), limit = base * (2 + score) / 2;
    const char *words =
        mem_printf(ctx, "%lld iterations: %s task (%lld)", (long long)limit, classes[class].name, (long long)base);
    if (score)
        words = mem_printf(ctx, "%s, times %s because it%s%s%s%s%s", words, factors[score],
                           makes ? " says implement or create" : "", makes && (longer || tests) ? "," : "",
                           longer ? " is long" : "", longer && tests ? "," : "", tests ? " speaks of tests" : "");
    *ret = (struct iteration_limit){limit, score, class, words};
}
