/* In whose hands the files are. While a command may run they are the commands' (with subordinate uids this process has
 * then no power over them); before this process looks at them or changes them, everything inside is ended and they are
 * taken back. So nothing moves under the feet of a snapshot, and nothing is left to race with. */
#include "agent/work.h"

enum rc files_take(struct agent *a, struct err *err)
{
    struct sandbox *sb = a->spec->sandbox;
    enum rc rc = a->noisy ? sandbox_quiet(sb, err) : RC_OK;
    if (rc)
        return rc;
    a->noisy = false;
    if (a->hands != HANDS_OURS && sandbox_hands_over(sb))
        rc = sandbox_take(a->spec->work->dir, err);
    if (!rc)
        a->hands = HANDS_OURS;
    return rc;
}

enum rc files_give(struct agent *a, struct err *err)
{
    enum rc rc = RC_OK;
    if (a->hands != HANDS_THEIRS && sandbox_hands_over(a->spec->sandbox))
        rc = sandbox_give(a->spec->work->dir, SANDBOX_AGENT, err);
    if (!rc)
        a->hands = HANDS_THEIRS;
    return rc;
}
