/* Contract: SHA-256 as in FIPS 180-4, in lower-case digits. Vectors: NIST's examples. */
#include "crypt/hash.h"
#include <check.h>

static void check_hex(struct str in, const char *expected)
{
    char hex[HASH_SHA256_HEX];
    hash_sha256_hex(in, hex);
    ck_assert_str_eq(hex, expected);
}

START_TEST(known_answers)
{
    check_hex(STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hex((struct str){NULL, 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hex(STR("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_hex(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CLEANUP_MEM mem *tmp = mem_root();
    char *million = mem_zalloc(tmp, 1000000);
    memset(million, 'a', 1000000);
    check_hex(str_n(million, 1000000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tc = tcase_create("hash");
    tcase_add_test(tc, known_answers);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
