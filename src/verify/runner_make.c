/* Build tools and task files that start the tests but have no counts of their own. */
#include "verify/runner.h"

static const char *const config[] = {
    "Makefile",     "makefile",      "GNUmakefile",      "BSDmakefile",
    "*.mk",         "*.mak",         "Makefile.*",       "configure",
    "configure.ac", "justfile",      "Justfile",         ".justfile",
    "Taskfile.yml", "Taskfile.yaml", "Rakefile",         "SConstruct",
    "build.ninja",  "build.gradle*", "settings.gradle*", "gradle.properties",
    "gradlew",      "gradle/",       "pom.xml",          "mvnw",
    ".mvn/",        "BUILD",         "BUILD.bazel",      "WORKSPACE",
    "MODULE.bazel", ".bazelrc",      "Dangerfile",       ".envrc",
    NULL,
};

/* What all languages call their tests. */
static const char *const tests[] = {"test/",     "tests/",    "spec/",     "*Test.java", "*Tests.java",
                                    "*Test.kt",  "*_spec.rb", "*_test.rb", "*_test.exs", "*Test.php",
                                    "*Tests.cs", "*Test.cs",  NULL};

const struct runner runner_make = {.name = "make", .config = config, .tests = tests};
