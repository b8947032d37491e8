/* The policy of a database, from the side of the host: whose it is, and when it
 * goes. What it is asked is the business of scripts. */
#include "entries.h"

#include <stdatomic.h>
#include <stddef.h>

static atomic_int destroyed, asked;

static bool deny(void *userdata, const char *actor, size_t actor_len, const char *action,
                 size_t action_len, const char *resource, size_t resource_len)
{
    (void)userdata;
    CHECK(actor != NULL && action != NULL && resource != NULL);
    CHECK(actor_len < 100 && action_len < 100 && resource_len < 600);
    asked++;
    return false;
}

static void note_destroyed(void *userdata)
{
    CHECK(userdata == &destroyed);
    destroyed++;
}

static int32_t set(acervo *db, acervo_policy_fn function, acervo_error **err)
{
    return acervo_set_policy(db, function, &destroyed, note_destroyed, err);
}

static void a_policy_is_destroyed_once_when_another_takes_its_place_or_none(void)
{
    acervo *db = open_database(":memory:");
    destroyed = 0;
    CHECK_OK(set(db, deny, ERR));
    CHECK_INT(destroyed, 0);
    CHECK_OK(set(db, deny, ERR));
    CHECK_INT(destroyed, 1);
    /* There is nothing to keep userdata for. */
    CHECK_OK(set(db, NULL, ERR));
    CHECK_INT(destroyed, 3);
    CHECK_OK(acervo_set_policy(db, NULL, NULL, NULL, ERR));
    close_database(db);
    CHECK_INT(destroyed, 3);
}

static void a_policy_ends_with_the_last_handle_of_the_file(void)
{
    acervo *db = open_database(scratch_path("policy.db"));
    acervo *second = open_database(scratch_path("policy.db"));
    destroyed = 0;
    CHECK_OK(set(db, deny, ERR));
    close_database(db);
    CHECK_INT(destroyed, 0);
    close_database(second);
    CHECK_INT(destroyed, 1);
}

static void a_policy_that_cannot_be_set_is_destroyed(void)
{
    acervo *db = open_database(":memory:");
    destroyed = 0;
    CHECK_FAILS(set(NULL, deny, ERR), ACERVO_INVALID, "db is NULL");
    CHECK_INT(destroyed, 1);
    CHECK_OK(acervo_close(db, ERR));
    CHECK_FAILS(set(db, deny, ERR), ACERVO_INTERNAL, "closed");
    CHECK_INT(destroyed, 2);
    acervo_free(db);
}

static void calls_of_the_host_are_not_asked_about(void)
{
    acervo *db = open_database(":memory:");
    asked = 0;
    CHECK_OK(set(db, deny, ERR));
    apply_create(db, "a:x", "1");
    CHECK_NOW(db, "a:x");
    CHECK_OK(acervo_apply_version(db, 0, ERR));
    CHECK_INT(asked, 0);
    close_database(db);
}

/* The policy goes while the database is closed: what it calls then is told. */
static void call_back(void *db)
{
    uint64_t version = 0;
    CHECK_FAILS(acervo_current_version(db, &version, ERR), ACERVO_INTERNAL, "closed");
    CHECK_FAILS(acervo_set_policy(db, deny, NULL, NULL, ERR), ACERVO_INTERNAL, "closed");
    destroyed++;
}

static void destroy_may_call_the_library_when_the_database_goes(void)
{
    acervo *db = open_database(":memory:");
    destroyed = 0;
    CHECK_OK(acervo_set_policy(db, deny, db, call_back, ERR));
    CHECK_OK(acervo_close(db, ERR));
    CHECK_INT(destroyed, 1);
    acervo_free(db);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_policy_is_destroyed_once_when_another_takes_its_place_or_none),
        TEST(a_policy_ends_with_the_last_handle_of_the_file),
        TEST(a_policy_that_cannot_be_set_is_destroyed),
        TEST(calls_of_the_host_are_not_asked_about),
        TEST(destroy_may_call_the_library_when_the_database_goes),
    };
    return RUN_TESTS(cases, argc, argv);
}
