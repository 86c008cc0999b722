/* Contract: an access token is taken only in the one form that is issued, while its session lasts; fifty clients that
 * renew the same token at once all get the same next one; the same token after the grace ends the family; a new signing
 * key does not end what the former one has signed. */
#include "auth/access_token.h"
#include "base/id.h"
#include "crypt/jwt.h"
#include "crypt/password.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND INT64_C(1000000000)
#define NOW    (INT64_C(1700000000) * SECOND)
static char folder[64];
static mem *root;
static struct store *s;
static struct sessions *sessions;
static struct account_key *key;
static struct access_tokens *t;
static struct err why; /* of what is expected to fail */
static const struct session_place place = {"192.0.2.1", "test"};

static enum rc user_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return user_insert(tx, arg, err);
}

static void setup(void)
{
    struct err err = {0};
    struct session_rules rules = {.idle_ns = 7 * 86400 * SECOND, .longest_ns = 30 * 86400 * SECOND};
    snprintf(folder, sizeof folder, "/tmp/test_access_token_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s", err.sentence);
    sessions = sessions_new(root, s, &rules);
    key = account_key_new(root, mem_printf(root, "%s/keys/accounts.key", folder));
    t = access_tokens_new(root, s, sessions, key);
    struct user u = {.id = "abcdef1", .name = "ada", .kind = "person", .role = "member", .password = "", .subject = ""};
    ck_assert_msg(store_write(s, user_tx, &u, &err) == RC_OK, "%s", err.sentence);
}

static void teardown(void)
{
    char command[128];
    t = mem_free(t);
    sessions = mem_free(sessions);
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct token_pair begin(int64_t now)
{
    struct token_pair p;
    struct err err = {0};
    ck_assert_msg(access_token_begin(root, t, "abcdef1", &place, now, &p, &err) == RC_OK, "%s", err.sentence);
    return p;
}

static enum rc check_at(const char *token, int64_t now)
{
    struct principal who;
    return access_token_check(root, t, str_of(token), now, &who, &why);
}

START_TEST(a_token_holds_ten_minutes_and_as_long_as_its_session)
{
    struct token_pair p = begin(NOW);
    struct principal who;
    ck_assert(access_token_is(str_of(p.access)));
    ck_assert_int_eq(access_token_check(root, t, str_of(p.access), NOW, &who, NULL), RC_OK);
    ck_assert_str_eq(who.user_id, "abcdef1");
    ck_assert_str_eq(who.session_id, p.session_id);
    ck_assert_int_eq(who.access, ACCESS_USE);
    ck_assert_int_eq(check_at(p.access, NOW + 599 * SECOND), RC_OK);
    ck_assert_int_eq(check_at(p.access, NOW + 600 * SECOND), RC_DENIED);
    ck_assert_int_eq(check_at(p.access, NOW - 60 * SECOND), RC_DENIED);
    struct accounts accounts = {s, sessions, attempts_new(root, 10)};
    ck_assert_int_eq(account_logout(&accounts, p.session_id, NULL), RC_OK);
    ck_assert_int_eq(check_at(p.access, NOW + SECOND), RC_DENIED);
}
END_TEST

/* ---- forged ones ---- */

static const char *header_of(const char *kid, const char *alg, const char *typ, const char *more)
{
    return mem_printf(root, "{\"alg\":\"%s\",\"typ\":\"%s\",\"kid\":\"%s\"%s}", alg, typ, kid, more);
}

static const char *claims_of(const char *session, const char *change)
{
    return mem_printf(root,
                      "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"abcdef1\",\"sid\":\"%s\",\"iat\":%lld,"
                      "\"exp\":%lld%s}",
                      session, (long long)(NOW / SECOND), (long long)(NOW / SECOND + 600), change);
}

static const char *unsigned_token(const char *header, const char *claims)
{
    return mem_printf(root, "%s.%s.", base64url(root, str_of(header)), base64url(root, str_of(claims)));
}

/* The key that signs, as only a thief of key file and database has it: to show that a right signature is not enough. */
static void secret_take(uint8_t ret[JWT_SECRET])
{
    struct signing_key *rows;
    struct seal_key seal;
    struct str secret;
    size_t n;
    ck_assert_int_eq(signing_key_list(root, s, &rows, &n, NULL), RC_OK);
    ck_assert_int_eq(account_key_get(key, &seal, NULL), RC_OK);
    ck_assert_int_eq(
        seal_open(root, &seal, mem_printf(root, "nightmill signing key %s", rows[0].id), rows[0].box, &secret, NULL),
        RC_OK);
    memcpy(ret, secret.p, JWT_SECRET);
}

START_TEST(what_was_not_issued_is_refused)
{
    struct token_pair p = begin(NOW);
    const char *kid = jwt_kid(root, str_of(p.access)), *good = claims_of(p.session_id, "");
    const char *first = strchr(p.access, '.'), *second = strrchr(p.access, '.');
    const char *header = mem_strn(root, p.access, (size_t)(first - p.access));
    const char *claims = mem_strn(root, first + 1, (size_t)(second - first - 1)), *signature = second + 1;
    uint8_t other_public[JWT_PUBLIC], other_secret[JWT_SECRET], mac[HASH_SHA256];
    struct signing_key *rows;
    size_t n, count = 0;
    jwt_key_new(other_public, other_secret);
    ck_assert_int_eq(signing_key_list(root, s, &rows, &n, NULL), RC_OK);
    const char *hs = mem_printf(root, "%s.%s", base64url(root, str_of(header_of(kid, "HS256", "at+jwt", ""))), claims);
    hash_hmac_sha256(rows[0].public_key, str_of(hs), mac);
    const char *const bad[] = {
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        mem_printf(root, "%s.%s", header, claims),
        mem_printf(root, "%s.%s.", header, claims),
        mem_printf(root, "%s..%s", header, signature),
        mem_printf(root, ".%s.%s", claims, signature),
        mem_printf(root, "%s.%s.%s.", header, claims, signature),
        mem_printf(root, "%s.%s.%s.%s", header, claims, signature, signature),
        mem_printf(root, " %s", p.access),
        mem_printf(root, "%s ", p.access),
        mem_printf(root, "%s\n", p.access),
        mem_printf(root, "%s=", p.access),
        mem_printf(root, "%s==", p.access),
        mem_printf(root, "%s.%s.%.*s", header, claims, (int)strlen(signature) - 1, signature),
        mem_printf(root, "%s.%s.%sA", header, claims, signature),
        mem_printf(root, "%s.%s.%sAAAA", header, claims, signature),
        mem_printf(root, "%s.%s.A%s", header, claims, signature + 1),
        mem_printf(root, "%s.%s.%s", header, base64url(root, str_of(claims_of(p.session_id, ",\"x\":1"))), signature),
        mem_printf(root, "%s.%s.%s", base64url(root, str_of(header_of(kid, "EdDSA", "at+jwt", " "))), claims,
                   signature),
        unsigned_token(header_of(kid, "none", "at+jwt", ""), good),
        unsigned_token(header_of(kid, "None", "at+jwt", ""), good),
        unsigned_token(header_of(kid, "EdDSA", "at+jwt", ""), good),
        mem_printf(root, "%s.%s", hs, base64url(root, str_n((const char *)mac, sizeof mac))),
        jwt_eddsa(root, kid, str_of(good), other_secret),
        jwt_eddsa(root, "0000zzzz", str_of(good), other_secret),
        jwt_eddsa(root, "", str_of(good), other_secret),
        jwt_eddsa(root, "../../etc", str_of(good), other_secret),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++, count++)
        ck_assert_msg(check_at(bad[i], NOW) == RC_DENIED, "case %zu: %s", i, bad[i]);
    for (size_t i = 0; p.access[i]; i++, count++) { /* each character, changed */
        char *flipped = mem_str(root, p.access);
        flipped[i] = flipped[i] == 'B' ? 'C' : 'B';
        ck_assert_msg(check_at(flipped, NOW) == RC_DENIED, "character %zu", i);
    }
    ck_assert_int_eq(check_at(p.access, NOW), RC_OK);
    ck_assert_uint_gt(count, 200);
}
END_TEST

/* Headers that libraries were tricked with, and claims that are not ours, each with a right signature. */
START_TEST(a_right_signature_is_not_enough)
{
    struct token_pair p = begin(NOW);
    const char *kid = jwt_kid(root, str_of(p.access));
    uint8_t secret[JWT_SECRET];
    secret_take(secret);
    ck_assert_int_eq(check_at(jwt_eddsa(root, kid, str_of(claims_of(p.session_id, "")), secret), NOW), RC_OK);
    const char *const inject[] = {"%s\",\"jwk\":\"x",
                                  "%s\",\"jku\":\"https://evil.example/",
                                  "%s\",\"x5u\":\"https://evil.example/",
                                  "%s\",\"crit\":\"x",
                                  "%s\",\"alg\":\"none",
                                  "%s\",\"kid\":\"%s"};
    for (size_t i = 0; i < sizeof inject / sizeof *inject; i++)
        ck_assert_int_eq(check_at(jwt_eddsa(root, mem_printf(root, inject[i], kid, kid),
                                            str_of(claims_of(p.session_id, "")), secret),
                                  NOW),
                         RC_DENIED);
    long long now = NOW / SECOND;
    const char *const bad[] = {
        "",
        "{}",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{",
        claims_of(p.session_id, ",\"admin\":true"),
        claims_of(p.session_id, ",\"sid\":\"zzzzzzzzzzzz\""),
        claims_of("zzzzzzzzzzzz", ""),
        claims_of("", ""),
        claims_of("' OR 1=1 --", ""),
        mem_printf(root,
                   "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"abcdef1\",\"sid\":\"%s\",\"iat\":%lld}",
                   p.session_id, now),
        mem_printf(root,
                   "{\"iss\":\"nightmill\",\"aud\":\"other\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
                   p.session_id, now, now + 600),
        mem_printf(root,
                   "{\"iss\":\"other\",\"aud\":\"nightmill\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
                   p.session_id, now, now + 600),
        mem_printf(
            root,
            "{\"iss\":\"nightmill\",\"aud\":[\"nightmill\"],\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
            p.session_id, now, now + 600),
        mem_printf(
            root,
            "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
            p.session_id, now, now + 601),
        mem_printf(
            root,
            "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
            p.session_id, now + 60, now + 600),
        mem_printf(
            root,
            "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
            p.session_id, now, now),
        mem_printf(root,
                   "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":-1,\"exp\":%lld}",
                   p.session_id, now + 60),
        mem_printf(
            root,
            "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":\"%lld\"}",
            p.session_id, now, now + 600),
        mem_printf(
            root,
            "{\"iss\":\"nightmill\",\"aud\":\"nightmill\",\"sub\":\"a\",\"sid\":\"%s\",\"iat\":%lld,\"exp\":9e99}",
            p.session_id, now),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(check_at(jwt_eddsa(root, kid, str_of(bad[i]), secret), NOW) == RC_DENIED, "claims %zu: %s", i,
                      bad[i]);
    char *large = mem_zalloc(root, 8001);
    memset(large, 'A', 8000);
    ck_assert_int_eq(check_at(mem_printf(root, "%s.%s.%s", large, large, large), NOW), RC_DENIED);
}
END_TEST

/* A browser's session is no family: its id in a token opens nothing. */
static enum rc browser_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct opaque o;
    return session_begin_tx(root, sessions, tx, "abcdef1", &place, NOW, &o, arg, err);
}

START_TEST(a_token_names_a_family_and_no_browser)
{
    const char *id;
    uint8_t secret[JWT_SECRET];
    struct token_pair p = begin(NOW);
    secret_take(secret);
    ck_assert_int_eq(store_write(s, browser_tx, &id, NULL), RC_OK);
    const char *kid = jwt_kid(root, str_of(p.access));
    ck_assert_int_eq(check_at(jwt_eddsa(root, kid, str_of(claims_of(id, "")), secret), NOW), RC_DENIED);
}
END_TEST

/* ---- renewal ---- */

static enum rc renew(const char *refresh, int64_t now, struct token_pair *ret)
{
    return access_token_refresh(root, t, str_of(refresh), now, ret, &why);
}

START_TEST(a_used_token_gives_the_same_next_one_for_a_moment_and_then_ends_the_family)
{
    struct token_pair p = begin(NOW), a, b, c;
    ck_assert_int_eq(renew(p.refresh.text, NOW + 60 * SECOND, &a), RC_OK);
    ck_assert_str_ne(a.refresh.text, p.refresh.text);
    ck_assert_int_eq(renew(p.refresh.text, NOW + 75 * SECOND, &b), RC_OK);
    ck_assert_str_eq(a.refresh.text, b.refresh.text);
    ck_assert_int_eq(check_at(b.access, NOW + 75 * SECOND), RC_OK);
    ck_assert_int_eq(renew(a.refresh.text, NOW + 80 * SECOND, &c), RC_OK);
    ck_assert_int_eq(renew(p.refresh.text, NOW + 76 * SECOND + SECOND / 10, &b), RC_DENIED);
    ck_assert(b.stolen);
    ck_assert_int_eq(check_at(c.access, NOW + 81 * SECOND), RC_DENIED);
    ck_assert_int_eq(renew(c.refresh.text, NOW + 82 * SECOND, &b), RC_DENIED);
    ck_assert(!b.stolen);
    ck_assert_int_eq(renew("nmr_0000", NOW, &b), RC_DENIED);
    ck_assert_int_eq(renew("", NOW, &b), RC_DENIED);
}
END_TEST

START_TEST(a_family_ends_without_use_and_in_any_case)
{
    struct token_pair p = begin(NOW), next;
    ck_assert_int_eq(renew(p.refresh.text, NOW + 8 * 86400 * SECOND, &next), RC_DENIED);
    p = begin(NOW);
    int64_t now = NOW;
    for (int day = 0; day < 30; day += 5) {
        now = NOW + day * 86400 * SECOND;
        ck_assert_int_eq(renew(p.refresh.text, now, &next), RC_OK);
        p = next;
    }
    ck_assert_int_eq(renew(p.refresh.text, NOW + 30 * 86400 * SECOND, &next), RC_DENIED);
}
END_TEST

struct client {
    const char *refresh;
    struct token_pair got;
    enum rc rc;
    mem *ctx;
};

static void *client_run(void *arg)
{
    struct client *c = arg;
    c->rc = access_token_refresh(c->ctx, t, str_of(c->refresh), NOW + 60 * SECOND, &c->got, NULL);
    return NULL;
}

START_TEST(fifty_clients_of_one_token_survive)
{
    enum { CLIENTS = 50 };
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    struct token_pair p = begin(NOW), next;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.refresh = p.refresh.text, .ctx = mem_root()};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, client_run, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(clients[i].rc, RC_OK);
        ck_assert_str_eq(clients[i].got.refresh.text, clients[0].got.refresh.text);
        ck_assert_int_eq(check_at(clients[i].got.access, NOW + 61 * SECOND), RC_OK);
    }
    ck_assert_int_eq(renew(clients[0].got.refresh.text, NOW + 120 * SECOND, &next), RC_OK);
    for (int i = 0; i < CLIENTS; i++)
        mem_free(clients[i].ctx);
}
END_TEST

/* ---- keys ---- */

START_TEST(a_new_key_ends_nothing)
{
    struct token_pair old = begin(NOW + 30 * 86400 * SECOND - 10 * SECOND);
    struct token_pair p = begin(NOW), late;
    (void)p;
    late = begin(NOW + 61 * 86400 * SECOND);
    ck_assert_str_ne(jwt_kid(root, str_of(late.access)), jwt_kid(root, str_of(old.access)));
    ck_assert_int_eq(check_at(late.access, NOW + 61 * 86400 * SECOND), RC_OK);
    t = mem_free(t);
    t = access_tokens_new(root, s, sessions, key); /* another start */
    ck_assert_int_eq(check_at(late.access, NOW + 61 * 86400 * SECOND), RC_OK);
    ck_assert_int_eq(check_at(old.access, NOW + 30 * 86400 * SECOND), RC_OK);
}
END_TEST

START_TEST(the_database_alone_signs_nothing)
{
    struct token_pair p = begin(NOW);
    struct err err = {0};
    t = mem_free(t);
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s/keys'", folder);
    ck_assert_int_eq(system(command), 0);
    key = account_key_new(root, mem_printf(root, "%s/keys/accounts.key", folder));
    t = access_tokens_new(root, s, sessions, key);
    ck_assert_int_eq(check_at(p.access, NOW), RC_OK); /* what was signed holds its ten minutes */
    struct token_pair next;
    ck_assert_msg(access_token_begin(root, t, "abcdef1", &place, NOW + SECOND, &next, &err) == RC_OK, "%s",
                  err.sentence);
    ck_assert_str_ne(jwt_kid(root, str_of(next.access)), jwt_kid(root, str_of(p.access)));
}
END_TEST

/* ---- passwords ---- */

START_TEST(passwords_match_what_they_were_made_of)
{
    char hash[PASSWORD_TEXT];
    ck_assert_int_eq(password_hash(STR("correct horse battery"), hash, NULL), RC_OK);
    ck_assert_ptr_nonnull(strstr(hash, "$argon2id$"));
    ck_assert(password_matches(hash, STR("correct horse battery")));
    ck_assert(!password_matches(hash, STR("correct horse batterx")));
    ck_assert(!password_matches("", STR("correct horse battery")));
    ck_assert(!password_matches("$argon2id$damaged", STR("correct horse battery")));
    ck_assert(!password_stale(hash));
    ck_assert_int_eq(password_check(STR("short"), "ada", &why), RC_INVALID);
    ck_assert_int_eq(password_check(STR("aaaaaaaaaaaa"), "ada", &why), RC_INVALID);
    ck_assert_int_eq(password_check(STR("ada.lovelace1"), "ada.lovelace", &why), RC_INVALID);
    ck_assert_int_eq(password_check(STR("four words not together"), "ada", NULL), RC_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access tokens");
    TCase *c = tcase_create("access tokens");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_token_holds_ten_minutes_and_as_long_as_its_session);
    tcase_add_test(c, what_was_not_issued_is_refused);
    tcase_add_test(c, a_right_signature_is_not_enough);
    tcase_add_test(c, a_token_names_a_family_and_no_browser);
    tcase_add_test(c, a_used_token_gives_the_same_next_one_for_a_moment_and_then_ends_the_family);
    tcase_add_test(c, a_family_ends_without_use_and_in_any_case);
    tcase_add_test(c, fifty_clients_of_one_token_survive);
    tcase_add_test(c, a_new_key_ends_nothing);
    tcase_add_test(c, the_database_alone_signs_nothing);
    tcase_add_test(c, passwords_match_what_they_were_made_of);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
