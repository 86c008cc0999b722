/* The key of a layer: everything that the commands' result depends on, by the look of names. */
#include "crypt/hash.h"
#include "os/path.h"
#include "setup/private.h"
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>

enum { KEY_MAX = 64 << 20, FORMAT = 1 };

/* Names of files, in any folder, that package managers and builds read before they fetch or build anything; those of
 * builds only where a command runs that build, since they change with the work. */
static const struct {
    const char *pattern, *tool; /* tool NULL: always */
} inputs[] = {
    {"package.json", NULL},
    {"package-lock.json", NULL},
    {"npm-shrinkwrap.json", NULL},
    {".npmrc", NULL},
    {"yarn.lock", NULL},
    {".yarnrc", NULL},
    {".yarnrc.yml", NULL},
    {"pnpm-lock.yaml", NULL},
    {"pnpm-workspace.yaml", NULL},
    {".nvmrc", NULL},
    {"bun.lockb", NULL},
    {"bun.lock", NULL},
    {"requirements*.txt", NULL},
    {"constraints*.txt", NULL},
    {"requirements*.in", NULL},
    {"pyproject.toml", NULL},
    {"setup.py", NULL},
    {"setup.cfg", NULL},
    {"Pipfile", NULL},
    {"Pipfile.lock", NULL},
    {"poetry.lock", NULL},
    {"uv.lock", NULL},
    {"pdm.lock", NULL},
    {".python-version", NULL},
    {"environment*.yml", NULL},
    {"Cargo.toml", NULL},
    {"Cargo.lock", NULL},
    {"rust-toolchain*", NULL},
    {"go.mod", NULL},
    {"go.sum", NULL},
    {"Gemfile", NULL},
    {"Gemfile.lock", NULL},
    {"*.gemspec", NULL},
    {"composer.json", NULL},
    {"composer.lock", NULL},
    {"pom.xml", NULL},
    {"build.gradle*", NULL},
    {"settings.gradle*", NULL},
    {"gradle.lockfile", NULL},
    {"mix.exs", NULL},
    {"mix.lock", NULL},
    {"conanfile.*", NULL},
    {"vcpkg.json", NULL},
    {"Makefile", "make"},
    {"makefile", "make"},
    {"GNUmakefile", "make"},
    {"*.mk", "make"},
    {"configure.ac", "configure"},
    {"Makefile.in", "configure"},
    {"CMakeLists.txt", "cmake"},
    {"*.cmake", "cmake"},
    {"meson.build", "meson"},
    {"meson.options", "meson"},
    {"meson_options.txt", "meson"},
};

/* Programs whose version is part of what the machine is: by file, as asking each of them costs longer. */
static const char *const programs[] = {
    "/usr/bin/node",       "/usr/bin/npm",       "/usr/bin/python3",       "/usr/bin/cc",          "/usr/bin/c++",
    "/usr/bin/ld",         "/usr/bin/cargo",     "/usr/bin/rustc",         "/usr/bin/go",          "/usr/bin/ruby",
    "/usr/bin/java",       "/usr/bin/make",      "/usr/bin/cmake",         "/usr/bin/perl",        "/usr/bin/php",
    "/usr/local/bin/node", "/usr/local/bin/npm", "/usr/local/bin/python3", "/usr/local/bin/cargo", "/usr/local/bin/go",
    "/etc/os-release",     "/etc/debian_version"};

static void facts_add(mem *tmp, struct buf *b)
{
    struct utsname u;
    if (uname(&u) == 0)
        buf_printf(b, "machine %s\n", u.machine);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char *real = realpath(programs[i], NULL);
        struct stat st;
        if (real && stat(real, &st) == 0)
            buf_printf(b, "%s %s %lld %lld\n", programs[i], mem_str(tmp, real), (long long)st.st_size,
                       (long long)st.st_mtim.tv_sec);
        free(real);
    }
}

/* ---- files that the commands read ---- */

struct words {
    const char *v[256];
    size_t n;
    bool all; /* a command speaks of the whole folder */
};

/* Words of the commands that may be names. What stands behind "cd" only says where the others are looked for. */
static void words_of(mem *tmp, const char *const *commands, struct words *ret)
{
    for (const char *const *c = commands; *c; c++) {
        const char *p = *c;
        bool place = false;
        while (*p) {
            p += strspn(p, " \t\r\n\"'();|&<>=`$,");
            size_t n = strcspn(p, " \t\r\n\"'();|&<>=`$,");
            const char *word = mem_strn(tmp, p, n);
            bool skip = place;
            place = strcmp(word, "cd") == 0 || strcmp(word, "-C") == 0 || strcmp(word, "--prefix") == 0;
            p += n;
            while (strncmp(word, "./", 2) == 0)
                word += 2;
            if (skip || !n)
                continue;
            ret->all |= strcmp(word, ".") == 0 || !*word;
            if (*word && ret->n < sizeof ret->v / sizeof *ret->v)
                ret->v[ret->n++] = word;
        }
    }
}

static bool word_has(const struct words *words, const char *word)
{
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(words->v[i], word) == 0)
            return true;
    return false;
}

static bool is_input(const char *path, const struct words *words)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (fnmatch(inputs[i].pattern, name, 0) == 0 && (!inputs[i].tool || word_has(words, inputs[i].tool)))
            return true;
    for (size_t i = 0; i < words->n; i++) {
        size_t n = strlen(words->v[i]);
        n -= n > 1 && words->v[i][n - 1] == '/';
        if (strcmp(words->v[i], name) == 0 ||
            (strncmp(path, words->v[i], n) == 0 && (path[n] == '\0' || path[n] == '/')))
            return true;
    }
    return words->all;
}

/* Lines of mode, contents and path. False: the tree has no such file. */
static bool inputs_add(const struct repo_entry *files, size_t n, const struct words *words, struct buf *b)
{
    bool some = false;
    for (size_t i = 0; i < n; i++)
        if (is_input(files[i].path, words)) {
            some = true;
            buf_printf(b, "%o %s ", files[i].mode, files[i].oid);
            buf_add(b, files[i].path, strlen(files[i].path) + 1);
        }
    return some;
}

/* ---- the key ---- */

static enum rc sides_read(mem *ctx, const struct setup_spec *spec, const char *tree, const struct words *words,
                          struct layer_key *ret, struct buf *base_lines, struct repo_entry **files, size_t *n,
                          struct err *err)
{
    const char *base_id, *tree_id;
    struct repo_entry *base_files;
    struct buf tree_lines;
    size_t base_n;
    enum rc rc = repo_tree_of(ctx, spec->git_dir, spec->base, &base_id, err);
    if (rc == RC_OK)
        rc = repo_tree_of(ctx, spec->git_dir, tree, &tree_id, err);
    if (rc == RC_OK)
        rc = repo_list(ctx, spec->git_dir, tree_id, files, n, err);
    if (rc != RC_OK)
        return rc;
    bool same = strcmp(base_id, tree_id) == 0;
    base_files = *files;
    base_n = *n;
    if (!same)
        rc = repo_list(ctx, spec->git_dir, base_id, &base_files, &base_n, err);
    if (rc != RC_OK)
        return rc;
    bool named = inputs_add(base_files, base_n, words, base_lines);
    buf_init(&tree_lines, ctx, KEY_MAX);
    inputs_add(*files, *n, words, &tree_lines);
    if (!same && (!named || !str_eq(buf_view(base_lines), buf_view(&tree_lines))))
        ret->own = true;
    if (!named) /* nothing says what the commands read: all of it */
        buf_printf(base_lines, "tree %s\n", base_id);
    ret->tree = ret->own ? tree_id : base_id;
    return base_lines->overflow || tree_lines.overflow
               ? err_set(err, RC_LIMIT, "The commit has too many files that setup commands may read")
               : RC_OK;
}

enum rc key_make(mem *ctx, const struct setup_spec *spec, const char *tree, bool own, struct layer_key *ret,
                 struct repo_entry **ret_files, size_t *ret_n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct words words = {0};
    struct buf key, lines;
    struct repo_entry *files;
    size_t n;
    *ret = (struct layer_key){.own = own};
    buf_init(&key, tmp, KEY_MAX);
    buf_init(&lines, tmp, KEY_MAX);
    words_of(tmp, spec->commands, &words);
    enum rc rc = sides_read(ctx, spec, tree, &words, ret, &lines, &files, &n, err);
    if (rc != RC_OK)
        return rc;
    buf_printf(&key, "layer %d\n", FORMAT);
    for (const char *const *c = spec->commands; *c; c++)
        buf_printf(&key, "%zu %s\n", strlen(*c), *c);
    facts_add(tmp, &key);
    if (ret->own)
        buf_printf(&key, "own %s\n", ret->tree);
    else
        buf_str(&key, buf_view(&lines));
    if (key.overflow)
        return err_set(err, RC_LIMIT, "The setup commands are too long");
    hash_sha256_hex(buf_view(&key), ret->hex);
    if (ret_files) {
        *ret_files = files;
        *ret_n = n;
    }
    return RC_OK;
}

bool key_collides(const struct repo_entry *files, size_t n, const char *root)
{
    size_t len = strlen(root);
    len -= len && root[len - 1] == '/';
    for (size_t i = 0; i < n; i++) {
        const char *path = files[i].path;
        size_t have = strlen(path);
        if (strncmp(path, root, len) == 0 && (path[len] == '\0' || path[len] == '/')) /* it, or something in it */
            return true;
        if (have < len && strncmp(path, root, have) == 0 && root[have] == '/') /* a file where its folder is */
            return true;
    }
    return false;
}
